"""Statistics of a stream of numbers, in memory that does not grow with the stream."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

FILES_KEPT = 100


class Quartiles(NamedTuple):
    """The five numbers of a box plot."""

    minimum: float
    q1: float
    median: float
    q3: float
    maximum: float


class Distribution:
    """Exact quantiles from counts of the distinct values.

    Memory is bounded by the number of distinct values: an area has no more than an image has
    pixels, and other values are kept to five significant digits.
    """

    def __init__(self) -> None:
        self.counts: Counter[float] = Counter()

    def add(self, value: float) -> None:
        """Count one value."""
        self.counts[value if isinstance(value, int) else float(f"{value:.5g}")] += 1

    def __len__(self) -> int:
        return self.counts.total()

    def quartiles(self) -> Quartiles | None:
        """Minimum, quartiles and maximum; None of an empty stream.

        Quantiles are interpolated linearly between the two nearest values, as numpy does
        (method 7 of Hyndman & Fan, 1996).
        """
        if not self.counts:
            return None
        values = sorted(self.counts)
        ends = np.cumsum([self.counts[value] for value in values])
        last = int(ends[-1]) - 1

        def at(rank: int) -> float:
            return values[int(np.searchsorted(ends, rank, side="right"))]

        def quantile(share: float) -> float:
            place = share * last
            low = math.floor(place)
            below, above = at(low), at(min(low + 1, last))
            return below + (place - low) * (above - below)

        return Quartiles(*(quantile(share) for share in (0.0, 0.25, 0.5, 0.75, 1.0)))


class Moments:
    """Number, mean and variance of a stream (Welford, 1962; West, 1979, for counts)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean = 0.0
        self._squares = 0.0

    @classmethod
    def of_counts(cls, counts: Mapping[float, int]) -> Moments:
        """The moments of values that come so many times each."""
        moments = cls()
        for value, count in counts.items():
            moments.add(value, count)
        return moments

    def add(self, value: float, count: int = 1) -> None:
        """Take in a value, `count` times."""
        if count:
            self.count += count
            step = value - self.mean
            self.mean += step * (count / self.count)
            self._squares += step * (value - self.mean) * count

    @property
    def variance(self) -> float:
        """Sample variance (n - 1 in the denominator); NaN of fewer than two values."""
        return max(self._squares, 0.0) / (self.count - 1) if self.count > 1 else math.nan


class Worst:
    """The files with the smallest values, and how many there were."""

    def __init__(self, keep: int = FILES_KEPT) -> None:
        self.count = 0
        self._keep = keep
        self._heap: list[tuple[float, str]] = []  # negated values: the largest kept is on top

    def add(self, value: float, name: str) -> None:
        """Offer a file; it stays if its value is among the smallest."""
        self.count += 1
        item = (-value, name)
        if len(self._heap) < self._keep:
            heapq.heappush(self._heap, item)
        else:
            heapq.heappushpop(self._heap, item)

    def items(self) -> list[tuple[float, str]]:
        """(value, file), the smallest first; equal values in the order of names."""
        return sorted((-value, name) for value, name in self._heap)

    def names(self) -> list[str]:
        """The files, that with the smallest value first."""
        return [name for _, name in self.items()]
