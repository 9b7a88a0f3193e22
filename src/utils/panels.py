"""Panels of predictions: image, ground truth, prediction and error map side by side."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch

from seglab.utils.errors import UserError
from seglab.utils.figures import new_figure, plain, save_figure, shorten, unit_color
from seglab.utils.masks import (
    BACKGROUND,
    OUTCOME_STYLES,
    ImageArray,
    MaskArray,
    Palette,
    PixelOutcome,
    class_colors,
    dim,
    error_map,
    overlay_mask,
    paint_outcome,
    require_same_size,
)
from seglab.utils.paths import IMAGE_SUFFIXES
from seglab.utils.test_utils import RankedSample, confusion_matrix, per_image_scores

_PANELS = ("image", "ground truth", "prediction", "error map")
_WIDTH = 10.6  # inches
_OVERVIEW_ROWS = 4
_LEGEND_LINE = 0.24  # inches
_LISTED_CLASSES = 12
_ALPHA = 0.75


class SegmentationSample(NamedTuple):
    """One image with its truth and its prediction."""

    image: ImageArray
    truth: MaskArray
    prediction: MaskArray


def visualize_segmentation_4panel(
    image: ImageArray,
    truth: MaskArray,
    prediction: MaskArray,
    class_names: Sequence[str],
    palette: Palette | None,
    title: str,
    path: str | Path,
    ignore_index: int = 255,
    mdice: float | None = None,
) -> Path:
    """Draw image, ground truth, prediction and error map with their legend.

    The panels stand side by side; those of a wide image in two rows or one below the other.

    Args:
        image: (H, W, 3) uint8 RGB.
        truth: (H, W) true class indices.
        prediction: (H, W) predicted class indices.
        class_names: The C class names.
        palette: RGB colours of the classes, or None for the default ones.
        title: Above the panels, for example the image's name; the image's mDice is added.
        path: The PNG to write.
        ignore_index: Label of the ignored pixels.
        mdice: The image's mDice in percent where it is known; None: `per_image_scores` of the
            two masks.

    Returns:
        The path.

    Raises:
        ValueError: The arrays are of different size, or a value is no class.
    """
    require_same_size(image, truth)
    if mdice is None:
        matrix = confusion_matrix(prediction, truth, len(class_names), ignore_index)
        mdice = float(per_image_scores(matrix[None])[0])
    score = "no counted pixel" if math.isnan(mdice) else f"mDice {mdice:.2f}"
    colors = class_colors(len(class_names), palette)
    ratio = image.shape[0] / image.shape[1]
    columns = 4 if ratio >= 0.5 else 2 if ratio >= 0.2 else 1
    rows = 4 // columns
    height = rows * (_WIDTH / columns * min(max(ratio, 0.02), 2.0) + 0.3) + 0.2
    sample = SegmentationSample(image, truth, prediction)
    figure, body = _figure_with_legend(_WIDTH, height, class_names, colors, [sample], ignore_index)
    body.suptitle(f"{plain(shorten(title, 90))}   {score}", fontsize=12)
    axes = body.subplots(rows, columns, squeeze=False).ravel().tolist()
    _draw_panels(axes, sample, colors, ignore_index)
    _title_panels(axes, fontsize=11)
    return save_figure(figure, path)


def plot_best_worst_predictions(
    best: Sequence[RankedSample],
    worst: Sequence[RankedSample],
    load_sample: Callable[[str], SegmentationSample],
    class_names: Sequence[str],
    palette: Palette | None,
    output_dir: str | Path,
    split: str,
    metric: str = "mDice",
    ignore_index: int = 255,
) -> list[Path]:
    """Draw four panels for each of the best and the worst samples, and one overview of them.

    The files are named like `val_worst_01_NAME_mDice_31.03.png`; the overview is
    `val_overview.png`. Who ranked the samples decided what is best: nothing here compares scores.

    Args:
        best: Best samples, best first, from `find_best_worst_samples`.
        worst: Worst samples, worst first.
        load_sample: Gives image, truth and prediction of a sample id; called once for each.
        class_names: The C class names.
        palette: RGB colours of the classes, or None for the default ones.
        output_dir: Folder of the pictures.
        split: Name of the split, for the file names.
        metric: Key of the figure the samples were ranked by, for example `Dice/dog`.
        ignore_index: Label of the ignored pixels.

    Returns:
        The paths written; the overview last.

    Raises:
        UserError: There is no sample.
    """
    if not best and not worst:
        raise UserError("there is no sample to draw", "check the split's images and labels")
    folder, paths = Path(output_dir), []
    rows: dict[str, list[tuple[RankedSample, SegmentationSample]]] = {"best": [], "worst": []}
    for kind, ranked in (("best", best), ("worst", worst)):
        for rank, entry in enumerate(ranked, start=1):
            sample = load_sample(entry.sample_id)
            name = safe_name(f"{split}_{kind}_{rank:02d}_{entry.sample_id}")
            path = folder / f"{name}_{safe_name(metric)}_{entry.score:.2f}.png"
            title, mdice = f"{kind} {rank}   {shorten(entry.sample_id, 48)}", None
            if metric == "mDice":
                mdice = entry.score  # the published figure, to its last digit
            else:
                title += f"   {shorten(metric, 24)} {entry.score:.2f}"
            visualize_segmentation_4panel(
                *sample, class_names, palette, title, path, ignore_index, mdice
            )
            paths.append(path)
            rows[kind].append((entry, sample))
    overview = folder / f"{safe_name(split)}_overview.png"
    colors = class_colors(len(class_names), palette)
    paths.append(_plot_overview(rows, class_names, colors, metric, overview, ignore_index))
    return paths


def safe_name(name: str) -> str:
    """A file name's stem made of a sample id: no folders, no odd characters, not too long.

    The suffix of an image file is dropped; folders become part of the name.
    """
    path = PurePosixPath(name.replace("\\", "/"))
    stem = str(path.with_suffix("")) if path.suffix.lower() in IMAGE_SUFFIXES else str(path)
    safe = re.sub(r"[^\w.-]+", "_", stem).strip("._-")
    # File systems allow 255 bytes, and the rank and the score are still to come.
    return safe.encode()[:160].decode(errors="ignore") or "unnamed"


def _plot_overview(
    rows: dict[str, list[tuple[RankedSample, SegmentationSample]]],
    class_names: Sequence[str],
    colors: ImageArray,
    metric: str,
    path: Path,
    ignore_index: int,
) -> Path:
    """Contact sheet: the best samples at the left, the worst at the right, one a row."""
    shown = {kind: entries[:_OVERVIEW_ROWS] for kind, entries in rows.items() if entries}
    num_rows = max(map(len, shown.values()))
    samples = [sample for entries in shown.values() for _, sample in entries]
    width, height = 12.6 if len(shown) == 2 else 7.6, 1.6 * num_rows + 0.6
    figure, body = _figure_with_legend(width, height, class_names, colors, samples, ignore_index)
    blocks = body.subfigures(1, len(shown), wspace=0.02, squeeze=False)[0]
    for block, (kind, entries) in zip(blocks, shown.items(), strict=True):
        block.suptitle(
            f"{kind.capitalize()} by {plain(shorten(metric, 40))}", fontsize=13, weight="bold"
        )
        axes = block.subplots(num_rows, 4, squeeze=False)
        _title_panels(axes[0], fontsize=10.5)
        for row, (entry, sample) in zip(axes, entries, strict=False):
            _draw_panels(row, sample, colors, ignore_index)
            row[0].set_ylabel(f"{entry.score:.2f}", fontsize=11)
        for row in axes[len(entries) :]:
            for axis in row:
                axis.set_axis_off()
    return save_figure(figure, path)


def _draw_panels(
    axes: Sequence[Axes], sample: SegmentationSample, colors: ImageArray, ignore_index: int
) -> None:
    """Draw image, truth, prediction and error map into four axes."""
    image, truth, prediction = sample
    require_same_size(image, truth)
    outcome = error_map(prediction, truth, ignore_index)
    # Ignored pixels are shown as such in the prediction too: nothing there is judged.
    judged = np.where(truth == ignore_index, ignore_index, prediction)
    pictures = (
        image,
        overlay_mask(dim(image), truth, colors, _ALPHA, ignore_index),
        overlay_mask(dim(image), judged, colors, _ALPHA, ignore_index),
        paint_outcome(image, outcome),
    )
    for axis, picture in zip(axes, pictures, strict=True):
        axis.imshow(picture, interpolation="antialiased")
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_visible(False)


def _title_panels(axes: Sequence[Axes], fontsize: float) -> None:
    """Name the four panels."""
    for axis, name in zip(axes, _PANELS, strict=True):
        axis.set_title(name, fontsize=fontsize, pad=4)


def _figure_with_legend(
    width: float,
    height: float,
    class_names: Sequence[str],
    colors: ImageArray,
    samples: Sequence[SegmentationSample],
    ignore_index: int,
) -> tuple[Figure, SubFigure]:
    """A figure and the part of it above its legend, which is `height` inches high.

    The kinds of errors stand in a line of their own: with many classes a class may have the
    colour of an error. Of more than twelve classes only those in the samples are listed.
    """
    masks = [mask for _, truth, prediction in samples for mask in (truth, prediction)]
    present = set(np.concatenate([np.unique(mask) for mask in masks]).tolist())
    classes = [
        _swatch(name, color)
        for index, (name, color) in enumerate(zip(class_names, colors, strict=True))
        if index != BACKGROUND and (len(class_names) <= _LISTED_CLASSES or index in present)
    ]
    errors = [Patch(alpha=0, label="errors:")]
    errors += [
        _swatch(name, color)
        for outcome, (name, color) in OUTCOME_STYLES.items()
        if ignore_index in present or outcome != PixelOutcome.IGNORED
    ]
    longest = max((len(str(patch.get_label())) for patch in classes), default=1)
    columns = max(1, min(len(classes), int((width - 1.0) / (0.085 * longest + 0.55))))
    foot_height = _LEGEND_LINE * (math.ceil(len(classes) / columns) + 1) + 0.12
    figure = new_figure(width, height + foot_height)
    parts = figure.subfigures(2, 1, squeeze=False, height_ratios=(height, foot_height))
    body, foot = parts.ravel().tolist()
    style = {"frameon": False, "fontsize": 10.5, "handlelength": 1.1, "handleheight": 1.1}
    style |= {"borderaxespad": 0.2, "borderpad": 0.1}
    if classes:
        foot.legend(handles=classes, loc="upper center", ncols=columns, **style)
    foot.legend(handles=errors, loc="lower center", ncols=len(errors), **style)
    return figure, body


def _swatch(name: str, color: Sequence[int] | ImageArray) -> Patch:
    """A legend's entry: a square of the colour and the name."""
    label = plain(shorten(name, 28))
    return Patch(facecolor=unit_color(color), edgecolor="black", linewidth=0.5, label=label)
