"""Which model to choose: the highest figure, and what cheaper ones are not shown to be worse."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from seglab.analysis.comparison import Comparison, Row, stack_matrices
from seglab.analysis.multiplicity import adjust_family
from seglab.analysis.permutation import paired_differences
from seglab.analysis.resampling import Bootstrap, Difference
from seglab.analysis.verdict import Outcome, judge_expectation

#: The figure the choice is made by.
KEY = "mDice"
#: Training that takes less than this part of the other's time counts as cheaper: how long one
#: and the same training takes varies by some percent.
_CLEARLY_LESS = 0.8


@dataclass(frozen=True)
class Cost:
    """What a hypothesis costs.

    Attributes:
        parameters: Of the network; None where the record has none.
        seconds: Of the training, mean over the seeds; NaN where a record has none.
        devices: What it was trained on.
    """

    parameters: int | None
    seconds: float
    devices: frozenset[str]


@dataclass(frozen=True)
class Rival:
    """A hypothesis beside the one with the highest figure.

    Attributes:
        id: Its id.
        lead: How far it is behind: the highest minus this one, in points, tested; p-values are
            corrected (Holm) over all rivals.
        shown_worse: Whether the images show that it is worse.
        cheaper: Whether it has fewer parameters or, with as many, trains clearly faster.
    """

    id: str
    lead: Difference
    shown_worse: bool
    cheaper: bool


@dataclass(frozen=True)
class Choice:
    """The chosen model.

    Attributes:
        id: The hypothesis with the highest mDice, the first of equals.
        rivals: The others, in the comparison's order.
        costs: What each hypothesis costs.
        frugal: Of the cheaper rivals that are not shown to be worse the cheapest; None where
            there is none.
    """

    id: str
    rivals: tuple[Rival, ...]
    costs: Mapping[str, Cost]
    frugal: str | None

    def rival(self, row_id: str) -> Rival:
        """The rival of an id."""
        return next(rival for rival in self.rivals if rival.id == row_id)


def choose(comparison: Comparison) -> Choice:
    """Choose by the highest mDice, and test its lead over every other.

    The one to lead was found by looking, so the tests are exploratory; they are corrected over
    all rivals.

    Args:
        comparison: At least one hypothesis.
    """
    highest = next(iter(comparison.best(KEY)), comparison.rows[0].id)
    costs = {row.id: _cost(row) for row in comparison.rows}
    leads = _leads(comparison, highest)
    rivals = tuple(
        Rival(
            name,
            lead,
            judge_expectation(KEY, "+", lead, comparison.margin).outcome is Outcome.SUPPORTED,
            _is_cheaper(costs[name], costs[highest]),
        )
        for name, lead in leads.items()
    )
    candidates = [rival.id for rival in rivals if rival.cheaper and not rival.shown_worse]
    frugal = min(candidates, key=lambda name: _rank(costs[name]), default=None)
    return Choice(highest, rivals, costs, frugal)


def _leads(comparison: Comparison, highest: str) -> dict[str, Difference]:
    """The highest minus each other hypothesis."""
    names = [row.id for row in comparison.rows]
    stacks = [stack_matrices(row.runs, comparison.sample_ids) for row in comparison.rows]
    bootstrap = Bootstrap(
        stacks,
        comparison.classes,
        (KEY,),
        resamples=comparison.resamples,
        seed=comparison.seed,
    )
    others = [name for name in names if name != highest]
    leads = {
        name: paired_differences(bootstrap, names.index(name), names.index(highest), (KEY,))[KEY]
        for name in others
    }
    return adjust_family(leads)


def _cost(row: Row) -> Cost:
    seconds = [run.record.get("seconds") for run in row.runs]
    known = [float(value) for value in seconds if isinstance(value, int | float)]
    parameters = row.runs[0].record.get("parameters")
    return Cost(
        parameters if isinstance(parameters, int) else None,
        sum(known) / len(known) if len(known) == len(seconds) else math.nan,
        frozenset(
            str(session.get("device"))
            for run in row.runs
            for session in run.record.get("sessions", [])
        ),
    )


def _is_cheaper(cost: Cost, other: Cost) -> bool:
    """Fewer parameters, or as many and clearly less training on the same device."""
    if cost.parameters is None or other.parameters is None:
        return False
    if cost.parameters != other.parameters:
        return cost.parameters < other.parameters
    return cost.devices == other.devices and cost.seconds < _CLEARLY_LESS * other.seconds


def _rank(cost: Cost) -> tuple[float, float]:
    """Sorts costs; what is not known comes last."""
    parameters = math.inf if cost.parameters is None else cost.parameters
    return parameters, math.inf if math.isnan(cost.seconds) else cost.seconds
