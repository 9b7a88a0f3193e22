"""The overview of runs as a table, as wide as the terminal, and as records for programs."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from seglab.analysis.run_overview import RunRow, TestRow
from seglab.utils.pretty_printer import print_paragraphs, print_table

#: Columns that are left out where the terminal is too narrow, the first one first.
_LEFT_OUT = ("config", "began", "seed", "duration", "best epoch")
_NOTHING = "-"


def print_rows(rows: Sequence[RunRow], experiments: Path) -> None:
    """Print the table, and below it what is wrong with which run.

    Args:
        rows: From `list_runs`.
        experiments: The folder that they were looked for in; paths are shown relative to it.
    """
    if not rows:
        print(
            f"no runs under {experiments}\n"
            "  train one: seglab train --config configs/lite_fpn_effnetlite2_256x256.py"
        )
        return
    columns = {
        "run": [shown_folder(row.folder, experiments) for row in rows],
        **_columns(rows),
    }
    columns, left_out = _fitting(columns)
    cells = [[(text, False) for text in line] for line in zip(*columns.values(), strict=True)]
    number = f"{len(rows)} run{'s' * (len(rows) > 1)}"
    print_table(f"{number} in {experiments}", list(columns), cells)
    if any(test.optimistic for row in rows for test in row.tests):
        print("* optimistic: the split that was tested chose the checkpoint")
    print_paragraphs("beware", [*_remarks(rows, experiments)])
    if left_out:
        print(f"the terminal is too narrow for: {', '.join(left_out)} (--json has everything)")


def row_record(row: RunRow) -> dict[str, Any]:
    """A row as JSON holds it."""
    return {
        "folder": str(row.folder),
        "id": row.id,
        "config": row.config,
        "seed": row.seed,
        "status": row.status,
        "began": None if row.began is None else _stamp(row.began, "%Y-%m-%dT%H:%M:%S%z"),
        "seconds": row.seconds,
        "monitor": row.monitor,
        "best": row.best,
        "best_epoch": row.best_epoch,
        "epochs": row.epochs,
        "planned_epochs": row.planned,
        "tests": [
            {
                "name": test.name,
                "mDice": test.figure,
                "optimistic": test.optimistic,
                "tracked": vars(test.tracked),
            }
            for test in row.tests
        ],
        "tracked": vars(row.tracked),
        "faults": list(row.faults),
    }


def shown_folder(folder: Path, experiments: Path) -> str:
    """A run's folder relative to where it was looked for; its own name if it is that folder."""
    relative = folder.relative_to(experiments).as_posix()
    return folder.resolve().name if relative == "." else relative


def _columns(rows: Sequence[RunRow]) -> dict[str, list[str]]:
    return {
        "id": [row.id for row in rows],
        "config": [row.config or _NOTHING for row in rows],
        "seed": [_NOTHING if row.seed is None else str(row.seed) for row in rows],
        "status": [row.status for row in rows],
        "best": [_best(row) for row in rows],
        "best epoch": [_epoch(row) for row in rows],
        "duration": [_duration(row.seconds) for row in rows],
        "tests": [", ".join(map(_test, row.tests)) or _NOTHING for row in rows],
        "tracked": [_tracked(row) for row in rows],
        "began": [
            _NOTHING if row.began is None else _stamp(row.began, "%Y-%m-%d %H:%M") for row in rows
        ],
    }


def _fitting(columns: Mapping[str, list[str]]) -> tuple[dict[str, list[str]], list[str]]:
    """Those columns that the terminal has room for, and the names of the others."""
    kept = dict(columns)
    if not sys.stdout.isatty():
        return kept, []
    width = shutil.get_terminal_size().columns
    left_out = []
    for name in _LEFT_OUT:
        needed = sum(max(map(len, [name, *texts])) + 3 for name, texts in kept.items()) + 1
        if needed <= width:
            break
        del kept[name]
        left_out.append(name)
    return kept, left_out


def _remarks(rows: Sequence[RunRow], experiments: Path) -> list[str]:
    remarks = []
    for row in rows:
        name = shown_folder(row.folder, experiments)
        remarks += [f"{name}: {fault}" for fault in row.faults]
        if row.status == "silent":
            remarks.append(
                f"{name}: it says that it is running, but has written nothing for long; if its "
                f"process is gone: seglab train --config {row.folder / 'config.json'} "
                f"--work-dir {row.folder} --resume"
            )
    return remarks


def _best(row: RunRow) -> str:
    if row.best is None:
        return _NOTHING
    return f"{row.monitor.removeprefix('val/')} {row.best:.2f}"


def _epoch(row: RunRow) -> str:
    done = str(row.epochs)
    if row.planned is not None and row.planned != row.epochs:
        done += f"/{row.planned}"
    return f"{_NOTHING if row.best_epoch is None else row.best_epoch} of {done}"


def _duration(seconds: float | None) -> str:
    try:
        return _NOTHING if seconds is None else str(timedelta(seconds=round(seconds)))
    except OverflowError:  # a damaged record
        return _NOTHING


def _test(test: TestRow) -> str:
    figure = _NOTHING if test.figure is None else f"{test.figure:.2f}"
    return f"{test.name} {figure}{'*' if test.optimistic else ''}"


def _tracked(row: RunRow) -> str:
    """Where the run is tracked, and its tests where that is elsewhere."""
    others = [
        f"test {test.name}: {test.tracked.state}"
        for test in row.tests
        if test.tracked.state not in {row.tracked.state, "off"}
    ]
    return "; ".join([str(row.tracked), *others])


def _stamp(seconds: float, style: str) -> str:
    return time.strftime(style, time.localtime(seconds))
