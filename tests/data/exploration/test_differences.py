"""Differences between splits: sizes, intervals, and how often chance looks like more."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from seglab.data.exploration.differences import compare_splits
from seglab.data.exploration.listing import Sample
from seglab.data.exploration.measure import SampleFacts, measure_mask
from seglab.data.exploration.statistics import SplitStatistics

from .conftest import SIDE

NAMES = ("background", "a")


def gather(name: str, sides: list[int]) -> SplitStatistics:
    """A split whose masks hold one square each, of these sides; 0 for none."""
    split = SplitStatistics(name, 255, 0.1)
    for index, side in enumerate(sides):
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[:side, :side] = 1
        sample = Sample(f"{name}/{index}", None, name)  # type: ignore[arg-type]
        split.add(SampleFacts(sample, mask=measure_mask(mask)))
    return split


def test_sizes_and_intervals_are_welchs() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(4, 20, 60).tolist(), rng.integers(10, 28, 45).tolist()
    found = compare_splits([gather("x", first), gather("y", second)], NAMES)
    areas = [100 * np.square(sides) / SIDE**2 for sides in (first, second)]
    item = next(d for d in found if d.figure.startswith("area of a"))
    assert item.splits == ("x", "y")
    assert item.images == (60, 45)
    assert item.values == pytest.approx([area.mean() for area in areas], rel=1e-4)
    error = np.sqrt(sum(area.var(ddof=1) / len(area) for area in areas))
    width = scipy.stats.norm.ppf(1 - 0.05 / (2 * 5)) * error  # five figures, one pair
    assert item.low == pytest.approx(item.difference - width, rel=1e-3)
    assert item.high == pytest.approx(item.difference + width, rel=1e-3)
    spread = np.sqrt(sum(area.var(ddof=1) for area in areas) / 2)
    assert item.size == pytest.approx(item.difference / spread, rel=1e-3)
    assert item.beyond_chance
    assert abs(found[0].size) == max(abs(d.size) for d in found)


def test_shares_of_images() -> None:
    found = compare_splits([gather("x", [9] * 30 + [0] * 10), gather("y", [9] * 20)], NAMES)
    item = next(d for d in found if d.figure == "images with a")
    assert item.values == (75.0, 100.0)
    assert item.difference == 25.0


def test_chance_alone_seldom_counts() -> None:
    rng = np.random.default_rng(1)
    clear = 0
    for _ in range(100):
        x, y = (gather(n, rng.integers(0, 20, 40).tolist()) for n in "xy")
        clear += any(d.beyond_chance for d in compare_splits([x, y], NAMES))
    assert clear <= 12  # 5 are expected; binomial(100, 0.05) exceeds 12 once in 600


def test_too_few_images_say_nothing() -> None:
    assert compare_splits([gather("x", [9] * 9), gather("y", [3] * 50)], NAMES) == []
    assert compare_splits([gather("x", [9] * 50)], NAMES) == []


def test_constants_that_differ_are_infinitely_far_apart() -> None:
    found = compare_splits([gather("x", [9] * 20), gather("y", [3] * 20)], NAMES)
    assert found[0].size == -np.inf
    assert found[0].beyond_chance
