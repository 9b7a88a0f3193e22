"""A journal's entries as a session of ClearML's SDK, which it writes to disk in offline mode."""

from __future__ import annotations

import json
import os
import sys
import zipfile
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from seglab.utils import clearml_utils as clearml
from seglab.utils.errors import UserError
from seglab.utils.io_utils import atomic_path
from seglab.utils.tracking.journal import (
    Artifact,
    Configuration,
    ConfusionMatrix,
    End,
    Entry,
    Image,
    Parameters,
    Scalar,
    Script,
    SingleValue,
    Start,
    Table,
    Text,
)

METRICS_FILE = "metrics.jsonl"
#: A run's status in ClearML's words.
TASK_STATUS = {"finished": "completed", "failed": "failed", "interrupted": "stopped"}

# The SDK queues events without limit while a thread of it writes them.
_QUEUED = 5000
_LONGEST = 1 << 20  # characters of a line of the console; the SDK's own limit
_ONE_SECOND = 1000
_COUNTED = frozenset({"training_stats_scalar", "plot"})
_DISK_FULL = "see whether the disk is full, then write the session again; the journal is whole"


class Session:
    """Reports entries to an offline task.

    Args:
        base: The folder that files of the journal are relative to.
        start: What the task is; of a resumed run, the last.

    Attributes:
        task: The SDK's task.
        folder: Where the SDK writes.
        missing: Files that were not there, and are not in the session.
        status: How the run ended; None before it did.
    """

    def __init__(self, base: Path, start: Start) -> None:
        self._base = base.resolve()
        self._time = start.time
        self._text_time = 0
        self._waiting = self._events = 0
        self._reported: set[int] = set()
        self._has_repeats = False
        self._parameters: dict[str, dict[str, Any]] = {}
        self.missing: list[str] = []
        self.status: str | None = None
        _drop_sdk_lines()
        self.task = clearml.init_clearml_task(
            start.name, start.project, start.task_type, start.tags, offline=True
        )
        self.task._remove_signal_hooks()  # signals are this process's own affair
        self.folder = Path(self.task.get_offline_mode_folder())
        self._keep_times()
        self._start(start)

    @property
    def id(self) -> str:
        """The SDK's id of the session: `offline-...`."""
        return str(self.task.id)

    def report(self, entry: Entry) -> None:
        """Report one entry, with the time at which it was recorded."""
        self._time = entry.time
        self._note_repeats(entry)
        _REPORTS[type(entry)](self, entry)
        self._events += isinstance(entry, Scalar | SingleValue | Table | ConfusionMatrix)
        self._waiting += 1
        if self._waiting >= _QUEUED:
            self.flush()

    def flush(self) -> None:
        """Have the SDK write what was reported."""
        self._waiting = 0
        self.task.flush(wait_for_uploads=True)

    def close(self, target: Path) -> None:
        """Finish the session, and put it into a zip file.

        Of events that were reported again, by a run that was resumed from an earlier epoch, the
        zip holds the later ones only.

        Args:
            target: The zip file; replaced in one step.

        Raises:
            UserError: The session is not whole, as on a full disk, which the SDK keeps to itself.
        """
        if self.status is None:
            self.task._edit(status="stopped", status_reason="the journal has no end")
        self.flush()
        self.task.close()
        _require_events(self.folder / METRICS_FILE, self._events)
        packed = self.folder.with_name(f"{self.folder.name}.zip")
        if self._has_repeats:
            with atomic_path(packed) as temporary:
                _pack(self.folder, temporary)
        _require_files(packed, self.folder, {METRICS_FILE} if self._has_repeats else set())
        packed.replace(target)

    def _keep_times(self) -> None:
        """Give each event its entry's time: the SDK has no argument for it, and takes the clock."""
        reporter = self.task._reporter
        report = reporter._report

        def report_in_time(event: Any) -> None:
            event._timestamp = int(self._time * 1000)
            report(event)

        reporter._report = report_in_time

    def _note_repeats(self, entry: Entry) -> None:
        if isinstance(entry, Scalar | Table | ConfusionMatrix | Image):
            key = hash((type(entry) is Scalar, entry.title, entry.series, entry.step))
        elif isinstance(entry, SingleValue):
            key = hash(entry.name)
        else:
            return
        self._has_repeats |= key in self._reported
        self._reported.add(key)

    def _file(self, entry: Image | Artifact) -> Path | None:
        """The file of an entry; None, and noted as missing, if it is not there or not of here."""
        path = self._base / entry.file
        inside = path.is_file() and path.resolve().is_relative_to(self._base)
        if inside and os.access(path, os.R_OK):
            return path
        if entry.file not in self.missing:
            self.missing.append(entry.file)
            print(f"missing: {entry.file} is not in {self._base}", file=sys.stderr, flush=True)
        return None

    def _start(self, entry: Start) -> None:
        self.task.set_name(entry.name)
        self.task.set_tags(list(entry.tags))
        self.task.set_comment(entry.comment)
        self.task._edit(status="in_progress", status_reason="")
        self.status = None

    def _set_parameters(self, entry: Parameters) -> None:
        # The SDK takes the section to end at the first slash.
        self._parameters[entry.section.replace("/", ".")] = dict(_flat(entry.values))
        self.task.set_parameters(
            {
                f"{s}/{key}": value
                for s, flat in self._parameters.items()
                for key, value in flat.items()
            }
        )

    def _set_configuration(self, entry: Configuration) -> None:
        self.task.set_configuration_object(entry.name, config_text=entry.text)

    def _set_script(self, entry: Script) -> None:
        clearml.set_script(
            self.task,
            repository=entry.repository,
            branch=entry.branch,
            commit=entry.commit,
            diff=entry.diff,
            working_dir=entry.working_dir,
            entry_point=entry.entry_point,
        )

    def _report_scalar(self, entry: Scalar) -> None:
        logger = self.task.get_logger()
        logger.report_scalar(entry.title, entry.series, entry.value, entry.step)

    def _report_single_value(self, entry: SingleValue) -> None:
        self.task.get_logger().report_single_value(entry.name, entry.value)

    def _report_table(self, entry: Table) -> None:
        clearml.log_table(
            self.task, entry.title, entry.series, entry.step, entry.columns, entry.rows
        )

    def _report_matrix(self, entry: ConfusionMatrix) -> None:
        clearml.log_confusion_matrix(
            self.task, entry.title, entry.series, entry.step, entry.classes, entry.matrix
        )

    def _report_image(self, entry: Image) -> None:
        if (path := self._file(entry)) is not None:
            clearml.log_images(self.task, {entry.series: path}, entry.step, entry.title)

    def _keep_artifact(self, entry: Artifact) -> None:
        if (path := self._file(entry)) is not None:
            clearml.log_artifact(self.task, entry.name, path, entry.metadata)

    def _report_text(self, entry: Text) -> None:
        """Write lines of the console as the SDK does, past its queue.

        That unites what comes within a second of the clock, so no two sessions of a journal would
        be the same, and takes the clock's time.
        """
        from clearml.backend_api.services import events

        time = int(entry.time * 1000)
        if 0 <= self._text_time - time < _ONE_SECOND:  # the server sorts by time alone
            time = self._text_time + 1
        self._text_time = time
        texts = (entry.text[at : at + _LONGEST] for at in range(0, len(entry.text), _LONGEST))
        requests = [
            events.AddRequest(
                events.TaskLogEvent(
                    task=self.id,
                    timestamp=time,
                    level="info",
                    worker=self.task.session.worker,
                    msg=text,
                )
            )
            for text in texts
        ]
        log = self.task.get_logger()._task_handler._background_log
        log._send_events(events.AddBatchRequest(requests=requests))

    def _end(self, entry: End) -> None:
        self.status = entry.status
        self.task._edit(
            status=TASK_STATUS[entry.status], status_reason=f"the run {_HOW[entry.status]}"
        )


_HOW = {"finished": "finished", "failed": "failed", "interrupted": "was interrupted"}

_REPORTS: Mapping[type[Entry], Callable[[Session, Any], None]] = {
    Start: Session._start,
    Parameters: Session._set_parameters,
    Configuration: Session._set_configuration,
    Script: Session._set_script,
    Scalar: Session._report_scalar,
    SingleValue: Session._report_single_value,
    Table: Session._report_table,
    ConfusionMatrix: Session._report_matrix,
    Image: Session._report_image,
    Artifact: Session._keep_artifact,
    Text: Session._report_text,
    End: Session._end,
}


def _drop_sdk_lines() -> None:
    """Keep what the SDK says of itself ("created new task ...") out of the run's console."""
    from clearml.backend_interface.task.log import TaskHandler

    TaskHandler.emit = lambda _handler, _record: None


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Nested parameters as ClearML shows them: `optimizer/lr`."""
    for key, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{above}{key}/")
        else:
            yield f"{above}{key}", value


def _pack(folder: Path, target: Path) -> None:
    """Put a session into a zip file; of events that were repeated only the last."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder).as_posix()
            if name == METRICS_FILE:
                with archive.open(name, "w") as stream:
                    for line in _last_events(path):
                        stream.write(line)
            elif path.is_file():
                archive.write(path, name)


def _last_events(metrics: Path) -> Iterator[bytes]:
    """The lines of a `metrics.jsonl` without events that a later one replaces."""
    last: dict[Hashable, int] = {}
    with metrics.open("rb") as stream:
        for number, event in enumerate(event for line in stream for event in json.loads(line)):
            last[_event_key(event, number)] = number
    with metrics.open("rb") as stream:
        number = 0
        for line in stream:
            kept = []
            for event in json.loads(line):
                if last[_event_key(event, number)] == number:
                    kept.append(event)
                number += 1
            if kept:
                yield json.dumps(kept).encode() + b"\n"


def _event_key(event: Mapping[str, Any], number: int) -> Hashable:
    """What the server keeps one event for; a line of the console stands for itself."""
    if event["type"] == "log":
        return number
    return event["type"], event["metric"], event["variant"], event["iter"]


def _require_events(metrics: Path, expected: int) -> None:
    """Make sure that each event but images is in a `metrics.jsonl`."""
    written = 0
    with suppress(FileNotFoundError, ValueError), metrics.open("rb") as stream:
        for line in stream:  # the last may be torn
            written += sum(event["type"] in _COUNTED for event in json.loads(line))
    if written < expected:
        raise UserError(f"{metrics} lacks {expected - written} of {expected} events", _DISK_FULL)


def _require_files(packed: Path, folder: Path, rewritten: set[str]) -> None:
    """Make sure that a zip holds each file of a folder."""
    sizes = {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).as_posix() not in rewritten
    }
    try:
        with zipfile.ZipFile(packed) as archive:
            held = {info.filename: info.file_size for info in archive.infolist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise UserError(f"{packed} is damaged: {error}", _DISK_FULL) from error
    lost = [name for name, size in sizes.items() if held.get(name) != size]
    if lost:
        raise UserError(f"{packed} lacks {', '.join(lost[:5])}", _DISK_FULL)
