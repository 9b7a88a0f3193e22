"""Outcomes and the sentences that say them."""

import dataclasses
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seglab.analysis.resampling import Difference, Interval
from seglab.analysis.verdict import Outcome, judge_expectation, judge_hypothesis

NAN = math.nan


def difference(
    low: float, high: float, p_value: float, key: str = "mDice", seeds: bool = True
) -> Difference:
    value = (low + high) / 2
    return Difference(
        key=key,
        value=value,
        interval=Interval(low, high),
        standard_error=(high - low) / 4,
        seed_error=0.0,
        degrees_of_freedom=119.0,
        dropped=0,
        seeds_covered=seeds,
        p_value=p_value / 2,
        detectable=2.21,
        adjusted_p=p_value,
    )


@pytest.mark.parametrize(
    ("expected", "low", "high", "p_value", "outcome"),
    [
        ("+", 0.5, 3.0, 0.01, "supported"),
        ("+", 0.5, 3.0, 0.06, "undecided"),  # the interval alone does not do
        ("+", -0.1, 3.0, 0.01, "undecided"),  # nor does p
        ("+", 0.0, 3.0, 0.01, "undecided"),
        ("+", -3.0, -0.5, 0.01, "not supported"),
        ("+", -3.0, -0.5, 0.05, "undecided"),
        ("-", -3.0, -0.5, 0.01, "supported"),
        ("-", 0.5, 3.0, 0.01, "not supported"),
        ("-", -0.5, 3.0, 0.9, "undecided"),
        ("=", -0.9, 0.8, 0.9, "supported"),
        ("=", 0.1, 0.9, 0.001, "supported"),  # a difference, but a small one
        ("=", -1.0, 1.0, 0.9, "supported"),
        ("=", -0.2, 1.1, 0.2, "undecided"),
        ("=", -5.0, 5.0, 0.9, "undecided"),  # nothing found is not nothing there
        ("=", 0.2, 1.1, 0.01, "undecided"),  # there is a difference, perhaps a small one
        ("=", 1.0, 1.8, 0.01, "undecided"),
        ("=", 1.1, 1.8, 0.07, "undecided"),
        ("=", 1.1, 1.8, 0.01, "not supported"),
        ("=", -4.0, -2.0, 0.001, "not supported"),
    ],
)
def test_outcomes(expected: str, low: float, high: float, p_value: float, outcome: str) -> None:
    judgement = judge_expectation("mDice", expected, difference(low, high, p_value))
    assert judgement.outcome is Outcome(outcome)
    assert judgement.sentence.startswith(f"{outcome}: mDice ")
    assert (judgement.key, judgement.expected) == ("mDice", expected)


def test_the_outcomes_have_exactly_these_values() -> None:
    assert [outcome.value for outcome in Outcome] == ["supported", "not supported", "undecided"]


def test_the_margin_is_a_parameter() -> None:
    found = difference(-1.5, 1.8, 0.9)
    assert judge_expectation("mDice", "=", found).outcome is Outcome.UNDECIDED
    assert judge_expectation("mDice", "=", found, margin=2).outcome is Outcome.SUPPORTED


@given(st.floats(-5, 5), st.floats(0.01, 5), st.floats(0, 1))
def test_opposite_expectations_have_opposite_outcomes(
    value: float, half: float, p_value: float
) -> None:
    found = difference(value - half, value + half, p_value)
    opposite = {
        Outcome.SUPPORTED: Outcome.NOT_SUPPORTED,
        Outcome.NOT_SUPPORTED: Outcome.SUPPORTED,
        Outcome.UNDECIDED: Outcome.UNDECIDED,
    }
    rises, falls = (judge_expectation("mDice", sign, found).outcome for sign in "+-")
    assert falls is opposite[rises]


def test_sentences_state_the_figures() -> None:
    undecided = judge_expectation("mDice", "+", difference(-1.104, 1.944, 0.612)).sentence
    assert undecided == (
        "undecided: mDice rose by 0.42 points (95 % interval -1.10 to 1.94, Holm p 0.61); "
        "a single test on these images finds a true difference of 2.2 points with 80 % probability"
    )
    supported = judge_expectation("Recall/cat", "-", difference(-4, -2, 0.0004)).sentence
    assert supported == (
        "supported: Recall/cat fell by 3.00 points (95 % interval -4.00 to -2.00, "
        "Holm p below 0.001)"
    )
    same = judge_expectation("mIoU", "=", difference(-0.5, 0.5, 0.034)).sentence
    assert same == (
        "supported: mIoU did not change (95 % interval -0.50 to 0.50, Holm p 0.034); "
        "the interval is within 1 point of no change"
    )
    wide = judge_expectation("mIoU", "=", difference(-3, 3, 0.9), margin=1.5).sentence
    assert "not wholly within 1.5 points of no change" in wide
    far = judge_expectation("mIoU", "=", difference(-3, -2, 0.01)).sentence
    assert far.endswith("the interval is wholly beyond 1 point of no change")


def test_what_differs_nowhere_is_said_without_a_smallest_difference() -> None:
    same = dataclasses.replace(difference(0, 0, 1.0), detectable=NAN)
    judgement = judge_expectation("mDice", "+", same)
    assert judgement.sentence == (
        "undecided: mDice did not change (95 % interval 0.00 to 0.00, Holm p 1.00)"
    )


@pytest.mark.parametrize(
    ("value", "dropped", "why"),
    [(NAN, 10_000, "no value"), (80.0, 3000, "too few images"), (80.0, 0, "one image")],
)
def test_without_interval_nothing_is_decided(value: float, dropped: int, why: str) -> None:
    found = Difference(
        "Dice/dog", value, Interval(NAN, NAN), NAN, NAN, 1.0, dropped, False, 0.001, NAN, 0.001
    )
    for sign in "+-=":
        judgement = judge_expectation("Dice/dog", sign, found)
        assert judgement.outcome is Outcome.UNDECIDED
        assert why in judgement.sentence
        assert "nan" not in judgement.sentence


def test_a_figure_not_tested_is_undecided() -> None:
    judgement = judge_expectation("HD95/cat", "-", None)
    assert judgement.outcome is Outcome.UNDECIDED
    assert judgement.sentence == "undecided: HD95/cat was not tested"


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="'up'"):
        judge_expectation("mDice", "up", difference(1, 2, 0.01))
    with pytest.raises(ValueError, match="margin"):
        judge_expectation("mDice", "=", difference(1, 2, 0.01), margin=0)
    with pytest.raises(ValueError, match="adjust_family"):
        judge_expectation("mDice", "+", difference(1, 2, NAN))


UP, DOWN, OPEN = (difference(*x) for x in ((1, 2, 0.01), (-2, -1, 0.01), (-1, 1.5, 0.5)))


@pytest.mark.parametrize(
    ("found", "outcome", "counted"),
    [
        ([UP, UP], "supported", "Of 2 expectations against H1: 2 supported."),
        ([UP, OPEN], "undecided", "1 supported, 1 undecided."),
        ([UP, DOWN], "not supported", "1 supported, 1 not supported."),
        ([OPEN, DOWN], "not supported", "1 not supported, 1 undecided."),
        ([OPEN, OPEN], "undecided", "2 undecided."),
        ([UP], "supported", "Of 1 expectation against H1: 1 supported."),
    ],
)
def test_a_hypothesis_needs_all_and_falls_with_one(
    found: list[Difference], outcome: str, counted: str
) -> None:
    differences = {f"Dice/{index}": each for index, each in enumerate(found)}
    verdict = judge_hypothesis(dict.fromkeys(differences, "+"), differences, "H1")
    assert verdict.outcome is Outcome(outcome)
    assert verdict.sentence.endswith(counted)
    assert [judgement.difference for judgement in verdict.judgements] == found


def test_a_hypothesis_says_if_seeds_are_not_covered() -> None:
    once = {"mDice": difference(1, 2, 0.01, seeds=False)}
    assert re.search("seeds .* not covered", judge_hypothesis({"mDice": "+"}, once, "H1").sentence)
    covered = judge_hypothesis({"mDice": "+"}, {"mDice": UP}, "H1").sentence
    assert "seeds" not in covered


def test_an_expectation_without_difference_leaves_the_hypothesis_undecided() -> None:
    verdict = judge_hypothesis({"mDice": "+", "ECE": "-"}, {"mDice": UP}, "H1")
    assert verdict.outcome is Outcome.UNDECIDED


@pytest.mark.parametrize(("expects", "parent"), [({"mDice": "+"}, None), ({}, "H1"), ({}, None)])
def test_a_reference_is_not_judged(expects: dict[str, str], parent: str | None) -> None:
    verdict = judge_hypothesis(expects, {"mDice": UP}, parent)
    assert verdict.outcome is None
    assert verdict.judgements == ()
    assert verdict.sentence.startswith("A reference")
