"""Whether and how a run is tracked: off, offline (to disk only) or online (sent as it goes)."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seglab.utils.tracking.faults import NO_CREDENTIALS
from seglab.utils.tracking.settings import child_environment, user_settings

KINDS = ("off", "offline", "online")
VARIABLE = "SEGLAB_TRACKING"
#: How long the connection check may take, the start of its process included; the variable gives
#: another limit.
CHECK_SECONDS = 5.0
SECONDS_VARIABLE = "SEGLAB_CLEARML_SECONDS"
UPLOAD_COMMAND = "seglab upload-results-to-clearml --run"


def upload_command(run: str | Path) -> str:
    """The command line that sends a run."""
    return f"{UPLOAD_COMMAND} {shlex.quote(str(run))}"


@dataclass(frozen=True)
class Mode:
    """How a run is tracked, decided once.

    Attributes:
        kind: "off", "offline" or "online".
        reason: Why, in a few words.
        server: The address of the server's API; None without one.
    """

    kind: str
    reason: str
    server: str | None = None

    def line(self, run: str | Path = "RUN") -> str:
        """The one line for the log.

        Args:
            run: The run's folder, for the command that sends it later.
        """
        text = f"tracking: {self.kind} ({self.reason})"
        if self.kind == "offline":
            text += f"; send later with: {upload_command(run)}"
        return text


#: Nothing is tracked: the processes of a run but the first.
OFF = Mode("off", "another process tracks")


def decide_mode(option: str | None, environ: Mapping[str, str] = os.environ) -> Mode:
    """Decide how a run is tracked; takes at most about 5 s, and never raises.

    The first that says something decides: the option, `SEGLAB_TRACKING`, `CLEARML_OFFLINE_MODE`,
    whether there are credentials. Online is what a server lets us be: without one that answers,
    the run is tracked offline, and the reason says why.

    Args:
        option: The value of `--tracking`; None if it was not given.
        environ: The environment variables.
    """
    wanted, source = option, f"--tracking {option}"
    if wanted is None:
        wanted = environ.get(VARIABLE, "").strip().lower() or None
        source = f"{VARIABLE}={wanted}"
    if wanted is not None and wanted not in KINDS:
        return Mode("offline", f"{source} is none of {', '.join(KINDS)}")
    if wanted in {"off", "offline"}:
        return Mode(wanted, source)
    if wanted is None and _is_set(environ.get("CLEARML_OFFLINE_MODE", "")):
        return Mode("offline", "CLEARML_OFFLINE_MODE is set")
    server, fault = check_connection(environ)
    if fault:
        return Mode("offline", fault, server)
    return Mode("online", str(server), server)


def _is_set(value: str) -> bool:
    """Whether the SDK takes a variable for true."""
    return value.strip().lower() not in {"", "0", "false", "no", "off", "n", "f"}


def check_connection(
    environ: Mapping[str, str] = os.environ, seconds: float | None = None
) -> tuple[str | None, str]:
    """Log in to the ClearML server that the settings name, in a process that is killed in time.

    Args:
        environ: The environment variables.
        seconds: How long it may take; None for SEGLAB_CLEARML_SECONDS, or 5.

    Returns:
        The server's address, None if it is not known, and what went wrong, empty if nothing did.
    """
    if not has_credentials(environ):
        return None, NO_CREDENTIALS
    seconds = _limit(environ) if seconds is None else seconds
    try:
        with tempfile.TemporaryDirectory(prefix="seglab-probe-") as folder:
            done = subprocess.run(
                [sys.executable, "-m", "seglab.utils.tracking.probe"],
                env=child_environment(Path(folder), offline=False, environ=environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=seconds,
                check=False,
            )
            said = _read(done.stdout)
    except subprocess.TimeoutExpired as error:
        server = _read(error.stdout or b"").get("server")
        return server, f"{server or 'the ClearML server'} did not answer within {seconds:.0f} s"
    except OSError as error:
        return None, f"the connection could not be checked: {error}"
    return said.get("server"), said.get("fault", "the connection check failed")


def _limit(environ: Mapping[str, str]) -> float:
    """The seconds that the variable gives; 5 where it gives none that make sense."""
    try:
        seconds = float(environ.get(SECONDS_VARIABLE, ""))
    except ValueError:
        return CHECK_SECONDS
    return seconds if 0 < seconds < 3600 else CHECK_SECONDS


def _read(output: bytes) -> dict[str, str]:
    """What the probe said, between whatever the SDK printed."""
    said = {}
    for line in output.decode("utf-8", "replace").splitlines():
        if line.startswith('{"seglab_'):
            said.update(json.loads(line))
    return {key.removeprefix("seglab_"): value for key, value in said.items()}


def has_credentials(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment or the user's `clearml.conf` holds credentials of any kind."""
    for prefix in ("CLEARML", "TRAINS"):
        keys = (f"{prefix}_API_ACCESS_KEY", f"{prefix}_API_SECRET_KEY")
        if all(environ.get(key, "").strip() for key in keys):
            return True
    if environ.get("CLEARML_AUTH_TOKEN", "").strip():
        return True
    settings = user_settings(environ)
    if settings is None:
        return False
    try:
        text = settings.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    # The SDK reads it properly; here only a file that has none at all is told apart.
    given = re.search(r"""^[^#\n]*\baccess_key["']?\s*[:=]\s*["']?[^\s"'#]""", text, re.MULTILINE)
    return given is not None or re.search(r"^\s*include\b", text, re.MULTILINE) is not None
