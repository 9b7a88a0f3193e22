"""Runs as TensorBoard's event files, and TensorBoard to look at them.

The optional extra `requirements-tensorboard.txt` is imported here and nowhere else.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import PIL.Image
from tqdm import tqdm

from seglab.analysis.run_overview import RunRow
from seglab.analysis.run_table import shown_folder
from seglab.utils.data_hashes import json_sha256
from seglab.utils.errors import UserError
from seglab.utils.io_utils import read_json, require_writable, write_json
from seglab.utils.result_files import TRACKING_FOLDER
from seglab.utils.tracking.contents import history_entries, test_results
from seglab.utils.tracking.journal import JOURNAL_FILE, Image, Scalar, read_journal

ADDRESS = "127.0.0.1"
#: Marks a folder that was written here, and says from what.
MARKER = "seglab.json"
_EVENTS = "events.out.tfevents.*"
_FORMAT = 1
_FIX = "run: pip install -r requirements-tensorboard.txt"
#: What the event files of a run or a test are made from.
_SOURCES = (
    *("run.json", "history.jsonl", "*/vis_data/*.json", f"{TRACKING_FOLDER}/{JOURNAL_FILE}"),
    *("test_metrics.json", "image_results.npz", "provenance.json"),
)


def write_logs(rows: Sequence[RunRow], experiments: Path, logdir: Path) -> list[Path]:
    """Write the event files of runs and of their tests, and take away those of other runs.

    What was written before and whose sources did not change since stays as it is. Folders that
    were not written here are left alone. A run that cannot be read is said and left out.

    Args:
        rows: From `list_runs`.
        experiments: The folder that they were looked for in.
        logdir: Gets `RUN/` and `RUN/test_SPLIT/` for each.

    Returns:
        The folders of the runs and tests.

    Raises:
        UserError: TensorBoard is not installed, or `logdir` cannot be written.
    """
    _require_tensorboard()
    require_writable(logdir, "--logdir")
    written = []
    # Through stderr, as the bar: a warning must not stand in the middle of it.
    for row in tqdm(rows, desc="writing", unit="run", leave=False, delay=1.0):
        target = logdir / shown_folder(row.folder, experiments)
        for source, name in [
            (row.folder, ""),
            *((row.folder / f"test_{test.name}", f"test_{test.name}") for test in row.tests),
        ]:
            try:
                _write_one(source, target / name, is_test=bool(name))
                written.append(target / name)
            except UserError as error:
                tqdm.write(f"left out: {error.message}", file=sys.stderr)
    _remove_others(logdir, set(written))
    return written


def serve(logdir: Path, port: int | None = None) -> None:
    """Show a folder of event files in TensorBoard until Ctrl-C.

    Args:
        logdir: The folder.
        port: Of 127.0.0.1; None for 6006, or the next one that is free.

    Raises:
        UserError: TensorBoard is not installed, or the port cannot be used.
    """
    if port is not None and not 1 <= port <= 65535:
        raise UserError(f"--port {port}", "give a number from 1 to 65535")
    program = _import("tensorboard.program")
    board = program.TensorBoard()
    arguments = ["--logdir", str(logdir), "--host", ADDRESS, "--load_fast", "false"]
    arguments += ["--port", str(port)] if port is not None else []
    board.configure(argv=["tensorboard", *arguments])
    try:
        url = board.launch()
    except program.TensorBoardServerException as error:
        raise UserError(f"TensorBoard does not start: {error}", "give another --port") from error
    print(f"TensorBoard: {url}\npress Ctrl-C to close it", flush=True)
    try:
        while True:
            time.sleep(1)
    except KeyboardInterrupt:
        print("closed")


def _require_tensorboard() -> None:
    if importlib.util.find_spec("tensorboard") is None:
        raise UserError("TensorBoard is not installed", _FIX)


def _import(name: str) -> Any:
    """Import a module of TensorBoard.

    Raises:
        UserError: It is not installed, or not with packages that it works with.
    """
    _require_tensorboard()
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"TensorBoard cannot be imported: {error}", _FIX) from error


def _write_one(source: Path, target: Path, is_test: bool) -> None:
    """Write the event file of a run or a test, unless it is there."""
    sources = _signature(source)
    with suppress(UserError):
        if read_json(target / MARKER).get("sources") == sources:
            return
    entries = _test_points(source) if is_test else _run_points(source)
    if not (target / MARKER).is_file() and any(target.glob(_EVENTS)):
        raise UserError(f"{target} holds logs of another program", "give another --logdir")
    # Elsewhere, for TensorBoard shows every event file below its folder, and a kill leaves some.
    with tempfile.TemporaryDirectory(prefix="seglab-tensorboard-") as stage:
        _write_events(Path(stage), source, entries)
        write_json(target / MARKER, {"format": _FORMAT, "sources": None})
        for path in Path(stage).iterdir():
            unfinished = target / f".unfinished_{os.getpid()}"
            shutil.copyfile(path, unfinished)
            unfinished.replace(target / path.name)
    # Somebody else may have written at the same time: the newest stays, whoever looks.
    for path in sorted(target.glob(_EVENTS))[:-1]:
        path.unlink(missing_ok=True)
    write_json(target / MARKER, {"format": _FORMAT, "sources": sources})


def _run_points(folder: Path) -> list[Scalar | Image]:
    """The points of a run's curves: from its files, and what only its journal holds."""
    points = {_identity(point): point for point in history_entries(folder)}
    tracking = folder / TRACKING_FOLDER
    if (tracking / JOURNAL_FILE).is_file():
        for entry in read_journal(tracking):
            if isinstance(entry, Scalar):
                points[_identity(entry)] = entry  # its time is not estimated
    return list(points.values())


def _test_points(folder: Path) -> list[Scalar | Image]:
    time = (folder / "test_metrics.json").stat().st_mtime
    return [entry for entry in test_results(folder, time) if isinstance(entry, Scalar | Image)]


def _identity(point: Scalar) -> tuple[str, str, int]:
    return point.title, point.series, point.step


def _write_events(target: Path, base: Path, entries: Sequence[Scalar | Image]) -> None:
    writer = _import("tensorboard.summary.writer.event_file_writer").EventFileWriter(str(target))
    event_class = _import("tensorboard.compat.proto.event_pb2").Event
    summary_class = _import("tensorboard.compat.proto.summary_pb2").Summary
    try:
        for entry in entries:
            tag = entry.title if entry.title == entry.series else f"{entry.title}/{entry.series}"
            if isinstance(entry, Scalar):
                value = summary_class.Value(tag=tag, simple_value=entry.value)
            else:
                image = summary_class.Image(colorspace=3, **_picture(base / entry.file))
                value = summary_class.Value(tag=tag, image=image)
            summary = summary_class(value=[value])
            writer.add_event(event_class(wall_time=entry.time, step=entry.step, summary=summary))
    finally:
        writer.close()


def _picture(path: Path) -> dict[str, Any]:
    """A picture's size and file.

    Raises:
        UserError: It cannot be read.
    """
    try:
        with PIL.Image.open(path) as picture:
            width, height = picture.size
        return {"width": width, "height": height, "encoded_image_string": path.read_bytes()}
    except OSError as error:
        raise UserError(f"{path} is no picture: {error}", "restore it, or test again") from error


def _signature(folder: Path) -> str:
    """Tells whether anything changed that the event file is made from."""
    facts = []
    for pattern in _SOURCES:
        for path in sorted(folder.glob(pattern)):
            state = path.stat()
            facts.append([path.relative_to(folder).as_posix(), state.st_size, state.st_mtime_ns])
    return json_sha256([_FORMAT, str(folder.resolve()), facts])


def _written_here(logdir: Path) -> Iterator[Path]:
    yield from (path.parent for path in logdir.rglob(MARKER))


def _remove_others(logdir: Path, keep: set[Path]) -> None:
    """Take away what was written here for runs that are not listed now."""
    for folder in list(_written_here(logdir)):
        if folder not in keep:
            _clear(folder)
            (folder / MARKER).unlink(missing_ok=True)
            for parent in (folder, *folder.parents):
                if parent == logdir:
                    break
                try:
                    parent.rmdir()
                except OSError:  # something is in it
                    break


def _clear(folder: Path) -> None:
    for path in folder.glob(_EVENTS):
        path.unlink(missing_ok=True)
