"""What tracking adds to a training: the same run with `--tracking off` and on, in turns.

Each run is a process of its own, as a person starts it. The training's seconds are those of its
`run.json` (all epochs, with validation and checkpoints); the rest is what the process does before
and after. The ratios are of neighbours, so that what else the machine does falls on both; two
untracked runs beside each other show the noise. Needs the toy data (`make demo` draws it).
Run `python benchmarks/tracking_cost.py --pairs 6`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

from seglab.utils.paths import PROJECT_ROOT

CONFIG = "configs/toy_fpn_effnetlite0_128x128.py"


def train(folder: Path, tracking: str, arguments: argparse.Namespace) -> tuple[float, float]:
    """Train once; the seconds of the training, and of the whole process."""
    command = [sys.executable, str(PROJECT_ROOT / "src" / "tools" / "train.py")]
    command += ["--config", arguments.config, "--data-root", arguments.data_root]
    command += ["--work-dir", str(folder), "--tracking", tracking]
    command += ["--cfg-options", f"train_cfg.max_epochs={arguments.epochs}"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads)}
    began = time.perf_counter()
    subprocess.run(command, check=True, env=environment, capture_output=True, cwd=PROJECT_ROOT)
    whole = time.perf_counter() - began
    return float(json.loads((folder / "run.json").read_text())["seconds"]), whole


def describe(ratios: list[float]) -> str:
    """Median and range of the ratios of a column."""
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
    print("pair  training off / on / off again (s)   on : off   off : off   whole process on - off")
    ratios: list[float] = []
    noise: list[float] = []
    added: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for pair in tqdm(range(args.pairs), unit="pair"):
            # On in the middle of two runs without: a machine that slows down does so for both.
            runs = [
                train(Path(folder) / f"{pair}_{place}", mode, args)
                for place, mode in enumerate(("off", args.tracking, "off"))
            ]
            (first, first_whole), (on, on_whole), (last, last_whole) = runs
            ratios.append(on / ((first + last) / 2))
            noise.append(last / first)
            added.append(on_whole - (first_whole + last_whole) / 2)
            tqdm.write(
                f"{pair + 1:4}  {first:8.2f} {on:8.2f} {last:8.2f}{'':12}{ratios[-1]:8.3f}"
                f"{noise[-1]:12.3f}{added[-1]:20.1f} s"
            )
    print(f"training, on : off        {describe(ratios)}")
    print(f"training, off : off       {describe(noise)}")
    print(
        f"whole process, on - off   {statistics.median(added):.1f} s (at most {max(added):.1f} s)"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
