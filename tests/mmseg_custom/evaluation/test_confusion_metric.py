import logging
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.structures import PixelData
from mmseg.evaluation.metrics import IoUMetric
from mmseg.registry import METRICS
from mmseg.structures import SegDataSample

from seglab.mmseg_custom.evaluation.confusion_metric import ConfusionMetric
from seglab.utils.errors import UserError
from seglab.utils.test_utils import confusion_matrix

CLASSES = ("background", "cat", "dog")


@pytest.fixture(scope="module", autouse=True)
def quiet_mmseg():
    """IoUMetric prints a table for each evaluation."""
    MMLogger.get_instance("test_confusion_metric", log_level=logging.CRITICAL)


def make_sample(prediction, truth, sample_id="a/x.jpg"):
    sample = SegDataSample(metainfo={"sample_id": sample_id, "img_path": f"/data/{sample_id}"})
    sample.pred_sem_seg = PixelData(data=torch.as_tensor(prediction)[None])
    sample.gt_sem_seg = PixelData(data=torch.as_tensor(truth)[None])
    return sample


def evaluate(metric, samples, batch_size=2):
    """Through mmengine's Evaluator, as the Runner does it."""
    evaluator = Evaluator([metric])
    evaluator.dataset_meta = {"classes": CLASSES}
    for start in range(0, len(samples), batch_size):
        evaluator.process(samples[start : start + batch_size], {})
    return evaluator.evaluate(len(samples))


def random_samples(seed, number, classes=3, ignored=0.1, size=24):
    random = np.random.default_rng(seed)
    samples = []
    for index in range(number):
        truth = random.integers(0, classes, (size, size))
        prediction = np.where(random.random(truth.shape) < 0.7, truth, 0)
        truth[random.random(truth.shape) < ignored] = 255
        samples.append(make_sample(prediction, truth, f"{index:03d}.jpg"))
    return samples


@given(
    seed=st.integers(0, 2**32 - 1),
    number=st.integers(1, 5),
    classes=st.integers(1, 3),
    ignored=st.sampled_from([0.0, 0.3]),
)
@settings(max_examples=60, deadline=None)
def test_agrees_with_ioumetric_to_its_rounding(seed, number, classes, ignored):
    samples = random_samples(seed, number, classes, ignored)
    ours = evaluate(ConfusionMetric(prefix="val"), samples)
    # IoUMetric computes in float32 before it rounds: half a unit of its last digit, and that.
    for wanted in (["mIoU", "mDice"], ["mFscore"]):
        theirs = evaluate(IoUMetric(iou_metrics=wanted, prefix="val"), samples)
        names = {"val/mFscore": "val/mDice", "val/mPrecision": None, "val/mRecall": "val/mAcc"}
        for key, value in theirs.items():
            name = names.get(key, key)
            if name is not None:
                assert ours[name] == pytest.approx(float(value), abs=0.00501), key


def test_per_class_values_agree_with_ioumetric():
    samples = random_samples(3, 6)
    ours = evaluate(ConfusionMetric(prefix="val"), samples)
    metric = IoUMetric(prefix="x")
    metric.dataset_meta = {"classes": CLASSES}
    metric.process({}, [sample.to_dict() for sample in samples])
    areas = [sum(parts) for parts in zip(*metric.results, strict=True)]
    theirs = IoUMetric.total_area_to_metrics(*areas, metrics=["mIoU", "mDice", "mFscore"])
    for name in ("IoU", "Dice", "Acc", "Precision", "Recall"):
        for class_name, value in zip(CLASSES, theirs[name], strict=True):
            assert ours[f"val/{name}/{class_name}"] == pytest.approx(100 * value, rel=1e-5)


def test_values_are_plain_unrounded_and_prefixed():
    samples = [make_sample(np.array([[0, 1, 1]]), np.array([[0, 1, 0]]))]
    with_prefix = evaluate(ConfusionMetric(prefix="val"), samples)
    plain = evaluate(ConfusionMetric(), samples)
    assert {f"val/{key}": value for key, value in plain.items()} == pytest.approx(
        with_prefix, nan_ok=True
    )
    assert all(type(value) is float for value in plain.values())
    assert plain["aAcc"] == 100 * (2 / 3)
    assert math.isnan(plain["Dice/dog"])
    assert plain["classes/mDice"] == 2


def test_matrices_are_kept_by_id_sorted():
    samples = random_samples(0, 5)[::-1]
    metric = ConfusionMetric()
    evaluate(metric, samples)
    assert metric.sample_ids == [f"{index:03d}.jpg" for index in range(5)]
    assert metric.matrices.shape == (5, 3, 3)
    assert metric.matrices.dtype == np.int64
    for sample, matrix in zip(samples[::-1], metric.matrices, strict=True):
        expected = confusion_matrix(
            sample.pred_sem_seg.data.numpy(), sample.gt_sem_seg.data.numpy(), 3
        )
        np.testing.assert_array_equal(matrix, expected)


def test_a_second_evaluation_starts_afresh():
    metric = ConfusionMetric()
    evaluate(metric, random_samples(0, 5))
    second = evaluate(metric, random_samples(1, 3))
    assert len(metric.sample_ids) == len(metric.matrices) == 3
    assert second == evaluate(ConfusionMetric(), random_samples(1, 3))


def test_same_base_name_in_two_folders_are_two_samples():
    mask = np.ones((2, 2), dtype=int)
    metric = ConfusionMetric()
    evaluate(metric, [make_sample(mask, mask, "a/x.jpg"), make_sample(mask, mask, "b/x.jpg")])
    assert metric.sample_ids == ["a/x.jpg", "b/x.jpg"]


def test_padding_of_a_distributed_sampler_counts_once():
    samples = random_samples(0, 3)
    metric = ConfusionMetric()
    alone = evaluate(metric, samples)
    metric.process({}, [sample.to_dict() for sample in [*samples, samples[0]]])
    # What another process would send.
    results = pickle.loads(pickle.dumps(metric.results))
    assert len(results) == 4
    assert metric.compute_metrics(results) == alone
    assert len(metric.sample_ids) == 3


def test_without_sample_id_the_image_path_serves():
    sample = make_sample(np.zeros((2, 2), int), np.zeros((2, 2), int)).to_dict()
    del sample["sample_id"]
    metric = ConfusionMetric()
    metric.dataset_meta = {"classes": CLASSES}
    metric.process({}, [sample])
    assert metric.results[0][0] == "/data/a/x.jpg"


def test_ignore_index_reaches_the_counts():
    truth, prediction = np.array([[0, 0, 1]]), np.array([[1, 1, 1]])
    metrics = evaluate(ConfusionMetric(ignore_index=0), [make_sample(prediction, truth)])
    assert metrics["aAcc"] == 100


def test_registered_with_mmseg():
    metric = METRICS.build({"type": "ConfusionMetric", "prefix": "val", "ignore_index": 7})
    assert isinstance(metric, ConfusionMetric)
    assert metric.ignore_index == 7


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        (np.full((2, 2), 9), r"a/x.jpg: .*truth.*: 9"),
        (np.zeros((2, 3), int), r"a/x.jpg: .*\(2, 2\).*\(2, 3\)"),
    ],
)
def test_bad_label_is_named(truth, message):
    with pytest.raises(UserError, match=message):
        evaluate(ConfusionMetric(), [make_sample(np.zeros((2, 2), int), truth)])


def test_missing_label_is_named():
    sample = make_sample(np.zeros((2, 2), int), np.zeros((2, 2), int))
    del sample.gt_sem_seg
    with pytest.raises(UserError, match=r"a/x.jpg has no label"):
        evaluate(ConfusionMetric(), [sample])


def test_nothing_to_evaluate():
    with pytest.raises(UserError, match="no samples"):
        evaluate(ConfusionMetric(), [])
    ignored = make_sample(np.zeros((2, 2), int), np.full((2, 2), 255))
    with pytest.raises(UserError, match="no labelled pixels"):
        evaluate(ConfusionMetric(), [ignored])
