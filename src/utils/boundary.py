"""How well predicted contours follow the true ones: Boundary IoU, HD95 and NSD.

Every class but index 0 (the background) is an object class and has contours of its own.

| figure | formula |
|---|---|
| Boundary IoU | IoU of the pixels of truth and prediction within d of their own contours |
| HD95 | the larger of the 95th percentiles of both directed contour distances, in pixels |
| NSD | share of the contour pixels of both that are within a tolerance of the other contour |

Boundary IoU: Cheng et al., "Boundary IoU", CVPR 2021, with d = 2 % of the image's diagonal and the
image's edge counted as contour where an object touches it. HD95: Huttenlocher et al. (1993), in
the robust form of Maier-Hein et al., "Metrics reloaded", Nature Methods 2024. NSD (normalised
surface distance, surface Dice): Nikolov et al. (2021). A contour is the object's own pixels with
a 4-neighbour outside of it; distances are Euclidean, between pixel centres, computed by MONAI.

Policy for objects that are not there (Metrics reloaded): a class in neither truth nor prediction
has no value (NaN; it is left out of means, whose numbers are stated). A class in only one of the
two is as wrong as can be: HD95 is the image's diagonal, NSD and Boundary IoU are 0.

Ignored pixels take no part: they become background in truth and prediction alike, so that whatever
is predicted there changes nothing. Where both have an object that reaches into ignored pixels,
both end at the same line, and agree there.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from seglab.utils.test_utils import FloatArray, IntArray

#: Half-width of the boundary band as a share of the image's diagonal (Cheng et al., 2021).
DILATION_RATIO = 0.02
#: Contours at most so many pixels apart agree (NSD). Two pixels are what outlines drawn twice by
#: hand differ by at the sizes seglab trains at.
TOLERANCE_PIXELS = 2.0

_Mask = npt.NDArray[np.uint8]


class BoundaryScores(NamedTuple):
    """What is kept of an image's contours, for C - 1 object classes.

    Attributes:
        intersection: (C-1,) int64 pixels in the bands of both; with `union` the Boundary IoU.
        union: (C-1,) int64 pixels in the band of truth or prediction.
        hd95: (C-1,) float64 pixels; NaN for a class in neither.
        nsd: (C-1,) float64, 0 to 1; NaN for a class in neither.
        band_pixels: Counted pixels within the dilation of a line between two true classes, on
            both sides of it (the image's edge and ignored pixels make no such line).
        band_errors: The wrong ones among them.
    """

    intersection: IntArray
    union: IntArray
    hd95: FloatArray
    nsd: FloatArray
    band_pixels: int
    band_errors: int


def boundary_scores(
    prediction: npt.NDArray[np.integer],
    truth: npt.NDArray[np.integer],
    num_classes: int,
    ignore_index: int = 255,
    dilation_ratio: float = DILATION_RATIO,
    tolerance: float = TOLERANCE_PIXELS,
) -> BoundaryScores:
    """Compare the contours of one image's prediction with the true ones.

    Args:
        prediction: (H, W) predicted class indices, any integer type.
        truth: (H, W) true class indices.
        num_classes: Number of classes C, background included.
        ignore_index: Label, in the truth, of the pixels to leave out.
        dilation_ratio: Half-width of the boundary band as a share of the image's diagonal.
        tolerance: Distance in pixels up to which contours agree in the NSD.

    Returns:
        The counts and distances of every object class.

    Raises:
        ValueError: The shapes are not (H, W) and alike, or the image is empty.
    """
    if prediction.shape != truth.shape or truth.ndim != 2 or not truth.size:
        raise ValueError(
            f"the prediction is {prediction.shape} and the truth {truth.shape}: "
            "they must be alike, (H, W) and not empty"
        )
    diagonal = math.hypot(*truth.shape)
    dilation = boundary_width(truth.shape, dilation_ratio)
    counted = truth != ignore_index
    size = num_classes - 1
    intersection, union = np.zeros((2, size), dtype=np.int64)
    hd95, nsd = np.full((2, size), np.nan)
    for index in range(size):
        masks = [(labels == index + 1) & counted for labels in (prediction, truth)]
        predicted, true = (mask.view(np.uint8) for mask in masks)
        present = bool(predicted.any()), bool(true.any())
        if not any(present):
            continue
        bands = boundary_band(predicted, dilation), boundary_band(true, dilation)
        intersection[index] = np.count_nonzero(bands[0] & bands[1])
        union[index] = np.count_nonzero(bands[0] | bands[1])
        hd95[index], nsd[index] = diagonal, 0.0
        if all(present):
            hd95[index], nsd[index] = _surface_scores(predicted, true, tolerance)
    near = _near_true_contours(truth, counted, dilation)
    wrong = np.count_nonzero(near & (prediction != truth))
    return BoundaryScores(intersection, union, hd95, nsd, int(np.count_nonzero(near)), int(wrong))


def boundary_width(shape: tuple[int, ...], dilation_ratio: float = DILATION_RATIO) -> int:
    """The dilation of Boundary IoU for an (H, W) image, in whole pixels, at least 1."""
    return max(1, round(dilation_ratio * math.hypot(*shape)))


def boundary_band(mask: _Mask, dilation: int) -> _Mask:
    """The pixels of a mask within `dilation` of its contour (Cheng et al., 2021, G_d of G).

    The paper's code erodes `dilation` times by 3x3 in an image framed with zeros; once by a square
    of 2 * dilation + 1 with zeros outside is the same.

    Args:
        mask: (H, W) uint8, 0 or 1.
        dilation: Chebyshev distance in pixels.

    Returns:
        (H, W) uint8, 0 or 1.
    """
    eroded = cv2.erode(
        mask, _square(dilation), borderType=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0, 0)
    )
    return np.asarray(mask - eroded, dtype=np.uint8)


def _surface_scores(predicted: _Mask, true: _Mask, tolerance: float) -> tuple[float, float]:
    """HD95 in pixels and NSD, 0 to 1, of two masks that both hold something."""
    # MONAI takes torch and seconds to import, and only an evaluation needs it.
    from monai.metrics import get_mask_edges, get_surface_distance

    contours = get_mask_edges(predicted.view(np.bool_), true.view(np.bool_), crop=False)
    directed = [
        np.asarray(get_surface_distance(one, other), dtype=np.float64)
        for one, other in (contours, contours[::-1])
    ]
    hd95 = max(np.percentile(distance, 95.0) for distance in directed)
    nsd = np.mean(np.concatenate(directed) <= tolerance)
    return float(hd95), float(nsd)


def _near_true_contours(
    truth: npt.NDArray[np.integer], counted: npt.NDArray[np.bool_], dilation: int
) -> npt.NDArray[np.bool_]:
    """(H, W) counted pixels whose square of 2 * dilation + 1 holds two true classes."""
    square = _square(dilation)
    labels = truth.astype(np.uint8)
    # Ignored pixels must never be the largest or the smallest of a square; nor is what is outside.
    largest = cv2.dilate(np.where(counted, labels, 0).astype(np.uint8), square)
    smallest = cv2.erode(np.where(counted, labels, 255).astype(np.uint8), square)
    near: npt.NDArray[np.bool_] = (largest > smallest) & counted
    return near


def _square(radius: int) -> _Mask:
    """A square of ones, 2 * radius + 1 pixels a side."""
    return np.ones((2 * radius + 1,) * 2, dtype=np.uint8)
