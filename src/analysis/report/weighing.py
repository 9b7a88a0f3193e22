"""Whether to advise other class weights: not where a run here that had them lost by it."""

from __future__ import annotations

from seglab.analysis.comparison import Comparison, Pair
from seglab.analysis.report import numbers
from seglab.analysis.report.choice import KEY
from seglab.analysis.report.markdown import Prose, say
from seglab.utils.config_diff import ABSENT

_SETTING = "class_weight"
#: Kind of error -> which weights would have to grow against the others.
_WEIGHED = {"false_positive": "background", "false_negative": "object classes"}


def weighing_advice(comparison: Comparison, kind: str) -> Prose:
    """The end of a piece of advice: to weigh classes in the loss, or that it was tried and cost.

    Args:
        comparison: Its pairs tell what was tried.
        kind: Of error, as in `error_budget`; empty for one that weights do not bear on.
    """
    if kind not in _WEIGHED:
        return Prose("")
    sign = 1 if kind == "false_negative" else -1
    lost = [
        pair
        for pair in comparison.pairs
        if sign * _shift(pair) > 0 and pair.differences[KEY].value < 0
    ]
    if not lost:
        return say(", or weigh the {classes} more in the loss", classes=_WEIGHED[kind])
    worst = min(lost, key=lambda pair: pair.differences[KEY].value)
    return say(
        ". Weighing the {classes} more, as {name} does, is no way: its mDice is {points} points "
        "below that of {before}",
        classes=_WEIGHED[kind],
        name=worst.after,
        points=numbers.fixed(-worst.differences[KEY].value),
        before=worst.before,
    )


def _shift(pair: Pair) -> float:
    """How much more the objects weigh against the background; 0 if that is not the only change."""
    if not pair.changes or any(not change.key.endswith(_SETTING) for change in pair.changes):
        return 0.0
    return sum(_share(change.after) - _share(change.before) for change in pair.changes)


def _share(weights: object) -> float:
    """The part of a mean object class in it and the background together: 0.5 where all are equal.

    NaN, which is no shift either way, for what is no list of weights.
    """
    if weights is ABSENT or weights is None:
        return 0.5
    if not isinstance(weights, list | tuple) or len(weights) < 2:
        return float("nan")
    if not all(isinstance(weight, int | float) for weight in weights):
        return float("nan")
    background, *objects = map(float, weights)
    mean = sum(objects) / len(objects)
    return mean / (mean + background) if mean + background > 0 else float("nan")
