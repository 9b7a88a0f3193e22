"""Sends sessions that `upload` has checked: `-m seglab.utils.tracking.upload_worker JOBS`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from seglab.utils.errors import UserError
from seglab.utils.io_utils import read_json
from seglab.utils.script import INTERRUPTED, run_tool
from seglab.utils.tracking.faults import TaskGoneError
from seglab.utils.tracking.sdk_session import SdkSession
from seglab.utils.tracking.upload import Job
from seglab.utils.tracking.upload_state import UploadState

if TYPE_CHECKING:
    from seglab.utils.tracking.server import Server


def send_job(job: Job, server: Server, say: Callable[[str], None] = print) -> None:
    """Send one session, with a progress bar, and say where it is.

    Args:
        job: What to send.
        server: Where to.
        say: Is given the lines for the user.

    Raises:
        ServerError: The server does not answer or refuses; what it has is remembered.
    """
    from seglab.utils.tracking.sender import Sender

    path = Path(job.state)
    state = UploadState(path) if job.anew else UploadState.load(path)
    session = SdkSession(Path(job.session))
    with tqdm(
        total=job.bytes, unit="B", unit_scale=True, desc=Path(job.label).name[:30], leave=False
    ) as bar:
        sender = Sender(
            session, state, server, job.project, bar.update, lambda line: bar.write(line)
        )
        sender.pump()
        sender.finish(job.status)
    done = "sent to" if sender.has_sent else "already on"
    say(f"{job.label}: {done} {server.url} as task {state.task} ({job.counts})")
    if state.url:
        say(f"  {state.url}")


def main(argv: Sequence[str] | None = None) -> int:
    """Send the jobs of a file; returns the exit code."""
    parser = argparse.ArgumentParser(prog="seglab.utils.tracking.upload_worker")
    parser.add_argument("jobs", type=Path)
    jobs = [Job(**content) for content in read_json(parser.parse_args(argv).jobs)]
    try:
        return _send_all(jobs)
    except KeyboardInterrupt:  # the process that waits got it as well, and says so
        return INTERRUPTED


def _send_all(jobs: Sequence[Job]) -> int:
    from seglab.utils.tracking.server import Server

    server = Server()
    code = 0
    for job in jobs:
        try:
            send_job(job, server)
        except TaskGoneError as error:  # the others may be there
            print(f"error: {job.label}: {error}", file=sys.stderr)
            code = error.exit_code
        except UserError as error:
            fix = error.fix + (", without --anew" if job.anew else "")
            raise type(error)(f"{job.label}: {error.message}", fix) from error
    return code


if __name__ == "__main__":
    code = run_tool(main)
    sys.stdout.flush()
    sys.stderr.flush()
    # The SDK's exit handlers and threads that wait for a server would hold the exit up.
    os._exit(code)
