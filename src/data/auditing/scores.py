"""How suspicious a mask is, in several ways; each figure is 0 (fine) to 1 (bad).

| figure | formula | source |
|---|---|---|
| `softmin` | 1 - sum(s softmax((1 - s) / 0.1)), s = probability of the label, over pixels | Lad & Mueller, "Estimating label quality and errors in semantic segmentation data via any model" (2023), computed by cleanlab |
| `hard_iou` | 1 - IoU of predicted and labelled object pixels, whatever their class | Jaccard |
| `expected_iou` | 1 - sum of q over labelled / (labelled pixels + sum of q elsewhere), q = p(any object) | ratio of the expectations of the IoU's parts |
| `disagreement` | weight of the missing and the spurious regions / pixels mask or model call object | Rottmann & Reese (2023), components |
| `largest` | the heaviest such region's weight / the same pixels | the same |
| `missing` | M / (labelled pixels + M), M = sum of q over unlabelled pixels | first part of `expected_iou` |
| `spurious` | sum of 1 - q over labelled pixels / the same | second part of `expected_iou` |
| `class_flip` | weight of the class-flip regions / pixels mask or model call object | the same |

Whether there is an object and which class it has are kept apart: a small model finds animals well
but takes some cats for dogs, which would drown the rest.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from cleanlab.segmentation.rank import get_label_quality_scores

from seglab.data.auditing.components import FLIPPED, FloatArray, Region
from seglab.utils.masks import BACKGROUND, MaskArray

SCORES = (
    "softmin",
    "hard_iou",
    "expected_iou",
    "disagreement",
    "largest",
    "missing",
    "spurious",
    "class_flip",
)


def softmin(labels: npt.NDArray[np.int64], chances: FloatArray) -> float:
    """Label quality as cleanlab computes it, 0 to 1: high where the label is right.

    Args:
        labels: (N,) classes of the pixels that count.
        chances: (C, N) their probabilities.
    """
    if not labels.size:
        return 1.0
    quality, _ = get_label_quality_scores(
        labels[None, None], chances[None, :, None].astype(np.float64), verbose=False
    )
    return float(quality[0])


def image_scores(
    mask: MaskArray,
    probabilities: FloatArray,
    regions: Sequence[Region],
    ignore_index: int = 255,
) -> dict[str, float]:
    """Every figure of this module for one image.

    Args:
        mask: (H, W) class indices.
        probabilities: (C, H, W) out-of-fold probabilities.
        regions: From `disagreement_regions`.
        ignore_index: Label of pixels that are not judged.

    Returns:
        Name -> 0 to 1; 0 where neither mask nor model has an object.
    """
    counted = mask != ignore_index
    labels = mask[counted].astype(np.int64)
    chances = probabilities[:, counted]
    seen = chances.argmax(axis=0) != BACKGROUND
    chance = 1 - chances[BACKGROUND].astype(np.float64)  # of any object
    objects = labels != BACKGROUND
    union = float((objects | seen).sum())
    missing = float(chance[~objects].sum())
    spurious = float((1 - chance)[objects].sum())
    disputed = (float(objects.sum()) + missing) or 1.0
    apart = [region.weight for region in regions if region.kind != FLIPPED]
    flips = [region.weight for region in regions if region.kind == FLIPPED]
    if not union:  # neither has an object
        return dict.fromkeys(SCORES, 0.0) | {"softmin": 1 - softmin(labels, chances)}
    return {
        "softmin": 1 - softmin(labels, chances),
        "hard_iou": 1 - float((objects & seen).sum()) / union,
        "expected_iou": (missing + spurious) / disputed,
        "disagreement": min(sum(apart) / union, 1.0),
        "largest": min(max(apart, default=0.0) / union, 1.0),
        "missing": missing / disputed,
        "spurious": spurious / disputed,
        "class_flip": min(sum(flips) / union, 1.0),
    }
