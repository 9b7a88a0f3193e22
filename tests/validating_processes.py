"""Validate the same weights in one, two and three processes.

    python tests/validating_processes.py CONFIG FOLDER

Trains in one process on all twelve images at once; each number of processes then resumes a copy of
the finished run, with batches that keep the steps of an epoch, and so validates its last epoch
again. Prints one line of JSON for each: the exit codes, the metrics of
that validation, and what was counted: each image's id and its labelled pixels.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from resuming import make_starts_quick, run
from two_processes import train

from seglab.mmseg_custom.engine.history import read_history


@HOOKS.register_module()
class CountedHook(Hook):
    """Writes down which images a validation counted, and how many pixels of each."""

    priority = "VERY_LOW"

    @master_only
    def after_val_epoch(self, runner: Any, metrics: Any = None) -> None:
        """Write `counted.json` into the run's folder."""
        results = runner.val_loop.evaluator.metrics[0].image_results
        pixels = results.matrices.sum(axis=(1, 2)).tolist()
        counted = list(zip(results.sample_ids, pixels, strict=True))
        Path(runner.work_dir, "counted.json").write_text(json.dumps(counted))


def main() -> None:
    """Run the experiment."""
    config, folder = map(Path, sys.argv[1:])
    torch.set_num_threads(1)
    make_starts_quick()
    trained = run(config, folder / "trained")
    for processes in (1, 2, 3):
        copy = folder / f"copy_{processes}"
        shutil.copytree(trained, copy)
        (copy / "counted.json").unlink()
        batch = [f"train_dataloader.batch_size={12 // processes}"]
        codes = train(config, copy, resume=True, processes=processes, overrides=batch)
        last = read_history(copy)[-1]
        metrics = {key: value for key, value in last.items() if key.startswith("val/")}
        counted = json.loads((copy / "counted.json").read_text())
        print(json.dumps({"codes": codes, "metrics": metrics, "counted": counted}))


if __name__ == "__main__":
    main()
