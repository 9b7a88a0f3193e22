"""Pictures of segmentations: masks, overlays, error maps and panels of predictions.

Images are (H, W, 3) uint8 RGB, masks (H, W) integer class indices with 255 for ignored pixels.
The colours are those of Okabe and Ito (2008), which people with any common form of colour
blindness can tell apart; a class has the same colour in every picture. Figures are drawn through
matplotlib's object interface, so nothing here touches pyplot's global state or needs a display.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from seglab.utils.errors import UserError
from seglab.utils.io_utils import atomic_path
from seglab.utils.test_utils import RankedSample

ImageArray = npt.NDArray[np.uint8]
MaskArray = npt.NDArray[np.integer]
Palette = Sequence[Sequence[int]] | ImageArray

BACKGROUND = 0
IGNORE_COLOR = (205, 205, 205)
_DEFAULT_COLORS = (
    (44, 44, 48),  # background: dark and neutral
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (0, 114, 178),  # blue
    (213, 94, 0),  # vermillion
    (204, 121, 167),  # reddish purple
)
_OVERVIEW_ROWS = 4
_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_DPI = 120


class PixelOutcome(IntEnum):
    """What a prediction did at a pixel, seen from the objects (every class but background)."""

    CORRECT = 0
    FALSE_POSITIVE = 1
    FALSE_NEGATIVE = 2
    WRONG_CLASS = 3
    IGNORED = 4


_OUTCOMES: dict[PixelOutcome, tuple[str, tuple[int, int, int]]] = {
    PixelOutcome.FALSE_POSITIVE: ("false positive", (213, 94, 0)),
    PixelOutcome.FALSE_NEGATIVE: ("false negative (missed)", (0, 114, 178)),
    PixelOutcome.WRONG_CLASS: ("wrong class", (240, 228, 66)),
    PixelOutcome.IGNORED: ("ignored", IGNORE_COLOR),
}


class SegmentationSample(NamedTuple):
    """One image with its truth and its prediction."""

    image: ImageArray
    truth: MaskArray
    prediction: MaskArray


def class_colors(num_classes: int, palette: Palette | None = None) -> ImageArray:
    """The colours of the classes.

    Args:
        num_classes: Number of classes C.
        palette: RGB triples, 0 to 255, as configs carry them. None: a dark background and the
            Okabe-Ito colours; from the ninth class on, hues apart by the golden ratio.

    Returns:
        (C, 3) uint8 RGB.

    Raises:
        UserError: The palette has fewer colours than there are classes, or is not RGB.
    """
    if palette is None:
        colors = list(_DEFAULT_COLORS)
        for index in range(len(colors), num_classes):
            hue, value = (index * 0.618034) % 1.0, (0.95, 0.7, 0.5)[index % 3]
            red, green, blue = colorsys.hsv_to_rgb(hue, 0.7, value)
            colors.append((round(255 * red), round(255 * green), round(255 * blue)))
        return np.array(colors[:num_classes], dtype=np.uint8)
    given = np.asarray(palette)
    if given.ndim != 2 or given.shape[1] != 3 or given.min() < 0 or given.max() > 255:
        raise UserError("the palette is not a list of [red, green, blue], 0 to 255", "mend it")
    if len(given) < num_classes:
        raise UserError(
            f"the palette has {len(given)} colours for {num_classes} classes",
            "give one [red, green, blue] for each class",
        )
    return given[:num_classes].astype(np.uint8)


def colorize_mask(mask: MaskArray, palette: Palette, ignore_index: int = 255) -> ImageArray:
    """Colour each pixel by its class; ignored pixels are light grey.

    Args:
        mask: (H, W) class indices.
        palette: (C, 3) RGB colours, for example from `class_colors`.
        ignore_index: Label of the ignored pixels.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: A value is neither a class nor `ignore_index`.
    """
    colors = np.asarray(palette, dtype=np.uint8)
    ignored = mask == ignore_index
    classes = np.where(ignored, BACKGROUND, mask)
    if classes.size and (classes.min() < 0 or classes.max() >= len(colors)):
        raise ValueError(f"the mask holds values that are no class (0-{len(colors) - 1})")
    colored = colors[classes]
    colored[ignored] = IGNORE_COLOR
    return colored


def overlay_mask(
    image: ImageArray,
    mask: MaskArray,
    palette: Palette,
    alpha: float = 0.6,
    ignore_index: int = 255,
) -> ImageArray:
    """Lay the mask's colours over the image; the background shows the image as it is.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) class indices.
        palette: (C, 3) RGB colours.
        alpha: Share of the colour in the mixture, 0 to 1.
        ignore_index: Label of the ignored pixels.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        ValueError: Image and mask are of different size, or a value is no class.
    """
    _require_same_size(image, mask)
    mixed = (1 - alpha) * image + alpha * colorize_mask(mask, palette, ignore_index)
    covered = (mask != BACKGROUND)[..., None]
    return np.where(covered, np.rint(mixed), image).astype(np.uint8)


def error_map(
    prediction: MaskArray, truth: MaskArray, ignore_index: int = 255
) -> npt.NDArray[np.uint8]:
    """Tell the kinds of errors apart, pixel by pixel.

    Args:
        prediction: (H, W) predicted class indices.
        truth: (H, W) true class indices.
        ignore_index: Label, in the truth, of the ignored pixels.

    Returns:
        (H, W) uint8 values of `PixelOutcome`: an object predicted on background is a false
        positive, background predicted on an object a false negative, another object's class a
        wrong class.

    Raises:
        ValueError: The shapes differ.
    """
    _require_same_size(prediction, truth)
    wrong = prediction != truth
    outcome = np.full(truth.shape, PixelOutcome.CORRECT, dtype=np.uint8)
    outcome[wrong] = PixelOutcome.WRONG_CLASS
    outcome[wrong & (truth == BACKGROUND)] = PixelOutcome.FALSE_POSITIVE
    outcome[wrong & (prediction == BACKGROUND)] = PixelOutcome.FALSE_NEGATIVE
    outcome[truth == ignore_index] = PixelOutcome.IGNORED
    return outcome


def visualize_segmentation_4panel(
    image: ImageArray,
    truth: MaskArray,
    prediction: MaskArray,
    class_names: Sequence[str],
    palette: Palette | None,
    title: str,
    path: str | Path,
    ignore_index: int = 255,
) -> Path:
    """Draw image, ground truth, prediction and error map side by side, with their legend.

    Args:
        image: (H, W, 3) uint8 RGB.
        truth: (H, W) true class indices.
        prediction: (H, W) predicted class indices.
        class_names: The C class names.
        palette: RGB colours of the classes, or None for the default ones.
        title: Above the panels, for example the image's name and its mDice.
        path: The PNG to write.
        ignore_index: Label of the ignored pixels.

    Returns:
        The path.

    Raises:
        ValueError: The arrays are of different size, or a value is no class.
    """
    colors = class_colors(len(class_names), palette)
    panel = 2.6 * min(max(image.shape[0] / image.shape[1], 0.4), 2.0)
    figure = Figure(figsize=(10.6, panel + 0.9), layout="constrained")
    figure.suptitle(_plain(title), fontsize=12)
    axes = figure.subplots(1, 4)
    sample = SegmentationSample(image, truth, prediction)
    _draw_panels(axes, sample, colors, ignore_index)
    _title_panels(axes, fontsize=11)
    _add_legend(figure, class_names, colors, bool(np.any(truth == ignore_index)))
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
    `val_overview.png`.

    Args:
        best: Best samples, best first, from `find_best_worst_samples`.
        worst: Worst samples, worst first.
        load_sample: Gives image, truth and prediction of a sample id; called once for each.
        class_names: The C class names.
        palette: RGB colours of the classes, or None for the default ones.
        output_dir: Folder of the pictures.
        split: Name of the split, for the file names.
        metric: Name of the figure the samples were ranked by.
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
            name = f"{split}_{kind}_{rank:02d}_{entry.sample_id}"
            score = f"{metric} {entry.score:.2f}"
            path = folder / f"{safe_name(name)}_{safe_name(metric)}_{entry.score:.2f}.png"
            # The end of a long id tells more than its folders do.
            shown = f"...{entry.sample_id[-57:]}" if len(entry.sample_id) > 60 else entry.sample_id
            title = f"{kind} {rank}   {shown}   {score}"
            paths.append(
                visualize_segmentation_4panel(
                    *sample, class_names, palette, title, path, ignore_index
                )
            )
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
    stem = str(path.with_suffix("")) if path.suffix.lower() in _IMAGE_SUFFIXES else str(path)
    safe = re.sub(r"[^\w.-]+", "_", stem).strip("._-")
    # File systems allow 255 bytes, and the rank and the score are still to come.
    return safe.encode()[:160].decode(errors="ignore") or "unnamed"


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG, atomically; returns the path."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=_DPI, facecolor="white")
    return Path(path)


def unit_color(color: Sequence[int] | ImageArray) -> tuple[float, float, float]:
    """An RGB colour of 0 to 255 as matplotlib wants it, 0 to 1."""
    red, green, blue = (int(channel) / 255 for channel in color)
    return red, green, blue


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
    figure = Figure(figsize=(6.6 * len(shown), 1.62 * num_rows + 0.9), layout="constrained")
    any_ignored = False
    blocks = figure.subfigures(1, len(shown), wspace=0.02, squeeze=False)[0]
    for block, (kind, entries) in zip(blocks, shown.items(), strict=True):
        block.suptitle(f"{kind.capitalize()} by {_plain(metric)}", fontsize=13, weight="bold")
        axes = block.subplots(num_rows, 4, squeeze=False)
        _title_panels(axes[0], fontsize=10)
        for row, (entry, sample) in zip(axes, entries, strict=False):
            _draw_panels(row, sample, colors, ignore_index)
            row[0].set_ylabel(f"{entry.score:.2f}", fontsize=11)
            any_ignored |= bool(np.any(sample.truth == ignore_index))
        for row in axes[len(entries) :]:
            for axis in row:
                axis.set_axis_off()
    _add_legend(figure, class_names, colors, any_ignored)
    return save_figure(figure, path)


def _draw_panels(
    axes: Sequence[Axes], sample: SegmentationSample, colors: ImageArray, ignore_index: int
) -> None:
    """Draw image, truth, prediction and error map into four axes."""
    image, truth, prediction = sample
    _require_same_size(image, truth)
    outcome = error_map(prediction, truth, ignore_index)
    # Ignored pixels are shown as such in the prediction too: nothing there is judged.
    judged = np.where(truth == ignore_index, ignore_index, prediction)
    pictures = (
        image,
        overlay_mask(_dim(image), truth, colors, 0.75, ignore_index),
        overlay_mask(_dim(image), judged, colors, 0.75, ignore_index),
        _paint_outcome(image, outcome),
    )
    for axis, picture in zip(axes, pictures, strict=True):
        axis.imshow(picture, interpolation="antialiased")
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set_visible(False)


def _title_panels(axes: Sequence[Axes], fontsize: float) -> None:
    """Name the four panels."""
    names = ("image", "ground truth", "prediction", "error map")
    for axis, name in zip(axes, names, strict=True):
        axis.set_title(name, fontsize=fontsize, pad=4)


def _dim(image: ImageArray) -> ImageArray:
    """The image in dark greys, so that colours laid over it stand out."""
    grey = image.astype(np.float64) @ (0.299, 0.587, 0.114)  # luma weights of ITU-R BT.601
    return np.repeat((20 + 0.45 * grey)[..., None], 3, axis=-1).astype(np.uint8)


def _paint_outcome(image: ImageArray, outcome: npt.NDArray[np.uint8]) -> ImageArray:
    """The dimmed image with every pixel that is not correct in its outcome's colour."""
    painted = _dim(image)
    for value, (_, color) in _OUTCOMES.items():
        painted[outcome == value] = color
    return painted


def _add_legend(
    figure: Figure, class_names: Sequence[str], colors: ImageArray, any_ignored: bool
) -> None:
    """The classes (masks) and the kinds of errors (error map) in a line below the panels."""
    handles = [
        Patch(facecolor=unit_color(color), edgecolor="black", linewidth=0.5, label=_plain(name))
        for name, color in list(zip(class_names, colors, strict=True))[BACKGROUND + 1 :]
    ]
    handles.append(Patch(alpha=0, label="   Errors:"))
    handles += [
        Patch(facecolor=unit_color(color), edgecolor="black", linewidth=0.5, label=label)
        for value, (label, color) in _OUTCOMES.items()
        if any_ignored or value != PixelOutcome.IGNORED
    ]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), 8),
        frameon=False,
        fontsize=10.5,
        handlelength=1.1,
        handleheight=1.1,
    )


def _plain(text: str) -> str:
    """Text that matplotlib does not read as a formula."""
    return text.replace("$", r"\$")


def _require_same_size(first: npt.NDArray[np.integer], second: npt.NDArray[np.integer]) -> None:
    """Raise ValueError unless both have the same height and width."""
    if first.shape[:2] != second.shape[:2]:
        raise ValueError(f"sizes differ: {first.shape[:2]} and {second.shape[:2]}")
