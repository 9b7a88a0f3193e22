"""Files of a run as journal entries, and whole journals of runs that nobody tracked.

Everything is read as data from the run's folder. What a live training and the files say under one
name is the same: titles, series and steps come from `seglab.utils.tracking.scalars`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from seglab.utils.errors import UserError, raise_faults, tried
from seglab.utils.result_files import CONFIG_JSON, METRICS_FILE, PROVENANCE_FILE, RUN_FILE
from seglab.utils.run_files import is_silent, load_history, read_object, session_began
from seglab.utils.tracking.entries import STATUSES
from seglab.utils.tracking.journal import (
    JOURNAL_FILE,
    End,
    Entry,
    Journal,
)
from seglab.utils.tracking.result_contents import history_entries, training_results
from seglab.utils.tracking.run_contents import (
    RunFacts,
    facts_of,
    run_entries,
    run_facts,
    start_entry,
)
from seglab.utils.tracking.scalars import epoch_scalars, logged_scalars, validation_scalars
from seglab.utils.tracking.testing_contents import test_entries, test_results, tested_split

__all__ = [
    "RunFacts",
    "epoch_scalars",
    "facts_of",
    "facts_of_test",
    "history_entries",
    "journal_of_run",
    "journal_of_test",
    "logged_scalars",
    "run_entries",
    "run_facts",
    "start_entry",
    "test_entries",
    "test_results",
    "tested_split",
    "training_results",
    "validation_scalars",
]

_RESTORE = "restore the files, or train again"


def journal_of_run(run_folder: Path, folder: Path) -> None:
    """Write the finished journal of a training that was not tracked.

    Works on what `export-run` leaves, too. The journal arrives whole or not at all.

    Args:
        run_folder: The run's folder.
        folder: The tracking folder inside it, `RUN/tracking`.

    Raises:
        UserError: The folder holds no run or no metrics, files are damaged (all are named), the
            run still goes on, or it has a journal.
    """
    _require_free(folder)
    _require_run(run_folder)
    faults: list[str] = []
    record = tried(lambda: read_object(run_folder / RUN_FILE), faults)
    facts = tried(lambda: run_facts(run_folder), faults)
    begin = tried(lambda: run_entries(run_folder, here=False), faults)
    points = tried(lambda: history_entries(run_folder), faults)
    results = tried(lambda: training_results(run_folder), faults)
    raise_faults(f"the run in {run_folder} cannot be read", list(dict.fromkeys(faults)), _RESTORE)
    assert record is not None and facts is not None
    assert begin is not None and points is not None and results is not None
    if not points:
        raise UserError(
            f"{run_folder} holds no metrics: no epoch was finished", "name a run that got further"
        )
    status = str(record.get("status"))
    if status not in STATUSES:
        if not is_silent(run_folder, load_history(run_folder)):
            raise UserError(
                f"the run in {run_folder} still goes on", "wait until it ends, or stop it"
            )
        status = "interrupted"
    began = session_began(record, 0) or min(point.time for point in points)
    ended = max(point.time for point in points)
    start = start_entry(facts, time=began)
    _write(
        folder,
        [start, *_at(began, begin), *points, *_at(ended, results), End(status, time=ended)],
    )


def journal_of_test(test_folder: Path, folder: Path) -> None:
    """Write the finished journal of a test that was not tracked.

    Args:
        test_folder: `RUN/test_SPLIT`.
        folder: The tracking folder inside it.

    Raises:
        UserError: The folder holds no test, files are damaged (all are named), or it has a
            journal.
    """
    _require_free(folder)
    metrics = test_folder / METRICS_FILE
    if not metrics.is_file():
        raise UserError(
            f"{test_folder} holds no results of a test", "name a folder that `seglab test` wrote"
        )
    faults: list[str] = []
    split = tried(lambda: tested_split(test_folder), faults)
    entries = None
    if split is not None:
        entries = tried(lambda: test_entries(test_folder, here=False), faults)
    results = tried(lambda: test_results(test_folder), faults)
    facts = tried(lambda: facts_of_test(test_folder), faults)
    raise_faults(f"{test_folder} cannot be read", list(dict.fromkeys(faults)), _RESTORE)
    assert split is not None and facts is not None
    assert entries is not None and results is not None
    time = metrics.stat().st_mtime
    start = start_entry(facts, split=split[0], tags=["optimistic"] * split[1], time=time)
    _write(folder, [start, *_at(time, [*entries, *results]), End("finished", time=time)])


def facts_of_test(test_folder: Path) -> RunFacts:
    """The facts of the run beside a test, or what the test itself says where there is no run."""
    if (test_folder.parent / RUN_FILE).is_file():
        return run_facts(test_folder.parent)
    provenance = read_object(test_folder / PROVENANCE_FILE)
    config = Path(str(provenance.get("config"))).stem
    seed = provenance.get("seed")
    name = test_folder.name if config in {"config", "None"} else config
    return RunFacts(name, None, name, seed if isinstance(seed, int) else None, test_folder.name)


def _require_free(folder: Path) -> None:
    if (folder / JOURNAL_FILE).exists():
        raise UserError(
            f"{folder} holds a journal: the run was tracked", "use it, or delete the folder"
        )


def _require_run(folder: Path) -> None:
    if not folder.is_dir():
        raise UserError(f"run folder not found: {folder}", "check the path")
    if not any((folder / name).is_file() for name in (RUN_FILE, CONFIG_JSON)):
        raise UserError(
            f"{folder} is no run: it holds neither {RUN_FILE} nor {CONFIG_JSON}",
            "name a folder that `seglab train` wrote",
        )


def _at(time: float, entries: Sequence[Entry]) -> list[Entry]:
    """The entries as of another time."""
    return [replace(entry, time=time) for entry in entries]


def _write(folder: Path, entries: Sequence[Entry]) -> None:
    """Write a journal beside its place and move it there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".tracking_"))
    try:
        journal = Journal(stage)
        written = journal.add(*entries)
        journal.close()
        if not written:
            raise UserError(
                f"{folder / JOURNAL_FILE} cannot be written", "check the space left on the disk"
            )
        folder.mkdir(exist_ok=True)
        (stage / JOURNAL_FILE).replace(folder / JOURNAL_FILE)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
