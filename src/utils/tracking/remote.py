"""Train on another machine: a ClearML task in a queue, which an agent of ClearML takes.

`seglab train --queue NAME` calls `enqueue_training`. The SDK works in a process of its own
(`remote_worker`), which is killed if a server keeps it waiting.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seglab.utils.errors import UserError, raise_faults
from seglab.utils.io_utils import read_json
from seglab.utils.paths import PROJECT_ROOT
from seglab.utils.tracking.faults import NO_CREDENTIALS, SETTINGS_HINT
from seglab.utils.tracking.git_state import git, script_entry
from seglab.utils.tracking.journal import Script, Start
from seglab.utils.tracking.mode import check_connection
from seglab.utils.tracking.settings import child_environment, without_credentials

#: Starts a program of the checkout that it lies in, whatever seglab is installed beside it.
ENTRY = "src/from_checkout.py"
_SECONDS = 60.0
_NO_REPOSITORY = "the agent fetches the code from a git repository"


@dataclass(frozen=True)
class Queued:
    """A training that waits for an agent.

    Attributes:
        task: The task's id.
        url: Its page.
    """

    task: str
    url: str


def enqueue_training(
    queue: str,
    config: Path,
    arguments: Sequence[str],
    start: Start,
    environ: Mapping[str, str] = os.environ,
    warn: Callable[[str], None] = print,
    root: Path = PROJECT_ROOT,
) -> Queued:
    """Put a training into a queue of ClearML; nothing is trained here.

    Args:
        queue: The queue's name.
        config: The config's file.
        arguments: The command line of `seglab train`, `--queue` included.
        start: The task's name, project and tags.
        environ: The environment variables.
        warn: Is told what may go wrong on the other machine.
        root: The checkout.

    Raises:
        UserError: There is no such queue or no connection, or the other machine could not have
            the code or the config; all of it that can be seen from here.
    """
    script = script_entry("train", root=root)
    where, faults = _config_in_checkout(config, root)
    faults += _faults_of_code(script)
    entry_point = shlex.join([ENTRY, "train", *_arguments_there(arguments, where)])
    if without_credentials(entry_point) != entry_point:
        faults.append("the command line holds what looks like a secret")
    raise_faults(
        f"{config} cannot be trained elsewhere", faults, "commit and push what the agent needs"
    )
    server, fault = check_connection(environ)
    if fault:
        fix = SETTINGS_HINT if fault == NO_CREDENTIALS else "see that the server can be reached"
        raise UserError(f"--queue {queue}: {fault}", fix)
    if not _is_pushed(script.commit, root):
        warn(
            f"warning: commit {script.commit[:10]} is on no branch of {script.repository} that is "
            "known here: the agent fails unless you push it"
        )
    code = {**_fields(script), "entry_point": entry_point}
    job = {"queue": queue, "start": _fields(start), "script": code}
    said = _run_worker(job, environ)
    if said.get("fault") or "url" not in said:
        reason = said.get("fault") or f"{server} did not take the task"
        raise UserError(f"--queue {queue}: {reason}", said.get("fix") or "try again")
    return Queued(said["task"], said["url"])


def _fields(entry: Start | Script) -> dict[str, object]:
    return {key: value for key, value in vars(entry).items() if key != "time"}


def _config_in_checkout(config: Path, root: Path) -> tuple[str, list[str]]:
    """The config's path in the checkout, and why another machine would not have it."""
    path = config.resolve()
    if not path.is_relative_to(root.resolve()):
        return "", [f"the config lies outside the checkout {root}"]
    where = path.relative_to(root.resolve()).as_posix()
    if not git(root, "ls-files", "--", where):
        return where, [f"{where} is not in git: the agent would not have it"]
    return where, []


def _faults_of_code(script: Script) -> list[str]:
    if not script.commit:
        return [f"this is no git checkout with a commit: {_NO_REPOSITORY}"]
    faults = []
    if not script.repository:
        faults.append(f"the checkout has no remote: {_NO_REPOSITORY}")
    if script.diff.startswith("# "):
        faults.append(f"the changes since the commit are too many to send ({script.diff[2:-1]})")
    if "***" in script.diff:
        faults.append("the changes since the commit hold what looks like a secret")
    return faults


def _is_pushed(commit: str, root: Path) -> bool:
    return bool(git(root, "branch", "--remotes", "--contains", commit))


def _arguments_there(arguments: Sequence[str], config: str) -> list[str]:
    """The command line for the other machine: without the queue, the config by its path there."""
    there: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        name, equals, _ = argument.partition("=")
        # argparse takes `--que`, too; an agent that is given it would queue the task again.
        full = [o for o in ("--queue", "--config") if len(name) > 2 and o.startswith(name)]
        if not full:
            there.append(argument)
            continue
        if not equals:
            next(waiting, None)
        if full == ["--config"]:
            there += ["--config", config]
    return there


def _run_worker(job: Mapping[str, object], environ: Mapping[str, str]) -> dict[str, str]:
    """What the process that talks to the server says."""
    with tempfile.TemporaryDirectory(prefix="seglab-queue-") as name:
        folder = Path(name)
        file = folder / "job.json"
        file.write_text(json.dumps(job), encoding="utf-8")
        answer = folder / "answer.json"
        try:
            code = subprocess.run(
                [sys.executable, "-m", "seglab.utils.tracking.remote_worker", file, answer],
                env=child_environment(folder, offline=False, environ=environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            return {"fault": f"the server did not take the task within {_SECONDS:.0f} s"}
        said: dict[str, str] = read_json(answer) if answer.is_file() else {}
        return said if code == 0 or "fault" in said else {}
