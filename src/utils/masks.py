"""Class colours, and masks painted with them.

Images are (H, W, 3) uint8 RGB, masks (H, W) integer class indices with 255 for ignored pixels.
A class has the same colour in every picture and chart. The default colours can be told apart with
any common form of colour blindness: the first eight are those of Okabe and Ito (2008) with a dark
grey for black; each of the next twelve was chosen to lie as far as possible from all before it
(and from white and the ignored pixels' grey) in CIELAB, under normal sight and under simulated
protanopia and deuteranopia (Machado et al., 2009).
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from seglab.utils.errors import UserError

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
    (0, 0, 255),
    (204, 238, 153),
    (85, 51, 0),
    (51, 34, 170),
    (102, 119, 255),
    (102, 0, 102),
    (221, 17, 68),
    (204, 170, 85),
    (136, 68, 119),
    (0, 85, 255),
    (170, 204, 153),
    (170, 221, 255),
)


class PixelOutcome(IntEnum):
    """What a prediction did at a pixel, seen from the objects (every class but background)."""

    CORRECT = 0
    FALSE_POSITIVE = 1
    FALSE_NEGATIVE = 2
    WRONG_CLASS = 3
    IGNORED = 4


#: Name and colour of each kind of pixel that is not correct.
OUTCOME_STYLES: dict[PixelOutcome, tuple[str, tuple[int, int, int]]] = {
    PixelOutcome.FALSE_POSITIVE: ("false positive", (213, 94, 0)),
    PixelOutcome.FALSE_NEGATIVE: ("false negative (missed)", (0, 114, 178)),
    PixelOutcome.WRONG_CLASS: ("wrong class", (240, 228, 66)),
    PixelOutcome.IGNORED: ("ignored", IGNORE_COLOR),
}


def class_colors(num_classes: int, palette: Palette | None = None) -> ImageArray:
    """The colours of the classes.

    Args:
        num_classes: Number of classes C.
        palette: RGB triples, 0 to 255, as configs carry them. None: a dark background and the
            colours above; from the 21st class on, hues apart by the golden ratio.

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
    if not all(
        len(color) == 3 and all(0 <= channel <= 255 for channel in color) for color in palette
    ):
        raise UserError("the palette is not a list of [red, green, blue], 0 to 255", "mend it")
    if len(palette) < num_classes:
        raise UserError(
            f"the palette has {len(palette)} colours for {num_classes} classes",
            "give one [red, green, blue] for each class",
        )
    return np.asarray(palette, dtype=np.uint8)[:num_classes]


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
    require_same_size(image, mask)
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
    require_same_size(prediction, truth)
    wrong = prediction != truth
    outcome = np.full(truth.shape, PixelOutcome.CORRECT, dtype=np.uint8)
    outcome[wrong] = PixelOutcome.WRONG_CLASS
    outcome[wrong & (truth == BACKGROUND)] = PixelOutcome.FALSE_POSITIVE
    outcome[wrong & (prediction == BACKGROUND)] = PixelOutcome.FALSE_NEGATIVE
    outcome[truth == ignore_index] = PixelOutcome.IGNORED
    return outcome


def dim(image: ImageArray) -> ImageArray:
    """The image in dark greys, so that colours laid over it stand out."""
    grey = image.astype(np.float64) @ (0.299, 0.587, 0.114)  # luma weights of ITU-R BT.601
    return np.repeat((20 + 0.45 * grey)[..., None], 3, axis=-1).astype(np.uint8)


def paint_outcome(image: ImageArray, outcome: npt.NDArray[np.uint8]) -> ImageArray:
    """The dimmed image with every pixel that is not correct in its outcome's colour."""
    painted = dim(image)
    for value, (_, color) in OUTCOME_STYLES.items():
        painted[outcome == value] = color
    return painted


def require_same_size(first: npt.NDArray[np.integer], second: npt.NDArray[np.integer]) -> None:
    """Raise ValueError unless both have the same height and width."""
    if first.shape[:2] != second.shape[:2]:
        raise ValueError(f"sizes differ: {first.shape[:2]} and {second.shape[:2]}")
