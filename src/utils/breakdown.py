"""Where a split's errors are: by size of the objects, by classes present, by kind of error.

Everything is computed from per-image confusion matrices. These know the pixels of a class in an
image, not its separate animals: an "object" is here all pixels of one object class (any but index
0, the background) in one image's truth. Images are measured by their counted pixels; ignored ones
are in no matrix.

Rows are flat dicts of numbers, strings and None, ready for JSON. Figures named as in
`seglab.utils.test_utils` (`Dice`, `Recall`, `mDice`) and all `..._percent` are unrounded
percentages. What has no value (0 of 0) is NaN, which `write_json` writes as null.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from seglab.utils.test_utils import (
    IntArray,
    aggregate_metrics,
    compute_accuracy,
    compute_dice,
    mean_over_classes,
    per_image_scores,
    require_image_matrices,
)

Row: TypeAlias = dict[str, float | int | str | None]


def by_object_size(matrices: npt.ArrayLike, class_names: Sequence[str]) -> list[Row]:
    """How well objects are found, by quartile of their area.

    The quartiles are those of the areas in pixels; objects of one area share a quartile, so that
    with many equal areas the groups are not equally large.

    Args:
        matrices: (N, C, C) confusion matrices, one an image.
        class_names: The C class names.

    Returns:
        One row for each quartile that holds objects, smallest first:

        - `quartile`: 1 to 4.
        - `objects`, and `objects/NAME` of each object class: how many.
        - `min_pixels`, `max_pixels`: the smallest and the largest area.
        - `min_percent`, `max_percent`: the same in percent of the object's image.
        - `mean/Dice`, `mean/Recall`: mean over the objects of the class's figure in the image.
        - `pooled/Dice`, `pooled/Recall`: the figure of their summed pixels.

    Raises:
        ValueError: The matrices are not (N, C, C) for these classes.
    """
    counts = require_image_matrices(matrices, class_names)
    areas = counts.sum(axis=2)
    images, classes = np.nonzero(areas[:, 1:])
    classes += 1
    if not len(images):
        return []
    pixels = areas[images, classes]
    percent = 100.0 * pixels / areas.sum(axis=1)[images]
    binary = _one_against_rest(counts, images, classes)
    quartile = np.searchsorted(np.quantile(pixels, [0.25, 0.5, 0.75]), pixels, side="left") + 1
    rows: list[Row] = []
    for number in np.unique(quartile).tolist():
        chosen = quartile == number
        row: Row = {"quartile": number, "objects": int(chosen.sum())}
        for index, name in enumerate(class_names[1:], start=1):
            row[f"objects/{name}"] = int((classes[chosen] == index).sum())
        row |= {"min_pixels": int(pixels[chosen].min()), "max_pixels": int(pixels[chosen].max())}
        row |= {
            "min_percent": float(percent[chosen].min()),
            "max_percent": float(percent[chosen].max()),
        }
        for name, compute in (("Dice", compute_dice), ("Recall", compute_accuracy)):
            row[f"mean/{name}"] = 100.0 * float(compute(binary[chosen])[:, 1].mean())
            row[f"pooled/{name}"] = 100.0 * float(compute(binary[chosen].sum(axis=0))[1])
        rows.append(row)
    return rows


def by_classes_present(matrices: npt.ArrayLike, class_names: Sequence[str]) -> list[Row]:
    """How well images are segmented, by the object classes in their truth.

    Args:
        matrices: (N, C, C) confusion matrices, one an image.
        class_names: The C class names.

    Returns:
        One row for each set of classes that occurs, images without objects first, then single
        classes, then pairs and so on:

        - `classes`: the names joined by " + ", or "none".
        - `images`: how many have just these.
        - `mDice`, `classes/mDice`: of their summed pixels, and how many classes entered the mean.
        - `image_mean/mDice`, `images/mDice`: mean over the images, and how many entered it.
        - `object_pixels`: pixels of objects in the truth.
        - `confused_pixels`, `confused_percent`: those given to another object class.

    Raises:
        ValueError: The matrices are not (N, C, C) for these classes.
    """
    counts = require_image_matrices(matrices, class_names)
    groups: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
    for image, present in enumerate(counts.sum(axis=2)[:, 1:] > 0):
        groups[tuple((np.flatnonzero(present) + 1).tolist())].append(image)
    rows: list[Row] = []
    for classes in sorted(groups, key=lambda key: (len(key), key)):
        members = counts[groups[classes]]
        metrics = aggregate_metrics(members, class_names)
        mean, number = mean_over_classes(per_image_scores(members))  # here: over the images
        total = members.sum(axis=0)
        object_pixels, confused = int(total[1:].sum()), _confused(total)
        rows.append(
            {
                "classes": " + ".join(class_names[index] for index in classes) or "none",
                "images": len(members),
                "mDice": metrics["mDice"],
                "classes/mDice": int(metrics["classes/mDice"]),
                "image_mean/mDice": float(mean),
                "images/mDice": int(number),
                "object_pixels": object_pixels,
                "confused_pixels": confused,
                "confused_percent": _percent(confused, object_pixels),
            }
        )
    return rows


def error_budget(matrices: npt.ArrayLike, class_names: Sequence[str]) -> list[Row]:
    """What each kind of error costs: how mDice rises if an oracle mends just those pixels.

    In the sense of TIDE (Bolya et al., "TIDE: a general toolbox for identifying object detection
    errors", ECCV 2020), for pixels. The gains do not add up to the whole distance from 100: the
    kinds share denominators. A class that was only ever predicted and never true (Dice 0) drops
    out of the mean when all its false positives are mended.

    Args:
        matrices: (N, C, C) confusion matrices, one an image.
        class_names: The C class names.

    Returns:
        First a row for each `kind`: "false_positive" (object predicted on background),
        "false_negative" (background predicted on an object) and "wrong_class" (one object class
        for another). Then a "wrong_class" row for each pair of classes that was confused, most
        pixels first. Each with:

        - `truth`, `prediction`: the pair's names; None in the rows of a whole kind.
        - `pixels`: how many pixels have the error, in the split.
        - `error_percent`: their share of all wrong pixels.
        - `gain_mDice`: mDice of the split's summed pixels if they were right, less mDice now, in
          percentage points.

    Raises:
        ValueError: The matrices are not (N, C, C) for these classes.
    """
    total = require_image_matrices(matrices, class_names).sum(axis=0)
    truth, prediction = np.indices(total.shape)
    confused = (truth > 0) & (prediction > 0) & (truth != prediction)
    rows = [
        _error_row("false_positive", total, (truth == 0) & (prediction > 0)),
        _error_row("false_negative", total, (truth > 0) & (prediction == 0)),
        _error_row("wrong_class", total, confused),
    ]
    pairs = np.argwhere(confused & (total > 0)).tolist()
    for i, j in sorted(pairs, key=lambda pair: (-total[pair[0], pair[1]], pair)):
        cell = (truth == i) & (prediction == j)
        rows.append(_error_row("wrong_class", total, cell, class_names[i], class_names[j]))
    return rows


def _error_row(
    kind: str,
    total: IntArray,
    cells: npt.NDArray[np.bool_],
    truth: str | None = None,
    prediction: str | None = None,
) -> Row:
    """The row of `error_budget` for some cells of the split's (C, C) matrix."""
    pixels = int(total[cells].sum())
    return {
        "kind": kind,
        "truth": truth,
        "prediction": prediction,
        "pixels": pixels,
        "error_percent": _percent(pixels, int(total.sum() - np.trace(total))),
        "gain_mDice": _mean_dice(_mended(total, cells)) - _mean_dice(total),
    }


def _one_against_rest(counts: IntArray, images: IntArray, classes: IntArray) -> IntArray:
    """(M, 2, 2) confusion matrices of M pairs of image and class: the rest 0, the class 1."""
    chosen = counts[images]
    rows = np.arange(len(images))
    hits = chosen[rows, classes, classes]
    true, predicted = chosen.sum(axis=2)[rows, classes], chosen.sum(axis=1)[rows, classes]
    rest = chosen.sum(axis=(1, 2)) - true - predicted + hits
    return np.stack([rest, predicted - hits, true - hits, hits], axis=1).reshape(-1, 2, 2)


def _confused(total: IntArray) -> int:
    """Object pixels of a (C, C) matrix that were given to another object class."""
    objects = total[1:, 1:]
    return int(objects.sum() - np.trace(objects))


def _mended(total: IntArray, cells: npt.NDArray[np.bool_]) -> IntArray:
    """The (C, C) matrix with the pixels of some cells moved onto its diagonal."""
    moved = np.where(cells, total, 0)
    return total - moved + np.diag(moved.sum(axis=1))


def _mean_dice(matrix: IntArray) -> float:
    return 100.0 * float(mean_over_classes(compute_dice(matrix))[0])


def _percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else float("nan")
