"""A run's `history.jsonl`: one record per epoch, or per validation of a run in iterations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.runner import EpochBasedTrainLoop

from seglab.utils import run_files
from seglab.utils.io_utils import to_plain, write_text
from seglab.utils.result_files import HISTORY_FILE


def read_history(work_dir: str | Path) -> list[dict[str, Any]]:
    """The records of a run's `history.jsonl`, one per finished epoch; empty if there is none.

    A figure that was not a number (a class nobody predicted has no precision) is left out.

    Raises:
        UserError: The file is damaged.
    """
    folder = Path(work_dir)
    return run_files.load_history(folder) if (folder / HISTORY_FILE).is_file() else []


def stored_history(work_dir: str | Path) -> list[dict[str, Any]]:
    """The history as it is stored, None where a figure was not a number; empty if there is none.

    Raises:
        UserError: The file is damaged.
    """
    folder = Path(work_dir)
    return run_files.stored_history(folder) if (folder / HISTORY_FILE).is_file() else []


def earlier_records(runner: Any) -> list[dict[str, Any]]:
    """The history up to the point where the run starts or resumes.

    That of the state it resumes from. The file may know more: of an epoch whose validation a
    resumed run does again.
    """
    if runner.kept_history is not None:
        return [dict(record) for record in runner.kept_history]
    # A state of an earlier version.
    by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
    unit, now = ("epoch", runner.epoch) if by_epoch else ("iter", runner.iter)
    return [record for record in stored_history(runner.work_dir) if record[unit] <= now]


def write_history(work_dir: str | Path, records: Sequence[dict[str, Any]]) -> None:
    """Write the records of a run, in place of those before."""
    lines = [json.dumps(to_plain(record)) + "\n" for record in records]
    write_text(Path(work_dir) / HISTORY_FILE, "".join(lines))


@master_only
def rewind_history(runner: Any) -> None:
    """Take the history of a resumed run back to the point where it goes on."""
    write_history(runner.work_dir, earlier_records(runner))
