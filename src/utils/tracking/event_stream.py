"""The events of a session in batches, and which of them a server has acknowledged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

from seglab.utils.tracking.sdk_session import Event, EventReader, FolderSource, SdkSession
from seglab.utils.tracking.upload_state import Cursor, UploadState

BATCH_EVENTS = 500
_BATCH_BYTES = 512 << 10
#: A batch waits for its images, so that few are sent again when it breaks off.
_BATCH_FILES = 16


class EventStream:
    """The events of one file of a session, those first that a server does not have yet.

    How many it has is remembered with a digest of them. A session that was written anew from the
    same journal begins with the same events; if it does not, all are sent again, which changes
    nothing where the server keeps one event of each kind (`resends`), and otherwise those only
    that are newer.

    Args:
        session: The session.
        name: The file's name.
        state: What the server has.
        resends: Whether sending an event again changes nothing.
    """

    def __init__(self, session: SdkSession, name: str, state: UploadState, resends: bool) -> None:
        self._session = session
        self._name = name
        self._state = state
        self.resends = resends
        self._grows = isinstance(session.source, FolderSource)
        self._cursor = state.cursors.setdefault(name, Cursor())
        self._newer_than = -1
        self._batch: list[tuple[Event, bytes]] = []
        self._left: tuple[Event, bytes] | None = None
        self._told = 0
        self._restart()

    def _restart(self) -> None:
        self._reader = EventReader(self._session, self._name)
        self._hash = hashlib.sha256()
        self._read = 0

    @property
    def is_uncertain(self) -> bool:
        """Whether the server may have events that it has not acknowledged."""
        return self._cursor.sending

    def next_batch(self) -> list[Event]:
        """The next events to send; the same until `acknowledge`; empty if there are none now."""
        while True:
            if not self._batch:
                self._fill()
            new = [e for e, _ in self._batch if _time(e) > self._newer_than]
            if new or not self._batch:
                return new
            self.acknowledge()

    def _fill(self) -> None:
        size = files = 0
        while True:
            taken = self._left or self._take()
            self._left = None
            if taken is None:
                return
            event, text = taken
            size += len(text)
            files += "key" in event
            full = len(self._batch) >= BATCH_EVENTS or size > _BATCH_BYTES
            if self._batch and (full or files > _BATCH_FILES):
                self._left = taken
                return
            self._batch.append(taken)

    def _take(self) -> tuple[Event, bytes] | None:
        """The next event that is not acknowledged, with the text of it that the digest counts."""
        for event in self._reader.read_new():
            text = self._text(event)
            if self._read < self._cursor.sent:
                self._count(text)
                if self._read == self._cursor.sent and self._digest() != self._cursor.digest:
                    return self._from_the_start()
                continue
            return event, text
        if self._read < self._cursor.sent and not self._batch and not self._grows:
            return self._from_the_start()
        return None

    def _from_the_start(self) -> tuple[Event, bytes] | None:
        """Begin again: what was sent is not what this session begins with."""
        self._reader.close()
        if not self.resends:
            self._newer_than = self._cursor.last
        self._cursor.sent, self._cursor.digest = 0, ""
        self._restart()
        return self._take()

    def note_sending(self) -> None:
        """Remember that a batch is under way."""
        if not self.resends and not self._cursor.sending:
            self._cursor.sending = True
            self._state.save()

    def acknowledge(self) -> int:
        """Remember that the server has the batch; returns how many bytes of the file that were."""
        for event, text in self._batch:
            self._count(text)
            self._cursor.last = max(self._cursor.last, _time(event))
        self._cursor.sent = self._read
        self._cursor.digest = self._digest()
        self._cursor.sending = False
        self._batch = []
        self._state.save()
        return self.passed()

    def passed(self) -> int:
        """Bytes of the file that were read since the last call."""
        passed, self._told = self._reader.consumed - self._told, self._reader.consumed
        return max(0, passed)

    def _count(self, text: bytes) -> None:
        self._read += 1
        self._hash.update(text)

    def _digest(self) -> str:
        return self._hash.hexdigest()

    def _text(self, event: Event) -> bytes:
        """An event without what differs from one writing of a session to the next."""
        plain = {key: value for key, value in event.items() if key not in {"task", "url"}}
        text = json.dumps(plain, sort_keys=True)
        folder = json.dumps(str(self._session.task.get("offline_folder") or "-"))[1:-1]
        return text.replace(folder, "").replace(self._session.id, "").encode() + b"\n"


def _time(event: Event) -> int:
    """When it happened, in milliseconds."""
    time = event.get("timestamp")
    return time if isinstance(time, int) else 0


def without(batch: Iterable[Event], there: Iterable[dict[str, Any]]) -> list[Event]:
    """The log events of a batch that a server does not have, by what it says it has."""
    known = {_identity(event) for event in there}
    return [event for event in batch if _identity(event) not in known]


def _identity(event: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(event.get(key) for key in ("timestamp", "level", "msg"))
