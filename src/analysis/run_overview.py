"""An overview of the local runs, each read no further than a line about it needs.

Nothing is refused: a damaged run is a row that says what is wrong with it.
"""

from __future__ import annotations

import difflib
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seglab.analysis.tracked_where import Tracked, tracked_where
from seglab.utils.errors import UserError, tried
from seglab.utils.result_files import (
    CONFIG_JSON,
    HISTORY_FILE,
    METRICS_FILE,
    RUN_FILE,
    TRACKING_FOLDER,
)
from seglab.utils.run_files import (
    dig,
    finite,
    is_silent,
    last_sign,
    load_history,
    read_object,
    run_hypothesis,
    run_monitor,
    run_seed,
    session_began,
)
from seglab.utils.test_utils import higher_is_better

#: What a run's last word may be; a run that says `running` and wrote nothing for long is silent.
STATUSES = ("finished", "failed", "interrupted", "running", "silent", "damaged")


@dataclass(frozen=True)
class TestRow:
    """A test of a run.

    Attributes:
        name: Its folder without `test_`: the split, and the checkpoint where several were tested.
        figure: mDice, in percent; None if it has no value.
        optimistic: Whether the split chose the checkpoint.
        tracked: Where the test is tracked.
    """

    name: str
    figure: float | None
    optimistic: bool
    tracked: Tracked


@dataclass(frozen=True)
class RunRow:
    """A run.

    Attributes:
        folder: The run's folder.
        id: The hypothesis's id.
        config: The config's name; empty if it is not known.
        seed: The training seed; None if it is not known.
        status: One of `STATUSES`.
        began: When its last session began, in seconds since 1970; None if it is not known.
        seconds: How long it trained, or has trained so far; None if it is not known.
        monitor: The figure that chooses its best checkpoint, such as `val/mDice`.
        best: Its best value; None before the first.
        best_epoch: The epoch of that.
        epochs: How many epochs were finished.
        planned: How many were planned; None for a run measured in iterations.
        tests: Its tests.
        tracked: Where the run is tracked.
        faults: What is wrong with its files.
    """

    folder: Path
    id: str
    config: str = ""
    seed: int | None = None
    status: str = "damaged"
    began: float | None = None
    seconds: float | None = None
    monitor: str = ""
    best: float | None = None
    best_epoch: int | None = None
    epochs: int = 0
    planned: int | None = None
    tests: tuple[TestRow, ...] = ()
    tracked: Tracked = field(default_factory=lambda: Tracked("off"))
    faults: tuple[str, ...] = ()


def list_runs(
    experiments: Path,
    hypotheses: Sequence[str] = (),
    sort: str = "began",
    limit: int | None = None,
) -> list[RunRow]:
    """The runs below a folder.

    Args:
        experiments: Where to look, in all folders below.
        hypotheses: Ids of hypotheses or names of configs; all if empty.
        sort: "began": the newest first. "best": the best first, runs of one figure together.
            "id": by hypothesis, the newest of each first.
        limit: How many at most; None for all.

    Raises:
        UserError: There is no such folder, or no run of a hypothesis that is named.
    """
    if not experiments.is_dir():
        raise UserError(f"--experiments {experiments} is no folder", "check the path")
    rows = [read_row(folder) for folder in run_folders(experiments)]
    unknown = [name for name in hypotheses if not any(name in (r.id, r.config) for r in rows)]
    if unknown:
        raise _unknown(unknown, rows, experiments)
    if hypotheses:
        rows = [row for row in rows if row.id in hypotheses or row.config in hypotheses]
    # A run of which it is not known when it began stands first: it must not be overlooked.
    rows.sort(key=lambda row: (-(math.inf if row.began is None else row.began), str(row.folder)))
    if sort == "best":
        rows.sort(key=_rank)
    elif sort == "id":
        rows.sort(key=lambda row: row.id)
    return rows[:limit]


def run_folders(root: Path) -> Iterator[Path]:
    """The folders below a folder that hold a run, in the order of their paths."""
    for path, folders, files in os.walk(root):
        if RUN_FILE in files or CONFIG_JSON in files:
            folders.clear()  # what is below belongs to the run
            yield Path(path)
        folders[:] = sorted(name for name in folders if not name.startswith("."))


def read_row(folder: Path, now: float | None = None) -> RunRow:
    """Read what a line about a run needs; what cannot be read becomes a fault of the row.

    Args:
        folder: The run's folder.
        now: Seconds since 1970; None for the present.
    """
    now = time.time() if now is None else now
    faults: list[str] = []
    record = tried(lambda: read_object(folder / RUN_FILE), faults) or {}
    config = tried(lambda: read_object(folder / CONFIG_JSON), faults) or {}
    history = _read_history(folder, faults)
    hypothesis = tried(lambda: run_hypothesis(config, record, folder), faults)
    monitor = run_monitor(config, record)
    best = record.get("best") or _best_of(history, monitor)
    status = _status(folder, record, history, now)
    tests = _tests(folder, faults)
    return RunRow(
        folder=folder,
        id=str(record.get("hypothesis_id") or folder.name) if hypothesis is None else hypothesis.id,
        config=str(config.get("hypothesis_name") or record.get("hypothesis") or ""),
        seed=run_seed(config, record),
        status="damaged" if faults else status,
        began=session_began(record),
        seconds=_seconds(folder, record, status, now),
        monitor=monitor,
        best=finite(dig(best, monitor)),
        best_epoch=_whole(dig(best, "epoch")),
        epochs=_whole(record.get("epochs")) or len(history),
        planned=_whole(dig(config, "train_cfg", "max_epochs")),
        tests=tests,
        tracked=tracked_where(folder / TRACKING_FOLDER),
        faults=tuple(dict.fromkeys(faults)),
    )


def _status(
    folder: Path, record: Mapping[str, Any], history: list[dict[str, Any]], now: float
) -> str:
    status = record.get("status")
    if status == "running":
        return "silent" if is_silent(folder, history, now) else "running"
    return status if status in STATUSES else "damaged"


def _seconds(folder: Path, record: Mapping[str, Any], status: str, now: float) -> float | None:
    """The seconds of all sessions; a running one counts till now, a silent one till its last."""
    began = session_began(record)
    if status not in {"running", "silent"} or began is None:
        return finite(record.get("seconds"))
    earlier = sum(finite(dig(each, "seconds")) or 0.0 for each in record["sessions"][:-1])
    return earlier + max(0.0, (now if status == "running" else last_sign(folder)) - began)


def _read_history(folder: Path, faults: list[str]) -> list[dict[str, Any]]:
    """The history; a run before the end of its first epoch has none, and that is no fault."""
    if not (folder / HISTORY_FILE).exists():
        return []
    return tried(lambda: load_history(folder), faults) or []


def _best_of(history: Sequence[Mapping[str, Any]], monitor: str) -> Mapping[str, Any]:
    scored = [epoch for epoch in history if finite(epoch.get(monitor)) is not None]
    choose = max if _higher(monitor) else min
    return choose(scored, key=lambda epoch: epoch[monitor], default={})


def _tests(folder: Path, faults: list[str]) -> tuple[TestRow, ...]:
    rows = []
    for path in sorted(folder.glob(f"test_*/{METRICS_FILE}")):
        content = tried(lambda path=path: read_object(path), faults)  # type: ignore[misc]
        if content is None:
            continue
        split = content.get("split")
        rows.append(
            TestRow(
                name=path.parent.name.removeprefix("test_"),
                figure=finite(dig(content, "metrics", "mDice")),
                optimistic=split is not None and content.get("selected_on") == split,
                tracked=tracked_where(path.parent / TRACKING_FOLDER),
            )
        )
    return tuple(rows)


def _rank(row: RunRow) -> tuple[str, bool, float]:
    """Sorts runs of one figure together, the best first, those without a value last."""
    if row.best is None:
        return row.monitor, True, 0.0
    return row.monitor, False, -row.best if _higher(row.monitor) else row.best


def _higher(monitor: str) -> bool:
    return higher_is_better(monitor.removeprefix("val/"))


def _unknown(names: Sequence[str], rows: Sequence[RunRow], experiments: Path) -> UserError:
    known = sorted({row.id for row in rows})
    near = [m for name in names for m in difflib.get_close_matches(name, known, n=1, cutoff=0.5)]
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    listed = f"there are: {', '.join(known)}" if known else "there is none of any other either"
    return UserError(f"no run of {', '.join(names)} under {experiments}", hint + listed)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
