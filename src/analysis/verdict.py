"""Is what a hypothesis expected there? Outcomes from intervals and p-values, and words for them.

An expectation names a figure and how its number moves against the parent: '+' it rises, '-' it
falls, '=' it stays. Whether rising is good does not matter here.

| expected | supported | not supported |
|---|---|---|
| '+', '-' | the 95 % interval lies wholly on that side of 0, p < 0.05 | the same, other side |
| '=' | the interval lies wholly within +- margin | it lies wholly beyond the margin, p < 0.05 |

p is Holm's over the family compared. Everything else is undecided: the images do not suffice to
tell. For '=', not having found a difference is not enough; that the whole interval is small is what
two one-sided tests (Schuirmann, 1987) at 2.5 % show, a little stricter than the usual 5 %. Nor does
having found one refute it: a difference within the margin counts as none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from seglab.analysis.multiplicity import LEVEL
from seglab.analysis.resampling import Difference

#: Points within which a figure counts as having stayed the same.
MARGIN = 1.0


class Outcome(Enum):
    """What became of an expectation, or of a hypothesis."""

    SUPPORTED = "supported"
    NOT_SUPPORTED = "not supported"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Judgement:
    """One expectation, judged.

    Attributes:
        key: The figure.
        expected: '+', '-' or '='.
        outcome: What became of it.
        sentence: The same in words, with the figures.
        difference: What it was judged by; None where the figure was not tested.
    """

    key: str
    expected: str
    outcome: Outcome
    sentence: str
    difference: Difference | None


@dataclass(frozen=True)
class Verdict:
    """A hypothesis, judged.

    Attributes:
        outcome: None for a reference: nothing to be judged against, or nothing expected.
        judgements: One for each expectation.
        sentence: The verdict in words; the judgements have their own.
    """

    outcome: Outcome | None
    judgements: tuple[Judgement, ...]
    sentence: str


def judge_expectation(
    key: str, expected: str, difference: Difference | None, margin: float = MARGIN
) -> Judgement:
    """Judge one expectation.

    Args:
        key: The figure.
        expected: '+', '-' or '='.
        difference: The hypothesis minus its parent, with `adjusted_p`; None if not tested.
        margin: For '=', points.

    Raises:
        ValueError: `expected` is none of these, the margin is not above 0, or the p-value has not
            been adjusted (`multiplicity.adjust_family`).
    """
    if expected not in ("+", "-", "="):
        raise ValueError(f"expected is {expected!r}: use '+', '-' or '='")
    if not margin > 0:
        raise ValueError(f"the margin is {margin}: give points above 0")
    if difference is None:
        outcome, found = Outcome.UNDECIDED, f"{key} was not tested"
    elif math.isnan(difference.standard_error):
        outcome, found = Outcome.UNDECIDED, _no_interval(key, difference)
    elif math.isnan(difference.adjusted_p):
        raise ValueError(f"the p-value of {key} is not adjusted: use adjust_family first")
    else:
        outcome = _outcome(expected, difference, margin)
        found = _finding(key, expected, outcome, difference, margin)
    return Judgement(key, expected, outcome, f"{outcome.value}: {found}", difference)


def judge_hypothesis(
    expects: Mapping[str, str],
    differences: Mapping[str, Difference],
    parent: str | None,
    margin: float = MARGIN,
) -> Verdict:
    """Judge all a hypothesis expects against its parent.

    It is not supported if one expectation is not, supported if all are, else undecided.

    Args:
        expects: Metric key -> '+', '-' or '='.
        differences: Metric key -> hypothesis minus parent, adjusted.
        parent: The parent's id; None for a hypothesis without.
        margin: For '=', points.
    """
    if parent is None:
        return Verdict(None, (), "A reference: it has no parent to be judged against.")
    if not expects:
        return Verdict(None, (), f"A reference: it expects nothing against {parent}.")
    judgements = tuple(
        judge_expectation(key, sign, differences.get(key), margin) for key, sign in expects.items()
    )
    outcomes = [judgement.outcome for judgement in judgements]
    overall = Outcome.UNDECIDED
    if Outcome.NOT_SUPPORTED in outcomes:
        overall = Outcome.NOT_SUPPORTED
    elif set(outcomes) == {Outcome.SUPPORTED}:
        overall = Outcome.SUPPORTED
    counted = ", ".join(
        f"{outcomes.count(outcome)} {outcome.value}" for outcome in Outcome if outcome in outcomes
    )
    noun = "expectation" if len(outcomes) == 1 else "expectations"
    sentence = f"Of {len(outcomes)} {noun} against {parent}: {counted}."
    tested = [judgement.difference for judgement in judgements if judgement.difference]
    if not all(difference.seeds_covered for difference in tested):
        sentence += (
            " This is about the trained networks compared: what other training seeds would have"
            " given is not covered."
        )
    return Verdict(overall, judgements, sentence)


def _outcome(expected: str, difference: Difference, margin: float) -> Outcome:
    interval = difference.interval
    found = interval.excludes_zero() and difference.adjusted_p < LEVEL
    if expected == "=":
        if -margin <= interval.low and interval.high <= margin:
            return Outcome.SUPPORTED
        beyond = interval.low > margin or interval.high < -margin
        return Outcome.NOT_SUPPORTED if found and beyond else Outcome.UNDECIDED
    if not found:
        return Outcome.UNDECIDED
    return (
        Outcome.SUPPORTED
        if (difference.value > 0) == (expected == "+")
        else (Outcome.NOT_SUPPORTED)
    )


def _finding(
    key: str, expected: str, outcome: Outcome, difference: Difference, margin: float
) -> str:
    """What was measured, and for the undecided what could have been found."""
    interval, value = difference.interval, difference.value
    moved = f"rose by {value:.2f}" if value > 0 else f"fell by {-value:.2f}"
    text = f"{key} {moved} points" if value else f"{key} did not change"
    text += f" (95 % interval {interval.low:.2f} to {interval.high:.2f}, "
    text += f"Holm p {_probability(difference.adjusted_p)})"
    if expected == "=":
        inside = {
            Outcome.SUPPORTED: "within",
            Outcome.NOT_SUPPORTED: "wholly beyond",
            Outcome.UNDECIDED: "not wholly within",
        }[outcome]
        points = "point" if margin == 1 else "points"
        text += f"; the interval is {inside} {margin:g} {points} of no change"
    if outcome is Outcome.UNDECIDED and not math.isnan(difference.detectable):
        text += "; a single test on these images finds a true difference of "
        text += f"{difference.detectable:.1f} points with 80 % probability"
    return text


def _no_interval(key: str, difference: Difference) -> str:
    if math.isnan(difference.value):
        return f"{key} has no value in one of the two, so there is nothing to compare"
    if difference.dropped:
        return f"{key} has no interval: too few images show the class"
    return f"{key} has no interval: one image says nothing about others"


def _probability(value: float) -> str:
    if value < 0.001:
        return "below 0.001"
    return f"{value:.3f}" if value < 0.1 else f"{value:.2f}"
