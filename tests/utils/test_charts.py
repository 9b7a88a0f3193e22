import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seglab.utils.charts import (
    _compact,
    plot_confusion_matrix,
    plot_metric_distribution,
    plot_reliability_diagram,
)
from seglab.utils.masks import class_colors

NAMES = ("background", "cat", "dog")


def texts_of(axis):
    return {tuple(text.get_position()): text.get_text() for text in axis.texts}


def test_confusion_matrix_is_row_normalised_with_counts(tmp_path, drawn, check_readable):
    matrix = np.array([[30000, 10000, 0], [2, 99_997, 1], [0, 0, 0]])
    check_readable(plot_confusion_matrix(matrix, ("a$b", "cat", "dog"), tmp_path / "matrix.png"))
    axis = drawn[0].axes[0]
    texts = texts_of(axis)
    assert texts[0, 0] == "75.0 %\n30,000"
    assert texts[1, 0] == "25.0 %\n10,000"  # column 1, row 0: truth a, predicted cat
    assert texts[2, 0] == "0"
    assert texts[2, 1] == "<0.1 %\n1"
    assert texts[0, 2] == "no pixels"
    np.testing.assert_allclose(axis.images[0].get_array()[0], [75, 25, 0])


@pytest.mark.parametrize("size", [1, 8, 12, 20, 70])
def test_confusion_matrix_of_other_sizes(tmp_path, drawn, check_readable, size):
    matrix = np.random.default_rng(0).integers(0, 99_999_999, (size, size))
    names = [f"{'long ' * (i % 5)}name {i}" for i in range(size)]
    check_readable(plot_confusion_matrix(matrix, names, tmp_path / "m.png"))
    axis = drawn[0].axes[0]
    assert len(axis.texts) == (size**2 if size <= 20 else 0)
    drawn[0].draw_without_rendering()
    cell = axis.get_window_extent().width / size
    widest = max((text.get_window_extent().width for text in axis.texts), default=0)
    assert widest < cell, "the numbers of neighbouring cells touch"


def test_confusion_matrix_of_other_classes(tmp_path):
    with pytest.raises(ValueError, match="expected a"):
        plot_confusion_matrix(np.eye(4), NAMES, tmp_path / "m.png")


@given(st.integers(0, 999_499_999_999))
def test_compact_counts(count):
    text = _compact(count)
    assert len(text) <= 5
    unit = {"k": 1e3, "M": 1e6, "G": 1e9}.get(text[-1], 1)
    assert float(text.rstrip("kMG")) * unit == pytest.approx(count, rel=0.0051)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0"), (999, "999"), (1000, "1.00k"), (12_345, "12.3k"), (999_499, "999k"),
     (999_500, "1.00M"), (9_996, "10.0k"), (99_960, "100k"), (2_000_000_000, "2.00G")],
)  # fmt: skip
def test_compact_counts_at_the_edges(count, text):
    assert _compact(count) == text


def make_histogram(seed=0, pixels=5000, bins=15):
    """(B, 3) by a loop over pixels, and its ECE by another."""
    random = np.random.default_rng(seed)
    histogram = np.zeros((bins, 3))
    for confidence in random.uniform(0.34, 1, pixels):
        histogram[min(int(confidence * bins), bins - 1)] += 1, confidence, random.random() < 0.7
    error = 0.0
    for number, confidence, correct in histogram:
        if number:
            error += number / pixels * abs(correct / number - confidence / number)
    return histogram, 100 * error


def test_reliability_diagram(tmp_path, drawn, check_readable):
    (every, error), (objects, object_error) = make_histogram(), make_histogram(1, 300)
    path = tmp_path / "r.png"
    check_readable(plot_reliability_diagram(np.stack([every, objects]), path, "H1 on $val"))
    axes = drawn[0].axes
    assert [axis.get_title() for axis in axes[:2]] == [
        f"all pixels: ECE {error:.2f} %",
        f"object pixels: ECE {object_error:.2f} %",
    ]
    assert [axis.get_xlabel() for axis in axes[2:]] == [
        "confidence (5,000 pixels)",
        "confidence (300 pixels)",
    ]
    for axis, histogram in zip(axes, (every, objects), strict=False):
        filled = [index for index, row in enumerate(histogram) if row[0]]
        accuracy, over, under = axis.containers
        assert [round(bar.get_x() * 15) for bar in accuracy] == filled
        heights = [histogram[i, 2] / histogram[i, 0] for i in filled]
        np.testing.assert_allclose([bar.get_height() for bar in accuracy], heights)
        gaps = {round(bar.get_x() * 15): (bar.get_y(), bar.get_height()) for bar in over}
        assert all(height > 0 for _, height in gaps.values())
        gaps |= {round(bar.get_x() * 15): (bar.get_y(), bar.get_height()) for bar in under}
        assert len(over) + len(under) == len(filled)
        for i, height in zip(filled, heights, strict=True):
            confidence = histogram[i, 1] / histogram[i, 0]
            np.testing.assert_allclose(gaps[i], (height, confidence - height))
        assert axis.lines[0].get_xydata().tolist() == [[0, 0], [1, 1]]
    np.testing.assert_allclose(axes[2].patches[0].get_data().values, every[:, 0])
    # Shape as well as colour tells over- from underconfident.
    over, under = drawn[0].legends[0].get_patches()[1:]
    assert over.get_hatch() != under.get_hatch()


def test_reliability_diagram_of_all_pixels_alone(tmp_path, drawn, check_readable):
    histogram, error = make_histogram()
    check_readable(plot_reliability_diagram(histogram, tmp_path / "r.png", "a long title " * 9))
    assert drawn[0].axes[0].get_title() == f"all pixels: ECE {error:.2f} %"


@pytest.mark.parametrize("shape", [(3,), (15, 2), (3, 15, 3), (2, 0, 3), (2, 2, 15, 3)])
def test_reliability_diagram_of_something_else(tmp_path, shape):
    with pytest.raises(ValueError, match="expected a"):
        plot_reliability_diagram(np.ones(shape), tmp_path / "r.png")


def test_reliability_diagram_without_objects(tmp_path, drawn):
    histogram, _ = make_histogram()
    plot_reliability_diagram(np.stack([histogram, 0 * histogram]), tmp_path / "r.png")
    assert drawn[0].axes[1].get_title() == "object pixels: no pixels"


def test_distribution(tmp_path, drawn, check_readable):
    random = np.random.default_rng(0)
    scores = np.clip(100 - random.gamma(1.5, 8, 60), 0, 100)
    scores[[3, 7]] = np.nan
    groups = {
        "cat": random.random(60) < 0.6,
        "dog": np.arange(60) % 2 == 0,
        "neither": [False] * 60,
    }
    path = tmp_path / "d.png"
    check_readable(plot_metric_distribution(scores, path, "mDice", groups, NAMES))
    figure, (histogram, strips) = drawn[0], drawn[0].axes
    values = [score for score in scores.tolist() if score == score]
    assert figure.get_suptitle() == "mDice of each image: 60 images, 2 without a value"
    assert sum(bar.get_height() for bar in histogram.patches) == 58
    assert [text.get_text() for text in histogram.get_legend().texts] == [
        f"mean {statistics.fmean(values):.2f}",
        f"median {statistics.median(values):.2f}",
    ]
    assert [line.get_xdata()[0] for line in histogram.lines] == pytest.approx(
        [statistics.fmean(values), statistics.median(values)]
    )
    members = [
        [s for s, inside in zip(scores.tolist(), mask, strict=True) if inside and s == s]
        for mask in groups.values()
    ]
    assert [label.get_text() for label in strips.get_yticklabels()] == [
        f"{name} (n = {len(found)})" for name, found in zip(groups, members, strict=True)
    ]
    dots = [line for line in strips.lines if line.get_marker() == "."]
    assert [sorted(line.get_xdata()) for line in dots] == [sorted(found) for found in members]
    boxes = [box.get_facecolor()[:3] for box in strips.patches]
    np.testing.assert_allclose(boxes[:2], class_colors(3)[1:] / 255)
    means = [line.get_xdata()[0] for line in strips.lines if line.get_marker() == "D"][:2]
    assert means == pytest.approx([statistics.fmean(found) for found in members[:2]])


@pytest.mark.parametrize(
    ("scores", "metric"),
    [
        ([99.5], "mDice"),
        ([100.0] * 4, "mDice"),
        ([0.0, 100.0], "Dice/dog"),
        ([3.0, 0.25, 250.0], "HD95/dog"),
        ([0.0, 0.0], "mHD95"),
        (np.linspace(91, 100, 30), "Dice/" + "long name " * 8),
    ],
)
def test_distributions_of_other_ranges(tmp_path, drawn, check_readable, scores, metric):
    groups = {"dog": np.arange(len(scores)) == 0}
    check_readable(plot_metric_distribution(scores, tmp_path / "d.png", metric, groups, NAMES))
    assert sum(bar.get_height() for bar in drawn[0].axes[0].patches) == len(scores)
    unit = "pixels" if "HD95" in metric else "%"
    assert f"({unit})" in drawn[0].axes[-1].get_xlabel()


@pytest.mark.parametrize("scores", [[], [np.nan, np.inf]])
def test_distribution_of_nothing(tmp_path, drawn, check_readable, scores):
    groups = {"cat": [True] * len(scores)}
    check_readable(plot_metric_distribution(scores, tmp_path / "d.png", groups=groups))
    assert texts_of(drawn[0].axes[0])[0.5, 0.5] == "no image has a value"
    assert f"{len(scores)} images" in drawn[0].get_suptitle()


def test_distribution_of_unlike_lengths(tmp_path):
    for scores, groups in ((np.ones(3), {"cat": [True]}), (np.ones((2, 2)), {})):
        with pytest.raises(ValueError, match="one length"):
            plot_metric_distribution(scores, tmp_path / "d.png", groups=groups)
