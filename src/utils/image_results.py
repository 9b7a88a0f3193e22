"""What an evaluation keeps of every image; every published figure is computed from it.

`image_results.npz` is the compact form: numbers and fixed-width text in a compressed npz, read
without unpickling anything. `per_image.csv` is the same for a spreadsheet. The flat dict of all
figures of a split is put together here and nowhere else.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from seglab.utils.calibration import expected_calibration_error
from seglab.utils.errors import UserError
from seglab.utils.io_utils import atomic_path
from seglab.utils.test_utils import (
    FloatArray,
    IntArray,
    aggregate_metrics,
    image_mean_metrics,
    mean_over_classes,
    mean_over_images,
    score_table,
)
from seglab.utils.zip_files import refuse_bombs

_RESTORE = "restore it, or run the test again"
_FORMAT = "seglab image results 1"
#: What a spreadsheet takes for the start of a formula (OWASP, "CSV injection").
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, eq=False)
class BoundaryTable:
    """The `seglab.utils.boundary.BoundaryScores` of N images, for C - 1 object classes.

    Attributes:
        intersection: (N, C-1) int64 pixels in the bands of both.
        union: (N, C-1) int64 pixels in the band of truth or prediction.
        hd95: (N, C-1) float64 pixels; NaN for a class in neither.
        nsd: (N, C-1) float64, 0 to 1; NaN for a class in neither.
        band_pixels: (N,) int64 counted pixels near a true contour.
        band_errors: (N,) int64, the wrong ones among them.
    """

    intersection: IntArray
    union: IntArray
    hd95: FloatArray
    nsd: FloatArray
    band_pixels: IntArray
    band_errors: IntArray


@dataclass(frozen=True, eq=False)
class ImageResults:
    """The results of N images for C classes; one that could not be so cannot be made.

    Attributes:
        sample_ids: The images' paths relative to the split, sorted, each once.
        classes: The class names; index 0 is the background.
        matrices: (N, C, C) int64 confusion matrices, truth in rows.
        boundary: What was kept of the contours, or None.
        calibration: (N, 2, B, 3) float64 histograms of `calibration_histogram`, or None.

    Raises:
        ValueError: Shapes or types do not fit together, counts are negative or contradict each
            other, or the ids are not sorted and unique; everything that is wrong is listed.
    """

    sample_ids: tuple[str, ...]
    classes: tuple[str, ...]
    matrices: IntArray
    boundary: BoundaryTable | None = None
    calibration: FloatArray | None = None

    def __post_init__(self) -> None:
        """Refuse what contradicts itself."""
        faults = list(_faults(self))
        if faults:
            raise ValueError("; ".join(faults))


def published_metrics(results: ImageResults) -> dict[str, float]:
    """Every published figure of a split, unrounded.

    Args:
        results: The results of its images.

    Returns:
        Percentages, but for HD95 (pixels) and the numbers of classes and images:

        - The figures of `aggregate_metrics`, over the split's summed pixels.
        - `image_mean/KEY` and `images/KEY` for each of them, see `image_mean_metrics`.
        - With boundary results, over the summed bands: `BoundaryIoU/NAME` of each object class,
          `mBoundaryIoU` and `classes/mBoundaryIoU`, and the means over the images of both. As
          means over the images that have a value: `HD95/NAME`, `NSD/NAME`, with
          `images/HD95/NAME`, `images/NSD/NAME`; `mHD95` and `mNSD` are the means of these over
          the `classes/mHD95`, `classes/mNSD` object classes that have one.
        - With calibration results: `ECE`, and `ECE/objects` over the pixels where truth or
          prediction is an object.
    """
    metrics = aggregate_metrics(results.matrices, results.classes)
    metrics |= image_mean_metrics(results.matrices, results.classes)
    if results.boundary is not None:
        metrics |= _boundary_metrics(results.boundary, results.classes[1:])
    if results.calibration is not None:
        errors = 100.0 * expected_calibration_error(results.calibration.sum(axis=0))
        metrics |= {"ECE": float(errors[0]), "ECE/objects": float(errors[1])}
    return metrics


def image_figures(results: ImageResults) -> dict[str, FloatArray]:
    """Every figure of every image, by which images are ranked.

    Args:
        results: The results of the images.

    Returns:
        KEY -> (N,) float64, unrounded, in the units of `published_metrics`; NaN for an image that
        has no value. Its keys are those of `score_table` without the numbers of classes; with
        boundary results also `BoundaryIoU`, `HD95` and `NSD` of each object class and their means
        over the classes; with calibration results also `ECE` and `ECE/objects`.
    """
    table = score_table(results.matrices, results.classes)
    figures = {key: values for key, values in table.items() if not key.startswith("classes/")}
    if results.boundary is not None:
        figures |= _boundary_columns(results.boundary, results.classes[1:])
    if results.calibration is not None:
        errors = 100.0 * expected_calibration_error(results.calibration)
        figures |= {"ECE": errors[:, 0], "ECE/objects": errors[:, 1]}
    return figures


def save_results(path: str | Path, results: ImageResults) -> Path:
    """Write the results as a compressed npz, atomically; returns the path.

    Args:
        path: The file, ending in .npz.
        results: What to write.
    """
    members: dict[str, npt.NDArray[Any]] = {
        "format": np.array(_FORMAT),
        "sample_ids": np.array(results.sample_ids, dtype=np.str_),
        "classes": np.array(results.classes, dtype=np.str_),
        "matrices": results.matrices,
    }
    if results.boundary is not None:
        for field in fields(BoundaryTable):
            members[f"boundary_{field.name}"] = getattr(results.boundary, field.name)
    if results.calibration is not None:
        members["calibration"] = results.calibration
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **members)
    return Path(path)


def load_results(path: str | Path) -> ImageResults:
    """Read what `save_results` wrote. Nothing in the file is executed.

    Args:
        path: The npz.

    Raises:
        UserError: The file is missing, truncated, damaged or not ours.
    """
    path = Path(path)
    try:
        members = _read_members(path)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise UserError(f"cannot read {path}: {error.strerror}", _RESTORE) from error
    except Exception as error:  # damage in a zip surfaces as any of a dozen classes
        raise UserError(f"{path} is truncated, damaged or no npz: {error}", _RESTORE) from error
    if "format" not in members or str(members["format"]) != _FORMAT:
        raise UserError(
            f"{path} holds no image results of this version of seglab ('{_FORMAT}')",
            "give the image_results.npz of a test, or run the test again",
        )
    for name in ("sample_ids", "classes"):
        if name in members and (members[name].dtype.kind != "U" or members[name].ndim != 1):
            raise UserError(f"{path}: {name} is no list of names", _RESTORE)
    try:
        names = [field.name for field in fields(BoundaryTable)]
        has_boundary = any(name.startswith("boundary_") for name in members)
        return ImageResults(
            sample_ids=tuple(members["sample_ids"].tolist()),
            classes=tuple(members["classes"].tolist()),
            matrices=members["matrices"],
            boundary=BoundaryTable(**{name: members[f"boundary_{name}"] for name in names})
            if has_boundary
            else None,
            calibration=members.get("calibration"),
        )
    except KeyError as error:
        raise UserError(f"{path} lacks {error}", _RESTORE) from error
    except ValueError as error:
        raise UserError(f"{path}: {error}", _RESTORE) from error


def write_per_image_csv(path: str | Path, results: ImageResults) -> Path:
    """Write one row for each image, for a spreadsheet; returns the path.

    Columns: `sample_id`; `truth_pixels/NAME` and `predicted_pixels/NAME`; `mDice`, `mIoU`, `mAcc`,
    `aAcc`; the other figures of `image_figures` but `Recall/NAME`, which is `Acc/NAME`; with
    boundary results `band_pixels`, `band_errors`. A cell without value is empty. An id that a
    spreadsheet would take for a formula is preceded by '.

    The text is UTF-8 with a byte order mark: without one Excel takes it for the system's 8-bit code
    and breaks every id that is not ASCII. pandas skips the mark; for Python's `csv`, open the file
    with encoding="utf-8-sig".

    Args:
        path: The file to write.
        results: The results of the images.
    """
    columns = _csv_columns(results)
    with (
        atomic_path(path) as temporary,
        # Names that are no valid text (lone surrogates of the file system) stay readable.
        temporary.open("w", encoding="utf-8-sig", errors="backslashreplace", newline="") as stream,
    ):
        writer = csv.writer(stream)
        writer.writerow(["sample_id", *columns])
        values = [column.tolist() for column in columns.values()]
        for index, sample_id in enumerate(results.sample_ids):
            cells = [column[index] for column in values]
            # A NaN is the only number that is not itself.
            writer.writerow(
                [_plain_text(sample_id), *("" if cell != cell else cell for cell in cells)]
            )
    return Path(path)


def _boundary_metrics(table: BoundaryTable, names: tuple[str, ...]) -> dict[str, float]:
    """The published boundary figures of a split, for its object classes."""
    columns = _boundary_columns(table, names)
    means = mean_over_images(columns)
    pooled = _boundary_iou(table.intersection.sum(axis=0), table.union.sum(axis=0))
    metrics = {
        f"BoundaryIoU/{name}": float(value) for name, value in zip(names, pooled, strict=True)
    }
    # Distances of different images have no pooled form: a class's figure is the mean over images.
    for key in (f"{figure}/{name}" for figure in ("HD95", "NSD") for name in names):
        metrics[key] = means[f"image_mean/{key}"]
    for figure in ("BoundaryIoU", "HD95", "NSD"):
        mean, number = mean_over_classes([metrics[f"{figure}/{name}"] for name in names])
        metrics |= {f"m{figure}": float(mean), f"classes/m{figure}": float(number)}
    for key in columns:
        if key.startswith(("mBoundaryIoU", "BoundaryIoU/")):
            metrics[f"image_mean/{key}"] = means[f"image_mean/{key}"]
        metrics[f"images/{key}"] = means[f"images/{key}"]
    return metrics


def _boundary_columns(table: BoundaryTable, names: tuple[str, ...]) -> dict[str, FloatArray]:
    """The boundary figures of every image: (N,) each, in percent or (HD95) pixels."""
    per_class = {
        "BoundaryIoU": _boundary_iou(table.intersection, table.union),
        "HD95": table.hd95,
        "NSD": 100.0 * table.nsd,
    }
    columns = {f"m{name}": mean_over_classes(values)[0] for name, values in per_class.items()}
    for figure, values in per_class.items():
        for index, name in enumerate(names):
            columns[f"{figure}/{name}"] = values[:, index]
    return columns


def _boundary_iou(intersection: IntArray, union: IntArray) -> FloatArray:
    """Boundary IoU in percent; NaN where there is no contour in truth or prediction."""
    share = np.where(union > 0, intersection / np.maximum(union, 1), np.nan)
    return np.asarray(100.0 * share)


def _csv_columns(results: ImageResults) -> dict[str, npt.NDArray[np.number]]:
    """The columns of the CSV after the id: name -> (N,) counts or figures."""
    columns: dict[str, npt.NDArray[np.number]] = {}
    for axis, what in ((2, "truth_pixels"), (1, "predicted_pixels")):
        for name, pixels in zip(results.classes, results.matrices.sum(axis=axis).T, strict=True):
            columns[f"{what}/{name}"] = pixels
    figures = image_figures(results)
    first = ("mDice", "mIoU", "mAcc", "aAcc")
    columns |= {key: figures[key] for key in first}
    # Recall is Acc under its other name: twice the same column would only be wide.
    columns |= {key: values for key, values in figures.items() if not key.startswith("Recall/")}
    if results.boundary is not None:
        columns["band_pixels"] = results.boundary.band_pixels
        columns["band_errors"] = results.boundary.band_errors
    return columns


def _plain_text(text: str) -> str:
    """The text so that no spreadsheet runs it as a formula."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _read_members(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of an npz by name."""
    members = {}
    refuse_bombs(path)
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            # `read` checks the member's checksum before numpy sees a byte of it.
            content = io.BytesIO(archive.read(name))
            members[name.removesuffix(".npy")] = np.lib.format.read_array(
                content, allow_pickle=False
            )
    return members


def _faults(results: ImageResults) -> Iterator[str]:
    """What is wrong with results, in words."""
    number, size = len(results.sample_ids), len(results.classes)
    if any(one >= next_ for one, next_ in pairwise(results.sample_ids)):
        yield "the sample ids are not sorted and unique"
    if len(set(results.classes)) != size or not size:
        yield "the class names are not unique, or there are none"
    yield from _array_faults("matrices", results.matrices, (number, size, size))
    if results.calibration is not None:
        bins = results.calibration.shape[2:3]
        yield from _array_faults("calibration", results.calibration, (number, 2, *bins, 3), float)
    if (table := results.boundary) is None:
        return
    faults: list[str] = []
    for field in fields(BoundaryTable):
        shape = (number,) if field.name.startswith("band_") else (number, size - 1)
        dtype = float if field.name in ("hd95", "nsd") else int
        faults += _array_faults(f"boundary_{field.name}", getattr(table, field.name), shape, dtype)
    yield from faults
    if not faults and (table.intersection > table.union).any():
        yield "boundary_intersection is larger than boundary_union"
    if not faults and (table.band_errors > table.band_pixels).any():
        yield "boundary_band_errors is larger than boundary_band_pixels"


def _array_faults(
    name: str, values: npt.NDArray[np.number], shape: tuple[int, ...], dtype: type = int
) -> Iterator[str]:
    """What is wrong with one array; `int` stands for int64 and `float` for float64."""
    expected = np.dtype(np.float64 if dtype is float else np.int64)
    if values.shape != shape or values.dtype != expected:
        yield f"{name} is {values.dtype} {values.shape}, expected {expected} {shape}"
        return
    bad = (values < 0) | np.isinf(values)
    if name not in ("boundary_hd95", "boundary_nsd"):
        bad |= np.isnan(values)
    if name == "boundary_nsd":
        bad |= values > 1
    if bad.any():
        yield f"{name} holds values that cannot be, such as {values[bad][0]}"
