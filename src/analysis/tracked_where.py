"""Where a run or a test is tracked, from its tracking folder alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from seglab.utils.errors import UserError
from seglab.utils.tracking.journal import JOURNAL_FILE
from seglab.utils.tracking.upload_state import UPLOAD_FILE, UploadState

#: Under which a ClearML task is over.
_OVER = {"completed", "failed", "stopped", "published", "closed"}


@dataclass(frozen=True)
class Tracked:
    """Where a run or a test is tracked.

    Attributes:
        state: "off": nowhere. "offline": on this disk, sent to nobody. "sent": all of it is on
            the server. "partly sent": a part is, because the run goes on, the connection broke
            or the run was resumed since. "damaged": its upload.json cannot be read.
        host: The server's name; None where nothing was sent.
        task: The task's id there; None where nothing was sent.
    """

    state: str
    host: str | None = None
    task: str | None = None

    def __str__(self) -> str:
        """In a few words, for a table."""
        if self.state == "offline":
            return "offline, not sent"
        where = f" to {self.host} as {self.task}" if self.task else ""
        return f"{self.state}{where}"


def tracked_where(folder: Path) -> Tracked:
    """Where something is tracked.

    Args:
        folder: The tracking folder, `RUN/tracking` or `RUN/test_SPLIT/tracking`.
    """
    journal, upload = folder / JOURNAL_FILE, folder / UPLOAD_FILE
    if not journal.is_file():
        return Tracked("off")
    if not upload.is_file():
        return Tracked("offline")
    try:
        state = UploadState.load(upload)
    except UserError:
        return Tracked("damaged")
    if not state.task:
        return Tracked("offline")
    # The end of a session is sent after the journal's last line.
    newer = journal.stat().st_mtime > upload.stat().st_mtime
    whole = state.status in _OVER and not newer
    return Tracked("sent" if whole else "partly sent", _host(str(state.server)), str(state.task))


def _host(server: str) -> str:
    try:
        return urlsplit(server).hostname or server
    except ValueError:  # an address that is none
        return server
