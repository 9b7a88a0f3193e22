"""Whether a network's probabilities can be believed: calibration over pixels.

The confidence of a pixel is the probability of its predicted class. A calibrated network is right
at 80 % of the pixels it is 80 % sure of. Pixels are sorted by confidence into B equal bins,
((b - 1) / B, b / B], and the expected calibration error is the mean gap between the accuracy of a
bin and its mean confidence, weighted by pixels (Naeini et al., 2015; Guo et al., "On calibration of
modern neural networks", ICML 2017):

    ECE = sum over b of n_b / n * |correct_b / n_b - confidence_b / n_b|

The histograms of images add up, so that an error of a split is that of all its pixels.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from seglab.utils.test_utils import FloatArray

#: Equal-width bins of confidence, as many as in Guo et al. (2017).
NUM_BINS = 15
_ROUNDING = 1e-3  # what half-precision probabilities may exceed 1 by


def calibration_histogram(
    probabilities: npt.NDArray[np.floating],
    truth: npt.NDArray[np.integer],
    ignore_index: int = 255,
    num_bins: int = NUM_BINS,
) -> FloatArray:
    """Count the pixels of one image by confidence.

    Args:
        probabilities: (C, H, W) probability of each class, any floating type.
        truth: (H, W) true class indices.
        ignore_index: Label of the pixels to leave out.
        num_bins: Number of equal bins from 0 to 1, B.

    Returns:
        (2, B, 3) float64. First axis: all counted pixels; those of them whose truth or prediction
        is an object (not class 0). Last axis: pixels, sum of confidence, correct pixels.

    Raises:
        ValueError: The shapes do not fit, or a counted pixel's confidence is no probability.
    """
    if probabilities.ndim != 3 or probabilities.shape[1:] != truth.shape:
        raise ValueError(
            f"the probabilities are {probabilities.shape} and the truth {truth.shape}: "
            "expected (C, H, W) and (H, W)"
        )
    counted = truth != ignore_index
    prediction = np.argmax(probabilities, axis=0)
    confidence = np.max(probabilities, axis=0)[counted].astype(np.float64)
    if not np.all((confidence >= 0.0) & (confidence <= 1.0 + _ROUNDING)):
        raise ValueError("the confidences are not all from 0 to 1: pass probabilities, not logits")
    predicted, true = prediction[counted], truth[counted]
    # How many inner edges lie below: a confidence on an edge belongs to the bin that ends there.
    inner_edges = np.linspace(0.0, 1.0, num_bins + 1)[1:-1]
    bins = np.searchsorted(inner_edges, confidence, side="left")
    correct = (predicted == true).astype(np.float64)
    histogram = np.zeros((2, num_bins, 3))
    for kind, chosen in enumerate((slice(None), (predicted != 0) | (true != 0))):
        for column, weights in enumerate((None, confidence[chosen], correct[chosen])):
            histogram[kind, :, column] = np.bincount(bins[chosen], weights, minlength=num_bins)
    return histogram


def expected_calibration_error(histogram: npt.ArrayLike) -> FloatArray:
    """The expected calibration error of histograms.

    Args:
        histogram: (..., B, 3) from `calibration_histogram`, or sums of such.

    Returns:
        (...) float64, 0 to 1; NaN where there are no pixels.

    Raises:
        ValueError: The histogram is not (..., B, 3).
    """
    bins = np.asarray(histogram, dtype=np.float64)
    if bins.ndim < 2 or bins.shape[-1] != 3:
        raise ValueError(f"expected a (..., B, 3) histogram, got {bins.shape}")
    gaps = np.abs(bins[..., 2] - bins[..., 1]).sum(axis=-1)
    pixels = bins[..., 0].sum(axis=-1)
    return np.asarray(np.where(pixels > 0, gaps / np.where(pixels > 0, pixels, 1.0), np.nan))
