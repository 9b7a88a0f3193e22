"""Charts of one evaluation: confusion matrix, reliability diagram, distribution over the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from seglab.utils.calibration import expected_calibration_error
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
from seglab.utils.test_utils import FloatArray

_MAX_WIDTH = 10.8  # inches
_EXACT_CLASSES = 8  # up to so many classes a cell has room for the exact count
_TEXT_CLASSES = 20  # up to so many it has room for a text a report's reader can read
_PIXEL_KINDS = ("all pixels", "object pixels")
_NEUTRAL = (150, 150, 150)
_OVERCONFIDENT, _UNDERCONFIDENT = "#D55E00", "#0072B2"


def plot_confusion_matrix(
    matrix: npt.ArrayLike, class_names: Sequence[str], path: str | Path
) -> Path:
    """Draw a confusion matrix: each row in percent of its true pixels, with the counts.

    With more than 8 classes counts are given in thousands (k) and millions (M); with more than 20
    only the colours are drawn.

    Args:
        matrix: (C, C) pixel counts; rows are the truth, columns the prediction.
        class_names: The C class names.
        path: The PNG to write.

    Returns:
        The path.

    Raises:
        ValueError: The matrix is not (C, C) for these classes.
    """
    counts, size = np.asarray(matrix), len(class_names)
    if counts.shape != (size, size):
        raise ValueError(f"expected a ({size}, {size}) matrix, got {counts.shape}")
    totals = counts.sum(axis=1, keepdims=True)
    shares = 100.0 * counts / np.maximum(totals, 1)
    cell = min(1.25, (_MAX_WIDTH - 2.2) / size)
    figure = new_figure(2.4 + cell * size, 1.5 + cell * 0.84 * size)
    axis = figure.subplots()
    picture = axis.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    if size <= _TEXT_CLASSES:
        _write_cells(axis, counts, shares)
    step = -(-size // 60)  # more names than this would overlap
    names = [plain(shorten(name, 22)) for name in class_names][::step]
    crowded = max(map(len, names)) * 0.09 > cell
    fontsize = 10 if size <= _TEXT_CLASSES else 8
    axis.set_xticks(range(0, size, step), names, rotation=90 if crowded else 0, fontsize=fontsize)
    axis.set_yticks(range(0, size, step), names, fontsize=fontsize)
    axis.set_xlabel("prediction")
    axis.set_ylabel("truth")
    bar = figure.colorbar(picture, ax=axis, fraction=0.046, pad=0.03)
    bar.set_label("% of the true class's pixels")
    return save_figure(figure, path)


def plot_reliability_diagram(histogram: npt.ArrayLike, path: str | Path, title: str = "") -> Path:
    """Draw accuracy against confidence, with the expected calibration error (Guo et al., 2017).

    Of each confidence bin: a bar as high as its accuracy, the gap to its mean confidence shaded,
    and below how many pixels it holds (on a logarithmic axis: most pixels are in the last bin).

    Args:
        histogram: From `calibration_histogram`, summed over images: (2, B, 3) for all pixels and
            object pixels side by side, or (B, 3) for all pixels; last axis: pixels, sum of
            confidence, correct pixels.
        path: The PNG to write.
        title: Above the diagrams.

    Returns:
        The path.

    Raises:
        ValueError: The histogram is of another shape.
    """
    bins = np.asarray(histogram, dtype=np.float64)
    bins = bins[None] if bins.ndim == 2 else bins
    if bins.ndim != 3 or len(bins) > len(_PIXEL_KINDS) or bins.shape[2] != 3 or not bins.size:
        raise ValueError(f"expected a (2, B, 3) or (B, 3) histogram, got {np.shape(histogram)}")
    figure = new_figure(5.0 * len(bins) - 0.2 * (len(bins) - 1), 5.6)
    if title:
        figure.suptitle(plain(shorten(title, 48 * len(bins))), fontsize=12)
    axes = figure.subplots(
        2, len(bins), sharex=True, sharey="row", squeeze=False, height_ratios=(3, 1)
    )
    for kind, diagram, pixels, content in zip(_PIXEL_KINDS, *axes, bins, strict=False):
        error = 100.0 * float(expected_calibration_error(content))
        score = "no pixels" if np.isnan(error) else f"ECE {error:.2f} %"
        diagram.set_title(f"{kind}: {score}", fontsize=11)
        _draw_reliability(diagram, content)
        edges = np.linspace(0.0, 1.0, len(content) + 1)
        pixels.stairs(content[:, 0], edges, fill=True, color=GREY)
        pixels.spines[["top", "right"]].set_visible(False)
        pixels.set_xlabel(f"confidence ({content[:, 0].sum():,.0f} pixels)")
    axes[0, 0].set_ylabel("accuracy")
    axes[1, 0].set_ylabel("pixels")
    axes[1, 0].set_yscale("log", nonpositive="clip")
    axes[1, 0].set_ylim(bottom=0.5, top=max(10.0, 3.0 * bins[..., 0].max()))
    handles = [
        Patch(facecolor="#c9c9c9", edgecolor=DARK, label="accuracy of the bin"),
        Patch(facecolor="none", edgecolor=_OVERCONFIDENT, hatch="///", label="overconfident"),
        Patch(facecolor="none", edgecolor=_UNDERCONFIDENT, hatch="...", label="underconfident"),
    ]
    columns = 3 if len(bins) > 1 else 2
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False)
    return save_figure(figure, path)


def plot_metric_distribution(
    scores: npt.ArrayLike,
    path: str | Path,
    metric: str = "mDice",
    groups: Mapping[str, npt.ArrayLike] | None = None,
    class_names: Sequence[str] = (),
    palette: Palette | None = None,
) -> Path:
    """Draw how a metric is distributed over the images, all together and in groups.

    Above a histogram with mean and median; below, for each group, a box (quartiles, whiskers to
    the 5th and 95th percentile), its mean and every image.

    Args:
        scores: (N,) one score an image; those that are not finite have no place in the picture
            and are counted in its title.
        path: The PNG to write.
        metric: The metric's key, for the axis and its unit.
        groups: For each group's name the (N,) bool images in it; groups may overlap. None: the
            histogram alone.
        class_names: The C class names; a group named as a class has the class's colour.
        palette: RGB colours of the classes, or None for the default ones.

    Returns:
        The path.

    Raises:
        ValueError: `scores` or a group is not (N,).
    """
    values = np.asarray(scores, dtype=np.float64)
    members = {name: np.asarray(mask, dtype=bool) for name, mask in (groups or {}).items()}
    if any(mask.shape != values.shape for mask in members.values()) or values.ndim != 1:
        raise ValueError("scores and groups must be (N,), of one length")
    finite = np.isfinite(values)
    if not finite.any():
        members = {}
    rows = 0.45 * len(members)
    figure = new_figure(9.0, 3.4 + rows + 0.4 * bool(members))
    ratios = (2.6, rows + 0.2) if members else (1,)
    axes: list[Axes] = np.ravel(
        figure.subplots(len(ratios), 1, sharex=True, height_ratios=ratios)
    ).tolist()
    name, count, missing = plain(shorten(metric, 36)), len(values), int((~finite).sum())
    absent = f", {missing} without a value" if missing else ""
    figure.suptitle(f"{name} of each image: {count} image{'s' * (count != 1)}{absent}", fontsize=12)
    axes[-1].set_xlabel(f"{name} ({metric_unit(metric)})")
    if finite.any():
        _draw_histogram(axes[0], values[finite], metric_unit(metric) == "%")
    else:
        axes[0].set(xticks=[], yticks=[])
        axes[0].text(0.5, 0.5, "no image has a value", ha="center", transform=axes[0].transAxes)
    if members:
        colors = dict(zip(class_names, class_colors(len(class_names), palette), strict=True))
        shades = [unit_color(colors.get(name, _NEUTRAL)) for name in members]
        _draw_groups(axes[1], {g: values[m & finite] for g, m in members.items()}, shades)
    return save_figure(figure, path)


def _write_cells(axis: Axes, counts: npt.NDArray[np.number], shares: FloatArray) -> None:
    """Write share and count into each cell of a confusion matrix."""
    size = len(counts)
    exact = size <= _EXACT_CLASSES
    fontsize = 10.5 if size <= 6 else 9.5 if exact else 8.5 if size <= 16 else 8
    for row, column in np.ndindex(size, size):
        share, count = float(shares[row, column]), int(counts[row, column])
        color = "white" if share > 55 else DARK
        number = f"{count:,}" if exact else _compact(count)
        percent = f"{share:.1f}" if share >= 0.05 else "<0.1"
        text = f"{percent}{' %' * exact}\n{number}"
        if not counts[row].any():
            text = "no pixels" if exact else "-"
        elif not count:
            text, color = "0", GREY
        axis.text(column, row, text, ha="center", va="center", color=color, fontsize=fontsize)


def _compact(count: int) -> str:
    """A count in at most five characters: 999, 1.23k, 12.3k, 123k, 1.23M."""
    for unit, name in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        # What three digits would round up to the next unit is written in that unit.
        if count >= 0.9995 * unit:
            value = count / unit
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:.{digits}f}{name}"
    return str(count)


def _draw_reliability(axis: Axes, content: FloatArray) -> None:
    """The bars of one reliability diagram and the diagonal; `content` is (B, 3)."""
    edges = np.linspace(0.0, 1.0, len(content) + 1)
    filled = content[:, 0] > 0
    pixels, confidence, correct = content[filled].T
    confidence, accuracy = confidence / pixels, correct / pixels
    left, width = edges[:-1][filled], 1.0 / len(content)
    axis.bar(left, accuracy, width, align="edge", color="#c9c9c9", edgecolor=DARK, linewidth=0.6)
    for over, color, hatch in ((True, _OVERCONFIDENT, "///"), (False, _UNDERCONFIDENT, "...")):
        chosen = (confidence > accuracy) == over
        axis.bar(
            left[chosen],
            (confidence - accuracy)[chosen],
            width,
            bottom=accuracy[chosen],
            align="edge",
            facecolor="none",
            edgecolor=color,
            hatch=hatch,
            linewidth=1.0,
        )
    axis.plot([0, 1], [0, 1], color=DARK, linestyle="--", linewidth=1.2)
    axis.set(xlim=(0, 1), ylim=(0, 1))
    axis.spines[["top", "right"]].set_visible(False)


def _draw_histogram(axis: Axes, values: FloatArray, percent: bool) -> None:
    """Histogram of finite values, mean and median marked; percentages end at 100."""
    low, high = 0.0, max(float(values.max()), 1.0)
    edges = np.linspace(low, high, 21)
    if percent:
        low, high = 5.0 * np.floor(min(values.min(), 95.0) / 5.0), 100.0
        step = next(step for step in (0.5, 1.0, 2.5, 5.0) if high - low <= 25 * step or step == 5)
        edges = np.arange(low, high + step, step)
    axis.hist(values, bins=edges.tolist(), color="#b5b5b5")
    mean, median = float(values.mean()), float(np.median(values))
    axis.axvline(mean, color=DARK, linewidth=1.8, label=f"mean {mean:.2f}")
    axis.axvline(median, color=DARK, linewidth=1.8, linestyle=":", label=f"median {median:.2f}")
    axis.legend(loc="upper left" if median > (low + high) / 2 else "upper right", frameon=False)
    axis.set_ylabel("images")
    axis.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axis.spines[["top", "right"]].set_visible(False)


def _draw_groups(
    axis: Axes, groups: Mapping[str, FloatArray], colors: Sequence[tuple[float, float, float]]
) -> None:
    """A box and every image of each group, one a row, the first on top."""
    shown = list(groups.values())
    boxes = axis.boxplot(
        shown,
        orientation="horizontal",
        whis=(5, 95),
        widths=0.6,
        showfliers=False,
        showmeans=True,
        patch_artist=True,
        medianprops={"color": DARK, "linewidth": 1.8, "linestyle": ":"},
        meanprops={"marker": "D", "markerfacecolor": "white", "markeredgecolor": DARK, "zorder": 5},
    )
    for box, color in zip(boxes["boxes"], colors, strict=True):
        box.set(facecolor=(*color, 0.55), edgecolor=DARK)
    random = np.random.default_rng(0)  # only spreads the dots over the box's height
    for place, values in enumerate(shown, start=1):
        spread = place + random.uniform(-0.22, 0.22, len(values))
        axis.plot(values, spread, ".", color=DARK, markersize=3.5, alpha=0.45, zorder=3)
    labels = [f"{plain(shorten(name, 24))} (n = {len(values)})" for name, values in groups.items()]
    axis.set_yticks(range(1, len(labels) + 1), labels)
    axis.set_ylim(len(labels) + 0.5, 0.5)
    note = "box: quartiles; dotted: median; diamond: mean; whiskers: 5th to 95th percentile"
    axis.set_xlabel(f"{axis.get_xlabel()}\n{note}")
    axis.grid(axis="x", alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
