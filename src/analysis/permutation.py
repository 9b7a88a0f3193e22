"""Could the difference of two hypotheses be chance? P-values from their per-image matrices.

**One seed each**: the paired permutation test. If it made no difference which run an image's
matrix came from, the two matrices of an image could be swapped; a swap image by image, at random,
shows which differences chance gives. p = (1 + count) / (1 + B), two-sided, count the permutations
whose difference is at least as large as the real one (Phipson and Smyth, 2010: never 0). The test
is about these two trained networks, not about what other seeds would have given.

**Several seeds**: there swapping would not be honest. Swapping images between sets of trained
networks leaves the networks what they are: a lucky seed passes for a better method. Swapping
networks is exact, but three against three can be divided in 20 ways only, so that p is never below
0.1. Here p is read off the interval of the two-level bootstrap (`resampling`): the level at which
that t interval just touches zero. It is below 0.05 exactly if the 95 % interval excludes zero. It
says how often differences of this size come from other images and other seeds, as far as two or
three seeds can tell; unlike a permutation test it is not exact, and rests on differences of means
being roughly normal. If one of the two has a single seed, that one's seeds are not covered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr

from seglab.analysis.multiplicity import detectable_difference
from seglab.analysis.resampling import (
    RESAMPLES,
    Bootstrap,
    Difference,
    FigureEstimate,
    metric_keys,
    require_keys,
)
from seglab.utils.test_utils import score_table

#: Differences in points that are the same but for rounding.
_TIE = 1e-9
#: Numbers held at once, as in `resampling`.
_CHUNK = 4_000_000


def permutation_p_values(
    before: npt.NDArray[np.integer],
    after: npt.NDArray[np.integer],
    class_names: Sequence[str],
    keys: Sequence[str] | None = None,
    *,
    permutations: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, float]:
    """Two-sided p-values of the paired permutation test, one for each figure.

    Args:
        before: (N, C, C) confusion matrices of one run.
        after: Those of the other on the same images in the same order.
        class_names: The C names.
        keys: The figures (default: all of `metric_keys`).
        permutations: Number of random permutations B.
        seed: Of the random numbers.

    Returns:
        For each key the p-value; NaN where a run has no value of the figure. A permutation in
        which it has none counts as large, which can only raise p.

    Raises:
        ValueError: The matrices are not alike, or a key is unknown.
    """
    keys = metric_keys(class_names) if keys is None else tuple(keys)
    require_keys(keys, class_names)
    size = len(class_names)
    if before.shape != after.shape or before.ndim != 3 or before.shape[1:] != (size, size):
        raise ValueError(
            f"expected two (N, {size}, {size}) arrays alike, got {before.shape} and {after.shape}"
        )
    number = len(before)
    totals = np.stack([before.sum(axis=0, dtype=np.int64), after.sum(axis=0, dtype=np.int64)])
    real = score_table(totals, class_names)
    # The images last, as in `resampling`.
    change = (after.astype(np.float64) - before).reshape(number, size * size).T
    reached = dict.fromkeys(keys, 0)
    rng = np.random.default_rng(seed)
    # Random bits come 32 at a time: whole words, or the chunks would change the numbers drawn.
    step = 32 * max(_CHUNK // (32 * max(number, 2 * size * size)), 1)
    for start in range(0, permutations, step):
        rows = min(step, permutations - start)
        swapped = rng.integers(2, size=(rows, number), dtype=np.bool_).T.astype(np.float64)
        moved = (change @ swapped).astype(np.int64).reshape(size, size, rows).transpose(2, 0, 1)
        tables = [score_table(sums, class_names) for sums in (totals[0] + moved, totals[1] - moved)]
        for key in keys:
            smaller = np.abs(tables[1][key] - tables[0][key]) < abs(np.diff(real[key])[0]) - _TIE
            reached[key] += rows - int(np.count_nonzero(smaller))
    return {
        key: math.nan if np.isnan(real[key]).any() else (1 + count) / (1 + permutations)
        for key, count in reached.items()
    }


def two_level_p_value(difference: FigureEstimate) -> float:
    """The two-sided p-value at which the difference's interval just touches zero.

    Args:
        difference: From `Bootstrap.difference`.

    Returns:
        P-value; NaN without standard error, 1 for no difference without any spread.
    """
    if difference.standard_error == 0:
        return 1.0 if difference.value == 0 else 0.0
    statistic = abs(difference.value) / difference.standard_error
    return float(2 * stdtr(difference.degrees_of_freedom, -statistic))


def paired_differences(
    bootstrap: Bootstrap, before: int, after: int, keys: Sequence[str] | None = None
) -> dict[str, Difference]:
    """All there is to say about one hypothesis against another, metric by metric.

    The test takes as many permutations as the bootstrap took resamples, and its seed.

    Args:
        bootstrap: Of both and maybe others.
        before: The place of the one the difference starts from (the parent).
        after: The place of the other.
        keys: The figures (default: all of the bootstrap).

    Returns:
        For each key the difference, with the permutation test's p-value for one seed each and
        `two_level_p_value` otherwise; `adjusted_p` is not set yet.
    """
    keys = bootstrap.keys if keys is None else tuple(keys)
    estimates = {key: bootstrap.difference(before, after, key) for key in keys}
    one, other = bootstrap.hypotheses[before], bootstrap.hypotheses[after]
    if len(one) == len(other) == 1:
        p_values = permutation_p_values(
            one[0],
            other[0],
            bootstrap.class_names,
            keys,
            permutations=bootstrap.resamples,
            seed=bootstrap.seed,
        )
    else:
        p_values = {key: two_level_p_value(estimate) for key, estimate in estimates.items()}
    return {
        key: Difference(
            **vars(estimate),
            p_value=p_values[key],
            detectable=detectable_difference(estimate.standard_error, estimate.degrees_of_freedom),
        )
        for key, estimate in estimates.items()
    }
