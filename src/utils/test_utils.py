"""Segmentation metrics, computed from confusion matrices and from nothing else.

Every figure seglab prints, plots or writes comes from the functions below. They are pure: counts
are int64, ratios float64, nothing is rounded. A confusion matrix has the true classes in its rows
and the predicted ones in its columns, as in scikit-learn. With `n[i, j]` pixels of class i
predicted as j, row sums `t[i]`, column sums `p[i]`:

| figure | formula |
|---|---|
| IoU | n[i, i] / (t[i] + p[i] - n[i, i]) (Jaccard, 1901) |
| Dice | 2 n[i, i] / (t[i] + p[i]) (Dice, 1945) |
| Acc, Recall | n[i, i] / t[i] |
| Precision | n[i, i] / p[i] |
| aAcc | sum of n[i, i] / sum of n[i, j] |

Policy for classes that are not there. A ratio of 0 to 0 has no value: IoU and Dice of a class that
is in neither prediction nor truth, Acc and Recall of a class that is not in the truth, Precision
of a class never predicted. The parameter `absent` says what such a ratio becomes: `"nan"` (the
default, and what mmseg does: the class is left out of the mean, which is then over fewer classes,
and the number of classes counted is stated), `"one"` (the absence was right) or `"zero"`. A class
that was predicted but is not in the truth has IoU and Dice 0 under every policy: its false
positives always cost something.

Two kinds of figures are published. `mDice`, `Dice/dog` are of the split's summed pixels, as mmseg
does: large objects weigh most. `image_mean/mDice`, `image_mean/Dice/dog` are the mean of the
figure over the images that have one, every image alike; `images/KEY` says how many those were.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
Absent = Literal["nan", "one", "zero"]

_ABSENT_VALUE: dict[Absent, float] = {"nan": np.nan, "one": 1.0, "zero": 0.0}
#: What is averaged over the classes into `mIoU`, `mAcc` and `mDice`.
_AVERAGED = ("IoU", "Acc", "Dice")
#: Figures of which less is better, in all their forms (`HD95/dog`, `mHD95`, `ECE/objects`).
_LOWER_IS_BETTER = frozenset({"HD95", "mHD95", "ECE"})


class RankedSample(NamedTuple):
    """A sample and the score it was ranked by, in percent (HD95: pixels)."""

    sample_id: str
    score: float


def confusion_matrix(
    prediction: npt.NDArray[np.integer],
    truth: npt.NDArray[np.integer],
    num_classes: int,
    ignore_index: int = 255,
) -> IntArray:
    """Count the pixels of each true class by predicted class.

    Pixels whose truth is `ignore_index` take no part, whatever label is predicted there.

    Args:
        prediction: Predicted class indices, any shape and integer type.
        truth: True class indices, the same shape.
        num_classes: Number of classes C, at most 255.
        ignore_index: Label of the pixels to leave out.

    Returns:
        (C, C) int64 counts; rows are the truth, columns the prediction.

    Raises:
        ValueError: The shapes differ, an array does not hold integers of 0 to 255, or a value
            at a counted pixel is not a class.
    """
    if prediction.shape != truth.shape:
        raise ValueError(
            f"the prediction is {prediction.shape} and the truth {truth.shape}: they must be alike"
        )
    # One byte a pixel from here on: memory traffic decides the cost.
    prediction, truth = _as_bytes(prediction, "prediction"), _as_bytes(truth, "truth")
    counted = truth != ignore_index
    num_ignored = truth.size - np.count_nonzero(counted)
    if num_ignored:
        # They become (0, 0) and are taken off again: far quicker than picking out the others.
        prediction, truth = prediction * counted, truth * counted
    _require_classes(prediction, num_classes, "prediction")
    _require_classes(truth, num_classes, "truth")
    dtype = np.min_scalar_type(num_classes * num_classes)
    pairs = truth.astype(dtype, copy=False) * dtype.type(num_classes)
    pairs += prediction
    matrix = _count_values(pairs, num_classes * num_classes).reshape(num_classes, num_classes)
    matrix[0, 0] -= num_ignored
    return matrix


def compute_iou(matrix: npt.ArrayLike, absent: Absent = "nan") -> FloatArray:
    """Intersection over union of each class; (..., C, C) counts -> (..., C), 0 to 1."""
    hits, in_truth, in_prediction = _class_counts(matrix)
    return _ratio(hits, in_truth + in_prediction - hits, absent)


def compute_dice(matrix: npt.ArrayLike, absent: Absent = "nan") -> FloatArray:
    """Dice coefficient (F1) of each class; (..., C, C) counts -> (..., C), 0 to 1."""
    hits, in_truth, in_prediction = _class_counts(matrix)
    return _ratio(2 * hits, in_truth + in_prediction, absent)


def compute_accuracy(matrix: npt.ArrayLike, absent: Absent = "nan") -> FloatArray:
    """Accuracy of each class, which is its recall; (..., C, C) counts -> (..., C), 0 to 1."""
    hits, in_truth, _ = _class_counts(matrix)
    return _ratio(hits, in_truth, absent)


def compute_precision(matrix: npt.ArrayLike, absent: Absent = "nan") -> FloatArray:
    """Precision of each class; (..., C, C) counts -> (..., C), 0 to 1."""
    hits, _, in_prediction = _class_counts(matrix)
    return _ratio(hits, in_prediction, absent)


def compute_pixel_accuracy(matrix: npt.ArrayLike, absent: Absent = "nan") -> FloatArray:
    """Share of all counted pixels that are right; (..., C, C) counts -> (...), 0 to 1."""
    hits, in_truth, _ = _class_counts(matrix)
    return _ratio(hits.sum(axis=-1), in_truth.sum(axis=-1), absent)


def mean_over_classes(values: npt.ArrayLike) -> tuple[FloatArray, IntArray]:
    """Mean over the last axis of the values that are not NaN, and how many those were.

    Args:
        values: (..., C) figures of the classes; NaN marks a class that has none.

    Returns:
        The means (...) and the numbers of classes counted (...). The mean over no class is NaN.
    """
    values = np.asarray(values, dtype=np.float64)
    counted = ~np.isnan(values)
    number = counted.sum(axis=-1, dtype=np.int64)
    total = np.where(counted, values, 0.0).sum(axis=-1)
    return _ratio(total, number, "nan"), number


#: The figures of each class, by the name they are published under.
_PER_CLASS: dict[str, Callable[[npt.ArrayLike, Absent], FloatArray]] = {
    "IoU": compute_iou,
    "Dice": compute_dice,
    "Acc": compute_accuracy,
    "Precision": compute_precision,
    "Recall": compute_accuracy,
}


def require_image_matrices(matrices: npt.ArrayLike, class_names: Sequence[str]) -> IntArray:
    """The matrices as int64; ValueError unless they are (N, C, C) for these classes."""
    counts = np.asarray(matrices)
    size = len(class_names)
    if counts.ndim != 3 or counts.shape[1:] != (size, size):
        raise ValueError(f"expected (N, {size}, {size}) matrices, got {counts.shape}")
    return counts.astype(np.int64, copy=False)


def score_table(
    matrices: npt.ArrayLike, class_names: Sequence[str], absent: Absent = "nan"
) -> dict[str, FloatArray]:
    """Every figure of every matrix.

    Args:
        matrices: (..., C, C) confusion matrices, of images or of whole splits.
        class_names: The C class names.
        absent: What a ratio of 0 to 0 becomes (see the module).

    Returns:
        Unrounded percentages, each (...) float64: `aAcc`, `mIoU`, `mAcc`, `mDice`; per class
        `IoU/NAME`, `Dice/NAME`, `Acc/NAME`, `Precision/NAME`, `Recall/NAME`. `classes/mIoU`,
        `classes/mAcc` and `classes/mDice` are the numbers of classes that entered the means.

    Raises:
        ValueError: The matrices are not (..., C, C) for these classes.
    """
    counts = np.asarray(matrices)
    size = len(class_names)
    if counts.ndim < 2 or counts.shape[-2:] != (size, size):
        raise ValueError(f"expected (..., {size}, {size}) matrices, got {counts.shape}")
    per_class = {name: compute(counts, absent) for name, compute in _PER_CLASS.items()}
    table = {"aAcc": 100.0 * compute_pixel_accuracy(counts, absent)}
    counted = {}
    for name in _AVERAGED:
        mean, number = mean_over_classes(per_class[name])
        table[f"m{name}"] = 100.0 * mean
        counted[f"classes/m{name}"] = number.astype(np.float64)
    for name, values in per_class.items():
        for index, class_name in enumerate(class_names):
            table[f"{name}/{class_name}"] = 100.0 * values[..., index]
    return table | counted


def aggregate_metrics(
    matrices: npt.ArrayLike, class_names: Sequence[str], absent: Absent = "nan"
) -> dict[str, float]:
    """The metrics of a split over its summed pixels, under mmseg's names.

    Args:
        matrices: (N, C, C) confusion matrices, one an image.
        class_names: The C class names.
        absent: What a ratio of 0 to 0 becomes (see the module).

    Returns:
        The figures of `score_table` for the sum of the matrices.

    Raises:
        ValueError: The matrices are not (N, C, C) for these classes.
    """
    counts = require_image_matrices(matrices, class_names)
    table = score_table(counts.sum(axis=0), class_names, absent)
    return {key: float(value) for key, value in table.items()}


def image_mean_metrics(
    matrices: npt.ArrayLike, class_names: Sequence[str], absent: Absent = "nan"
) -> dict[str, float]:
    """The metrics of a split as means over its images.

    Args:
        matrices: (N, C, C) confusion matrices, one an image.
        class_names: The C class names.
        absent: What a ratio of 0 to 0 becomes (see the module); under `"nan"` an image without
            dogs, on which none was predicted, does not enter the mean of `Dice/dog`.

    Returns:
        For each KEY of `score_table` but the numbers of classes: `image_mean/KEY`, an unrounded
        percentage, and `images/KEY`, the number of images that entered it.

    Raises:
        ValueError: The matrices are not (N, C, C) for these classes.
    """
    table = score_table(require_image_matrices(matrices, class_names), class_names, absent)
    return mean_over_images(
        {key: values for key, values in table.items() if not key.startswith("classes/")}
    )


def mean_over_images(table: Mapping[str, npt.ArrayLike]) -> dict[str, float]:
    """Means over the images of columns of figures.

    Args:
        table: For each KEY its (N,) figures, one an image; NaN marks an image that has none.

    Returns:
        First `image_mean/KEY` for every key (NaN where no image entered), then `images/KEY`, how
        many images entered it.
    """
    means, numbers = {}, {}
    for key, values in table.items():
        mean, number = mean_over_classes(values)  # the last axis, here that of the images
        means[f"image_mean/{key}"] = float(mean)
        numbers[f"images/{key}"] = float(number)
    return means | numbers


def per_image_scores(
    matrices: npt.ArrayLike,
    metric: str = "mDice",
    class_names: Sequence[str] | None = None,
    absent: Absent = "nan",
) -> FloatArray:
    """One score for each image, in percent.

    The mean metrics are over the classes present in that image's truth or prediction (`mAcc`: in
    its truth), so an image without dogs, on which none was predicted, is not scored for dogs.

    Args:
        matrices: (N, C, C) confusion matrices, one an image. Any other (..., C, C) does as well:
            the summed matrices of resampled splits give one score a split.
        metric: `mDice`, `mIoU`, `mAcc`, `aAcc`, or of one class `Dice/NAME`, `IoU/NAME`,
            `Acc/NAME`, `Precision/NAME`, `Recall/NAME`.
        class_names: The C class names; needed for the metric of a class.
        absent: What a ratio of 0 to 0 becomes (see the module).

    Returns:
        (N,) float64; NaN for an image without counted pixels, or without the class.

    Raises:
        ValueError: The metric is none of these, or the matrices do not have these classes.
    """
    names = tuple(class_names or ())
    counts = np.asarray(matrices)
    if names and counts.shape[-1] != len(names):
        raise ValueError(f"{len(names)} class names for matrices of shape {counts.shape}")
    if metric == "aAcc":
        return 100.0 * compute_pixel_accuracy(counts, absent)
    if metric.startswith("m") and metric[1:] in _AVERAGED:
        return 100.0 * mean_over_classes(_PER_CLASS[metric[1:]](counts, absent))[0]
    name, _, class_name = metric.partition("/")
    if name not in _PER_CLASS or class_name not in names:
        raise ValueError(_unknown_metric(metric, names))
    return 100.0 * _PER_CLASS[name](counts, absent)[..., names.index(class_name)]


def higher_is_better(key: str) -> bool:
    """Whether more is better of a published figure.

    Args:
        key: A metric key, such as `mDice`, `HD95/dog` or `image_mean/ECE`.

    Returns:
        False for surface distances (`HD95`) and calibration errors (`ECE`), else True.
    """
    return key.removeprefix("image_mean/").partition("/")[0] not in _LOWER_IS_BETTER


def find_best_worst_samples(
    scores: npt.ArrayLike, sample_ids: Sequence[str], n: int, higher_is_better: bool = True
) -> tuple[list[RankedSample], list[RankedSample]]:
    """The n best samples (best first) and the n worst (worst first).

    Equal scores are ranked by sample id, so the choice does not depend on the order given. Samples
    without a score (NaN) are left out. No sample is in both lists: of fewer than 2 n samples the
    worse half, rounded up, are the worst.

    Args:
        scores: (N,) scores.
        sample_ids: The N ids.
        n: Length of each list.
        higher_is_better: False for scores of which less is better, such as HD95.
    """
    scores = np.asarray(scores, dtype=np.float64)
    ranked = [
        RankedSample(sample_id, float(score))
        for sample_id, score in zip(sample_ids, scores, strict=True)
        if not np.isnan(score)
    ]
    num_worst = min(n, (len(ranked) + 1) // 2)
    num_best = min(n, len(ranked) - num_worst)
    sign = 1.0 if higher_is_better else -1.0
    best = sorted(ranked, key=lambda sample: (-sign * sample.score, sample.sample_id))[:num_best]
    rest = set(ranked) - set(best)
    worst = sorted(rest, key=lambda sample: (sign * sample.score, sample.sample_id))[:num_worst]
    return best, worst


def _unknown_metric(metric: str, class_names: Sequence[str]) -> str:
    """What to say about a metric key that is none: the known ones, and the nearest."""
    means = ["aAcc", *(f"m{name}" for name in _AVERAGED)]
    of_classes = [f"{name}/{class_name}" for name in _PER_CLASS for class_name in class_names]
    lowered = {key.lower(): key for key in [*means, *of_classes]}
    near = difflib.get_close_matches(metric.lower(), lowered, n=1)
    hint = f" (did you mean {lowered[near[0]]}?)" if near else ""
    known = ", ".join(means)
    if class_names:
        known += f", or {', '.join(f'{name}/NAME' for name in _PER_CLASS)}"
        known += f" with NAME one of {', '.join(class_names)}"
    return f"unknown metric {metric!r}{hint}: use {known}"


def _as_bytes(values: npt.NDArray[np.integer], name: str) -> npt.NDArray[np.uint8]:
    """The labels as uint8; ValueError if that would change one."""
    if values.dtype.kind not in "biu":
        raise ValueError(f"the {name} holds {values.dtype}, expected integer class indices")
    # One pass where minimum and maximum take two: the bits of all values together.
    if not 0 <= int(np.bitwise_or.reduce(values, axis=None)) <= 255:
        raise ValueError(
            f"the {name} holds values from {values.min()} to {values.max()}, labels are 0 to 255"
        )
    return values.astype(np.uint8, copy=False)


def _require_classes(labels: npt.NDArray[np.integer], num_classes: int, name: str) -> None:
    """Raise ValueError unless every label is a class index."""
    if labels.size and labels.max() >= num_classes:
        values = np.unique(labels[labels >= num_classes]).tolist()
        shown = ", ".join(map(str, values[:5])) + (", ..." if len(values) > 5 else "")
        classes = f"0 to {num_classes - 1}"
        raise ValueError(f"the {name} holds values that are no class ({classes}): {shown}")


def _count_values(values: npt.NDArray[np.integer], number: int) -> IntArray:
    """How often each of 0 to number - 1 occurs among values that are all of these."""
    if number > 16:
        return np.bincount(values.ravel(), minlength=number).astype(np.int64, copy=False)
    # bincount widens each byte to eight; comparing bytes takes a third of its time.
    equal = np.empty(values.shape, dtype=np.bool_)
    counts = [np.count_nonzero(np.equal(values, value, out=equal)) for value in range(1, number)]
    return np.array([values.size - sum(counts), *counts], dtype=np.int64)


def _class_counts(matrix: npt.ArrayLike) -> tuple[IntArray, IntArray, IntArray]:
    """Pixels of each class that are right, in the truth and in the prediction; each (..., C)."""
    counts: IntArray = np.asarray(matrix).astype(np.int64, copy=False)
    if counts.ndim < 2 or counts.shape[-1] != counts.shape[-2]:
        raise ValueError(f"expected (..., C, C) confusion matrices, got {counts.shape}")
    return np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1), counts.sum(axis=-2)


def _ratio(
    numerator: npt.NDArray[np.number], denominator: npt.NDArray[np.number], absent: Absent
) -> FloatArray:
    """Float64 quotient; 0 / 0 becomes what `absent` says."""
    if absent not in _ABSENT_VALUE:
        raise ValueError(f"absent is {absent!r}: use one of {', '.join(_ABSENT_VALUE)}")
    defined = denominator != 0
    quotient = numerator / np.where(defined, denominator, 1)
    return np.asarray(np.where(defined, quotient, _ABSENT_VALUE[absent]), dtype=np.float64)
