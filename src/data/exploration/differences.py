"""By how much two splits differ, and whether chance explains it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

from seglab.data.exploration.statistics import ClassStatistics, SplitStatistics
from seglab.data.exploration.streams import Moments
from seglab.utils.masks import BACKGROUND

_LEVEL = 0.95
_MIN_IMAGES = 10  # the normal approximation says nothing of fewer


@dataclass(frozen=True)
class Difference:
    """One figure, a mean over images, in two splits.

    Attributes:
        figure: What was compared.
        unit: Its unit, '' for a count.
        splits: The two splits.
        values: The mean in each.
        images: How many images entered each mean.
        low: Lower end of the interval of second minus first.
        high: Upper end.
        size: Difference in standard deviations (Cohen's d), infinite where neither split varies.
    """

    figure: str
    unit: str
    splits: tuple[str, str]
    values: tuple[float, float]
    images: tuple[int, int]
    low: float
    high: float
    size: float

    @property
    def difference(self) -> float:
        """Second minus first."""
        return self.values[1] - self.values[0]

    @property
    def beyond_chance(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def compare_splits(splits: Sequence[SplitStatistics], names: Sequence[str]) -> list[Difference]:
    """Compare every two splits in every figure, the largest standardised difference first.

    The intervals hold at 95 % for all figures together (Bonferroni): Welch's normal approximation
    to the difference of two means over images.

    Args:
        splits: The gathered splits.
        names: The class names.
    """
    pairs = list(combinations(splits, 2))
    figures = [_figures(split, names) for split in splits]
    keys = list(figures[0]) if figures else []
    tests = max(len(pairs) * len(keys), 1)
    width = NormalDist().inv_cdf(1 - (1 - _LEVEL) / (2 * tests))
    by_name = {split.name: figure for split, figure in zip(splits, figures, strict=True)}
    found = [
        _difference(key, (a.name, b.name), by_name[a.name][key], by_name[b.name][key], width)
        for a, b in pairs
        for key in keys
    ]
    return sorted((d for d in found if d), key=lambda d: -abs(d.size))


def _figures(split: SplitStatistics, names: Sequence[str]) -> dict[tuple[str, str], Moments]:
    """Every figure that is compared, by what it is and its unit."""
    figures = {
        ("instances per image", ""): split.moments["instances"],
        ("share of objects in an image's pixels", "%"): split.moments["objects"],
        ("mean brightness of an image", "of 255"): split.moments["brightness"],
    }
    for label, name in enumerate(names):
        gathered = split.classes.get(label, ClassStatistics())
        if label != BACKGROUND:
            figures[f"images with {name}", "%"] = Moments.of_counts(
                {100.0: gathered.images, 0.0: split.masks - gathered.images}
            )
            figures[f"area of {name} where it occurs", "% of the image"] = Moments.of_counts(
                gathered.area_percent.counts
            )
    return figures


def _difference(
    key: tuple[str, str], splits: tuple[str, str], one: Moments, other: Moments, width: float
) -> Difference | None:
    """The difference of two means; None where a split has too few images to say."""
    if min(one.count, other.count) < _MIN_IMAGES:
        return None
    gap = other.mean - one.mean
    reach = width * math.sqrt(one.variance / one.count + other.variance / other.count)
    spread = math.sqrt((one.variance + other.variance) / 2)
    return Difference(
        figure=key[0],
        unit=key[1],
        splits=splits,
        values=(one.mean, other.mean),
        images=(one.count, other.count),
        low=gap - reach,
        high=gap + reach,
        size=gap / spread if spread else (math.copysign(math.inf, gap) if gap else 0.0),
    )
