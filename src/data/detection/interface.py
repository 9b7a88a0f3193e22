"""What a detector is, and how its classes become those of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from seglab.utils.errors import UserError
from seglab.utils.masks import BACKGROUND, ImageArray

BoolArray = npt.NDArray[np.bool_]

#: COCO's class number -> the name that a data set gives to it. The table a user can change.
COCO_CLASSES = {15: "cat", 16: "dog"}
_DROPPED = "none"


@dataclass(frozen=True)
class Detection:
    """One thing found in an image.

    Attributes:
        box: x0, y0, x1, y1 in pixels of the image; x1 and y1 are exclusive.
        label: The data set's class index.
        confidence: 0 to 1.
        mask: (H, W) bool, where the model segments as well.
    """

    box: tuple[float, float, float, float]
    label: int
    confidence: float
    mask: BoolArray | None = None


class Detector(Protocol):
    """Finds things in images.

    Attributes:
        name: Of the weights, for example `yolov8n-seg_int8`.
        sha256: Of the weights.
        declared: What makes its figures optimistic, in a sentence.
        segments: Whether its detections carry masks.
    """

    name: str
    sha256: str
    declared: str
    segments: bool

    def detect(self, images: Sequence[ImageArray]) -> list[list[Detection]]:
        """Look at images.

        Args:
            images: (H, W, 3) uint8 RGB each; sizes may differ.

        Returns:
            The detections of each image, the most confident first. Boxes have an area. The same
            animal may be found once as each class: who merges them decides.
        """
        ...


def class_map_for(classes: Sequence[str], overrides: Sequence[str] = ()) -> dict[int, int]:
    """Which of a data set's classes the detector's classes are.

    Args:
        classes: The data set's class names, background first.
        overrides: Changes to `COCO_CLASSES`, for example `"17=dog"` (class 17 counts as dog) or
            `"15=none"` (class 15 is not looked for).

    Returns:
        The detector's class number -> the data set's class index. Names of the default table
        that the data set does not have are left out.

    Raises:
        UserError: An override is malformed or names no class, or nothing is left to look for.
    """
    names, faults = list(classes), []
    mapped = {number: names.index(name) for number, name in COCO_CLASSES.items() if name in names}
    for text in overrides:
        number, _, name = (part.strip() for part in text.partition("="))
        if not (number.isascii() and number.isdecimal()) or not name:
            faults.append(f"{text!r} is not of the form NUMBER=CLASS")
        elif name == _DROPPED:
            mapped.pop(int(number), None)
        elif name not in names or names.index(name) == BACKGROUND:
            faults.append(f"{text!r}: {name!r} is none of {', '.join(names[1:]) or 'the classes'}")
        else:
            mapped[int(number)] = names.index(name)
    if not mapped and not faults:
        faults.append(f"none of the classes {', '.join(names[1:])} is mapped to the detector's")
    if faults:
        raise UserError(
            "the detector's classes cannot be mapped: " + "; ".join(faults),
            "give pairs such as 15=cat 16=dog (COCO's class number, your class name)",
        )
    return mapped
