"""A detector's second opinion on a mask and on what the out-of-fold predictions see.

A small model that knows only the data set's classes takes a horse for a dog: it never learned what
a horse is. A detector that was trained on many classes did; where it sees another animal, the
model's belief in an object is taken back. A detector that also segments looks again at every
place where the mask or the model has an object, enlarged. Then a mask is as suspicious as its best
witness leaves it: detector, enlarged look or model, whichever agrees with it most. Where the
detector sees nothing it has no opinion: hard photographs are no bad masks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from seglab.data.auditing.components import BoolArray, FloatArray, Region, box_of, outline_of
from seglab.data.detection import Detection, Detector, class_map_for, load_detector
from seglab.data.detection.geometry import box_iou, mask_iou
from seglab.data.detection.look import Look
from seglab.utils.masks import BACKGROUND, ImageArray, MaskArray

#: COCO's animals, bird to giraffe: those that are no class of the data set count as background.
COCO_ANIMALS = range(14, 24)
UNLABELLED, UNCONFIRMED = "unlabelled", "unconfirmed"
#: A detector is asked for everything from this confidence on.
LOWEST = 0.1
#: Below it a detection on the whole image is not sure enough to count as a witness.
SURE = 0.5
_VETO = 0.25  # confidence from which another animal is believed
_COVERED = 0.2  # an animal is labelled where the mask covers this share of its mask or box
_SAME_BOX = 0.5  # IoU of boxes from which two detections are of the same animal
_MARGIN = 0.25  # how far an enlarged look reaches beyond an object, in its longer side
_JOIN = 3  # pixels; objects nearer to one another than twice this are looked at together
_SMALLEST = 100  # pixels of a window; smaller ones are specks
_BELIEF = 0.3  # an enlarged look sees an object where mean mask x sqrt(confidence) reaches it
_VISIBLE = 30  # pixels below which a witness has seen nothing


@dataclass(frozen=True)
class Opinion:
    """What a detector says of an image.

    Attributes:
        detections: On the whole image; other animals have the label `BACKGROUND`.
        closer: (H, W) objects seen in enlarged looks; None where the detector does not segment.
        judged: (H, W) the pixels that a mask is judged by; None for all of them.
    """

    detections: tuple[Detection, ...] = ()
    closer: BoolArray | None = None
    judged: BoolArray | None = None


class Witness(NamedTuple):
    """Who agrees best with a mask: a name for people, the objects seen and their IoU."""

    name: str
    objects: BoolArray
    agreement: float


def with_other_animals(class_map: Mapping[int, int]) -> dict[int, int]:
    """The map with COCO's other animals as background, see `class_map_for`."""
    return {**dict.fromkeys(COCO_ANIMALS, BACKGROUND), **class_map}


def load_audit_detector(
    weights: str, classes: Sequence[str], overrides: Sequence[str] = (), device: str = "auto"
) -> Detector:
    """Load a detector for second opinions, see `load_detector`.

    Args:
        weights: A file or an official name.
        classes: The data set's class names.
        overrides: Of the class table, see `class_map_for`.
        device: 'auto', 'cpu' or 'cuda'.

    Raises:
        UserError: The extra is not installed, or weights or classes do not fit.
    """
    class_map = with_other_animals(class_map_for(classes, overrides))
    return load_detector(weights, class_map, device, min_confidence=LOWEST)


def ask(
    detector: Detector, image: ImageArray, mask: MaskArray, chances: FloatArray | None
) -> Opinion:
    """Ask a detector about an image.

    Args:
        detector: Loaded with `with_other_animals`, from the confidence `LOWEST` on.
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) class indices.
        chances: (C, H, W) out-of-fold probabilities, or None.
    """
    detections = tuple(detector.detect([image])[0])
    if not detector.segments:
        return Opinion(detections)
    places = mask != BACKGROUND
    if chances is not None:
        places = places | (chances[BACKGROUND] < 0.5)
    joined = ndimage.binary_dilation(places, iterations=_JOIN)
    numbered, _ = ndimage.label(joined)
    belief = np.zeros(mask.shape, np.float32)
    for window in ndimage.find_objects(numbered):
        x0, y0, x1, y1 = box_of(window)
        if (x1 - x0) * (y1 - y0) >= _SMALLEST:
            belief = np.maximum(belief, _belief(detector, image, (x0, y0, x1, y1)))
    return Opinion(detections, belief >= _BELIEF)


def _belief(
    detector: Detector, image: ImageArray, box: tuple[float, float, float, float]
) -> FloatArray:
    """Mean over an enlarged look and its mirror image of mask x sqrt(confidence): (H, W)."""
    looks = [Look.at(image, box, _MARGIN, mirrored) for mirrored in (False, True)]
    total = np.zeros(image.shape[:2], np.float32)
    for look, seen in zip(looks, detector.detect([look.picture for look in looks]), strict=True):
        each = [
            look.place_mask(item, image.shape) * np.float32(item.confidence**0.5)
            for item in seen
            if item.label != BACKGROUND
        ]
        total += np.max(each, axis=0) / len(looks) if each else 0
    return total


def without_other_animals(chances: FloatArray, detections: Sequence[Detection]) -> FloatArray:
    """Take back the belief in objects where the detector sees another animal.

    The probability of each object class is multiplied by 1 - confidence inside the other
    animal's box; background gets what they lose.

    Args:
        chances: (C, H, W) probabilities.
        detections: With `BACKGROUND` as the label of other animals.

    Returns:
        (C, H, W) float32; the same array where there is nothing to take back.
    """
    own = [item for item in detections if item.label != BACKGROUND]
    others = [
        item
        for item in detections
        if item.label == BACKGROUND
        and item.confidence >= _VETO
        and not any(_rivals(item, one) for one in own)
    ]
    if not others:
        return chances
    keep = np.ones(chances.shape[1:], np.float32)
    for item in others:
        x0, y0, x1, y1 = (round(value) for value in item.box)
        keep[y0:y1, x0:x1] = np.minimum(keep[y0:y1, x0:x1], 1 - item.confidence)
    adjusted = chances * keep
    objects = np.delete(adjusted, BACKGROUND, axis=0).sum(axis=0)
    adjusted[BACKGROUND] = np.maximum(1 - objects, 0)  # stored in half precision, sums exceed 1
    return np.asarray(adjusted, dtype=np.float32)


def unlabelled_regions(mask: MaskArray, detections: Sequence[Detection]) -> list[Region]:
    """Animals that the detector is sure of and the mask does not cover.

    Args:
        mask: (H, W) class indices; pixels to ignore count as covered.
        detections: Of its image.
    """
    found = []
    for item in detections:
        where = _area_of(item, mask.shape)
        sure = item.label != BACKGROUND and item.confidence >= SURE and bool(where.any())
        if sure and (mask[where] != BACKGROUND).mean() < _COVERED:
            found.append(_region(UNLABELLED, where, item.confidence, item.label))
    return found


def best_witness(mask: MaskArray, chances: FloatArray | None, opinion: Opinion) -> Witness | None:
    """Who agrees best with where a mask has objects.

    Args:
        mask: (H, W) class indices; `BACKGROUND` where pixels are not judged.
        chances: (C, H, W) out-of-fold probabilities, or None.
        opinion: From `ask`.

    Returns:
        The witness; None where the detector saw nothing in the pixels that are judged, or does
        not segment.
    """
    if opinion.closer is None:
        return None
    sure = np.zeros(mask.shape, bool)
    for item in opinion.detections:
        if item.label != BACKGROUND and item.confidence >= SURE and item.mask is not None:
            sure |= item.mask
    judged = np.ones(mask.shape, bool) if opinion.judged is None else opinion.judged
    views = {
        "the detector on the enlarged image": opinion.closer & judged,
        "the detector": sure & judged,
    }
    if all(view.sum() < _VISIBLE for view in views.values()):
        return None
    if chances is not None:
        views["the model"] = (chances[BACKGROUND] < 0.5) & judged
    labelled = mask != BACKGROUND
    seen = [
        Witness(name, view, mask_iou(labelled, view))
        for name, view in views.items()
        if view.sum() >= _VISIBLE
    ]
    return max(seen, key=lambda witness: witness.agreement)


def witness_region(witness: Witness) -> Region:
    """What the best witness sees, to be drawn."""
    return _region(UNCONFIRMED, witness.objects, witness.agreement, BACKGROUND)


def _region(kind: str, where: BoolArray, confidence: float, label: int) -> Region:
    window = ndimage.find_objects(where.astype(np.uint8))[0]
    outline = outline_of(where[window], window)
    area = int(where.sum())
    weight = float(area * confidence)
    return Region(kind, box_of(window), area, weight, confidence, BACKGROUND, label, outline)


def _area_of(item: Detection, shape: tuple[int, ...]) -> BoolArray:
    """The pixels of a detection: its mask, or its box where it has none: (H, W) bool."""
    if item.mask is not None:
        return item.mask
    x0, y0, x1, y1 = (round(value) for value in item.box)
    where = np.zeros(shape, bool)
    where[y0:y1, x0:x1] = True
    return where


def _rivals(other: Detection, own: Detection) -> bool:
    """Whether a class of the data set was seen in the same place, not much less surely."""
    return own.confidence > other.confidence / 2 and box_iou(other.box, own.box) > _SAME_BOX
