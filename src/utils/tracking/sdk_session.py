"""Read an offline session of ClearML's SDK: its folder while it grows, or its zip.

Of a zip nothing is unpacked but one member at a time, into a temporary file, and what a member is
called never becomes a path. Nothing that is read is executed.
"""

from __future__ import annotations

import errno
import json
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol

from seglab.utils.errors import UserError
from seglab.utils.paths import name_fault
from seglab.utils.zip_files import bomb_fault

TASK_FILE = "task.json"
METRICS_FILE = "metrics.jsonl"
LOG_FILE = "log.jsonl"

Event = dict[str, Any]

_LONGEST_LINE = 128 << 20  # bytes; the SDK writes one line for each time it reports
_LARGEST_TASK = 64 << 20
#: What reading a damaged zip or a vanished file raises.
_DAMAGE = (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
_REMAKE = "make the session again, or copy it again: it was not copied or written to its end"


class Source(Protocol):
    """Where the files of a session are."""

    def size(self, name: str) -> int | None:
        """The size of a file in bytes; None where there is none."""

    def open(self, name: str) -> IO[bytes] | None:
        """A file, to be closed by the caller; None where there is none."""

    def local(self, name: str) -> Any:
        """A context manager that gives a path to the file's content."""


class FolderSource:
    """A session's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, name: str) -> Path | None:
        path = self._folder / name
        try:
            inside = path.resolve().is_relative_to(self._folder.resolve())
            return path if inside and path.is_file() else None
        except (OSError, ValueError):  # no name that a file can have
            return None

    def size(self, name: str) -> int | None:
        """See `Source`."""
        path = self._path(name)
        return path.stat().st_size if path else None

    def open(self, name: str) -> IO[bytes] | None:
        """See `Source`."""
        path = self._path(name)
        return path.open("rb") if path else None

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """See `Source`."""
        yield self._folder / name


class ZipSource:
    """A session's zip.

    Args:
        path: The zip.

    Raises:
        UserError: It is damaged, or not what the SDK writes: members that climb out of it, links,
            or a size that only a trap has.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._zip = zipfile.ZipFile(path)
        except zipfile.BadZipFile as error:
            raise UserError(f"{path} is no whole zip: {error}", _REMAKE) from error
        except OSError as error:
            raise UserError(f"cannot read {path}: {error.strerror}", "check the path") from error
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in self._zip.infolist():
            if not member.is_dir():
                self._check(member)
                self._members[member.filename] = member

    def _check(self, member: zipfile.ZipInfo) -> None:
        name = member.filename
        fault = ""
        if name_fault(name) or name[1:2] == ":":
            fault = "leads out of the session"
        elif stat.S_ISLNK(member.external_attr >> 16):
            fault = "is a link"
        elif member.flag_bits & 1:
            fault = "is encrypted"
        else:
            fault = bomb_fault(member.file_size, member.compress_size)
        if fault:
            raise UserError(
                f"{self._path}: its member {name!a} {fault}",
                "ClearML does not write such zips; do not trust where it came from",
            )

    def size(self, name: str) -> int | None:
        """See `Source`."""
        member = self._members.get(name)
        return member.file_size if member else None

    def open(self, name: str) -> IO[bytes] | None:
        """See `Source`."""
        member = self._members.get(name)
        return self._zip.open(member) if member else None

    @contextmanager
    def local(self, name: str) -> Iterator[Path]:
        """See `Source`."""
        suffix = PurePosixPath(name).suffix[:16]
        with tempfile.TemporaryDirectory(prefix="seglab-upload-") as folder:
            path = Path(folder) / f"member{suffix}"
            try:
                with self._zip.open(self._members[name]) as stream, path.open("wb") as target:
                    shutil.copyfileobj(stream, target, 1 << 20)
            except _DAMAGE as error:
                if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                    fix = f"make room on the disk of {folder}, or name another with TMPDIR"
                    raise UserError(f"{self._path}: no room to unpack {name!a}", fix) from error
                raise UserError(f"{self._path}: {name!a}: {error}", _REMAKE) from error
            yield path


class SdkSession:
    """One offline session.

    Args:
        path: Its folder or its zip.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            raise UserError(f"{path} does not exist", "check the path")
        self.path = path
        self.source: Source = FolderSource(path) if path.is_dir() else ZipSource(path)
        self.task = self.read_task()

    @property
    def id(self) -> str:
        """The offline task's id."""
        return str(self.task["id"])

    def read_task(self) -> dict[str, Any]:
        """What `task.json` says; it changes while a session grows.

        Raises:
            UserError: It is missing, damaged, or no task's.
        """
        where = f"{self.path}: {TASK_FILE}"
        try:
            stream = self.source.open(TASK_FILE)
            if stream is None:
                raise UserError(
                    f"{self.path} holds no {TASK_FILE}: no offline session of ClearML, or half "
                    "of one",
                    _REMAKE,
                )
            with stream:
                task = json.loads(stream.read(_LARGEST_TASK))
        except (ValueError, *_DAMAGE) as error:
            raise UserError(f"{where} is damaged: {error}", _REMAKE) from error
        texts = ("id", "name")
        if not isinstance(task, dict) or any(not _is_text(task.get(key)) for key in texts):
            raise UserError(f"{where} is not what ClearML writes", _REMAKE)
        faults = [
            key for key, is_good in _FIELDS.items() if task.get(key) and not is_good(task[key])
        ]
        if faults:
            raise UserError(f"{where}: {', '.join(faults)} is not what ClearML writes", _REMAKE)
        self.task = task
        return task

    def artifacts(self) -> list[dict[str, Any]]:
        """The artifacts that the task lists."""
        found: list[dict[str, Any]] = (self.task.get("execution") or {}).get("artifacts") or []
        return found

    def file_of(self, event: Event) -> str | None:
        """The file of this session that an image event shows; None if it links to elsewhere."""
        key = event.get("key")
        if not key or not event.get("url") or ".." in key.split("/"):
            return None
        return f"data/{key}" if "://" not in event["url"] else None

    def member_of(self, uri: str) -> str | None:
        """The file of this session that a link of it points to.

        Args:
            uri: What the SDK noted: an absolute path into the session, on the machine and in the
                folder where it was written.

        Returns:
            The member, `data/...`; None for a link to elsewhere.
        """
        offline = str(self.task.get("offline_folder") or "").replace("\\", "/")
        link = uri.replace("\\", "/")
        rest = link.removeprefix(offline).lstrip("/") if offline else ""
        if link == rest or not rest.startswith("data/"):
            marker = f"/{self.id}/data/"
            rest = "data/" + link.partition(marker)[2] if marker in link else ""
        return rest if rest and ".." not in rest.split("/") else None


class EventReader:
    """The events of one file of a session, in order, each once; goes on as the file grows.

    Args:
        session: The session.
        name: `METRICS_FILE` or `LOG_FILE`.
    """

    def __init__(self, session: SdkSession, name: str) -> None:
        self._session = session
        self._name = name
        self._stream: IO[bytes] | None = None
        self._events: deque[Event] = deque()
        #: Lines that were read.
        self.line = 0
        #: Bytes of the lines that were read.
        self.consumed = 0
        #: Whether a line without an end was met; in a session that is closed, a tear.
        self.torn = False

    def read_new(self) -> Iterator[Event]:
        """The events that were not given yet, as far as the file goes now.

        Raises:
            UserError: A line is damaged.
        """
        while True:
            while self._events:
                yield self._events.popleft()
            line = self._read_line()
            if line is None:
                return
            self._events.extend(self._parse(line))
            self.line += 1
            self.consumed += len(line)

    def close(self) -> None:
        """Close the file."""
        if self._stream is not None:
            self._stream.close()

    def _read_line(self) -> bytes | None:
        try:
            if self._stream is None:
                self._stream = self._session.source.open(self._name)
            if self._stream is None:
                return None
            start = self._stream.tell()
            line = self._stream.readline(_LONGEST_LINE)
            self.torn = bool(line) and not line.endswith(b"\n")
            if self.torn and len(line) < _LONGEST_LINE:
                self._stream.seek(start)  # the rest may come
        except (ValueError, *_DAMAGE) as error:
            raise self._damage(f"cannot be read: {error}") from error
        if self.torn and len(line) >= _LONGEST_LINE:
            raise self._damage("is too long")
        return line if line and not self.torn else None

    def _parse(self, line: bytes) -> list[Event]:
        try:
            events = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise self._damage("is no JSON") from error
        if not isinstance(events, list) or not all(map(_is_event, events)):
            raise self._damage("is not what ClearML writes")
        return [
            {key: value for key, value in event.items() if key != "method"}
            for event in events
            # Those of models, which the SDK keeps in the same file, have other ids.
            if event["task"] == self._session.id
        ]

    def _damage(self, what: str) -> UserError:
        where = f"{self._session.path}: {self._name}, line {self.line + 1}"
        return UserError(f"{where} {what}", _REMAKE)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _is_sections(value: Any) -> bool:
    return _is_dict(value) and all(map(_is_dict, value.values()))


def _is_execution(value: Any) -> bool:
    if not _is_dict(value):
        return False
    artifacts = value.get("artifacts") or []
    return isinstance(artifacts, list) and all(
        _is_dict(item)
        and _is_text(item.get("key"))
        and all(isinstance(item.get(key) or "", str) for key in ("type", "mode", "hash"))
        and isinstance(item.get("uri", ""), str)
        for item in artifacts
    )


#: What the fields of `task.json` have to be, where there are any.
_FIELDS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(
        ("type", "status", "status_reason", "comment", "project_name", "offline_folder"), _is_text
    ),
    "output_dest": _is_text,
    "tags": lambda value: isinstance(value, list) and all(isinstance(tag, str) for tag in value),
    "hyperparams": lambda value: _is_sections(value) and all(map(_is_sections, value.values())),
    "configuration": _is_sections,
    "execution": _is_execution,
    **dict.fromkeys(("script", "container", "runtime"), _is_dict),
}


def _is_event(event: Any) -> bool:
    """Whether this is an event that a server can take."""
    if not isinstance(event, dict):
        return False
    if not isinstance(event.get("task"), str) or not isinstance(event.get("type"), str):
        return False
    texts = ("metric", "variant", "msg", "key", "url", "plot_str")
    return all(isinstance(event.get(key, ""), str | None) for key in texts)
