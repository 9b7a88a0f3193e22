"""Join a training or a test to its tracking."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmengine.config import Config

from seglab.utils.clearml_utils import DEFAULT_PROJECT
from seglab.utils.result_files import HISTORY_FILE, RUN_FILE
from seglab.utils.tracking.contents import (
    facts_of_test,
    history_entries,
    run_entries,
    start_entry,
    test_entries,
    test_results,
    tested_split,
    training_results,
)
from seglab.utils.tracking.journal import Entry
from seglab.utils.tracking.mode import OFF, Mode, decide_mode
from seglab.utils.tracking.tracker import Tracker

BACKEND = "SeglabClearMLBackend"
#: mmengine's own, which ours takes the place of: it calls the SDK inside the training.
_MMENGINE_BACKEND = "ClearMLVisBackend"


def announce_mode(option: str | None, folder: Path, rank: int = 0) -> Mode:
    """Decide whether and where a run is tracked, and say so in a line.

    Args:
        option: `--tracking`; None if it was not given.
        folder: Where the run's files go.
        rank: This process's number; only the first of several tracks.
    """
    if rank > 0:
        return OFF
    mode = decide_mode(option)
    print(mode.line(folder), flush=True)
    return mode


def tracking_project(config: Config) -> str:
    """The ClearML project that a config names, or seglab's own."""
    ours = [backend for backend in _backends(config) if _type_name(backend) == BACKEND]
    return str(next((each["project"] for each in ours if each.get("project")), DEFAULT_PROJECT))


def add_backend(config: Config, tracker: Tracker | None) -> None:
    """Give a Runner's config the backend that records, or none.

    Args:
        config: The copy that the Runner is built from; the stored config names no folder.
        tracker: Of the run; None for a run that is not tracked.
    """
    project = tracking_project(config)
    replaced = (BACKEND, _MMENGINE_BACKEND)
    kept = [each for each in _backends(config) if _type_name(each) not in replaced]
    if tracker is not None and tracker.is_on:
        kept.append(dict(type=BACKEND, project=project, folder=str(tracker.folder)))
    if not config.get("visualizer"):
        config.visualizer = dict(type="SegLocalVisualizer", name=config.experiment_name)
    config.visualizer["vis_backends"] = kept


def _backends(config: Config) -> list[Any]:
    """The config's backends; mmengine takes a single one, too."""
    given = (config.get("visualizer") or {}).get("vis_backends") or []
    return list(given) if isinstance(given, list | tuple) else [given]


def _type_name(backend: Any) -> str:
    """A backend's type as configs name it: with a scope before it, or the class itself."""
    kind = backend.get("type")
    return kind.rpartition(".")[2] if isinstance(kind, str) else getattr(kind, "__name__", "")


def begin_training(tracker: Tracker, config: Config) -> None:
    """Record what is known when a training begins; its `run.json` is written."""
    project = tracking_project(config)
    tracker.begin(lambda: [start_entry(tracker.base, project=project), *run_entries(tracker.base)])
    if (tracker.base / HISTORY_FILE).is_file():
        # A kill may have come between the history and the journal. What is in both stays one point.
        tracker.add(lambda: list(history_entries(tracker.base)))


@contextmanager
def tracked_training(tracker: Tracker) -> Iterator[None]:
    """End a training's tracking in every case, with its results and how it ended."""
    status = "failed"
    try:
        yield
        status = "finished"
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    finally:
        try:
            tracker.add(lambda: training_results(tracker.base))
        finally:  # Ctrl-C in the middle of that, too
            tracker.end(status)


def track_test(test_folder: Path, config: Config, mode: Mode) -> None:
    """Record a finished test as a task of its own: its figures, tables, pictures and files.

    Args:
        test_folder: Where its results are.
        config: What was tested.
        mode: From `announce_mode`.
    """
    tracker = Tracker(test_folder, mode)
    if tracker.is_on and (test_folder / RUN_FILE).exists():
        print(f"tracking: not of this test: {tracker.folder} is the training's own")
    elif tracker.is_on:
        tracker.begin(lambda: _test_begins(test_folder, tracking_project(config)))
        tracker.add(lambda: test_results(test_folder))
        tracker.end("finished")


def _test_begins(test_folder: Path, project: str) -> list[Entry]:
    split, optimistic = tested_split(test_folder)
    tags = ["optimistic"] * optimistic
    start = start_entry(facts_of_test(test_folder), split=split, project=project, tags=tags)
    return [start, *test_entries(test_folder)]
