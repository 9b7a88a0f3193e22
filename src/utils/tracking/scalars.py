"""The names under which a run's figures are tracked, the same live and read from its files later.

ClearML keeps one point for each title, series and step: what is sent twice under one name stays
one point, so live tracking and `seglab.utils.tracking.contents` both name figures here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from seglab.utils.clearml_utils import split_key
from seglab.utils.tracking.journal import Scalar

#: Where the figures of an epoch's training are shown, apart from those of single steps.
EPOCH = "epoch"
VALIDATION = "val/"
#: What counts steps, in mmengine's logs and in `history.jsonl`; no curve.
_COUNTERS = frozenset({"epoch", "iter", "step"})
#: What mmengine measures in training and in validation alike.
_TIMES = ("time", "data_time", "memory")


def logged_scalars(tags: Mapping[str, Any], step: int, time: float) -> list[Scalar]:
    """One record of mmengine's LoggerHook, as its visualizer is given it.

    Args:
        tags: Key -> value. Those of a validation have `val/...` (or another prefix) among them;
            its `time` and `data_time` become `val/time` and `val/data_time`: they are counted in
            epochs, and would fall among the training's.
        step: Iterations for training, epochs (as LoggerHook counts) for a validation.
        time: When it was logged, in seconds since 1970.

    Returns:
        A point for each finite number.
    """
    # Whatever the evaluator's prefix is; a training always has its loss.
    validation = "loss" not in tags and any("/" in str(key) for key in tags)
    points = []
    for key, value in _numbers(tags):
        name = f"{VALIDATION}{key}" if validation and key in _TIMES else key
        points.append(_scalar(name, value, step, time))
    return points


def epoch_scalars(record: Mapping[str, Any], step: int, time: float) -> list[Scalar]:
    """The training's means in one record of `history.jsonl`: `epoch/loss`, `epoch/lr`, ...

    Args:
        record: The record; figures of its validation (`val/...`) are left out, see
            `validation_scalars`.
        step: The epoch.
        time: When it ended, in seconds since 1970.
    """
    points = []
    for key, value in _numbers(record):
        if "/" not in key:
            title, series = split_key(key)
            points.append(Scalar(f"{EPOCH}/{title}", series, value, step, time=time))
    return points


def validation_scalars(record: Mapping[str, Any], step: int, time: float) -> list[Scalar]:
    """The validation's figures in one record of `history.jsonl`: `val/mDice`, `val/Dice/dog`, ...

    Args:
        record: The record.
        step: The epoch, or the iteration of a run that is measured in iterations.
        time: When it ended, in seconds since 1970.
    """
    return [_scalar(key, value, step, time) for key, value in _numbers(record) if "/" in key]


def _scalar(key: str, value: float, step: int, time: float) -> Scalar:
    title, series = split_key(key)
    return Scalar(title, series, value, step, time=time)


def _numbers(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """The finite numbers but the counters."""
    for key, value in values.items():
        if key in _COUNTERS or isinstance(value, str | bool) or value is None:
            continue
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):  # an array is no point of a curve
            continue
        if math.isfinite(number):
            yield key, number
