"""How figures are written."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seglab.analysis.report import numbers
from seglab.analysis.resampling import Interval

DASH = "–"  # noqa: RUF001


def test_figures() -> None:
    assert numbers.fixed(84.126) == "84.13" and numbers.fixed(84.126, 1) == "84.1"
    assert numbers.fixed(-0.001) == "0.00" and numbers.signed(-0.001) == "0.00"
    assert numbers.signed(1.2) == "+1.20" and numbers.signed(-1.2) == "-1.20"
    assert numbers.signed(0.004) == "0.00"
    for nothing in (None, math.nan, math.inf):
        assert numbers.fixed(nothing) == numbers.signed(nothing) == numbers.count(nothing) == DASH
    assert numbers.with_unit("mDice", 1) == "1.00 %"
    assert numbers.with_unit("HD95/cat", 1) == "1.00 px"


@given(st.floats(-1e6, 1e6))
def test_a_sign_is_there_exactly_where_there_is_a_difference(value: float) -> None:
    text = numbers.signed(value)
    assert float(text) == pytest.approx(value, abs=0.0051)
    assert (text[0] in "+-") == (float(text) != 0)


def test_intervals() -> None:
    assert numbers.between(Interval(1.0, 2.345)) == "1.00 to 2.35"
    assert numbers.between(Interval(-1.0, 2.0), sign=True) == "-1.00 to +2.00"
    assert numbers.between(Interval(math.nan, math.nan)) == DASH
    # Whether zero is in it is what a reader looks for.
    assert numbers.between(Interval(0.0036, 6.5), sign=True) == "+0.004 to +6.50"
    assert numbers.between(Interval(-6.5, -0.00004), sign=True) == "-6.50 to -0.00004"
    assert numbers.between(Interval(0.0, 1e-9), sign=True) == "0.00 to 0.00"
    assert numbers.between(Interval(0.0036, 6.5)) == "0.00 to 6.50"
    assert numbers.interval_words(Interval(1, 2)) == "95 % interval 1.00 to 2.00"


def test_probabilities() -> None:
    assert numbers.probability(0.01234) == "0.0123" and numbers.probability(1.0) == "1.0000"
    assert numbers.probability(0.0002) == "0.0002"
    assert numbers.probability(1e-6) == "< 0.0001" and numbers.probability(math.nan) == DASH


def test_counts_times_and_shares() -> None:
    assert numbers.count(1234567) == "1,234,567"
    assert numbers.quantity(1, "image") == "1 image"
    assert numbers.quantity(0, "hypothesis", "hypotheses") == "0 hypotheses"
    assert numbers.duration(12.34) == "12.3 s" and numbers.duration(75) == "1 min 15 s"
    assert numbers.duration(3 * 3600 + 125) == "3 h 2 min" and numbers.duration(None) == DASH
    assert numbers.duration(59.99) == "1 min 0 s"
    assert numbers.share(1, 3) == "33.3 %" and numbers.share(1, 0) == DASH
    assert math.isnan(numbers.mean([])) and math.isnan(numbers.mean([1.0, math.nan]))
    assert numbers.mean([1.0, 2.0]) == 1.5
