"""What the statistics of a comparison cost: every interval and p-value, beside a plain loop.

The plain loop draws the images and calls `aggregate_metrics` for each resample; some of its
resamples are timed and scaled up. Run `python benchmarks/comparison_cost.py`.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import time

import numpy as np

from seglab.analysis.permutation import paired_differences
from seglab.analysis.resampling import Bootstrap, metric_keys
from seglab.utils.test_utils import aggregate_metrics

CLASSES = ("background", "cat", "dog")
#: (images, runs, seeds of each, resamples)
CASES = (
    (120, 4, 1, 10_000),
    (120, 4, 3, 10_000),
    (1_000, 4, 1, 10_000),
    (10_000, 4, 1, 10_000),
)
LOOP_RESAMPLES = 200


def make_matrices(rng: np.random.Generator, images: int, seeds: int) -> np.ndarray:
    """(S, N, 3, 3) matrices of one animal an image, 9 pixels of 10 right."""
    animal, image = rng.integers(1, 3, images), np.arange(images)
    area = rng.integers(500, 20_000, images)
    wrong = (area * rng.beta(0.5, 4.5, (seeds, images))).astype(np.int64)
    matrices = np.zeros((seeds, images, 3, 3), dtype=np.int64)
    matrices[:, image, animal, animal] = area - wrong
    matrices[:, image, animal, 0] = wrong
    matrices[:, image, 0, animal] = wrong // 2
    matrices[:, image, 0, 0] = 65_536 - area - wrong // 2
    return matrices


def time_bootstrap(hypotheses: list[np.ndarray], resamples: int) -> tuple[float, float]:
    """Seconds for all figures with intervals, and for all pairs with intervals and p-values."""
    start = time.perf_counter()
    bootstrap = Bootstrap(hypotheses, CLASSES, resamples=resamples)
    for index, key in itertools.product(range(len(hypotheses)), bootstrap.keys):
        bootstrap.figure(index, key)
    figures = time.perf_counter() - start
    start = time.perf_counter()
    for before, after in itertools.combinations(range(len(hypotheses)), 2):
        paired_differences(bootstrap, before, after)
    return figures, time.perf_counter() - start


def time_loop(hypotheses: list[np.ndarray], resamples: int) -> float:
    """Seconds a loop over the resamples would take for the figures alone."""
    rng = np.random.default_rng(0)
    images = hypotheses[0].shape[1]
    start = time.perf_counter()
    for _ in range(LOOP_RESAMPLES):
        drawn = rng.integers(images, size=images)
        for matrices in hypotheses:
            for one in matrices:
                aggregate_metrics(one[drawn], CLASSES)
    return (time.perf_counter() - start) * resamples / LOOP_RESAMPLES


def main() -> int:
    """Measure each case and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="measurements; the median is shown")
    args = parser.parse_args()
    print(f"seconds; {len(metric_keys(CLASSES))} figures, all pairs; median of {args.repeats}")
    print(
        f"{'images':>7}{'runs':>6}{'seeds':>6}{'resamples':>10}"
        f"{'intervals':>11}{'pairs':>8}{'loop':>9}{'ratio':>8}{'peak MB':>9}"
    )
    rng = np.random.default_rng(0)
    for images, runs, seeds, resamples in CASES:
        hypotheses = [make_matrices(rng, images, seeds) for _ in range(runs)]
        times = [
            (*time_bootstrap(hypotheses, resamples), time_loop(hypotheses, resamples))
            for _ in range(args.repeats)
        ]
        figures, pairs, loop = np.median(times, axis=0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"{images:>7}{runs:>6}{seeds:>6}{resamples:>10}"
            f"{figures:>11.2f}{pairs:>8.2f}{loop:>9.1f}{f'1/{loop / figures:.0f}':>8}{peak:>9.0f}"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
