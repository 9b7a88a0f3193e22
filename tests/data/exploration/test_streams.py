"""Streaming statistics against numpy on the whole list."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seglab.data.exploration.streams import Distribution, Moments, Worst


@given(st.lists(st.integers(0, 70_000), min_size=1, max_size=60))
def test_quartiles_are_numpys(values: list[int]) -> None:
    stream = Distribution()
    for value in values:
        stream.add(value)
    assert len(stream) == len(values)
    np.testing.assert_allclose(stream.quartiles(), np.quantile(values, [0, 0.25, 0.5, 0.75, 1]))


def test_fractions_keep_five_digits_and_memory_is_bounded() -> None:
    stream = Distribution()
    for value in np.random.default_rng(0).uniform(10, 11, 200_000):
        stream.add(float(value))
    assert len(stream.counts) <= 1001  # 10.000 to 11.000
    assert stream.quartiles().median == pytest.approx(10.5, abs=0.01)
    assert Distribution().quartiles() is None


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40))
def test_moments_are_numpys(values: list[float]) -> None:
    moments = Moments()
    for value in values:
        moments.add(value)
    assert moments.count == len(values)
    assert moments.mean == pytest.approx(np.mean(values), rel=1e-9, abs=1e-6)
    assert moments.variance == pytest.approx(np.var(values, ddof=1), rel=1e-6, abs=1e-3)


def test_moments_of_counts() -> None:
    moments = Moments.of_counts({100.0: 3, 0.0: 5, 7.0: 0})
    values = [100.0] * 3 + [0.0] * 5
    assert moments.count == 8
    assert moments.mean == pytest.approx(np.mean(values))
    assert moments.variance == pytest.approx(np.var(values, ddof=1))
    assert math.isnan(Moments().variance)


@given(st.lists(st.integers(0, 9), max_size=30))
def test_worst_keeps_the_smallest(values: list[int]) -> None:
    worst = Worst(keep=4)
    for index, value in enumerate(values):
        worst.add(value, f"{index:02d}")
    assert worst.count == len(values)
    assert [value for value, _ in worst.items()] == sorted(values)[:4]
