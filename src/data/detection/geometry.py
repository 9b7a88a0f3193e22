"""Overlap of boxes and masks, and the parts a mask consists of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from seglab.data.detection.interface import BoolArray

Box = tuple[float, float, float, float]
EIGHT_NEIGHBOURS = np.ones((3, 3))


def bounding_box(mask: BoolArray) -> Box | None:
    """x0, y0, x1, y1 of a (H, W) bool mask, x1 and y1 exclusive; None where it is empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def box_iou(first: Sequence[float], second: Sequence[float]) -> float:
    """Intersection over union of two boxes; 0 where both have no area."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    common = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    union = sum(areas) - common
    return float(common / union) if union > 0 else 0.0


def mask_iou(first: BoolArray, second: BoolArray) -> float:
    """Intersection over union of two (H, W) bool masks; 1 where both are empty."""
    union = int((first | second).sum())
    return float((first & second).sum() / union) if union else 1.0


def split_parts(mask: BoolArray, smallest: float = 1) -> list[BoolArray]:
    """The connected parts of a mask (pixels touch at corners too), largest first.

    Args:
        mask: (H, W) bool.
        smallest: Parts of fewer pixels are left out.
    """
    numbered, _ = ndimage.label(mask, EIGHT_NEIGHBOURS)
    areas = np.bincount(numbered.ravel())
    order = np.argsort(-areas[1:], kind="stable") + 1
    return [np.asarray(numbered == number) for number in order if areas[number] >= smallest]
