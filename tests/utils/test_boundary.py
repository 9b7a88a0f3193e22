import math
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from monai.metrics import compute_hausdorff_distance, compute_surface_dice
from scipy import ndimage

from seglab.utils.boundary import boundary_band, boundary_scores, boundary_width

# MONAI's public functions pass an argument to themselves that they have deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


def loop_band(mask, dilation):
    """Pixels of the mask with a pixel outside of it, or of the image, in the square around them."""
    band = np.zeros(mask.shape, dtype=bool)
    height, width = mask.shape
    reach = range(-dilation, dilation + 1)
    for y, x in zip(*np.nonzero(mask), strict=True):
        around = ((y + v, x + u) for v in reach for u in reach)
        band[y, x] = any(not (0 <= v < height and 0 <= u < width and mask[v, u]) for v, u in around)
    return band


def eroded_band(mask, dilation):
    """The same as Cheng et al. compute it: 3x3 erosions, everything outside being zero."""
    square = np.ones((3, 3))
    return mask & ~ndimage.binary_erosion(mask, square, iterations=dilation, border_value=0)


def loop_contour(mask):
    """Coordinates of the object's pixels with a 4-neighbour outside of it or of the image."""
    points = []
    height, width = mask.shape
    for y, x in zip(*np.nonzero(mask), strict=True):
        for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if not (0 <= v < height and 0 <= u < width and mask[v, u]):
                points.append((y, x))
                break
    return points


def loop_surface(predicted, true, tolerance):
    """HD95 and NSD by looking at every pair of contour pixels, in float64."""
    one, other = loop_contour(predicted), loop_contour(true)
    directed = [
        sorted(min(math.dist(p, q) for q in targets) for p in points)
        for points, targets in ((one, other), (other, one))
    ]
    near = sum(distance <= tolerance for distances in directed for distance in distances)
    percentiles = []
    for distances in directed:  # linear interpolation between order statistics
        place = 0.95 * (len(distances) - 1)
        low = int(place)
        high = min(low + 1, len(distances) - 1)
        percentiles.append(distances[low] + (place - low) * (distances[high] - distances[low]))
    return max(percentiles), near / (len(one) + len(other))


def transform_surface(predicted, true, tolerance):
    """The same by SciPy's distance transforms, quick enough for whole images."""
    edges = [m & ~ndimage.binary_erosion(m) for m in (predicted, true)]
    directed = [
        ndimage.distance_transform_edt(~target)[edge] for edge, target in (edges, edges[::-1])
    ]
    near = np.concatenate(directed) <= tolerance
    return max(np.percentile(d, 95) for d in directed), near.mean()


def loop_near(truth, dilation):
    """Counted pixels with another true class in the square around them, or between two such."""
    near = np.zeros(truth.shape, dtype=bool)
    for y, x in np.argwhere(truth != 255):
        window = truth[
            max(0, y - dilation) : y + dilation + 1, max(0, x - dilation) : x + dilation + 1
        ]
        near[y, x] = len(set(window[window != 255].tolist())) > 1
    return near


@st.composite
def images(draw, ignored=True):
    """Prediction and truth of 1 to 14 pixels a side with 3 classes; blobs or noise."""
    shape = draw(st.tuples(st.integers(1, 14), st.integers(1, 14)))
    present = st.sampled_from(draw(st.sampled_from([(0,), (1,), (0, 1), (0, 1, 2), (0, 0, 0, 2)])))
    masks = []
    for _ in range(2):
        mask = draw(hnp.arrays(np.uint8, shape, elements=present, fill=present))
        for _ in range(draw(st.integers(0, 2))):
            top, left = draw(st.integers(0, shape[0])), draw(st.integers(0, shape[1]))
            mask[top : top + 7, left : left + 7] = draw(present)
        masks.append(mask)
    if ignored and draw(st.booleans()):
        masks[1][draw(hnp.arrays(bool, shape))] = 255
    return masks


@given(images(ignored=False), st.sampled_from([0.02, 0.1, 0.2, 0.5]))
@settings(max_examples=200, deadline=None)
def test_boundary_iou_equals_loops_and_iterated_erosion(masks, ratio):
    prediction, truth = masks
    scores = boundary_scores(prediction, truth, 3, dilation_ratio=ratio)
    assert scores.intersection.dtype == scores.union.dtype == np.int64
    dilation = max(1, round(ratio * math.dist((0, 0), truth.shape)))
    for label in (1, 2):
        bands = [loop_band(mask == label, dilation) for mask in masks]
        np.testing.assert_array_equal(bands[0], eroded_band(prediction == label, dilation))
        band = boundary_band((prediction == label).astype(np.uint8), dilation)
        np.testing.assert_array_equal(band, bands[0])
        assert scores.intersection[label - 1] == (bands[0] & bands[1]).sum()
        assert scores.union[label - 1] == (bands[0] | bands[1]).sum()


@pytest.mark.parametrize(
    ("shape", "width"), [((256, 256), 7), ((10, 10), 1), ((1, 1), 1), ((480, 640), 16)]
)
def test_dilation_is_two_percent_of_the_diagonal_and_at_least_a_pixel(shape, width):
    assert boundary_width(shape) == width
    full = np.ones(shape, dtype=np.uint8)
    inner = np.prod([max(0, side - 2 * width) for side in shape])
    assert boundary_band(full, width).sum() == full.size - inner  # the image's edge is a contour


@given(images(), st.sampled_from([0.0, 1.0, 2.0, 2.5]))
@settings(max_examples=200, deadline=None)
def test_distances_equal_loops_over_contour_pixels(masks, tolerance):
    prediction, truth = masks
    scores = boundary_scores(prediction, truth, 3, tolerance=tolerance)
    for label in (1, 2):
        predicted, true = ((m == label) & (truth != 255) for m in masks)
        if predicted.any() and true.any():
            expected = loop_surface(predicted, true, tolerance)
        elif predicted.any() or true.any():
            expected = math.hypot(*truth.shape), 0.0
        else:
            expected = math.nan, math.nan
        actual = scores.hd95[label - 1], scores.nsd[label - 1]
        np.testing.assert_allclose(actual, expected, rtol=1e-6)


def blobs(seed, size=256):
    """A prediction and a truth of three classes with wavy contours."""
    random = np.random.default_rng(seed)
    waves = ndimage.gaussian_filter(random.normal(size=(2, size, size)), (0, 12, 12))
    truth = np.digitize(waves[0], np.quantile(waves[0], [0.6, 0.85]))
    noisy = 0.97 * waves[0] + 0.2 * waves[1]
    return np.digitize(noisy, np.quantile(noisy, [0.6, 0.85])), truth


def test_distances_equal_scipys_transform_and_monais_own_metrics():
    for seed in range(3):
        prediction, truth = blobs(seed)
        scores = boundary_scores(prediction, truth, 3)
        one_hot = [
            torch.stack([torch.from_numpy(m == c) for c in (1, 2)])[None]
            for m in (prediction, truth)
        ]
        options = {"include_background": True}
        hd95 = compute_hausdorff_distance(*one_hot, percentile=95, **options)[0]
        nsd = compute_surface_dice(*one_hot, class_thresholds=[2.0, 2.0], **options)[0]
        np.testing.assert_allclose(scores.hd95, hd95.numpy(), rtol=1e-5)
        np.testing.assert_allclose(scores.nsd, nsd.numpy(), rtol=1e-6)
        for label in (1, 2):
            expected = transform_surface(prediction == label, truth == label, 2.0)
            actual = scores.hd95[label - 1], scores.nsd[label - 1]
            np.testing.assert_allclose(actual, expected, rtol=1e-6)


@given(images(), st.sampled_from([0.02, 0.2]))
@settings(max_examples=150, deadline=None)
def test_band_equals_a_loop(masks, ratio):
    prediction, truth = masks
    scores = boundary_scores(prediction, truth, 3, dilation_ratio=ratio)
    near = loop_near(truth, boundary_width(truth.shape, ratio))
    assert scores.band_pixels == near.sum()
    assert scores.band_errors == (near & (prediction != truth)).sum()
    assert type(scores.band_pixels) is type(scores.band_errors) is int


@given(images(), st.data())
@settings(max_examples=100, deadline=None)
def test_ignored_pixels_take_no_part(masks, data):
    prediction, truth = masks
    other = np.where(truth == 255, data.draw(hnp.arrays(np.uint8, truth.shape)), prediction)
    for ours, theirs in zip(
        boundary_scores(prediction, truth, 3), boundary_scores(other, truth, 3), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)
    # Objects are scored as if the ignored pixels were background in both.
    cleared = [np.where(truth == 255, 0, mask) for mask in (prediction, truth)]
    for ours, theirs in zip(
        boundary_scores(prediction, truth, 3)[:4], boundary_scores(*cleared, 3)[:4], strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_shift_is_measured_in_pixels():
    truth = np.zeros((40, 60), dtype=np.int64)
    truth[10:30, 10:30] = 1
    scores = boundary_scores(np.roll(truth, 3, axis=1), truth, 3)
    assert scores.hd95[0] == 3
    assert 0.5 < scores.nsd[0] < 0.7  # the sides that moved along themselves still agree
    perfect = boundary_scores(truth, truth, 3)
    assert (perfect.hd95[0], perfect.nsd[0], perfect.band_errors) == (0, 1, 0)
    assert perfect.intersection[0] == perfect.union[0] > 0
    assert np.isnan(perfect.hd95[1])
    assert np.isnan(perfect.nsd[1])
    assert perfect.union[1] == 0


def test_an_object_in_only_one_of_both_is_as_wrong_as_can_be():
    truth = np.zeros((30, 40), dtype=np.uint8)
    prediction = truth.copy()
    prediction[5:9, 5:9] = 1
    for pair in ((prediction, truth), (truth, prediction)):
        scores = boundary_scores(*pair, 2)
        assert (scores.hd95[0], scores.nsd[0]) == (50, 0)
        assert scores.intersection[0] == 0 < scores.union[0]


def test_background_alone_and_everything_ignored():
    nothing = boundary_scores(np.zeros((4, 4), int), np.zeros((4, 4), int), 1)
    assert nothing.hd95.shape == nothing.union.shape == (0,)
    ignored = boundary_scores(np.ones((4, 4), int), np.full((4, 4), 255), 3)
    assert np.isnan(ignored.hd95).all()
    assert (ignored.band_pixels, ignored.band_errors) == (0, 0)
    assert (
        boundary_scores(np.ones((4, 4), int), np.full((4, 4), 7), 3, ignore_index=7).band_pixels
        == 0
    )


@pytest.mark.parametrize("shapes", [((2, 3), (3, 2)), ((4,), (4,)), ((0, 3), (0, 3))])
def test_bad_shapes_raise(shapes):
    prediction, truth = (np.zeros(shape, dtype=np.uint8) for shape in shapes)
    with pytest.raises(ValueError, match="alike"):
        boundary_scores(prediction, truth, 3)


def test_cost_of_an_image():
    prediction, truth = blobs(0)
    boundary_scores(prediction, truth, 3)
    times = []
    for _ in range(15):
        start = time.process_time()
        boundary_scores(prediction, truth, 3)
        times.append(time.process_time() - start)
    assert min(times) < 15e-3


def test_importing_needs_neither_torch_nor_monai():
    code = (
        "import sys, seglab.utils.boundary, seglab.utils.image_results, seglab.utils.breakdown\n"
        "sys.exit(bool({'torch', 'monai', 'mmengine', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
