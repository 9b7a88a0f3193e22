"""YOLOv8-seg as a box-prompted segmenter: it looks again at each box, enlarged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from seglab.data.detection import Detection, Detector, load_detector
from seglab.data.detection.geometry import Box, bounding_box, box_iou
from seglab.data.detection.look import Look
from seglab.data.relabelling.segmenters import YOLO_SEG, Segment
from seglab.utils.errors import UserError
from seglab.utils.masks import ImageArray

#: How far beyond the box each second look reaches, as a share of its longer side.
_MARGINS = (0.1, 0.3)
_LOOK_CONFIDENCE = 0.1
_AGAIN = 0.5  # below this score the looks are repeated
_SAME = 0.4  # a detection in the enlarged view is the box's own at this IoU or more


def load_yolo_segmenter(
    weights: str | Path, class_map: Mapping[int, int], device: str
) -> YoloSegmenter:
    """Load YOLOv8-seg weights as a segmenter.

    Raises:
        UserError: They cannot be had, or detect only.
    """
    model = load_detector(weights, class_map, device, min_confidence=_LOOK_CONFIDENCE)
    if not model.segments:
        raise UserError(
            f"the weights {model.name} of --segmenter {YOLO_SEG} detect but do not segment",
            "name YOLOv8-seg weights with --segmenter-weights",
        )
    return YoloSegmenter(model)


class YoloSegmenter:
    """A `Segmenter` on YOLOv8-seg.

    The network draws masks at a quarter of its input's size, coarse for a small animal. So each
    box is cut out with two margins, enlarged, and looked at as it is and mirrored: a pixel
    belongs to the object where at least half of the looks that found the object say so.
    """

    score_means = "mean confidence of YOLOv8-seg's looks at the box, 0 for one that saw nothing"
    sure_score = 0.4
    sure_outline = 0.8
    recognises = True
    outlines = True

    def __init__(self, model: Detector) -> None:
        self.name, self.sha256 = f"{YOLO_SEG} ({model.name})", model.sha256
        self._model = model

    def segment(
        self, images: Sequence[ImageArray], found: Sequence[Sequence[Detection]]
    ) -> list[list[Segment]]:
        """See `Segmenter.segment`."""
        boxes = [
            (image, each.box) for image, own in zip(images, found, strict=True) for each in own
        ]
        segments = self._look(boxes)
        # A box that only part of the animal suggested is looked at again where the animal is.
        for place, (image, _) in enumerate(boxes):
            where = bounding_box(segments[place].mask)
            if where is not None and segments[place].score < _AGAIN:
                again = self._look([(image, where)])[0]
                if again.score > segments[place].score:
                    segments[place] = again
        left = iter(segments)
        return [[next(left) for _ in own] for own in found]

    def _look(self, boxes: Sequence[tuple[ImageArray, Box]]) -> list[Segment]:
        """One vote for each box of an image."""
        looks = [
            [
                Look.at(image, box, margin, mirrored)
                for margin in _MARGINS
                for mirrored in (False, True)
            ]
            for image, box in boxes
        ]
        seen = iter(self._model.detect([look.picture for each in looks for look in each]))
        return [
            _vote(image, box, [(look, next(seen)) for look in each])
            for (image, box), each in zip(boxes, looks, strict=True)
        ]


def _vote(image: ImageArray, asked: Box, seen: Sequence[tuple[Look, list[Detection]]]) -> Segment:
    """The pixels that at least half of the looks which found the object give to it."""
    total = np.zeros(image.shape[:2], np.float32)
    votes, confidences = 0, 0.0
    for look, detections in seen:
        fits = [(box_iou(look.place(each), asked), each) for each in detections]
        fit, best = max(fits, key=lambda pair: pair[0], default=(0.0, None))
        if best is None or fit < _SAME:
            continue
        total += look.place_mask(best, image.shape)
        votes += 1
        confidences += best.confidence
    if not votes:
        return Segment(np.zeros(image.shape[:2], bool), 0.0)
    return Segment(total >= 0.5 * votes, confidences / len(seen))
