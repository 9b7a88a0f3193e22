"""Writes the ClearML session of a journal, with the SDK in offline mode, in a process of its own.

```
python -m seglab.utils.tracking.writer RUN/tracking             # once, from the whole journal
python -m seglab.utils.tracking.writer RUN/tracking --follow    # while the run goes on
```

Leaves `session.zip`, the SDK's own offline session, and `session.json`:

```
{
    "schema": 1,
    "id": "offline-...",
    "folder": "session/offline/offline-...",
    "state": "open" | "closed",
    "status": null | "finished" | "failed" | "interrupted",
    "journal_lines": N,
    "missing": ["files that were not there"],
}
```
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from types import FrameType

from seglab.utils.errors import UserError
from seglab.utils.io_utils import open_appending, write_json
from seglab.utils.script import run_tool
from seglab.utils.tracking.journal import JOURNAL_FILE, JournalTail, Start
from seglab.utils.tracking.locks import locked
from seglab.utils.tracking.session import Session
from seglab.utils.tracking.settings import OFFLINE_SETTINGS, SESSION_FOLDER, child_environment

SESSION_ZIP = "session.zip"
SESSION_FILE = "session.json"
WORKER_LOG = "worker.log"

_SCHEMA = 1
_POLL_SECONDS = 1.0
_LOCK_SECONDS = 60.0
_LIMIT_SECONDS = 900.0


def write_session(folder: Path) -> Path:
    """Write the session of a journal, in a child process.

    Args:
        folder: The tracking folder.

    Returns:
        Its `session.zip`.

    Raises:
        UserError: The journal is missing or damaged, or the session could not be written.
    """
    _last_start(folder)  # the journal's faults are told here, not in the log
    log = folder / WORKER_LOG
    with os.fdopen(open_appending(log), "ab") as stream:
        command = [sys.executable, "-m", "seglab.utils.tracking.writer", str(folder)]
        try:
            code = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env=child_environment(folder, offline=True),
                start_new_session=True,
                timeout=_LIMIT_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            code = -1
    if code:
        raise UserError(f"the session of {folder} could not be written", f"see the end of {log}")
    return folder / SESSION_ZIP


def write_once(folder: Path) -> None:
    """Write `session.zip` from the whole journal, in this process.

    An older one stays until the new one is whole.

    Args:
        folder: The tracking folder.
    """
    with _only_writer(folder):
        _clear(folder)
        session = Session(folder.parent, _last_start(folder))
        tail = JournalTail(folder)
        for entry in tail.iterate_new():
            session.report(entry)
        session.close(folder / SESSION_ZIP)
        _describe(folder, session, "closed", tail.lines)
        _clear(folder)
        (folder / SESSION_FOLDER / OFFLINE_SETTINGS).unlink(missing_ok=True)
        with suppress(OSError):  # somebody else's settings are in it
            (folder / SESSION_FOLDER).rmdir()


def follow(folder: Path) -> None:
    """Write the session while the run goes on; `session.zip` when it has ended.

    The SDK's folder stays, for whoever sends it. Stops without an end, the session left open, when
    the process that started this one is gone, and on SIGTERM.

    Args:
        folder: The tracking folder.
    """
    stop = _StopSignal()
    parent = os.getppid()
    with _only_writer(folder):
        _clear(folder)
        tail = JournalTail(folder)
        session: Session | None = None
        while True:
            last = stop.seen or os.getppid() != parent  # before reading: nothing is left out
            if session is None and (start := _find_start(folder)) is not None:
                session = Session(folder.parent, start)
            if session is not None:
                before = tail.lines
                for entry in tail.iterate_new():
                    session.report(entry)
                if session.status is not None:
                    session.close(folder / SESSION_ZIP)
                    _describe(folder, session, "closed", tail.lines)
                    return
                if tail.lines > before:
                    session.flush()
                    _describe(folder, session, "open", tail.lines)
            if last:
                return
            time.sleep(_POLL_SECONDS)


def main(argv: Sequence[str] | None = None) -> int:
    """Write or follow; what goes wrong is told in the log of the process that started this one."""
    parser = argparse.ArgumentParser(prog="seglab.utils.tracking.writer")
    parser.add_argument("folder", type=Path, help="RUN/tracking")
    parser.add_argument("--follow", action="store_true", help="go on until the run has ended")
    options = parser.parse_args(argv)
    folder = options.folder.absolute()
    # The SDK, imported later, reads these; whoever started this process may have set others.
    environment = child_environment(folder, offline=True)
    os.environ.clear()
    os.environ.update(environment)
    _ignore("SIGINT", "SIGHUP")  # Ctrl-C and a closed terminal are meant for the run
    if options.follow:
        follow(folder)
    else:
        _ignore("SIGTERM")  # it takes seconds, and a machine that goes down kills in the end
        write_once(folder)
    return 0


def _ignore(*names: str) -> None:
    for name in names:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)


class _StopSignal:
    """Whether SIGTERM came."""

    def __init__(self) -> None:
        self.seen = False
        signal.signal(signal.SIGTERM, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.seen = True


def _find_start(folder: Path) -> Start | None:
    """The last `Start` of a journal, which holds for the whole of it; None if there is none yet."""
    found = None
    for entry in JournalTail(folder).iterate_new():
        found = entry if isinstance(entry, Start) else found
    return found


def _last_start(folder: Path) -> Start:
    """As `_find_start`, where there has to be one."""
    start = _find_start(folder)
    if start is None:
        raise UserError(
            f"{folder / JOURNAL_FILE} does not say of which run it is, or is not there",
            "give the folder of a tracked run",
        )
    return start


def _describe(folder: Path, session: Session, state: str, lines: int) -> None:
    write_json(
        folder / SESSION_FILE,
        {
            "schema": _SCHEMA,
            "id": session.id,
            "folder": session.folder.relative_to(folder).as_posix(),
            "state": state,
            "status": session.status,
            "journal_lines": lines,
            "missing": session.missing,
        },
    )


def _clear(folder: Path) -> None:
    """Remove what the SDK wrote, now or in a process that was killed."""
    shutil.rmtree(folder / SESSION_FOLDER / "offline", ignore_errors=True)


def _only_writer(folder: Path) -> AbstractContextManager[object]:
    """Wait until no other process writes the folder's session, and keep others waiting."""
    busy = UserError(f"another process writes the session of {folder}", "wait until it is done")
    return locked(folder, _LOCK_SECONDS, busy)


if __name__ == "__main__":
    code = run_tool(main)
    sys.stdout.flush()
    sys.stderr.flush()
    # The SDK's own exit would close a session that is to stay open, and wait for its threads.
    os._exit(code)
