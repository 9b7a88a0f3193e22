"""Forest plots: figures with their intervals, of several runs and of the differences between them.

One row a figure: its name at the left, the point with its interval in the middle, the numbers at
the right; rows are gathered in blocks under a bold heading.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

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
from seglab.utils.masks import Palette, class_colors
from seglab.utils.test_utils import higher_is_better

_WIDTH = 9.0  # inches
_ROW = 0.27
_NAME_LENGTH = 30
#: Colour, marker and its filling of each verdict: the shape tells what the colour tells.
_VERDICTS: dict[str | None, dict[str, Any]] = {
    "supported": {"color": "#0072B2", "marker": "o", "markerfacecolor": "#0072B2"},
    "not supported": {"color": "#D55E00", "marker": "X", "markerfacecolor": "#D55E00"},
    "undecided": {"color": GREY, "marker": "D", "markerfacecolor": "white"},
    None: {"color": DARK, "marker": "|", "markerfacecolor": DARK},
}


class DifferenceRow(NamedTuple):
    """The difference of a metric between two runs.

    Attributes:
        label: The pair, for example 'H2 - H1'.
        metric: The metric's key, for example 'Dice/dog'.
        value: The difference, in the metric's unit.
        low: Lower end of its interval; NaN where there is none.
        high: Upper end.
        verdict: 'supported', 'not supported', 'undecided'; None where nothing was expected.
        primary: Whether the hypothesis spoke of this metric; such rows are bold.
    """

    label: str
    metric: str
    value: float
    low: float
    high: float
    verdict: str | None = None
    primary: bool = False


class MetricRow(NamedTuple):
    """A metric of one run.

    Attributes:
        run: The run's label, for example 'H1 (seed 1)'.
        metric: The metric's key, for example 'mDice' or 'Dice/dog'.
        value: The figure; NaN where it has none.
        low: Lower end of its interval; NaN where there is none.
        high: Upper end.
    """

    run: str
    metric: str
    value: float
    low: float = math.nan
    high: float = math.nan


class _Point(NamedTuple):
    """One row as it is drawn."""

    name: str
    value: float
    low: float
    high: float
    text: str
    bold: bool
    style: dict[str, Any]


def plot_differences(
    rows: Sequence[DifferenceRow], path: str | Path, title: str = "", confidence: float = 0.95
) -> Path:
    """Draw the differences between runs with their intervals, a zero line and their verdicts.

    Percentages and pixel distances get an axis each. Consecutive rows of one label form a block.

    Args:
        rows: The differences, in the order to be drawn.
        path: The PNG to write.
        title: Above the plot.
        confidence: Confidence level of the intervals, for the axis.

    Returns:
        The path.

    Raises:
        UserError: There is no row.
        ValueError: A verdict is none of the four.
    """
    unknown = {row.verdict for row in rows} - set(_VERDICTS)
    if unknown:
        raise ValueError(f"unknown verdict {unknown.pop()!r}: use {', '.join(map(str, _VERDICTS))}")
    if not rows:
        raise UserError("there is no difference to draw", "compare at least two runs")
    parts = []
    for unit in ("%", "pixels"):
        chosen = [row for row in rows if metric_unit(row.metric) == unit]
        blocks = [
            (label, [_difference_point(row) for row in block])
            for label, block in groupby(chosen, key=lambda row: row.label)
        ]
        parts.append((blocks, "percentage points" if unit == "%" else unit))
    figure, axes = _forest([blocks for blocks, _ in parts if blocks], title)
    for axis, (_, unit) in zip(axes, [part for part in parts if part[0]], strict=True):
        axis.axvline(0.0, color=DARK, linewidth=1.2, zorder=1)
        axis.set_xlabel(f"difference in {unit}, with its {100 * confidence:g} % interval")
    shown = [verdict for verdict in _VERDICTS if any(row.verdict == verdict for row in rows)]
    if shown != [None]:
        handles = [
            Line2D([], [], linewidth=1.8, label=verdict or "nothing expected", **_VERDICTS[verdict])
            for verdict in shown
        ]
        figure.legend(
            handles=handles, loc="outside lower center", ncols=len(handles), frameon=False
        )
    return save_figure(figure, path)


def plot_run_metrics(
    rows: Sequence[MetricRow],
    path: str | Path,
    class_names: Sequence[str] = (),
    palette: Palette | None = None,
    title: str = "",
    confidence: float = 0.95,
) -> Path:
    """Draw each run's figures with their intervals, gathered by metric; the best run is bold.

    Percentages and pixel distances get an axis each.

    Args:
        rows: The figures; metrics and runs are drawn in the order in which they come first.
        path: The PNG to write.
        class_names: The C class names; the rows of a class's metric have the class's colour.
        palette: RGB colours of the classes, or None for the default ones.
        title: Above the plot.
        confidence: Confidence level of the intervals, for the axis.

    Returns:
        The path.

    Raises:
        UserError: There is no row.
    """
    if not rows:
        raise UserError("there is no metric to draw", "give at least one run")
    colors = dict(zip(class_names, class_colors(len(class_names), palette), strict=True))
    parts: dict[str, list[tuple[str, list[_Point]]]] = {}
    for metric in dict.fromkeys(row.metric for row in rows):
        chosen = [row for row in rows if row.metric == metric]
        values = [row.value for row in chosen if not math.isnan(row.value)]
        best = (max if higher_is_better(metric) else min)(values, default=math.nan)
        class_name = metric.partition("/")[2]
        color = unit_color(colors[class_name]) if class_name in colors else DARK
        style = {"color": DARK, "marker": "o" if class_name else "D", "markerfacecolor": color}
        points = [
            _Point(*_numbers(row.run, row), row.value == best and len(chosen) > 1, style)
            for row in chosen
        ]
        parts.setdefault(metric_unit(metric), []).append((_metric_name(metric), points))
    figure, axes = _forest(list(parts.values()), title)
    any_interval = any(not math.isnan(row.low) for row in rows)
    interval = f", with its {100 * confidence:g} % interval" if any_interval else ""
    best_is_bold = "; bold: the best run" if len({row.run for row in rows}) > 1 else ""
    for axis, unit in zip(axes, parts, strict=True):
        axis.set_xlabel(f"{unit}{interval}{best_is_bold}")
    return save_figure(figure, path)


def _difference_point(row: DifferenceRow) -> _Point:
    """A difference as it is drawn."""
    return _Point(
        *_numbers(_metric_name(row.metric), row, sign="+"), row.primary, _VERDICTS[row.verdict]
    )


def _numbers(
    name: str, row: DifferenceRow | MetricRow, sign: str = ""
) -> tuple[str, float, float, float, str]:
    """A row's name, value, interval and these numbers as text."""
    if math.isnan(row.value):
        text = "no value"
    elif math.isnan(row.low) or math.isnan(row.high):
        text = f"{row.value:{sign}.2f}"
    else:
        text = f"{row.value:{sign}.2f}  [{row.low:{sign}.2f}, {row.high:{sign}.2f}]"
    return name, row.value, row.low, row.high, text.replace("-", "\N{MINUS SIGN}")


def _metric_name(metric: str) -> str:
    """A metric's key, with an arrow down where lower is better."""
    name = shorten(metric, _NAME_LENGTH - 3)
    return name if higher_is_better(metric) else f"{name} \N{DOWNWARDS ARROW}"


def _forest(
    parts: Sequence[Sequence[tuple[str, Sequence[_Point]]]], title: str
) -> tuple[Figure, list[Axes]]:
    """A figure with one axis for each part; a part is blocks of a heading and its points."""
    lines = [sum(1 + len(points) for _, points in blocks) for blocks in parts]
    figure = new_figure(_WIDTH, _ROW * sum(lines) + 0.6 * len(parts) + 0.9)
    if title:
        figure.suptitle(plain(shorten(title, 90)), fontsize=12)
    grid = figure.subplots(len(parts), 1, squeeze=False, height_ratios=[n + 2 for n in lines])
    axes: list[Axes] = grid[:, 0].tolist()
    for axis, blocks, count in zip(axes, parts, lines, strict=True):
        _draw_blocks(axis, blocks)
        axis.set_ylim(count - 0.3, -0.7)
        axis.margins(x=0.04)
        axis.grid(axis="x", alpha=0.25)
        axis.tick_params(axis="y", length=0)
        axis.spines[["top", "right", "left"]].set_visible(False)
    return figure, axes


def _draw_blocks(axis: Axes, blocks: Iterable[tuple[str, Sequence[_Point]]]) -> None:
    """The rows of one axis, from the top; a heading takes a row of its own."""
    names: list[tuple[str, bool]] = []
    for heading, points in blocks:
        axis.axhspan(len(names) - 0.5, len(names) + 0.5, color="#eeeeee", linewidth=0, zorder=0)
        names.append((heading, True))
        for point in points:
            place = len(names)
            width = 2.4 if point.bold else 1.4
            if not math.isnan(point.low):
                axis.hlines(
                    place, point.low, point.high, color=point.style["color"], linewidth=width
                )
            if not math.isnan(point.value):
                size = 9 if point.bold else 7
                axis.plot(point.value, place, markersize=size, markeredgewidth=1.3, **point.style)
            axis.text(
                1.02,
                place,
                point.text,
                transform=axis.get_yaxis_transform(),
                va="center",
                fontsize=9.5,
                weight="bold" if point.bold else "normal",
            )
            names.append((point.name, point.bold))
    labels = [plain(shorten(name, _NAME_LENGTH)) for name, _ in names]
    axis.set_yticks(range(len(labels)), labels, fontsize=9.5)
    for label, (_, bold) in zip(axis.get_yticklabels(), names, strict=True):
        label.set_fontweight("bold" if bold else "normal")
