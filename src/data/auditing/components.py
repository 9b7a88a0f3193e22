"""Connected regions where a mask and a confident model disagree.

Judging components instead of pixels follows Rottmann & Reese, "Automated detection of label
errors in semantic segmentation datasets via deep learning and uncertainty quantification" (WACV
2023). Slivers along contours are no label errors: a region is opened by a disc before it counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from seglab.utils.masks import BACKGROUND, MaskArray

FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]
Contour = tuple[tuple[int, int], ...]

MISSING, SPURIOUS, FLIPPED = "missing", "spurious", "class_flip"


@dataclass(frozen=True)
class Region:
    """A suspicious region.

    Attributes:
        kind: What is wrong: `MISSING` (an object without a label), `SPURIOUS` (a label on
            background), `FLIPPED` (an object labelled as another class), or a rule's name.
        box: x0, y0, x1, y1 in pixels; x1 and y1 are exclusive.
        area: Pixels.
        weight: Pixels, each counted by how much more the model believes its own class than the
            label, 0 to 1.
        confidence: Mean probability of the class the model sees; NaN for a rule.
        labelled: The class the mask says.
        predicted: The class the model says.
        outline: Its contours, each a tuple of (x, y) corners in pixels.
    """

    kind: str
    box: tuple[int, int, int, int]
    area: int
    weight: float
    confidence: float
    labelled: int
    predicted: int
    outline: tuple[Contour, ...] = ()


def disc(radius: int) -> BoolArray:
    """A disc as a (2 r + 1, 2 r + 1) structuring element."""
    rows, columns = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return np.asarray(rows**2 + columns**2 <= radius**2)


def tolerance_of(shape: tuple[int, ...]) -> int:
    """Width of the band around contours that is left alone: 0.6 % of the diagonal, 1 at least."""
    return max(1, round(0.006 * math.hypot(*shape)))


def disagreement_regions(
    mask: MaskArray, probabilities: FloatArray, ignore_index: int = 255
) -> list[Region]:
    """Find where the model is surer of another class than of the mask's.

    Args:
        mask: (H, W) class indices.
        probabilities: (C, H, W) out-of-fold probabilities.
        ignore_index: Label of pixels that are not judged.

    Returns:
        The regions, heaviest first.
    """
    predicted = probabilities.argmax(axis=0)
    top = probabilities.max(axis=0)
    counted = mask != ignore_index
    labels = np.where(counted, mask, BACKGROUND)
    believed = np.take_along_axis(probabilities, labels[None].astype(np.int64), axis=0)[0]
    wrong = counted & (predicted != labels)
    element = disc(tolerance_of(mask.shape))
    found = []
    for label, other in np.unique(np.stack([labels[wrong], predicted[wrong]], 1), axis=0):
        apart = wrong & (labels == label) & (predicted == other)
        numbered, _ = ndimage.label(ndimage.binary_opening(apart, element), np.ones((3, 3)))
        for number, window in enumerate(ndimage.find_objects(numbered), start=1):
            here = numbered[window] == number
            gap = (top - believed)[window][here]
            found.append(
                Region(
                    _kind(int(label), int(other)),
                    box_of(window),
                    int(here.sum()),
                    float(gap.sum()),
                    float(top[window][here].mean()),
                    int(label),
                    int(other),
                    outline_of(here, window),
                )
            )
    return sorted(found, key=lambda region: -region.weight)


def box_of(window: tuple[slice, ...]) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of an array's window."""
    rows, columns = window
    return int(columns.start), int(rows.start), int(columns.stop), int(rows.stop)


def outline_of(part: BoolArray, window: tuple[slice, ...]) -> tuple[Contour, ...]:
    """The outer contours of a region, in the whole image's pixels.

    Args:
        part: (h, w) the region inside its window.
        window: Where that lies in the image.
    """
    x0, y0, _, _ = box_of(window)
    contours, _ = cv2.findContours(
        part.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1, offset=(x0, y0)
    )
    return tuple(tuple((int(x), int(y)) for x, y in line[:, 0]) for line in contours)


def _kind(label: int, predicted: int) -> str:
    if label == BACKGROUND:
        return MISSING
    return SPURIOUS if predicted == BACKGROUND else FLIPPED
