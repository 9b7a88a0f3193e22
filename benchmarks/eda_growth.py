"""How the look at the data grows with the number of masks: time a mask and peak memory.

Each size runs in a process of its own, on small drawn images that are removed afterwards; a
tenth of the images are near copies of others, so that the search for duplicates has work.
Run `python benchmarks/eda_growth.py --sizes 1000 10000 100000`.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from seglab.data.exploration.explore import Options, look_at, write_look

SIDE = 32


def draw(root: Path, count: int) -> None:
    """Write `count` images of smooth colours, each with a mask of one ellipse."""
    rng = np.random.default_rng(0)
    for folder in ("img", "labels"):
        (root / folder / "train").mkdir(parents=True)
    previous = np.zeros((SIDE, SIDE, 3), np.uint8)
    for index in range(count):
        coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
        if index % 10 == 9:
            image = cv2.add(previous, (3.0, 3.0, 3.0, 0.0))
        previous = image
        mask = np.zeros((SIDE, SIDE), np.uint8)
        centre, axes = rng.integers(8, 24, 2).tolist(), rng.integers(2, 8, 2).tolist()
        cv2.ellipse(mask, centre, axes, 0.0, 0.0, 360.0, 1 + index % 2, -1)
        cv2.imwrite(str(root / "img" / "train" / f"{index:06d}.png"), image)
        cv2.imwrite(str(root / "labels" / "train" / f"{index:06d}.png"), mask)


def measure(root: Path) -> None:
    """Look at a drawn set; print seconds of the look, of the writing, and the peak memory."""
    start = time.perf_counter()
    look = look_at(Options(root))
    looked = time.perf_counter()
    with tempfile.TemporaryDirectory() as out:
        write_look(look, Path(out))
    written = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kilobytes on Linux
    print(f"{looked - start:.3f} {written - looked:.3f} {peak:.1f} {len(look.duplicates)}")


def main() -> int:
    """Measure each size and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        measure(args.measure)
        return 0
    print(f"{'masks':>8}{'look s':>9}{'ms a mask':>11}{'write s':>9}{'peak MB':>9}{'copies':>8}")
    for size in args.sizes:
        with tempfile.TemporaryDirectory() as folder:
            draw(Path(folder), size)
            command = [sys.executable, __file__, "--measure", folder]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        look, write, peak, copies = map(float, done.stdout.split())
        each = 1000 * look / size
        print(f"{size:>8,}{look:>9.2f}{each:>11.3f}{write:>9.2f}{peak:>9.0f}{copies:>8.0f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
