"""What a test leaves in its folder, as entries of its journal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from time import time as now
from typing import Any

import numpy as np

from seglab.utils.errors import raise_faults, tried
from seglab.utils.image_results import ImageResults, load_results
from seglab.utils.result_files import (
    LAB_SCORES_FILE,
    METRICS_FILE,
    PER_IMAGE_FILE,
    PROVENANCE_FILE,
    RESULTS_FILE,
)
from seglab.utils.run_files import read_object
from seglab.utils.schemas import validate
from seglab.utils.tracking.journal import (
    JSON,
    ConfusionMatrix,
    Entry,
    Image,
    Parameters,
    Scalar,
    SingleValue,
    Table,
    Text,
)
from seglab.utils.tracking.result_contents import class_table, file_entries
from seglab.utils.tracking.run_contents import (
    clean,
    code_entry,
    command_line,
    environment_section,
)
from seglab.utils.tracking.scalars import validation_scalars

#: The figures by which tests are compared side by side.
MAIN_FIGURES = (
    *("mDice", "mIoU", "mAcc", "aAcc", "mBoundaryIoU", "mNSD", "mHD95"),
    *("image_mean/mDice", "ECE", "ECE/objects"),
)
_CHARTS = ("confusion_matrix", "reliability", "distribution")
_PANEL = re.compile(r"(best|worst)_(.+)")
#: A test is one moment, not a course of steps.
_STEP = 0
_TEST_AGAIN = "restore the files, or run `seglab test` again"


def test_entries(test_folder: Path, here: bool = True, time: float | None = None) -> list[Entry]:
    """What was tested, with what: sections of parameters, and the code.

    Args:
        test_folder: `RUN/test_SPLIT`.
        here: This process makes the test, see `run_contents.run_entries`.
        time: When, in seconds since 1970; None for now.

    Raises:
        UserError: A file is missing or damaged.
    """
    time = now() if time is None else time
    metrics, provenance = _read(test_folder)
    data = {key: value for key, value in provenance["data"].items() if key != "files"}
    chosen_on = metrics["selected_on"]
    sections = {
        "Test": {
            **{key: metrics[key] for key in ("split", "images", "classes", "ignore_index")},
            **{key: provenance[key] for key in ("config", "checkpoint", "device", "seed")},
            "selected_on": chosen_on,
            "optimistic": chosen_on == metrics["split"],
            "command": command_line(provenance["command"]),
        },
        "Data hashes": {
            **data,
            "config": provenance["config_sha256"],
            "checkpoint": provenance["checkpoint_sha256"],
        },
        "Environment": environment_section(provenance["environment"], here),
    }
    entries: list[Entry] = [
        Parameters(name, clean(values), time=time) for name, values in sections.items()
    ]
    command = [str(word) for word in provenance["command"]]
    entries.append(code_entry("test", command, provenance["git_revision"], here))
    return entries


def test_results(test_folder: Path, time: float | None = None) -> list[Entry]:
    """Figures, tables, pictures and files of a test.

    Args:
        test_folder: `RUN/test_SPLIT`.
        time: When, in seconds since 1970; None for now.

    Returns:
        Entries whose files are relative to the test's folder. Pictures that are not there (an
        exported run has no photographs) are left out.

    Raises:
        UserError: A file is missing or damaged; lists every fault.
    """
    time = now() if time is None else time
    faults: list[str] = []
    metrics, _ = _read_both(test_folder, faults)
    results = tried(lambda: load_results(test_folder / RESULTS_FILE), faults)
    raise_faults(f"the test in {test_folder} cannot be read", faults, _TEST_AGAIN)
    assert results is not None
    entries: list[Entry] = [*_figures(metrics, time), *_tables(metrics, time)]
    entries += [_confusion(results, metrics["split"], time)]
    entries += _pictures(test_folder, metrics, time)
    if metrics["selected_on"] == metrics["split"]:
        entries.append(Text(_optimistic(metrics["split"]), time=time))
    names = [METRICS_FILE, PER_IMAGE_FILE, RESULTS_FILE, PROVENANCE_FILE, LAB_SCORES_FILE]
    entries += file_entries(test_folder, names, time)
    return entries


def tested_split(test_folder: Path) -> tuple[str, bool]:
    """The split a test scored, and whether its figures are optimistic: they chose the checkpoint.

    Raises:
        UserError: A file is missing or damaged.
    """
    metrics, _ = _read(test_folder)
    return metrics["split"], metrics["selected_on"] == metrics["split"]


def _read(test_folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """`test_metrics.json` and `provenance.json`, checked.

    Raises:
        UserError: One or both are missing or damaged; lists every fault.
    """
    faults: list[str] = []
    contents = _read_both(test_folder, faults)
    raise_faults(f"the test in {test_folder} cannot be read", faults, _TEST_AGAIN)
    return contents


def _read_both(test_folder: Path, faults: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The two files, empty where a fault was noted."""

    def read(name: str, schema: str) -> dict[str, Any]:
        content = read_object(test_folder / name)
        validate(schema, content, test_folder / name)
        return content

    metrics = tried(lambda: read(METRICS_FILE, "test_metrics"), faults)
    provenance = tried(lambda: read(PROVENANCE_FILE, "provenance"), faults)
    return metrics or {}, provenance or {}


def _figures(metrics: Mapping[str, Any], time: float) -> Iterator[Entry]:
    figures, split = metrics["metrics"], metrics["split"]
    for key in MAIN_FIGURES:
        if figures.get(key) is not None:
            yield SingleValue(key, float(figures[key]), time=time)
    named = {f"{split}/{key}": value for key, value in figures.items()}
    for point in validation_scalars(named, _STEP, 0.0):
        yield Scalar(point.title, point.series, point.value, point.step, time=time)


def _tables(metrics: Mapping[str, Any], time: float) -> Iterator[Table]:
    split = metrics["split"]
    classes = class_table(metrics["metrics"], _STEP, "per class", split, "", time)
    if classes.rows:
        yield classes
    for name, rows in metrics["breakdown"].items():
        columns = tuple(dict.fromkeys(key for row in rows for key in row))
        if rows:
            yield _table("breakdown", f"{split} {name}", columns, rows, time)
    for name, bins in metrics["calibration"].items():
        width = 1.0 / len(bins)
        rows = [
            {"from": index * width, "to": (index + 1) * width, **each}
            for index, each in enumerate(bins)
        ]
        columns = ("from", "to", "confidence", "accuracy", "pixels")
        yield _table("calibration", f"{split} {name}", columns, rows, time)


def _table(
    title: str,
    series: str,
    columns: tuple[str, ...],
    rows: Sequence[Mapping[str, JSON]],
    time: float,
) -> Table:
    cells = tuple(tuple(row.get(column) for column in columns) for row in rows)
    return Table(title, series, _STEP, columns, cells, time=time)


def _confusion(results: ImageResults, split: str, time: float) -> ConfusionMatrix:
    """The split's confusion matrix in percent of the true pixels; 0 for a class without any."""
    matrix = results.matrices.sum(axis=0).astype(np.float64)
    totals = matrix.sum(axis=1, keepdims=True)
    percent = 100.0 * matrix / np.where(totals > 0, totals, 1.0)
    rows = tuple(tuple(row) for row in percent.tolist())
    title = "confusion matrix, % of the true pixels"
    return ConfusionMatrix(title, split, _STEP, results.classes, rows, time=time)


def _pictures(folder: Path, metrics: Mapping[str, Any], time: float) -> list[Image]:
    """The test's pictures: charts, and the best and the worst images, in their order."""
    pictures = []
    for name in metrics["pictures"]:
        if not (folder / name).is_file():
            continue
        stem = Path(name).stem.removeprefix(f"{metrics['split']}_")
        panel = _PANEL.fullmatch(stem)
        if panel:
            title, series = f"{panel[1]} images", panel[2]
        elif stem in _CHARTS:
            title, series = "charts", stem.replace("_", " ")
        else:
            title, series = "overview", stem.replace("_", " ")
        pictures.append(Image(title, series, _STEP, name, time=time))
    return pictures


def _optimistic(split: str) -> str:
    return (
        f"These figures are optimistic: the checkpoint was chosen by figures on {split}, the "
        "split that is tested here. What the model is worth on new images another split tells."
    )
