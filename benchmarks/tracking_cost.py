"""What tracking adds to a training: the same run with `--tracking off` and on, in turns.

Each run is a process of its own, as a person starts it. The training's seconds are those of its
`run.json` (all epochs, with validation and checkpoints); the rest is what the process does before
and after. The ratios are of neighbours, so that what else the machine does falls on both; two
untracked runs beside each other show the noise. Processor seconds, of the process and of the
children it waits for, feel a busy machine less. What the training's own thread spends inside
tracking is timed call by call in one more run. Needs the toy data (`make demo` draws it).
Run `python benchmarks/tracking_cost.py --pairs 6`.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from seglab.mmseg_custom.engine import SeglabClearMLBackend
from seglab.tools import train as train_tool
from seglab.utils.paths import PROJECT_ROOT
from seglab.utils.tracking.tracker import Tracker

CONFIG = "configs/toy_fpn_effnetlite0_128x128.py"


class Cost(NamedTuple):
    """Seconds of the training, of the whole process, and on the processor in all."""

    training: float
    whole: float
    processor: float


def train(folder: Path, tracking: str, arguments: argparse.Namespace) -> Cost:
    """Train once."""
    command = [sys.executable, str(PROJECT_ROOT / "src" / "tools" / "train.py")]
    command += ["--config", arguments.config, "--data-root", arguments.data_root]
    command += ["--work-dir", str(folder), "--tracking", tracking]
    command += ["--cfg-options", f"train_cfg.max_epochs={arguments.epochs}"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads)}
    began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env=environment, capture_output=True, cwd=PROJECT_ROOT)
    whole = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    return Cost(json.loads((folder / "run.json").read_text())["seconds"], whole, processor)


def inside(folder: Path, arguments: argparse.Namespace) -> tuple[float, int, float]:
    """Seconds inside the calls of tracking, how many calls, and seconds of that training."""
    spent: list[float] = []

    def timed(owner: type, name: str) -> None:
        method = getattr(owner, name)

        def call(*args: Any, **kwargs: Any) -> None:
            began = time.perf_counter()
            method(*args, **kwargs)
            spent.append(time.perf_counter() - began)

        setattr(owner, name, call)

    for name in ("add_scalars", "add_epoch", "add_image"):
        timed(SeglabClearMLBackend, name)
    for name in ("begin", "add"):
        timed(Tracker, name)
    options = ["--config", arguments.config, "--data-root", arguments.data_root]
    options += ["--work-dir", str(folder), "--tracking", arguments.tracking]
    train_tool.main([*options, "--cfg-options", f"train_cfg.max_epochs={arguments.epochs}"])
    return sum(spent), len(spent), json.loads((folder / "run.json").read_text())["seconds"]


def describe(ratios: list[float]) -> str:
    """Median and range of a column."""
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"


def main() -> int:
    """Measure, and print a line for each pair and the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", default=CONFIG)
    parser.add_argument("--data-root", default="data/toy")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1, help="torch threads of each run")
    parser.add_argument("--tracking", choices=("offline", "online"), default="offline")
    args = parser.parse_args()
    print(
        "pair  training off / on / off again (s)   on : off   off : off   all on - off (s, CPU s)"
    )
    ratios: list[float] = []
    noise: list[float] = []
    wall: list[float] = []
    processor: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for pair in tqdm(range(args.pairs), unit="pair"):
            # On in the middle of two runs without: a machine that slows down does so for both.
            first, on, last = (
                train(Path(folder) / f"{pair}_{place}", mode, args)
                for place, mode in enumerate(("off", args.tracking, "off"))
            )
            ratios.append(on.training / statistics.mean((first.training, last.training)))
            noise.append(last.training / first.training)
            wall.append(on.whole - statistics.mean((first.whole, last.whole)))
            processor.append(on.processor - statistics.mean((first.processor, last.processor)))
            tqdm.write(
                f"{pair + 1:4}  {first.training:8.2f} {on.training:8.2f} {last.training:8.2f}"
                f"{'':12}{ratios[-1]:8.3f}{noise[-1]:12.3f}{wall[-1]:14.1f}{processor[-1]:8.1f}"
            )
        seconds, calls, whole = inside(Path(folder) / "inside", args)
    print(
        f"inside tracking           {seconds:.3f} s in {calls} calls of {whole:.1f} s of training: "
        f"{seconds / whole:.2%}"
    )
    print(f"training, on : off        {describe(ratios)}")
    print(f"training, off : off       {describe(noise)}")
    print(f"whole process, on - off   {describe(wall)} s, on the processor {describe(processor)} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
