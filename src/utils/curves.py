"""Training curves, drawn from a run's log."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from seglab.utils.errors import UserError
from seglab.utils.figures import (
    DARK,
    GREY,
    metric_unit,
    new_figure,
    plain,
    save_figure,
    shorten,
    unit_color,
)
from seglab.utils.masks import BACKGROUND, ImageArray, Palette, class_colors
from seglab.utils.test_utils import higher_is_better

Record = Mapping[str, Any]

_WIDTH = 10.8  # inches
_LEGEND_LINE = 0.19
_LOSS_STYLES: tuple[Any, ...] = ("--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (8, 3)))
_LOSS_GREYS = ("#555555", "#9a9a9a")


class _Metric(NamedTuple):
    """A metric's key taken apart: `val/image_mean/Dice/dog`."""

    prefix: str  # 'val/image_mean/'
    family: str  # 'Dice', whose mean over classes is 'mDice'
    name: str  # 'Dice/dog'

    @classmethod
    def of(cls, key: str) -> _Metric:
        prefix = ""
        for part in ("val/", "image_mean/"):
            if key.startswith(prefix + part):
                prefix += part
        name = key.removeprefix(prefix)
        family, per_class, _ = name.partition("/")
        return cls(prefix, family if per_class else family.removeprefix("m"), name)


def plot_training_curves(
    history: Sequence[Record],
    path: str | Path,
    class_names: Sequence[str] = (),
    palette: Palette | None = None,
    monitor: str = "val/mDice",
) -> Path:
    """Draw the parts of the loss, the learning rate and the validation metrics over the epochs.

    Where `monitor` is not of the Dice family, the Dice curves get a panel of their own.

    Args:
        history: One record an epoch: `epoch`, `lr`, every key that has `loss` in its name, and
            metrics such as `val/mDice` and `val/Dice/cat`. Keys may be missing in some records.
        path: The PNG to write.
        class_names: The C class names; the monitored figure is drawn for each but the background,
            in the class's colour.
        palette: RGB colours of the classes, or None for the default ones.
        monitor: Key of the metric that chose the best checkpoint, for example `val/Dice/dog`; the
            best epoch is the one with the highest or lowest value as `higher_is_better` says.

    Returns:
        The path.

    Raises:
        UserError: There is no record with an epoch.
    """
    records = [record for record in history if "epoch" in record]
    if not records:
        raise UserError("the run's log holds no epoch", "train for at least one epoch")
    keys = [monitor]
    if _Metric.of(monitor).family != "Dice" and _series(records, "val/mDice")[0]:
        keys.append("val/mDice")
    figure = new_figure(_WIDTH, 4.0)
    axes: list[Axes] = np.ravel(
        figure.subplots(1, 3, width_ratios=(1.0, 0.8, 1.2))
        if len(keys) == 1
        else figure.subplots(2, 2)
    ).tolist()
    _draw_losses(axes[0], records)
    _draw_series(axes[1], records, "lr", color=DARK)
    axes[1].set_title("learning rate")
    for axis, key in zip(axes[2:], keys, strict=True):
        _draw_metrics(axis, records, key, class_names, class_colors(len(class_names), palette))
    best = _best_epoch(records, monitor)
    if best is not None:
        axes[2].plot(*best, marker="*", color=DARK, markersize=13, zorder=5, clip_on=False)
        axes[2].set_title(f"best {axes[2].get_title()}: {best[1]:.2f} in epoch {best[0]:g}")
    epochs = [float(record["epoch"]) for record in records]
    lines = [_finish_panel(axis, None if best is None else best[0]) for axis in axes]
    for axis in axes:
        axis.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
    for axis in axes[:2]:
        axis.set_ylim(bottom=0)
    rows = [lines] if len(keys) == 1 else [lines[:2], lines[2:]]
    figure.set_size_inches(_WIDTH, sum(3.0 + _LEGEND_LINE * max(row) for row in rows))
    return save_figure(figure, path)


def _series(records: Sequence[Record], key: str) -> tuple[list[float], list[float]]:
    """Epochs and values of the records that have a finite value of `key`."""
    points = [
        (float(record["epoch"]), float(record[key]))
        for record in records
        if record.get(key) is not None and math.isfinite(record[key])
    ]
    return [epoch for epoch, _ in points], [value for _, value in points]


def _best_epoch(records: Sequence[Record], monitor: str) -> tuple[float, float] | None:
    """Epoch and value of the best `monitor`, the first of equals as checkpoints are kept."""
    epochs, values = _series(records, monitor)
    if not values:
        return None
    better = higher_is_better(_Metric.of(monitor).name)
    best = int(np.argmax(values) if better else np.argmin(values))
    return epochs[best], values[best]


def _draw_series(axis: Axes, records: Sequence[Record], key: str, **style: Any) -> None:
    """One curve; a run of few epochs shows its points."""
    epochs, values = _series(records, key)
    if not values:
        return
    defaults: dict[str, Any] = {"marker": "o" if len(epochs) <= 25 else "", "linewidth": 1.6}
    if len(epochs) == 1:
        style["marker"] = "o"  # a line of one point would not be seen
    axis.plot(epochs, values, markersize=3.5, **(defaults | style))


def _draw_losses(axis: Axes, records: Sequence[Record]) -> None:
    """The total loss and its parts, each under its name in the log.

    In greys: a colour means a class.
    """
    keys = sorted({key for record in records for key in record if "loss" in key})
    if "loss" in keys:
        _draw_series(axis, records, "loss", color=DARK, linewidth=2.2, label="loss (total)")
    for index, key in enumerate(key for key in keys if key != "loss"):
        color = _LOSS_GREYS[index % len(_LOSS_GREYS)]
        style = _LOSS_STYLES[index % len(_LOSS_STYLES)]
        label = plain(shorten(key, 30))
        _draw_series(axis, records, key, color=color, linestyle=style, marker="", label=label)
    axis.set_title("loss")


def _draw_metrics(
    axis: Axes,
    records: Sequence[Record],
    key: str,
    class_names: Sequence[str],
    colors: ImageArray,
) -> None:
    """A metric's mean over the classes and its value of each object class; `key` the boldest."""
    prefix, family, name = _Metric.of(key)
    curves: dict[str, dict[str, Any]] = {f"m{family}": {"color": DARK}, family: {"color": DARK}}
    for index, (class_name, color) in enumerate(zip(class_names, colors, strict=True)):
        curve = f"{family}/{class_name}"
        if index != BACKGROUND or curve == name:
            curves[curve] = {"color": unit_color(color), "path_effects": _outline(color)}
    neutral = {"color": GREY, "linestyle": "--", "marker": ""}
    curves.setdefault(name, neutral)
    if family == "Dice":
        curves["mIoU"] = neutral
    for curve, style in curves.items():
        width = 2.6 if curve == name else 1.5
        label = plain(shorten(curve.removeprefix(f"{family}/"), 18))
        _draw_series(axis, records, prefix + curve, linewidth=width, label=label, **style)
    lowest = "" if higher_is_better(name) else " (lowest)"
    axis.set_title(plain(shorten(key, 36)) + lowest)
    axis.set_ylabel(f"{family} ({metric_unit(name)})")


def _outline(color: ImageArray) -> list[patheffects.AbstractPathEffect]:
    """A thin dark edge for a line too light to be seen on white."""
    light = color @ np.array([0.299, 0.587, 0.114]) > 185
    return [patheffects.withStroke(linewidth=3.2, foreground="#555555")] if light else []


def _finish_panel(axis: Axes, best_epoch: float | None) -> int:
    """Grid, best epoch's mark, and the legend below the panel, where it hides no curve.

    Returns:
        The number of the legend's lines.
    """
    axis.title.set_fontsize(11)
    axis.set_xlabel("epoch")
    axis.spines[["top", "right"]].set_visible(False)
    if not axis.lines:
        axis.set(xticks=[], yticks=[], ylabel="")
        axis.text(0.5, 0.5, "not in the log", ha="center", transform=axis.transAxes)
        return 0
    axis.grid(alpha=0.25)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    axis.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)
    if best_epoch is not None:
        axis.axvline(best_epoch, color=GREY, linestyle=(0, (4, 3)), linewidth=1, zorder=0)
    _, labels = axis.get_legend_handles_labels()
    if not labels:
        return 0
    longest = max(map(len, labels))
    columns = 3 if longest <= 9 else 2 if longest <= 20 else 1
    axis.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.16),
        ncols=columns,
        frameon=False,
        fontsize=9,
        handlelength=2.6,
    )
    return math.ceil(len(labels) / columns)
