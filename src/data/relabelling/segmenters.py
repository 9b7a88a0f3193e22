"""Box-prompted segmenters: the interface, and which of them are there by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from seglab.data.detection import Detection
from seglab.data.detection.interface import BoolArray
from seglab.utils.errors import UserError
from seglab.utils.masks import ImageArray

GRABCUT, YOLO_SEG = "grabcut", "yolov8-seg"
SAM2_NAMES = ("sam2.1_hiera_large", "sam2.1_hiera_tiny")
SEGMENTERS = (*SAM2_NAMES, YOLO_SEG, GRABCUT)
#: What to do where SAM 2.1 cannot be had. It is never done silently.
FALLBACKS = (
    f"choose a fallback, which is recorded under its own name: --segmenter {YOLO_SEG} "
    f"(YOLOv8-seg's own masks) or --segmenter {GRABCUT} (OpenCV GrabCut in the box)"
)


@dataclass(frozen=True)
class Segment:
    """What a segmenter makes of a box.

    Attributes:
        mask: (H, W) bool.
        score: 0 to 1, how good the segmenter thinks the mask is.
    """

    mask: BoolArray
    score: float


class Segmenter(Protocol):
    """Outlines what a box holds.

    Attributes:
        name: Of the method and its weights; what records say was used.
        sha256: Of the weights, empty where it has none.
        score_means: What its score is, in a few words.
        sure_score: A segment counts as sure from this score on.
        sure_outline: From this score on its outline is better than one that is merely imprecise.
        recognises: Whether it knows an animal when it sees one. One that outlines whatever a box
            holds cannot confirm what only the prediction saw.
        outlines: Whether its outlines are good enough to replace one that is merely imprecise.
    """

    name: str
    sha256: str
    score_means: str
    sure_score: float
    sure_outline: float
    recognises: bool
    outlines: bool

    def segment(
        self, images: Sequence[ImageArray], found: Sequence[Sequence[Detection]]
    ) -> list[list[Segment]]:
        """Outline what the boxes hold.

        Args:
            images: (H, W, 3) uint8 RGB each; sizes may differ.
            found: The boxes of each image; an image may have none.

        Returns:
            A segment for each box, in the same order. A mask may be empty.
        """
        ...


def load_segmenter(
    name: str, weights: str | Path | None, class_map: Mapping[int, int], device: str
) -> Segmenter:
    """Load a segmenter by its name.

    Args:
        name: One of `SEGMENTERS`.
        weights: A file instead of the official one: SAM 2.1's checkpoint or YOLOv8-seg's
            weights; not for GrabCut.
        class_map: The detector's class number -> the data set's class index.
        device: See `seglab.utils.devices.choose_device`.

    Raises:
        UserError: The name is unknown, or the weights or the package cannot be had: what else
            could be used is named, never taken.
    """
    if name == GRABCUT:
        from seglab.data.relabelling.grabcut import GrabCutSegmenter

        if weights is not None:
            raise UserError(f"--segmenter {GRABCUT} has no weights", "leave out its weights")
        return GrabCutSegmenter()
    if name == YOLO_SEG:
        from seglab.data.relabelling.yolo_segmenter import load_yolo_segmenter

        return load_yolo_segmenter(weights or "yolov8x-seg.pt", class_map, device)
    if name in SAM2_NAMES:
        from seglab.data.relabelling.sam2_segmenter import load_sam2

        return load_sam2(name, weights, device)
    raise UserError(f"unknown segmenter {name!r}", f"choose one of {', '.join(SEGMENTERS)}")


def box_fit(mask: BoolArray, box: Sequence[float]) -> float:
    """How well a mask fills its box: IoU of the mask's bounding box and the box, 0 to 1.

    A score for methods that give none. A mask that stops short of the box, or is empty, scores
    low; one inside the box scores the product of its width's and height's shares.
    """
    from seglab.data.detection.geometry import bounding_box, box_iou

    own = bounding_box(mask)
    return 0.0 if own is None else box_iou(own, box)
