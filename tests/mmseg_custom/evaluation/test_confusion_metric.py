import logging
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.evaluator import Evaluator
from mmengine.evaluator.metric import _to_cpu
from mmengine.logging import MMLogger
from mmengine.structures import PixelData
from mmseg.evaluation.metrics import IoUMetric
from mmseg.registry import METRICS
from mmseg.structures import SegDataSample

from seglab.mmseg_custom.evaluation.confusion_metric import ConfusionMetric, class_probabilities
from seglab.utils.boundary import boundary_scores
from seglab.utils.calibration import calibration_histogram, expected_calibration_error
from seglab.utils.errors import UserError
from seglab.utils.image_results import published_metrics
from seglab.utils.test_utils import confusion_matrix

CLASSES = ("background", "cat", "dog")


@pytest.fixture(scope="module", autouse=True)
def quiet_mmseg():
    """IoUMetric prints a table for each evaluation."""
    MMLogger.get_instance("test_confusion_metric", log_level=logging.CRITICAL)


def make_sample(prediction, truth, sample_id="a/x.jpg", logits=None):
    paths = {"img_path": f"/data/img/{sample_id}", "seg_map_path": f"/data/labels/{sample_id}"}
    sample = SegDataSample(metainfo={"sample_id": sample_id, **paths})
    sample.pred_sem_seg = PixelData(data=torch.as_tensor(prediction)[None])
    sample.gt_sem_seg = PixelData(data=torch.as_tensor(truth)[None])
    if logits is not None:
        sample.seg_logits = PixelData(data=torch.as_tensor(logits))
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


def with_logits(sample, seed, size=24):
    logits = np.random.default_rng(seed).normal(0, 2, (3, size, size)).astype(np.float32)
    sample.seg_logits = PixelData(data=torch.from_numpy(logits))
    sample.pred_sem_seg = PixelData(data=torch.from_numpy(logits.argmax(axis=0))[None])
    return sample


def test_boundary_and_calibration_are_kept_where_asked_for():
    samples = [with_logits(sample, seed) for seed, sample in enumerate(random_samples(1, 4))]
    metric = ConfusionMetric(prefix="val", boundary=True, calibration=True)
    metrics = evaluate(metric, samples)
    results = metric.image_results
    for index, sample in enumerate(samples):
        prediction = sample.pred_sem_seg.data[0].numpy()
        truth = sample.gt_sem_seg.data[0].numpy()
        expected = boundary_scores(prediction, truth, 3)
        for name, value in expected._asdict().items():
            np.testing.assert_array_equal(getattr(results.boundary, name)[index], value)
        exponents = np.exp(sample.seg_logits.data.numpy().astype(np.float64))
        probabilities = exponents / exponents.sum(axis=0)
        histogram = calibration_histogram(probabilities, truth)
        assert results.calibration[index] == pytest.approx(histogram, rel=1e-5)
    pooled = expected_calibration_error(results.calibration.sum(axis=0))
    assert metrics["val/ECE"] == 100 * pooled[0]
    expected = {f"val/{key}": value for key, value in published_metrics(results).items()}
    assert metrics == pytest.approx(expected, nan_ok=True, rel=0, abs=0)


def test_what_was_not_asked_for_is_not_computed(monkeypatch):
    for name in ("boundary_scores", "calibration_histogram"):
        monkeypatch.setattr(f"{ConfusionMetric.__module__}.{name}", None)
    metrics = evaluate(ConfusionMetric(), random_samples(0, 2))
    assert not [key for key in metrics if "Boundary" in key or "ECE" in key]


def test_calibration_without_logits_is_refused():
    with pytest.raises(UserError, match=r"000.jpg: the model gives no logits"):
        evaluate(ConfusionMetric(calibration=True), random_samples(0, 1))


def test_probabilities_of_three_logits_and_of_one():
    random = np.random.default_rng(0)
    logits = random.normal(size=(3, 4, 5))
    probabilities = class_probabilities(torch.tensor(logits, dtype=torch.bfloat16), 3)
    rounded = torch.tensor(logits, dtype=torch.bfloat16).double().numpy()
    expected = np.exp(rounded) / np.exp(rounded).sum(axis=0)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, expected, rtol=1e-5)
    # mmseg has applied the sigmoid to one logit already: BaseSegmentor.postprocess_result.
    foreground = random.random((1, 4, 5))
    probabilities = class_probabilities(torch.tensor(foreground), 2)
    np.testing.assert_allclose(probabilities, np.concatenate([1 - foreground, foreground]), 1e-5)
    for channels, classes in ((1, 3), (2, 3), (4, 3)):
        with pytest.raises(ValueError, match=f"{channels} logits for {classes} classes"):
            class_probabilities(torch.zeros(channels, 2, 2), classes)


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
    results = metric.image_results
    assert results.sample_ids == tuple(f"{index:03d}.jpg" for index in range(5))
    assert results.classes == CLASSES
    assert results.boundary is None and results.calibration is None
    assert results.matrices.shape == (5, 3, 3)
    assert results.matrices.dtype == np.int64
    for sample, matrix in zip(samples[::-1], results.matrices, strict=True):
        expected = confusion_matrix(
            sample.pred_sem_seg.data.numpy(), sample.gt_sem_seg.data.numpy(), 3
        )
        np.testing.assert_array_equal(matrix, expected)


def test_a_second_evaluation_starts_afresh():
    metric = ConfusionMetric()
    evaluate(metric, random_samples(0, 5))
    second = evaluate(metric, random_samples(1, 3))
    assert len(metric.image_results.sample_ids) == len(metric.image_results.matrices) == 3
    assert second == evaluate(ConfusionMetric(), random_samples(1, 3))


def test_same_base_name_in_two_folders_are_two_samples():
    mask = np.ones((2, 2), dtype=int)
    metric = ConfusionMetric()
    evaluate(metric, [make_sample(mask, mask, "a/x.jpg"), make_sample(mask, mask, "b/x.jpg")])
    assert metric.image_results.sample_ids == ("a/x.jpg", "b/x.jpg")


def test_padding_of_a_distributed_sampler_counts_once():
    samples = [with_logits(sample, seed) for seed, sample in enumerate(random_samples(0, 3))]
    metric = ConfusionMetric(boundary=True, calibration=True)
    alone = evaluate(metric, samples)
    metric.process({}, [sample.to_dict() for sample in [*samples, samples[0]]])
    # What another process would send: a few hundred numbers an image, no probabilities.
    sent = pickle.dumps(metric.results)
    assert len(sent) < 4 * 2500
    results = _to_cpu(pickle.loads(sent))  # as mmengine treats what it gathered
    assert len(results) == 4
    assert metric.compute_metrics(results) == pytest.approx(alone, nan_ok=True, rel=0, abs=0)
    assert len(metric.image_results.sample_ids) == 3


def test_without_sample_id_the_image_path_serves():
    sample = make_sample(np.zeros((2, 2), int), np.zeros((2, 2), int)).to_dict()
    del sample["sample_id"]
    metric = ConfusionMetric()
    metric.dataset_meta = {"classes": CLASSES}
    metric.process({}, [sample])
    assert metric.results[0].sample_id == "/data/img/a/x.jpg"


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
        (np.full((2, 2), 9), r"a/x.jpg: .*truth.*: 9 \(label: /data/labels/a/x.jpg\)"),
        (np.zeros((2, 3), int), r"a/x.jpg: .*\(2, 2\).*\(2, 3\).*/data/labels/a/x.jpg"),
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
