import math
import time
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sklearn_metrics
from torchmetrics.functional import segmentation as torchmetrics_segmentation

from seglab.utils.test_utils import (
    RankedSample,
    aggregate_metrics,
    compute_accuracy,
    compute_dice,
    compute_iou,
    compute_pixel_accuracy,
    compute_precision,
    confusion_matrix,
    find_best_worst_samples,
    higher_is_better,
    image_mean_metrics,
    mean_over_classes,
    mean_over_images,
    per_image_scores,
    score_table,
)

pytestmark = pytest.mark.filterwarnings("ignore:A single label was found")

NAMES = ("background", "cat", "dog")
DTYPES = (np.uint8, np.int16, np.int64)


@st.composite
def mask_pairs(draw, max_classes=6):
    """Prediction and truth of 0 to 12 pixels a side; classes may be absent, pixels ignored."""
    num_classes = draw(st.integers(1, max_classes))
    shape = draw(st.tuples(st.integers(0, 12), st.integers(1, 12)))
    present = draw(st.lists(st.integers(0, num_classes - 1), min_size=1, max_size=num_classes))
    dtype = draw(st.sampled_from(DTYPES))
    truth_values = st.sampled_from([*present, *draw(st.sampled_from([[], [255]]))])
    prediction = draw(hnp.arrays(dtype, shape, elements=st.integers(0, num_classes - 1)))
    truth = draw(hnp.arrays(draw(st.sampled_from(DTYPES)), shape, elements=truth_values))
    return prediction, truth, num_classes


def loop_scores(prediction, truth, num_classes):
    """IoU, Dice, accuracy and precision by counting pixel sets; NaN where there is 0 / 0."""
    keep = truth != 255
    prediction, truth = prediction[keep], truth[keep]
    rows = []
    for c in range(num_classes):
        p, t = prediction == c, truth == c
        both, either = float((p & t).sum()), float((p | t).sum())
        p, t = float(p.sum()), float(t.sum())
        rows.append(
            (
                both / either if either else math.nan,
                2 * both / (p + t) if p + t else math.nan,
                both / t if t else math.nan,
                both / p if p else math.nan,
            )
        )
    return np.array(rows).T


@given(mask_pairs())
@settings(max_examples=150, deadline=None)
def test_confusion_matrix_equals_sklearn(masks):
    prediction, truth, num_classes = masks
    matrix = confusion_matrix(prediction, truth, num_classes)
    assert matrix.dtype == np.int64
    keep = truth != 255
    if keep.any():
        expected = sklearn_metrics.confusion_matrix(
            truth[keep], prediction[keep], labels=range(num_classes)
        )
    else:
        expected = np.zeros((num_classes, num_classes))
    np.testing.assert_array_equal(matrix, expected)


@given(mask_pairs())
@settings(max_examples=150, deadline=None)
def test_scores_equal_pixel_sets(masks):
    prediction, truth, num_classes = masks
    matrix = confusion_matrix(prediction, truth, num_classes)
    iou, dice, accuracy, precision = loop_scores(prediction, truth, num_classes)
    np.testing.assert_allclose(compute_iou(matrix), iou, rtol=1e-14)
    np.testing.assert_allclose(compute_dice(matrix), dice, rtol=1e-14)
    np.testing.assert_allclose(compute_accuracy(matrix), accuracy, rtol=1e-14)
    np.testing.assert_allclose(compute_precision(matrix), precision, rtol=1e-14)


def loop_table(prediction, truth, names, value_of_nothing=math.nan):
    """Every figure of one image in percent, from `loop_scores`; the absent ones as given."""
    iou, dice, accuracy, precision = loop_scores(prediction, truth, len(names))
    rows = {"IoU": iou, "Dice": dice, "Acc": accuracy, "Precision": precision, "Recall": accuracy}
    keep = truth != 255
    table = {"aAcc": float(np.mean(prediction[keep] == truth[keep])) if keep.any() else math.nan}
    for key, values in rows.items():
        table |= {f"{key}/{name}": float(value) for name, value in zip(names, values, strict=True)}
    table = {k: 100 * (value_of_nothing if math.isnan(v) else v) for k, v in table.items()}
    for key in ("IoU", "Acc", "Dice"):
        values = [v for v in (table[f"{key}/{name}"] for name in names) if not math.isnan(v)]
        table[f"m{key}"] = math.fsum(values) / len(values) if values else math.nan
    return table


@given(
    images=st.lists(mask_pairs(max_classes=3), max_size=4),
    policy=st.sampled_from([("nan", math.nan), ("one", 1.0), ("zero", 0.0)]),
)
@settings(max_examples=150, deadline=None)
def test_image_means_and_image_scores_equal_a_loop_over_images(images, policy):
    absent, value = policy
    stack = np.array([confusion_matrix(p, t, 3) for p, t, _ in images]).reshape(-1, 3, 3)
    tables = [loop_table(p, t, NAMES, value) for p, t, _ in images]
    metrics = image_mean_metrics(stack, NAMES, absent)
    keys = [key for key in score_table(np.eye(3), NAMES) if not key.startswith("classes/")]
    assert list(metrics) == [f"{kind}/{k}" for kind in ("image_mean", "images") for k in keys]
    assert all(type(number) is float for number in metrics.values())
    for key in keys:
        values = [table[key] for table in tables]
        scores = per_image_scores(stack, key, NAMES, absent)
        np.testing.assert_allclose(scores, values, rtol=1e-14)
        entered = [v for v in values if not math.isnan(v)]
        assert metrics[f"images/{key}"] == len(entered)
        mean = math.fsum(entered) / len(entered) if entered else math.nan
        np.testing.assert_allclose(metrics[f"image_mean/{key}"], mean, rtol=1e-14)


def test_an_image_mean_weighs_images_alike_where_the_split_weighs_pixels():
    large, small = [[900, 0], [0, 100]], [[8, 0], [2, 0]]
    metrics = aggregate_metrics([large, small], ("a", "b"))
    means = image_mean_metrics([large, small], ("a", "b"))
    assert metrics["Dice/b"] == pytest.approx(100 * 200 / 202)
    assert means["image_mean/Dice/b"] == pytest.approx(50)
    assert means["images/Dice/b"] == means["images/mDice"] == 2
    assert means["image_mean/Precision/b"] == 100  # never predicted in the second
    assert means["images/Precision/b"] == 1


def test_mean_over_images_leaves_nan_out_and_counts():
    metrics = mean_over_images({"x": [1.0, math.nan, 3.0], "y": [math.nan] * 3, "z": []})
    assert list(metrics.values())[3:] == [2, 0, 0]
    np.testing.assert_array_equal(list(metrics.values())[:3], [2, math.nan, math.nan])


@pytest.mark.parametrize(("absent", "value"), [("zero", 0), ("one", 1)])
@given(masks=mask_pairs())
@settings(max_examples=60, deadline=None)
def test_absent_policy_is_sklearns_zero_division(masks, absent, value):
    prediction, truth, num_classes = masks
    matrix = confusion_matrix(prediction, truth, num_classes)
    keep = truth != 255
    options = {"labels": range(num_classes), "average": None, "zero_division": value}
    for ours, theirs in (
        (compute_iou, sklearn_metrics.jaccard_score),
        (compute_dice, sklearn_metrics.f1_score),
        (compute_accuracy, sklearn_metrics.recall_score),
        (compute_precision, sklearn_metrics.precision_score),
    ):
        if keep.any():
            expected = theirs(truth[keep], prediction[keep], **options)
        else:
            expected = np.full(num_classes, value)
        np.testing.assert_allclose(ours(matrix, absent), expected, rtol=1e-14)


def test_dice_and_iou_equal_torchmetrics():
    random = np.random.default_rng(0)
    prediction, truth = random.integers(0, 3, (2, 4, 16, 16))
    stack = np.stack([confusion_matrix(*pair, 3) for pair in zip(prediction, truth, strict=True)])
    args = {"num_classes": 3, "input_format": "index"}
    tensors = torch.from_numpy(prediction), torch.from_numpy(truth)
    iou = torchmetrics_segmentation.mean_iou(*tensors, per_class=True, **args)
    dice = torchmetrics_segmentation.dice_score(*tensors, average=None, **args)
    np.testing.assert_allclose(compute_iou(stack), iou.numpy(), rtol=1e-6)
    np.testing.assert_allclose(compute_dice(stack), dice.numpy(), rtol=1e-6)


def test_stacks_are_scored_matrix_by_matrix():
    stack = np.random.default_rng(1).integers(0, 50, (2, 5, 3, 3))
    for function in (compute_iou, compute_dice, compute_accuracy, compute_precision):
        scores = function(stack)
        assert scores.shape == (2, 5, 3)
        np.testing.assert_array_equal(scores[1, 2], function(stack[1, 2]))
    assert compute_pixel_accuracy(stack).shape == (2, 5)


def test_false_positives_of_an_absent_class_cost_under_every_policy():
    matrix = confusion_matrix(np.array([0, 0, 1]), np.array([0, 0, 0]), 3)
    for absent, third in (("nan", math.nan), ("one", 1.0), ("zero", 0.0)):
        np.testing.assert_array_equal(compute_iou(matrix, absent), [2 / 3, 0.0, third])
        np.testing.assert_array_equal(compute_dice(matrix, absent), [4 / 5, 0.0, third])


def test_ignore_index_may_be_a_class_and_its_predictions_do_not_matter():
    truth, prediction = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    matrix = confusion_matrix(prediction, truth, 2, ignore_index=0)
    np.testing.assert_array_equal(matrix, [[0, 0], [1, 1]])
    marked = np.array([255, 7, 0, 1])
    np.testing.assert_array_equal(confusion_matrix(marked, truth, 2, ignore_index=0), matrix)


@pytest.mark.parametrize("num_classes", [4, 5, 15, 16, 17, 150, 255])
def test_many_classes_do_not_overflow(num_classes):
    classes = np.arange(num_classes, dtype=np.uint8)
    matrix = confusion_matrix(classes, classes[::-1].copy(), num_classes)
    np.testing.assert_array_equal(matrix, np.fliplr(np.eye(num_classes)))


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), r"\(2, 3\).*\(3, 2\)"),
        (np.array([3]), np.array([0]), "prediction holds .*: 3"),
        (np.array([0]), np.array([7]), "truth holds .*: 7"),
        (np.array([0]), np.array([-1]), "truth holds values from -1"),
        (np.array([256]), np.array([0]), "prediction holds values from 256"),
        (np.array([2**40]), np.array([0]), "prediction holds values from"),
        (np.array([0.0]), np.array([0]), "float64"),
    ],
)
def test_bad_masks_raise(prediction, truth, message):
    with pytest.raises(ValueError, match=message):
        confusion_matrix(prediction, truth, 3)


def test_unknown_policy_and_shapes_raise():
    with pytest.raises(ValueError, match="absent"):
        compute_iou(np.eye(2), "skip")
    with pytest.raises(ValueError, match="confusion matrices"):
        compute_dice(np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"\(N, 3, 3\)"):
        aggregate_metrics(np.zeros((4, 2, 2)), NAMES)
    with pytest.raises(ValueError, match=r"\(N, 3, 3\)"):
        image_mean_metrics(np.zeros((3, 3)), NAMES)
    with pytest.raises(ValueError, match=r"\(..., 3, 3\)"):
        score_table(np.zeros((3, 2)), NAMES)


@pytest.mark.parametrize(
    ("metric", "names", "message"),
    [
        ("Dice", NAMES, r"unknown metric 'Dice' \(did you mean mDice\?\): use aAcc, mIoU, mAcc, "),
        ("dice/Dog", NAMES, r"did you mean Dice/dog\?.*Recall/NAME with NAME one of .*, dog$"),
        ("zzz", NAMES, r"unknown metric 'zzz': use"),
        ("HD95/dog", NAMES, r"unknown metric 'HD95/dog'"),
        ("Dice/", NAMES, r"unknown metric 'Dice/'"),
        ("classes/mDice", NAMES, r"unknown metric 'classes/mDice'"),
        ("mPrecision", NAMES, r"unknown metric 'mPrecision'"),
        ("Dice/dog", None, r"unknown metric 'Dice/dog'.*: use aAcc, mIoU, mAcc, mDice$"),
        ("mDice", ("a", "b"), r"2 class names for matrices of shape \(1, 3, 3\)"),
    ],
)
def test_unknown_metric_names_the_known_ones(metric, names, message):
    with pytest.raises(ValueError, match=message):
        per_image_scores(np.zeros((1, 3, 3)), metric, names)


def test_direction_of_the_figures():
    for key in ("HD95/dog", "mHD95", "ECE", "ECE/objects", "image_mean/ECE", "image_mean/HD95/x"):
        assert not higher_is_better(key)
    for key in ("mDice", "Dice/dog", "aAcc", "NSD/cat", "mNSD", "image_mean/BoundaryIoU/cat"):
        assert higher_is_better(key)
    assert higher_is_better("Dice/ECE")  # a class may be called anything


def test_table_of_a_stack_is_that_of_each_matrix():
    stack = np.random.default_rng(1).integers(0, 5, (2, 4, 3, 3))
    table = score_table(stack, NAMES)
    for key, values in score_table(stack[1, 2], NAMES).items():
        assert table[key].shape == (2, 4)
        np.testing.assert_array_equal(table[key][1, 2], values)


def test_confusion_matrix_is_quick():
    truth, prediction = np.random.default_rng(0).integers(0, 3, (2, 256, 256))
    truth[:20] = 255
    times = []
    for _ in range(50):
        start = time.perf_counter()
        confusion_matrix(prediction, truth, 3)
        times.append(time.perf_counter() - start)
    assert min(times) < 0.4e-3


def test_mean_over_classes_states_its_number_and_never_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mean, number = mean_over_classes([[1.0, math.nan, 0.5], [math.nan] * 3])
    np.testing.assert_array_equal(mean, [0.75, math.nan])
    np.testing.assert_array_equal(number, [2, 0])


def test_aggregate_metrics_sums_pixels_and_names_them_as_mmseg():
    first = [[90, 0, 0], [10, 10, 0], [0, 0, 0]]
    second = [[70, 5, 0], [0, 25, 0], [0, 0, 0]]
    metrics = aggregate_metrics(np.array([first, second]), NAMES)
    assert all(type(value) is float for value in metrics.values())
    assert metrics["aAcc"] == pytest.approx(100 * 195 / 210)
    assert metrics["IoU/background"] == pytest.approx(100 * 160 / 175)
    assert metrics["Dice/cat"] == pytest.approx(100 * 70 / 85)
    assert metrics["Acc/cat"] == metrics["Recall/cat"] == pytest.approx(100 * 35 / 45)
    assert metrics["Precision/cat"] == pytest.approx(100 * 35 / 40)
    assert math.isnan(metrics["Dice/dog"])
    dice = (metrics["Dice/background"] + metrics["Dice/cat"]) / 2
    assert metrics["mDice"] == pytest.approx(dice)
    assert metrics["classes/mDice"] == metrics["classes/mIoU"] == metrics["classes/mAcc"] == 2
    # The third class under "one": right to be absent.
    with_one = aggregate_metrics(np.array([first, second]), NAMES, absent="one")
    assert with_one["mDice"] == pytest.approx((2 * dice + 100) / 3)
    assert with_one["classes/mDice"] == 3


def test_sums_are_exact_where_float32_is_not():
    pixels = 2**24 + 1
    metrics = aggregate_metrics(np.array([[[pixels, 1], [0, 1]]], dtype=np.int64), ("a", "b"))
    assert metrics["Acc/a"] == 100 * (pixels / (pixels + 1))


def test_sums_over_images_are_exact_beyond_the_type_of_the_matrices():
    for dtype, pixels in ((np.int32, 2**31 - 1), (np.uint8, 255), (np.float32, 2**24 - 1)):
        matrices = np.array([[[pixels, 0], [0, 1]]] * 2 + [[[pixels, 1], [0, 0]]], dtype=dtype)
        metrics = aggregate_metrics(matrices, ("a", "b"))
        assert metrics["Acc/a"] == 100 * (3 * pixels / (3 * pixels + 1))


def test_per_image_scores():
    matrices = np.array(
        [
            [[10, 0, 0], [0, 0, 0], [0, 0, 0]],  # nothing there, nothing predicted
            [[6, 2, 0], [0, 2, 0], [0, 0, 0]],
            [[0, 0, 0], [0, 0, 0], [0, 0, 0]],  # all ignored
        ]
    )
    expected = [100.0, 100 * (12 / 14 + 4 / 6) / 2, math.nan]
    np.testing.assert_allclose(per_image_scores(matrices), expected)
    expected = [100.0, 100 * (6 / 8 + 2 / 4) / 2, math.nan]
    np.testing.assert_allclose(per_image_scores(matrices, "mIoU"), expected)
    np.testing.assert_allclose(per_image_scores(matrices, "mAcc"), [100, 87.5, math.nan])
    np.testing.assert_allclose(per_image_scores(matrices, "aAcc"), [100, 80, math.nan])


def test_best_and_worst_samples():
    scores, ids = [50.0, 90.0, math.nan, 10.0, 90.0, 10.0], ["f", "e", "d", "c", "b", "a"]
    best, worst = find_best_worst_samples(scores, ids, 2)
    assert best == [RankedSample("b", 90.0), RankedSample("e", 90.0)]
    assert worst == [RankedSample("a", 10.0), RankedSample("c", 10.0)]
    again = find_best_worst_samples(scores[::-1], ids[::-1], 2)
    assert again == (best, worst)


def test_best_has_the_least_where_less_is_better():
    best, worst = find_best_worst_samples([3.0, 1.0, math.nan, 2.0, 3.0], "abcde", 2, False)
    assert best == [RankedSample("b", 1.0), RankedSample("d", 2.0)]
    assert worst == [RankedSample("a", 3.0), RankedSample("e", 3.0)]


@pytest.mark.parametrize("number", range(6))
def test_no_sample_is_both_best_and_worst(number):
    best, worst = find_best_worst_samples([7.0] * number, [str(i) for i in range(number)], 2)
    assert not set(best) & set(worst)
    assert len(best) + len(worst) == min(number, 4)
    assert len(worst) == min(2, (number + 1) // 2)


def test_ids_must_fit_scores():
    with pytest.raises(ValueError, match="zip"):
        find_best_worst_samples([1.0, 2.0], ["a"], 1)
