import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_calibration_error

from seglab.utils.calibration import calibration_histogram, expected_calibration_error


def loop_histogram(probabilities, truth, num_bins):
    """Pixel by pixel; bins ((b - 1) / B, b / B] as Guo et al. define them."""
    histogram = np.zeros((2, num_bins, 3))
    edges = [number / num_bins for number in range(num_bins + 1)]
    for y, x in np.argwhere(truth != 255):
        column = [float(p) for p in probabilities[:, y, x]]
        confidence = max(column)
        predicted = column.index(confidence)
        place = next(
            (b for b in range(num_bins) if edges[b] < confidence <= edges[b + 1]),
            0 if confidence <= 0 else num_bins - 1,
        )
        entry = [1.0, confidence, float(predicted == truth[y, x])]
        histogram[0, place] += entry
        if predicted != 0 or truth[y, x] != 0:
            histogram[1, place] += entry
    return histogram


def loop_error(bins):
    pixels = sum(row[0] for row in bins)
    if not pixels:
        return math.nan
    return sum(n / pixels * abs(right / n - sure / n) for n, sure, right in bins if n)


@st.composite
def predictions(draw):
    """Softmax probabilities and a truth with ignored pixels, 0 to 8 pixels a side."""
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    classes, height, width = draw(
        st.tuples(st.integers(1, 4), st.integers(0, 8), st.integers(1, 8))
    )
    logits = random.normal(
        scale=draw(st.sampled_from([0.0, 1.0, 5.0, 100.0])), size=(classes, height, width)
    )
    odds = np.exp(logits - logits.max(axis=0))
    probabilities = (odds / odds.sum(axis=0)).astype(
        draw(st.sampled_from([np.float32, np.float64]))
    )
    truth = random.integers(0, classes, (height, width))
    truth[random.random((height, width)) < draw(st.sampled_from([0.0, 0.3, 1.0]))] = 255
    return probabilities, truth


@given(predictions(), st.sampled_from([1, 4, 15]))
@settings(max_examples=150, deadline=None)
def test_histogram_and_error_equal_a_loop(sample, num_bins):
    probabilities, truth = sample
    histogram = calibration_histogram(probabilities, truth, num_bins=num_bins)
    assert histogram.shape == (2, num_bins, 3)
    assert histogram.dtype == np.float64
    expected = loop_histogram(probabilities, truth, num_bins)
    np.testing.assert_allclose(histogram, expected, rtol=1e-12)
    errors = [loop_error(bins) for bins in expected]
    np.testing.assert_allclose(expected_calibration_error(histogram), errors, atol=1e-12)


@given(predictions())
@settings(max_examples=60, deadline=None)
def test_error_equals_torchmetrics(sample):
    probabilities, truth = sample
    probabilities = 0.999 * probabilities + 0.001 / len(probabilities)  # see the next test
    if len(probabilities) < 2 or not (truth != 255).any():
        return
    expected = multiclass_calibration_error(
        torch.from_numpy(probabilities)[None],
        torch.from_numpy(truth)[None],
        num_classes=len(probabilities),
        n_bins=15,
        norm="l1",
        ignore_index=255,
    )
    error = expected_calibration_error(calibration_histogram(probabilities, truth))[0]
    assert error == pytest.approx(float(expected), abs=2e-6)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below():
    # torchmetrics puts it into the bin above, and 1 into a sixteenth bin of its own.
    for dtype in (np.float32, np.float64):
        probabilities = np.array([[[0.5, 1.0, 0.75]], [[0.5, 0.0, 0.25]]], dtype=dtype)
        histogram = calibration_histogram(probabilities, np.array([[0, 0, 1]]), num_bins=4)
        np.testing.assert_array_equal(histogram[0, :, 0], [0, 1, 1, 1])
        np.testing.assert_array_equal(histogram[0, :, 2], [0, 1, 0, 1])


def test_error_of_a_network_that_is_too_sure():
    probabilities = np.zeros((3, 10, 10))
    probabilities[0], probabilities[1] = 0.9, 0.1
    truth = np.zeros((10, 10), dtype=np.uint8)
    truth[:4] = 1
    histogram = calibration_histogram(probabilities, truth)
    errors = expected_calibration_error(histogram)
    np.testing.assert_allclose(errors, [0.3, 0.9])
    # Histograms of images add up, and stacks keep their shape.
    stack = np.stack([histogram, histogram, np.zeros_like(histogram)])
    np.testing.assert_allclose(expected_calibration_error(stack.sum(axis=0)), [0.3, 0.9])
    np.testing.assert_allclose(
        expected_calibration_error(stack), [[0.3, 0.9], [0.3, 0.9], [math.nan, math.nan]]
    )


def test_half_precision_may_round_above_one():
    probabilities = np.array([1.0005, 0.0]).reshape(2, 1, 1)
    assert calibration_histogram(probabilities, np.zeros((1, 1), int))[0, 14, 0] == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [([3.0, -1.0], "not logits"), ([math.nan, 0.5], "not logits"), ([-1.0, -2.0], "not logits")],
)
def test_what_is_no_probability_is_refused_unless_ignored(values, message):
    probabilities = np.array(values).reshape(2, 1, 1)
    with pytest.raises(ValueError, match=message):
        calibration_histogram(probabilities, np.zeros((1, 1), int))
    assert not calibration_histogram(probabilities, np.full((1, 1), 255)).any()


def test_bad_shapes_raise():
    with pytest.raises(ValueError, match=r"\(2, 3, 4\).*\(4, 3\)"):
        calibration_histogram(np.ones((2, 3, 4)), np.zeros((4, 3), int))
    with pytest.raises(ValueError, match=r"\(..., B, 3\)"):
        expected_calibration_error(np.ones((15, 2)))
