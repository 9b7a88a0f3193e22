"""Sends a run while it goes on: `python -m seglab.utils.tracking.live RUN/tracking`.

It has the journal written as an offline session (`writer --follow`), and sends what appears. A
server that is away is tried again as long as the run lasts. After the run's end it has a few
seconds more; what is left then can be sent later, for the session on disk is complete. The run
itself notices none of this.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from seglab.utils.errors import UserError
from seglab.utils.io_utils import read_json
from seglab.utils.script import run_tool
from seglab.utils.tracking.faults import ServerError, UnreachableError
from seglab.utils.tracking.journal import JOURNAL_FILE, End, JournalTail, Start
from seglab.utils.tracking.locks import locked
from seglab.utils.tracking.mode import upload_command
from seglab.utils.tracking.sdk_session import SdkSession
from seglab.utils.tracking.settings import SESSION_FOLDER
from seglab.utils.tracking.upload_state import UPLOAD_FILE, UploadState
from seglab.utils.tracking.writer import SESSION_FILE

if TYPE_CHECKING:
    from seglab.utils.tracking.sender import Sender

#: Exit codes: everything is on the server; the rest has to be sent later from the session on disk.
ALL_SENT = 0
REST_LATER = 3

#: How long after the run's end sending may take.
GRACE_SECONDS = 10.0
_ORPHAN_SECONDS = 8.0
_WRITER_SECONDS = 20.0
_POLL_SECONDS = 2.0
_LONGEST_PAUSE = 30.0
_HURRY_SECONDS = 0.5


def later(folder: Path) -> str:
    """What to do about a run that is not on the server, or not all of it."""
    base = folder.absolute().parent
    run = base.parent if base.name.startswith("test_") else base
    return f"send the rest later: {upload_command(run)}"


class Live:
    """One run, from its start to its end.

    Args:
        folder: The tracking folder.
        task: The task that an agent of ClearML runs; None to make one.
        grace: How long after the run's end sending may take, in seconds.
        parent: The run's process.
    """

    def __init__(self, folder: Path, task: str | None, grace: float, parent: int) -> None:
        from seglab.utils.tracking.server import Deadline

        self._folder = folder
        self._task = task
        self._grace = grace
        self._deadline = Deadline()
        self._parent = parent
        self._orphaned = False
        self._over = threading.Event()
        self._sender: Sender | None = None
        self._refused = ""
        self._told = ""
        self._pause = _POLL_SECONDS
        self._lock = ExitStack()  # held to the end of the process

    def run(self) -> int:
        """Send until the run is over; returns the exit code."""
        (self._folder / SESSION_FILE).unlink(missing_ok=True)
        writer = subprocess.Popen(
            [sys.executable, "-m", "seglab.utils.tracking.writer", str(self._folder), "--follow"],
            stdin=subprocess.DEVNULL,
        )
        threading.Thread(target=self._watch, daemon=True, name="watch").start()
        try:
            complete = self._send_until_over(writer)
        finally:
            self._end_writer(writer)
        if writer.returncode != 0 and not self._orphaned:
            _say("the session could not be written")
            return 1
        if complete:
            assert self._sender is not None
            state = self._sender.state
            _say(f"sent to {state.server} as task {state.task}: {state.url}")
            return ALL_SENT
        _say(later(self._folder))
        return REST_LATER

    def _send_until_over(self, writer: subprocess.Popen[bytes]) -> bool:
        """Whether everything was sent."""
        while True:
            # Looked up before sending: what was written before these is sent then.
            written = writer.poll() is not None
            orphaned = self._orphaned
            if orphaned and not written:
                self._end_writer(writer)
                written = True
            is_sent = self._send(written)
            if written and (is_sent or self._refused):
                return is_sent
            if self._deadline.left <= 0:
                return False
            if self._over.is_set():
                time.sleep(_HURRY_SECONDS)
            else:
                self._over.wait(self._pause)

    def _send(self, written: bool) -> bool:
        """Send what is there; whether it went without a fault."""
        if self._refused:
            return False
        try:
            sender = self._sender or self._connect()
            if sender is None:
                return False
            self._sender = sender
            with suppress(UserError):  # it is being written
                sender.session.read_task()
            sender.pump()
            if written:
                self._finish(sender)
        except UnreachableError as error:
            if error.message != self._told:
                self._told = error.message
                _say(f"{error.message}; trying again")
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            return False
        except UserError as error:
            self._refused = error.message
            _say(f"stopped sending: {error}")
            return False
        if self._told:
            _say(f"{sender.state.server} is there again")
        self._pause, self._told = _POLL_SECONDS, ""
        return True

    def _finish(self, sender: Sender) -> None:
        status = str(sender.session.task.get("status") or "")
        if status in {"completed", "failed", "stopped"}:
            sender.finish(status, str(sender.session.task.get("status_reason") or ""))
        elif self._orphaned:
            sender.finish("stopped", "the run's process is gone without an end")

    def _connect(self) -> Sender | None:
        """A sender for the session; None if the session is not there yet."""
        from seglab.utils.tracking.sender import Sender
        from seglab.utils.tracking.server import Server

        try:
            described = read_json(self._folder / SESSION_FILE)
            session = SdkSession(self._folder / str(described["folder"]))
        except (UserError, KeyError, TypeError):
            return None  # it is being written
        busy = UnreachableError("another process sends this run", "wait until it is done")
        with ExitStack() as stack:
            stack.enter_context(locked(self._folder / JOURNAL_FILE, 0, busy))
            server = Server(deadline=self._deadline)
            state = UploadState.load(self._folder / UPLOAD_FILE)
            self._lock = stack.pop_all()
        # A test in the agent's environment is a task of its own, not the training's.
        if self._task and state.task != self._task and session.task.get("type") == "training":
            state = UploadState(state.path, task=self._task, adopted=True)
        return Sender(session, state, server, tell=_say)

    def _watch(self) -> None:
        """Notice the end of the run and that of its process, whatever the sender waits for."""
        tail = JournalTail(self._folder)
        while True:
            ended = False
            try:
                for entry in tail.read_new():
                    if isinstance(entry, Start | End):
                        ended = isinstance(entry, End)
            except UserError as error:  # the writer stops at it, too
                self._refused = error.message
            if ended:
                self._deadline.within(self._grace)
                self._over.set()
            if os.getppid() != self._parent and not self._over.is_set():
                self._orphaned = True
                self._deadline.within(_ORPHAN_SECONDS)
                self._over.set()
            if self._deadline.left < -_WRITER_SECONDS - 10:  # something hangs all the same
                os._exit(REST_LATER)
            time.sleep(_HURRY_SECONDS)

    def _end_writer(self, writer: subprocess.Popen[bytes]) -> None:
        """Let the writer finish a run that has ended; stop it otherwise."""
        if self._orphaned or not self._over.is_set():
            writer.terminate()
        try:
            writer.wait(_WRITER_SECONDS)
        except subprocess.TimeoutExpired:
            writer.kill()
            writer.wait()


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Send a run while it goes on; returns `ALL_SENT`, `REST_LATER`, or 1 without a session."""
    parser = argparse.ArgumentParser(prog="seglab.utils.tracking.live")
    parser.add_argument("folder", type=Path, help="RUN/tracking")
    parser.add_argument("--task", help="the task that an agent of ClearML runs")
    parser.add_argument("--parent", type=int, default=os.getppid(), help="the run's process")
    parser.add_argument("--grace", type=float, default=GRACE_SECONDS, metavar="SECONDS")
    options = parser.parse_args(argv)
    for name in ("SIGINT", "SIGHUP"):  # Ctrl-C and a closed terminal are meant for the run
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(5)  # the training first
    folder = options.folder.absolute()
    try:
        code = Live(folder, options.task, options.grace, options.parent).run()
    except ServerError as error:
        _say(f"{error.message}; {later(folder)}")
        return REST_LATER
    if (folder / SESSION_FILE).is_file() and read_json(folder / SESSION_FILE)["state"] == "closed":
        shutil.rmtree(folder / SESSION_FOLDER, ignore_errors=True)
    return code


if __name__ == "__main__":
    code = run_tool(main)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads that wait for a server would hold the exit up
