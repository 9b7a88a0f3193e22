"""The journal of a run: everything it records, appended line by line while it goes on.

`FOLDER/journal.jsonl` is the truth that a ClearML session is written from (`writer`), as often as
needed. Appending costs microseconds and needs neither the SDK nor a network, so tracking cannot
hold a training up.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from seglab.utils.errors import UserError
from seglab.utils.io_utils import atomic_path, open_appending
from seglab.utils.tracking.entries import (
    JSON,
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
    from_line,
    to_line,
)

__all__ = [
    "FILES_FOLDER",
    "JOURNAL_FILE",
    "JSON",
    "Artifact",
    "Configuration",
    "ConfusionMatrix",
    "End",
    "Entry",
    "Image",
    "Journal",
    "JournalTail",
    "Parameters",
    "Scalar",
    "Script",
    "SingleValue",
    "Start",
    "Table",
    "Text",
    "is_finished",
    "read_journal",
]

JOURNAL_FILE = "journal.jsonl"
FILES_FOLDER = "files"

UInt8Array = npt.NDArray[np.uint8]

_log = logging.getLogger(__name__)
# Two journals of one process write to the same file, maybe from two threads.
_writing = threading.Lock()


class Journal:
    """Appends entries to a folder's journal; a failure costs entries, never the run.

    A torn last line, which a kill in the middle of writing leaves, is cut first.

    Args:
        folder: The tracking folder, `RUN/tracking`; made if need be.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._warned = False
        self._handle: int | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._handle = open_appending(folder / JOURNAL_FILE)
            with _writing:
                _cut_torn_line(self._handle)
        except OSError as error:
            self._warn(error)

    def add(self, *entries: Entry) -> bool:
        """Append entries; numbers that are NaN or infinite are left out.

        Returns:
            Whether they were written. The first failure is logged as a warning, no error raised.
        """
        lines = b"".join(map(to_line, entries))
        try:
            with _writing:
                if self._handle is None:
                    return False
                _append(self._handle, lines)
        except OSError as error:
            self._warn(error)
            return False
        return True

    def add_image(self, title: str, series: str, step: int, image: UInt8Array) -> bool:
        """Write an image into the folder, and append its entry.

        Args:
            title: Under which title ClearML shows it.
            series: Its name there.
            step: Iteration or epoch. The same title, series and step replace the file.
            image: (H, W, 3) uint8 RGB.

        Returns:
            As `add`.
        """
        import PIL.Image

        key = hashlib.sha256(f"{title}\0{series}".encode("utf-8", "replace")).hexdigest()[:12]
        name = f"{key}_{step}.png"
        try:
            with atomic_path(self._folder / FILES_FOLDER / name) as temporary:
                # Level 1: four times as fast for a tenth more bytes, and the training waits.
                PIL.Image.fromarray(np.ascontiguousarray(image)).save(temporary, compress_level=1)
        except OSError as error:
            self._warn(error)
            return False
        return self.add(Image(title, series, step, f"{self._folder.name}/{FILES_FOLDER}/{name}"))

    def close(self) -> None:
        """Close the file; entries that come later are not written."""
        with _writing:
            handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            _log.warning(
                "tracking: %s cannot be written (%s): the run goes on, and what it records is "
                "incomplete",
                self._folder / JOURNAL_FILE,
                error.strerror or error,
            )


def _append(handle: int, lines: bytes) -> None:
    """Append in one write, which no other writer's line can come into; whole lines only."""
    if not lines:
        return
    written = os.write(handle, lines)
    if written < len(lines):  # the disk is full
        torn = written - (lines.rfind(b"\n", 0, written) + 1)
        os.ftruncate(handle, os.fstat(handle).st_size - torn)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _cut_torn_line(handle: int) -> None:
    """Cut what follows the last newline."""
    end = size = os.fstat(handle).st_size
    block = 1 << 16
    while end > 0:
        start = max(0, end - block)
        os.lseek(handle, start, os.SEEK_SET)
        newline = os.read(handle, end - start).rfind(b"\n")
        if newline >= 0:
            end = start + newline + 1
            break
        end = start
    if end < size:
        os.ftruncate(handle, end)


class JournalTail:
    """Reads a journal while another process appends to it.

    Args:
        folder: The tracking folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / JOURNAL_FILE
        self._offset = 0
        #: Lines read so far.
        self.lines = 0

    def read_new(self) -> list[Entry]:
        """The entries that came since the last call; none where there is no journal yet.

        Raises:
            UserError: A line is damaged, or the file cannot be read.
        """
        return list(self.iterate_new())

    def iterate_new(self) -> Iterator[Entry]:
        """As `read_new`, one by one: a long journal is never in memory as a whole."""
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._offset)
                for line in stream:
                    if not line.endswith(b"\n"):  # it is being written, or was torn
                        break
                    self.lines += 1
                    self._offset += len(line)
                    yield self._entry(line)
        except FileNotFoundError:
            return
        except OSError as error:
            raise UserError(f"cannot read {self._path}: {error.strerror}", "check it") from error

    def _entry(self, line: bytes) -> Entry:
        try:
            return from_line(line)
        except ValueError as error:
            raise UserError(
                f"{self._path}, line {self.lines}: {error}", "restore the file, or cut the line"
            ) from error


def read_journal(folder: Path) -> list[Entry]:
    """All entries of a journal; a torn last line is left out.

    Args:
        folder: The tracking folder.

    Raises:
        UserError: There is no journal, or a line is damaged.
    """
    path = folder / JOURNAL_FILE
    if not path.is_file():
        raise UserError(f"{folder} holds no {JOURNAL_FILE}", "give the folder of a tracked run")
    return JournalTail(folder).read_new()


def is_finished(entries: Sequence[Entry]) -> bool:
    """Whether the run has ended and was not resumed since."""
    for entry in reversed(entries):
        if isinstance(entry, Start | End):
            return isinstance(entry, End)
    return False
