"""Many tests at once (Holm), and what a test set of this size can show at all."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from seglab.analysis.resampling import Difference, FloatArray

K = TypeVar("K", bound=Hashable)

LEVEL = 0.05
POWER = 0.80


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """P-values adjusted by Holm's step-down method (1979, Scand. J. Statist. 6, 65-70).

    Whatever the tests have to do with each other, rejecting what is below 0.05 rejects at least
    one true hypothesis of the family in at most 5 % of cases.

    Args:
        p_values: (n,) p-values; NaN is a test that was not made: it stays NaN and does not count.

    Returns:
        (n,) float64 in the order given.
    """
    values = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(values.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(values))
    order = tested[np.argsort(values[tested], kind="stable")]
    factors = np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * values[order]), 1.0)
    return adjusted


def adjust_family(differences: Mapping[K, Difference]) -> dict[K, Difference]:
    """The differences with `adjusted_p` set, all of them being one family.

    Args:
        differences: Under any keys, such as (hypothesis, metric).
    """
    adjusted = holm([difference.p_value for difference in differences.values()])
    return {
        key: replace(difference, adjusted_p=float(p_value))
        for (key, difference), p_value in zip(differences.items(), adjusted, strict=True)
    }


def detectable_difference(standard_error: float, freedom: float = math.inf) -> float:
    """The smallest true difference found with 80 % power by a two-sided test at 5 %.

    (t_0.975 + t_0.8) * SE: 2.80 standard errors for many degrees of freedom (Cohen, 1988; Bloom,
    1995, "Minimum detectable effects"). The correction for several tests is not in it: in a family
    differences must be larger.

    Args:
        standard_error: Of the paired difference, points.
        freedom: Its degrees of freedom.

    Returns:
        Points; NaN for a standard error of 0: runs that differ nowhere do not tell how much runs
        that do would vary.
    """
    if standard_error == 0:
        return math.nan
    return standard_error * float(stdtrit(freedom, 1 - LEVEL / 2) + stdtrit(freedom, POWER))


def images_needed(
    standard_error: float, num_images: int, wanted: float, seed_error: float = 0.0
) -> float:
    """How many images a test set needs to find a difference with 80 % power at 5 %.

    The images' part of the squared standard error falls as 1 / N; the seeds' part stays.

    Args:
        standard_error: Of the paired difference on `num_images` images, points.
        num_images: N, the images it was measured on.
        wanted: The difference to find, points, above 0.
        seed_error: The part of the standard error that comes from the seeds, points.

    Returns:
        The number, rounded up; infinite if only more seeds would do, NaN without standard error.

    Raises:
        ValueError: `wanted` is not above 0.
    """
    if not wanted > 0:
        raise ValueError(f"the difference wanted is {wanted}: give one above 0")
    allowed = (wanted / detectable_difference(1.0)) ** 2 - seed_error**2
    by_images = standard_error**2 - seed_error**2
    if math.isnan(by_images):
        return math.nan
    if allowed <= 0:
        return math.inf
    return float(math.ceil(num_images * by_images / allowed))
