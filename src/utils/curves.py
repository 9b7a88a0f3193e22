"""Figures drawn from numbers: training curves and confusion matrices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from seglab.utils.errors import UserError
from seglab.utils.visualization_utils import (
    BACKGROUND,
    Palette,
    class_colors,
    save_figure,
    unit_color,
)

Record = Mapping[str, Any]

_LINE_STYLES = ("-", "--", ":", "-.")
_DARK = "#222222"


def plot_training_curves(
    history: Sequence[Record],
    path: str | Path,
    class_names: Sequence[str] = (),
    palette: Palette | None = None,
    monitor: str = "val/mDice",
) -> Path:
    """Draw the parts of the loss, the learning rate and the validation metrics over the epochs.

    Args:
        history: One record an epoch: `epoch`, `lr`, every key that has `loss` in its name, and
            metrics such as `val/mDice` and `val/Dice/cat`. Keys may be missing in some records.
        path: The PNG to write.
        class_names: The C class names; the figure `monitor` is a mean of is drawn for each but
            the background, in the class's colour.
        palette: RGB colours of the classes, or None for the default ones.
        monitor: Key of the metric that chose the best checkpoint; higher is better.

    Returns:
        The path.

    Raises:
        UserError: There is no record with an epoch.
    """
    records = [record for record in history if "epoch" in record]
    if not records:
        raise UserError("the run's log holds no epoch", "train for at least one epoch")
    epochs = [float(record["epoch"]) for record in records]
    best = _best_epoch(records, monitor)
    figure = Figure(figsize=(12.6, 4.4), layout="constrained")
    axes: Sequence[Axes] = figure.subplots(1, 3, width_ratios=(1.0, 0.8, 1.2))
    _draw_losses(axes[0], records)
    _draw_series(axes[1], records, "lr", color=_DARK)
    axes[1].set_title("learning rate")
    _draw_metrics(axes[2], records, class_names, class_colors(len(class_names), palette), monitor)
    for axis in axes:
        _finish_panel(axis, None if best is None else best[0])
        axis.set_xlim(min(epochs) - 0.5, max(epochs) + 0.5)
    for axis in axes[:2]:
        axis.set_ylim(bottom=0)
    if best is not None:
        axes[2].plot(*best, marker="*", color=_DARK, markersize=13, zorder=5, clip_on=False)
        axes[2].set_title(f"best {monitor}: {best[1]:.2f} in epoch {best[0]:g}")
    return save_figure(figure, path)


def plot_confusion_matrix(
    matrix: npt.ArrayLike, class_names: Sequence[str], path: str | Path
) -> Path:
    """Draw a confusion matrix: each row in percent of its true pixels, with the counts.

    Args:
        matrix: (C, C) pixel counts; rows are the truth, columns the prediction.
        class_names: The C class names.
        path: The PNG to write.

    Returns:
        The path.
    """
    counts = np.asarray(matrix)
    totals = counts.sum(axis=1, keepdims=True)
    shares = 100.0 * counts / np.maximum(totals, 1)
    size = len(class_names)
    figure = Figure(figsize=(2.4 + 1.25 * size, 1.5 + 1.05 * size), layout="constrained")
    axis = figure.subplots()
    picture = axis.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for row, column in np.ndindex(size, size):
        share, count = shares[row, column], int(counts[row, column])
        text = f"{share:.1f} %\n{count:,}" if totals[row, 0] else "no pixels"
        color = "white" if share > 55 else _DARK
        axis.text(column, row, text, ha="center", va="center", color=color, fontsize=10.5)
    names = [name.replace("$", r"\$") for name in class_names]
    axis.set_xticks(range(size), names, rotation=30 if size > 6 else 0)
    axis.set_yticks(range(size), names)
    axis.set_xlabel("prediction")
    axis.set_ylabel("truth")
    bar = figure.colorbar(picture, ax=axis, fraction=0.046, pad=0.03)
    bar.set_label("% of the true class's pixels")
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
    """Epoch and value of the highest `monitor`, the first of equals as checkpoints are kept."""
    epochs, values = _series(records, monitor)
    if not values:
        return None
    best = int(np.argmax(values))
    return epochs[best], values[best]


def _draw_series(axis: Axes, records: Sequence[Record], key: str, **style: Any) -> None:
    """One curve; a run of few epochs shows its points."""
    epochs, values = _series(records, key)
    if not values:
        return
    defaults: dict[str, Any] = {"marker": "o" if len(epochs) <= 25 else "", "linewidth": 1.6}
    axis.plot(epochs, values, markersize=3.5, **(defaults | style))


def _draw_losses(axis: Axes, records: Sequence[Record]) -> None:
    """The total loss and its parts, each under its name in the log."""
    keys = sorted({key for record in records for key in record if "loss" in key})
    parts = [key for key in keys if key != "loss"]
    if "loss" in keys:
        _draw_series(axis, records, "loss", color=_DARK, linewidth=2.2, label="loss (total)")
    for index, key in enumerate(parts):
        color = unit_color(class_colors(8)[1 + (4 + index) % 7])
        style = _LINE_STYLES[index // 7 % len(_LINE_STYLES)]
        _draw_series(axis, records, key, color=color, linestyle=style, label=key)
    axis.set_title("loss")


def _draw_metrics(
    axis: Axes,
    records: Sequence[Record],
    class_names: Sequence[str],
    colors: npt.NDArray[np.uint8],
    monitor: str,
) -> None:
    """The monitored metric, the same figure of each class, and the split's other means."""
    prefix, _, name = monitor.rpartition("/")
    prefix = f"{prefix}/" if prefix else ""
    _draw_series(axis, records, monitor, color=_DARK, linewidth=2.4, label=name)
    for class_name, color in list(zip(class_names, colors, strict=True))[BACKGROUND + 1 :]:
        key = f"{prefix}{name.removeprefix('m')}/{class_name}"
        _draw_series(axis, records, key, color=unit_color(color), label=key.removeprefix(prefix))
    if name != "mIoU":
        style = {"color": "#888888", "linestyle": "--", "marker": ""}
        _draw_series(axis, records, f"{prefix}mIoU", label="mIoU", **style)
    axis.set_title(monitor)
    axis.set_ylabel("%")


def _finish_panel(axis: Axes, best_epoch: float | None) -> None:
    """Grid, legend below the panel where no curve is hidden by it, and the best epoch's mark."""
    axis.set_xlabel("epoch")
    axis.spines[["top", "right"]].set_visible(False)
    if not axis.lines:
        axis.set(xticks=[], yticks=[], ylabel="")
        axis.text(0.5, 0.5, "not in the log", ha="center", transform=axis.transAxes)
        return
    axis.grid(alpha=0.25)
    axis.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    axis.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)
    if best_epoch is not None:
        axis.axvline(best_epoch, color="#888888", linestyle=(0, (4, 3)), linewidth=1, zorder=0)
    _, labels = axis.get_legend_handles_labels()
    if labels:
        axis.legend(
            loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, frameon=False, fontsize=9
        )
