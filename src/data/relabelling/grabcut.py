"""OpenCV's GrabCut in a box: the segmenter that needs no weights."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from seglab.data.detection import Detection
from seglab.data.relabelling.segmenters import GRABCUT, Segment, box_fit
from seglab.utils.masks import ImageArray

_ROUNDS = 5


class GrabCutSegmenter:
    """A `Segmenter` on GrabCut (Rother, Kolmogorov & Blake, "GrabCut", SIGGRAPH 2004).

    Outside the box is background. Inside it, the detection's own mask is taken as probably the
    object where the detector gives one, else the ellipse that fills the box.
    """

    name = GRABCUT
    sha256 = ""
    score_means = "IoU of the mask's bounding box and the detector's box"
    sure_score = 0.85
    sure_outline = 1.0
    recognises = False
    outlines = False

    def segment(
        self, images: Sequence[ImageArray], found: Sequence[Sequence[Detection]]
    ) -> list[list[Segment]]:
        """See `Segmenter.segment`."""
        return [
            [self._outline(image, each) for each in boxes]
            for image, boxes in zip(images, found, strict=True)
        ]

    def _outline(self, image: ImageArray, found: Detection) -> Segment:
        guess = first_guess(image.shape[:2], found)
        probable = (guess == cv2.GC_FGD) | (guess == cv2.GC_PR_FGD)
        if not probable.any() or probable.all():
            return Segment(np.zeros(image.shape[:2], bool), 0.0)  # nothing to tell apart
        cv2.setRNGSeed(0)  # GrabCut's clusters start at random
        blue_first = np.ascontiguousarray(image[..., ::-1])
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.grabCut(blue_first, guess, (0, 0, 0, 0), *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)
        mask = (guess == cv2.GC_FGD) | (guess == cv2.GC_PR_FGD)
        return Segment(mask, box_fit(mask, found.box))


def first_guess(shape: tuple[int, ...], found: Detection) -> npt.NDArray[np.uint8]:
    """Where GrabCut starts: (H, W) uint8 of its four labels."""
    x0, y0, x1, y1 = (round(value) for value in found.box)
    guess = np.full(shape, cv2.GC_BGD, np.uint8)
    guess[y0:y1, x0:x1] = cv2.GC_PR_BGD
    inside = np.zeros(shape, np.uint8)
    if found.mask is not None and found.mask.any():
        inside[found.mask] = 1
    else:
        center, axes = ((x0 + x1) // 2, (y0 + y1) // 2), ((x1 - x0) // 2, (y1 - y0) // 2)
        cv2.ellipse(inside, center, axes, 0, 0, 360, 1, thickness=-1)
    guess[(inside > 0) & (guess == cv2.GC_PR_BGD)] = cv2.GC_PR_FGD
    return guess
