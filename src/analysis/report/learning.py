"""What a run's history says about its training: over-fitting, stopping too early, restlessness."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from seglab.utils.test_utils import higher_is_better

#: Longer training promises something if the last one of so many parts of the epochs still gained.
_PARTS = 4
#: A decline counts from so many usual steps on: where nothing but chance moves the metric, the best
#: of 20 epochs beats the last by about two.
_BEYOND_CHANCE = 3.0


@dataclass(frozen=True)
class LearningSigns:
    """What stands out in the curve of the metric that chose the checkpoint.

    Attributes:
        metric: Its name, as in `test_metrics.json`.
        epochs: Epochs that were validated.
        best_epoch: The first epoch with the best value.
        best: That value, in the metric's unit.
        last_epoch: The last epoch that was validated.
        decline: How much worse the last value is than the best; 0 or more.
        restlessness: Median size of the step from one epoch to the next over the later half; NaN
            for fewer than three epochs.
        loss_change: Relative change of the training loss from the best epoch to the last, -0.1
            for a tenth less; NaN where it is not in the log or the best epoch is the last.
        late_gain: How much better the best of the last quarter of the epochs is than the best
            before; NaN for fewer than four epochs.
    """

    metric: str
    epochs: int
    best_epoch: int
    best: float
    last_epoch: int
    decline: float
    restlessness: float
    loss_change: float
    late_gain: float

    @property
    def overfits(self) -> bool:
        """Val declined by more than chance does, while the training loss went on falling."""
        return self.decline > _BEYOND_CHANCE * self.restlessness and self.loss_change < 0

    @property
    def within_chance(self) -> bool:
        """Val declined since its best epoch, by no more than chance does."""
        return 0 < self.decline <= _BEYOND_CHANCE * self.restlessness

    @property
    def still_rising(self) -> bool:
        """The last quarter of the epochs gained more than the usual step."""
        return self.late_gain > self.restlessness


def learning_signs(history: Sequence[Mapping[str, Any]], monitor: str) -> LearningSigns | None:
    """Read a run's history.

    Args:
        history: One record an epoch, with `epoch`, `loss` and the metric.
        monitor: Key, in the history, of the metric that chose the best checkpoint.

    Returns:
        The signs; None where no epoch was validated.
    """
    records = [record for record in history if _number(record.get(monitor)) is not None]
    if not records:
        return None
    metric = monitor.removeprefix("val/")
    # Turned over where lower is better: from here on, more is better.
    sign = 1.0 if higher_is_better(metric) else -1.0
    values = [sign * float(record[monitor]) for record in records]
    best = max(range(len(values)), key=lambda index: (values[index], -index))
    steps = [abs(after - before) for before, after in pairwise(values)]
    late = len(values) - len(values) // _PARTS
    losses = [_number(records[index].get("loss")) for index in (best, -1)]
    enough = len(values) >= _PARTS
    return LearningSigns(
        metric=metric,
        epochs=len(values),
        best_epoch=int(records[best]["epoch"]),
        best=sign * values[best],
        last_epoch=int(records[-1]["epoch"]),
        decline=values[best] - values[-1],
        restlessness=median(steps[len(steps) // 2 :]) if len(steps) > 1 else math.nan,
        loss_change=_relative(*losses) if best < len(values) - 1 else math.nan,
        late_gain=max(values[late:]) - max(values[:late]) if enough else math.nan,
    )


def _number(value: Any) -> float | None:
    """A finite number, or None."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def _relative(before: float | None, after: float | None) -> float:
    """Relative change; NaN where there is none."""
    if before is None or after is None or before == 0:
        return math.nan
    return (after - before) / before
