"""Animals that an image may hold: the detector's, and those only the prediction sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from seglab.data.detection import Detection
from seglab.data.detection.geometry import bounding_box, box_iou, mask_iou, split_parts
from seglab.data.detection.interface import BoolArray
from seglab.data.relabelling.segmenters import Segment
from seglab.utils.masks import BACKGROUND

FloatArray = npt.NDArray[np.float32]
DETECTOR, PREDICTION = "detector", "prediction"
#: Boxes that overlap this much are one animal, perhaps found as each class.
SAME_BOX = 0.6
SAME_MASK = 0.5
#: A region of the prediction is looked at where it is this share of the image at least.
_REGION_SHARE = 0.005
_COVERED = 0.3


@dataclass(frozen=True)
class Prompt:
    """A box worth outlining.

    Attributes:
        found: Box, class and confidence.
        source: `DETECTOR`, or `PREDICTION` where only the out-of-fold prediction sees something;
            its confidence is then the mean probability of the class.
        rival: Confidence with which the same thing was found as another class, 0 where it was not.
    """

    found: Detection
    source: str
    rival: float = 0.0


@dataclass(frozen=True)
class Candidate:
    """A prompt and what the segmenter made of it."""

    prompt: Prompt
    segment: Segment

    @property
    def label(self) -> int:
        """Class index."""
        return self.prompt.found.label

    @property
    def confidence(self) -> float:
        """The detector's, or the prediction's probability."""
        return self.prompt.found.confidence

    @property
    def mask(self) -> BoolArray:
        """(H, W) bool."""
        return self.segment.mask


def make_prompts(detections: Sequence[Detection], probabilities: FloatArray | None) -> list[Prompt]:
    """One prompt for each animal.

    Of boxes that overlap by `SAME_BOX` or more the most confident stays; its strongest rival of
    another class is remembered. Regions where the prediction sees a class other than background
    and the detector nothing are added.

    Args:
        detections: Of one image.
        probabilities: (C, H, W) out-of-fold probabilities, or None.
    """
    prompts: list[Prompt] = []
    for found in sorted(detections, key=lambda each: (-each.confidence, each.label, each.box)):
        for place, kept in enumerate(prompts):
            if box_iou(kept.found.box, found.box) >= SAME_BOX:
                if kept.found.label != found.label and found.confidence > kept.rival:
                    prompts[place] = Prompt(kept.found, kept.source, found.confidence)
                break
        else:
            prompts.append(Prompt(found, DETECTOR))
    if probabilities is not None:
        prompts += _predicted(probabilities, [prompt.found for prompt in prompts])
    return prompts


def _predicted(probabilities: FloatArray, found: Sequence[Detection]) -> list[Prompt]:
    """Regions of the prediction that no detection's box covers."""
    predicted = probabilities.argmax(axis=0) != BACKGROUND
    # Thin bridges and specks of a small network are not worth a look.
    opened = np.asarray(ndimage.binary_opening(predicted, iterations=2))
    prompts = []
    for part in split_parts(opened, _REGION_SHARE * opened.size):
        box = bounding_box(part)
        assert box is not None
        boxes = np.zeros(part.shape, bool)
        for each in found:
            x0, y0, x1, y1 = (round(value) for value in each.box)
            boxes[y0:y1, x0:x1] = True
        if (part & boxes).sum() > _COVERED * part.sum():
            continue
        means = probabilities[1:, part].mean(axis=1)
        label = int(means.argmax()) + 1
        prompts.append(Prompt(Detection(box, label, float(means.sum())), PREDICTION))
    return prompts


def distinct(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Drop empty masks and, of masks that overlap by `SAME_MASK`, all but the first.

    The detector's candidates come before the prediction's, each the most confident first.
    """
    ordered = sorted(
        candidates,
        key=lambda each: (each.prompt.source != DETECTOR, -each.confidence, each.prompt.found.box),
    )
    kept: list[Candidate] = []
    for candidate in ordered:
        if candidate.mask.any() and all(
            mask_iou(candidate.mask, other.mask) < SAME_MASK for other in kept
        ):
            kept.append(candidate)
    return kept
