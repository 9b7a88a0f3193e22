"""Send runs and sessions that are on disk to a ClearML server: `seglab upload-results-to-clearml`.

Everything is read and checked here, before the first request; `upload_worker` then sends, in a
process that gets the SDK's settings.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from seglab.utils.errors import UserError
from seglab.utils.io_utils import require_writable
from seglab.utils.result_files import METRICS_FILE, TRACKING_FOLDER
from seglab.utils.tracking.contents import journal_of_run, journal_of_test
from seglab.utils.tracking.faults import NO_CREDENTIALS, SETTINGS_HINT
from seglab.utils.tracking.journal import JOURNAL_FILE, is_finished, read_journal
from seglab.utils.tracking.locks import locked
from seglab.utils.tracking.mode import has_credentials
from seglab.utils.tracking.sdk_session import SdkSession
from seglab.utils.tracking.session_summary import (
    Summary,
    printable,
    require_metrics,
    summarise,
)
from seglab.utils.tracking.settings import child_environment
from seglab.utils.tracking.upload_state import UPLOAD_FILE, UploadState
from seglab.utils.tracking.writer import SESSION_ZIP, write_session

_STILL = "the run was killed, or still goes on"


@dataclass(frozen=True)
class Job:
    """One session to send.

    Attributes:
        session: The SDK's session, a zip or a folder.
        state: Where it is remembered what is on the server.
        label: What to call it.
        status: The task's last status.
        project: The project of a new task; the session's own if None.
        anew: Whether a new task is wanted though there is one.
        counts: What it holds, in words.
        bytes: What goes over the network, about.
    """

    session: str
    state: str
    label: str
    status: str
    project: str | None
    anew: bool
    counts: str
    bytes: int


@dataclass(frozen=True)
class Options:
    """What the user wants.

    Attributes:
        project: The project of new tasks; each session's own if None.
        anew: Whether to start new tasks where there are some.
        partial: Whether runs without an end and torn sessions are taken.
    """

    project: str | None = None
    anew: bool = False
    partial: bool = False


def upload(
    runs: Sequence[Path],
    sessions: Sequence[Path],
    options: Options,
    dry_run: bool = False,
    show: Callable[[str], None] = print,
) -> int:
    """Send runs, with their tests, and sessions.

    Args:
        runs: Folders of runs.
        sessions: Offline sessions of the SDK, zips or folders.
        options: What the user wants.
        dry_run: Only show what would go; no network is used.
        show: Is given the lines for the user.

    Returns:
        The exit code.

    Raises:
        UserError: Anything is wrong with what was named; all of it.
    """
    if not dry_run and not has_credentials():
        raise UserError(NO_CREDENTIALS, SETTINGS_HINT)
    faults: list[UserError] = []
    found: list[tuple[Job, Summary]] = []
    with ExitStack() as stack:
        handles: list[int] = []
        for held, prepare in _preparations(runs, sessions, options, faults):
            try:
                handles += stack.enter_context(_only_sender(held))
                found.append(prepare())
                if not dry_run:  # what is there will be noted
                    state = Path(found[-1][0].state)
                    require_writable(state.parent, f"for {state.name}, the folder")
            except UserError as error:
                faults.append(error)
        if faults:
            _raise(faults)
        if dry_run:
            for job, summary in found:
                show(describe(job, summary))
            return 0
        return _send([job for job, _ in found], handles)


def _only_sender(path: Path) -> AbstractContextManager[tuple[int, ...]]:
    """Keep others from sending what lies at a path; two at once would make two tasks of it."""
    busy = UserError(
        f"{path}: another process sends it",
        "wait until it is done; what a run itself sends ends soon after the run",
    )
    return locked(path, 0, busy)


def _raise(faults: Sequence[UserError]) -> None:
    """Raise all faults as one error; a single one as it is."""
    if len(faults) == 1:
        raise faults[0]
    lines = "\n".join(f"  {fault}".replace("\n  fix", "\n    fix") for fault in faults)
    raise UserError(f"{len(faults)} faults; nothing was sent:\n{lines}")


def _preparations(
    runs: Sequence[Path], sessions: Sequence[Path], options: Options, faults: list[UserError]
) -> Iterator[tuple[Path, Callable[[], tuple[Job, Summary]]]]:
    """For each session there is to send, once: what to lock, and the call that makes its job."""
    seen: set[Path] = set()

    def is_new(path: Path) -> bool:
        known = path.resolve() in seen
        seen.add(path.resolve())
        return not known

    for run in runs:
        try:
            folders = _tracking_folders(run)
        except UserError as error:
            faults.append(error)
            continue
        for folder in filter(is_new, folders):
            yield folder / JOURNAL_FILE, partial(_prepare_tracked, folder, options)
    for path in filter(is_new, sessions):
        yield path, partial(_prepare_session, path, options)


def _tracking_folders(run: Path) -> list[Path]:
    """The tracking folders of a run and of its tests, made where nobody tracked.

    Raises:
        UserError: The folder holds no run and no test, or nothing to send.
    """
    tests = sorted(path.parent for path in run.glob(f"test_*/{METRICS_FILE}"))
    tests += sorted(
        path.parents[1] for path in run.glob(f"test_*/{TRACKING_FOLDER}/{JOURNAL_FILE}")
    )
    folders = []
    try:
        if not (run / TRACKING_FOLDER / JOURNAL_FILE).is_file():
            journal_of_run(run, run / TRACKING_FOLDER)
        folders.append(run / TRACKING_FOLDER)
        for test in dict.fromkeys(tests):
            if not (test / TRACKING_FOLDER / JOURNAL_FILE).is_file():
                journal_of_test(test, test / TRACKING_FOLDER)
            folders.append(test / TRACKING_FOLDER)
    except OSError as error:
        raise UserError(
            f"{error.filename or run} cannot be written: {error.strerror}",
            "copy the run into a folder that you may write, and name that",
        ) from error
    return folders


def _prepare_tracked(folder: Path, options: Options) -> tuple[Job, Summary]:
    """A job from a tracking folder; its session is written if it is missing or old."""
    journal = folder / JOURNAL_FILE
    if not is_finished(read_journal(folder)) and not options.partial:
        raise UserError(
            f"{folder.parent} has no end: {_STILL}",
            "wait, resume it, or send what there is with --partial",
        )
    packed = folder / SESSION_ZIP
    if not packed.is_file() or packed.stat().st_mtime < journal.stat().st_mtime:
        require_writable(folder, "the run's folder")
        write_session(folder)
    return _job(packed, folder / UPLOAD_FILE, str(folder.parent), options)


def _prepare_session(path: Path, options: Options) -> tuple[Job, Summary]:
    """A job from somebody's session."""
    path = path.absolute()
    state = path.with_name(f"{path.name}.{UPLOAD_FILE}")
    return _job(path, state, str(path), options)


def _job(session: Path, state: Path, label: str, options: Options) -> tuple[Job, Summary]:
    summary = summarise(SdkSession(session), options.partial)
    require_metrics(summary, label)
    if not options.anew:
        UploadState.load(state)  # its faults are told here
    status = summary.status or "completed"
    job = Job(
        session=str(session),
        state=str(state),
        label=label,
        status=status,
        project=options.project,
        anew=options.anew,
        counts=summary.counts(),
        bytes=summary.bytes,
    )
    return job, summary


def describe(job: Job, summary: Summary) -> str:
    """What a job would send, as lines for the user."""
    parameters, sections = summary.parameters
    lines = [
        f"{job.label}: {summary.kind} task {summary.name!r}, {summary.status or 'completed'}",
        f"  project: {job.project or summary.project}",
        f"  tags: {', '.join(summary.tags) or 'none'}",
        f"  hyper-parameters: {parameters} (sections: {sections})",
        f"  configurations: {', '.join(summary.configurations) or 'none'}",
        f"  {job.counts}; {_size(summary.bytes)} in all",
    ]
    files = {f"artifact {name}": size for name, size in summary.artifacts.items()}
    files |= {f"image {name.split('/metrics/')[-1]}": s for name, s in summary.images.items()}
    for name, size in files.items():
        lines.append(f"    {_size(size) if size is not None else 'a link':>9}  {name}")
    lines += [f"  left out: {fault}" for fault in summary.faults]
    return "\n".join(map(printable, lines))


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _send(jobs: Sequence[Job], handles: Sequence[int]) -> int:
    """Have the jobs sent by a process of its own, which keeps the locks; returns its exit code."""
    with tempfile.TemporaryDirectory(prefix="seglab-upload-") as name:
        file = Path(name) / "jobs.json"
        file.write_text(json.dumps([asdict(job) for job in jobs]), encoding="utf-8")
        command = [sys.executable, "-m", "seglab.utils.tracking.upload_worker", str(file)]
        environment = child_environment(Path(name), offline=False)
        code = subprocess.run(
            command, env=environment, pass_fds=tuple(handles), check=False
        ).returncode
    if code < 0:
        fix = "run the command again: it goes on where it stopped"
        raise UserError(f"the process that sends was ended by signal {-code}", fix)
    return code
