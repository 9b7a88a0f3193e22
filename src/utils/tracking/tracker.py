"""Tracking as a run sees it: a journal to append to, and child processes that do the rest.

The run itself never talks to ClearML. It appends to `BASE/tracking/journal.jsonl`; a child writes
the SDK's offline session from that (`writer`), and with a server another one sends it while the
run goes on (`live`). Whatever happens to them or to the server, the run goes on, and the journal
can be sent later.
"""

from __future__ import annotations

import functools
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, ParamSpec

from seglab.utils.io_utils import open_appending
from seglab.utils.result_files import TRACKING_FOLDER
from seglab.utils.tracking.journal import End, Entry, Journal
from seglab.utils.tracking.live import ALL_SENT, REST_LATER
from seglab.utils.tracking.mode import Mode, upload_command
from seglab.utils.tracking.settings import child_environment
from seglab.utils.tracking.upload_state import UPLOAD_FILE, UploadState
from seglab.utils.tracking.writer import SESSION_ZIP

#: How long the end of a run waits for the children; they go on by themselves after that.
WAIT_SECONDS = 14.0

_P = ParamSpec("_P")
_log = logging.getLogger(__name__)


def never_fails(method: Callable[_P, None]) -> Callable[_P, None]:
    """Turn any error of tracking into a warning: no run fails because of it."""

    @functools.wraps(method)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            method(*args, **kwargs)
        except BrokenPipeError:  # nobody reads what is said (`| head`); no fault of tracking
            return
        except Exception as error:  # tracking is a guest in the run
            _log.warning("tracking: %s: %s; the run goes on", type(error).__name__, error)

    return guarded


class Tracker:
    """Tracks one training or one test. Its methods never raise, and return quickly.

    Args:
        base: The folder of the run or of the test's results; `BASE/tracking` is made when the
            run begins, not before: a start that is refused leaves nothing.
        mode: From `decide_mode`.
        environ: The environment of the children.
    """

    def __init__(self, base: Path, mode: Mode, environ: Mapping[str, str] = os.environ) -> None:
        self.base = base
        self.mode = mode
        self._environ = environ
        self._journal: Journal | None = None
        self._live: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        """Where everything of the tracking is kept."""
        return self.base / TRACKING_FOLDER

    @property
    def is_on(self) -> bool:
        """Whether anything is tracked."""
        return self.mode.kind != "off"

    @never_fails
    def begin(self, entries: Callable[[], list[Entry]]) -> None:
        """Open the journal, and start to send it where there is a server.

        Args:
            entries: Makes the first entries, `Start` among them.
        """
        if not self.is_on:
            return
        self._journal = Journal(self.folder)
        self._journal.add(*entries())
        if self.mode.kind == "online":
            self._live = self._start_child("live")

    @never_fails
    def add(self, entries: Callable[[], list[Entry]]) -> None:
        """Append entries; does nothing before `begin`."""
        if self._journal is not None:
            self._journal.add(*entries())

    @never_fails
    def end(self, status: str, show: Callable[[str], None] = print) -> None:
        """Close the journal, have its session written or sent, and say where it is.

        Args:
            status: 'finished', 'failed' or 'interrupted'.
            show: Is given one line for the user.
        """
        if self._journal is None:
            return
        self._journal.add(End(status))
        self._journal.close()
        self._journal = None
        began = time.perf_counter()
        try:
            code = self._finish(began + WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            show(
                f"tracking: not done after {WAIT_SECONDS:.0f} s; it goes on by itself, see "
                f"{self._log_file}"
            )
            return
        except KeyboardInterrupt:
            show(f"tracking: not waited for; it goes on by itself, see {self._log_file}")
            raise
        show(self._outcome(code, time.perf_counter() - began))

    def _finish(self, deadline: float) -> int:
        """Wait for the session to be sent or written; returns the child's exit code.

        Raises:
            subprocess.TimeoutExpired: It takes longer.
        """
        if self._live is not None:
            code = self._live.wait(deadline - time.perf_counter())
            if code in (ALL_SENT, REST_LATER):
                return code
            # It died: the session is written from the journal all the same.
            self._live = None
        return self._start_child("writer").wait(max(deadline - time.perf_counter(), 1.0))

    @property
    def _log_file(self) -> Path:
        return self.folder / "worker.log"

    def _open_log(self) -> IO[bytes]:
        """The children's log; where there can be none the run goes on without."""
        try:
            return os.fdopen(open_appending(self._log_file), "ab")
        except OSError:
            return Path(os.devnull).open("ab")

    def _outcome(self, code: int, seconds: float) -> str:
        """What became of the session, in a line."""
        later = upload_command(self.base)
        if self._live is not None and code == REST_LATER:
            return (
                f"tracking: {self.mode.server} did not take everything; the session is complete "
                f"on disk, send the rest later with: {later}"
            )
        if code != 0:
            return (
                f"tracking: the journal is kept, but its session could not be finished (see "
                f"{self._log_file}); try again with: {later}"
            )
        if self._live is None:
            session = self.folder / SESSION_ZIP
            return f"tracking: session in {session} ({seconds:.1f} s)"
        state = UploadState.load(self.folder / UPLOAD_FILE)
        return f"tracking: on {state.server}, see {state.url}"

    def _start_child(self, module: str) -> subprocess.Popen[bytes]:
        """Start a module of this package on the folder, out of reach of the terminal's Ctrl-C."""
        environment = child_environment(self.folder, module == "writer", self._environ)
        arguments = [str(self.folder)]
        if module == "live":
            arguments += ["--parent", str(os.getpid())]
            agents_task = self._environ.get("CLEARML_TASK_ID")  # an agent of ClearML runs us
            arguments += ["--task", agents_task] if agents_task else []
        with self._open_log() as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"seglab.utils.tracking.{module}", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
