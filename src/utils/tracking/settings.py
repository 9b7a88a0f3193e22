"""What the processes that import ClearML's SDK are given, and what is never recorded.

The SDK reads its settings when it is imported, from a file and from the environment. A training
process that an agent of ClearML started, or a settings file of years ago, must not change how a
session is written, so each child gets an environment and a file of its own.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

SESSION_FOLDER = "session"
OFFLINE_SETTINGS = "clearml_offline.conf"
ONLINE_SETTINGS = "clearml_online.conf"

# Where a child is told more than how to reach the server, it would continue the agent's task,
# record the whole environment, or wait for the other ranks of a distributed training.
_NOT_PASSED_ON = re.compile(
    r"(CLEARML|TRAINS)_("
    r"TASK_|PROC_|NODE_ID|MULTI_NODE|LOG_|VCS_|DOCKER_|SET_ITERATION|SIMULATE|DEFERRED|IGNORE_"
    r"|OFFLINE_MODE|CONFIG_|CACHE_DIR|DEFAULT_OUTPUT_URI|ENV$|ENABLE_|DEVELOPMENT_)"
    r"|TORCHELASTIC_|(LOCAL_|GROUP_|ROLE_|NODE_)?RANK$|(LOCAL_)?WORLD_SIZE$"
)
_CLEARML = re.compile(r"(CLEARML|TRAINS)_")

# Each line is a trap that was met: the repository detection that keeps `close()` waiting at
# random, the reporting process that makes it take ten seconds, and requests that are repeated
# for minutes when a server is away.
_SETTINGS = """\
sdk {
    apply_environment: false
    apply_files: false
    development {
        vcs_repo_detect_async: false
        report_use_subprocess: false
        suppress_update_message: true
        store_uncommitted_code_diff: false
        log_os_environments: []
        default_output_uri: ""
        worker { report_event_flush_threshold: 1000, log_stdout: false }
    }
}
api { http { retries { total: 1, connect: 1, read: 1, backoff_factor: 0.1, backoff_max: 1 } } }
"""

#: Variables that say how a run was computed. Everything else stays on the machine.
RECORDED_VARIABLES = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_DEVICE_ORDER",
    "CUDA_VISIBLE_DEVICES",
    "LOCAL_RANK",
    "MKL_NUM_THREADS",
    "NVIDIA_VISIBLE_DEVICES",
    "OMP_NUM_THREADS",
    "OMP_WAIT_POLICY",
    "PYTHONHASHSEED",
    "PYTORCH_CUDA_ALLOC_CONF",
    "RANK",
    "SEGLAB_OXFORD_FOLDERS",
    "SEGLAB_OXFORD_PET",
    "SEGLAB_PETS_COCO",
    "SEGLAB_TRACKING",
    "WORLD_SIZE",
)

# The end of a name: `token`, `wandb_token`, `accessToken`, not `tokenizer` or `num_tokens`.
_SENSITIVE = (
    r"(?:(?<![A-Za-z0-9])|(?<=[a-z])(?=[A-Z]))(?i:token|passw(?:or)?d|pwd|passphrase|secret"
    r"|(?:api|access|secret|private|auth)[_-]?key|credentials?)"
)
_SECRET_KEY = re.compile(rf"{_SENSITIVE}\Z")
_VALUE = r"(?:(\")[^\"\n]*\"|(')[^'\n]*'|[^\s'\"&,;)}\]]+)"
_MASKED = r"\1\2\3***\2\3"  # within the quotes, so that a text of JSON stays one
_SECRETS = (
    # user:password@ of an address; also a token that stands alone before the @
    (re.compile(r"(\b[A-Za-z][A-Za-z0-9+.-]{0,20}://)[^\s/@'\"]+@"), r"\1"),
    # --token=abc, api_key: "abc", {"password": "abc"}, ?access_token=abc
    (re.compile(rf"({_SENSITIVE}[\"']?\s*[=:]\s*){_VALUE}"), _MASKED),
    # --token abc
    (re.compile(rf"((?<![\w-])--?[\w.-]{{0,40}}?{_SENSITIVE}[ \t]+)(?!-){_VALUE}"), _MASKED),
    # Authorization: Bearer abc
    (re.compile(r"(?i)\b((?:bearer|basic)\s+)[\w.~+/=-]{8,}"), r"\1***"),
    # the shapes of well-known keys, wherever they stand
    (
        re.compile(
            r"\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|hf_[A-Za-z0-9]{20,}"
            r"|sk-[\w-]{20,}|AKIA[0-9A-Z]{16}|xox[a-z]-[\w-]{10,})"
        ),
        "***",
    ),
)


def child_environment(
    folder: Path, offline: bool, environ: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The environment for a process that imports the SDK, and the settings file it names.

    Args:
        folder: The tracking folder; settings and cache go into its `session` folder.
        offline: Whether the SDK writes to disk and knows of no server. Then the user's own
            settings are left out. Otherwise they are included by reference: what they hold,
            credentials above all, is not copied.
        environ: The environment to start from.

    Returns:
        The variables of the child.
    """
    dropped = _CLEARML if offline else _NOT_PASSED_ON
    child = {name: value for name, value in environ.items() if not dropped.match(name)}
    session = (folder / SESSION_FOLDER).absolute()
    session.mkdir(parents=True, exist_ok=True)
    settings = session / (OFFLINE_SETTINGS if offline else ONLINE_SETTINGS)
    user = None if offline else user_settings(environ)
    # A child's own child is told of the file that this function wrote before.
    if user is None or not settings.exists() or not user.samefile(settings):
        include = f"include {json.dumps(str(user), ensure_ascii=False)}\n" if user else ""
        _write_private(settings, include + _SETTINGS)
    child["CLEARML_CONFIG_FILE"] = str(settings)
    child["CLEARML_CACHE_DIR"] = str(session)
    child["CLEARML_OFFLINE_MODE"] = "1" if offline else "0"
    child["CLEARML_SUPPRESS_UPDATE_MESSAGE"] = "1"
    return child


def user_settings(environ: Mapping[str, str] = os.environ) -> Path | None:
    """The user's own `clearml.conf`: the one the environment names, else that of the home folder.

    Returns:
        Its absolute path; None where there is none.
    """
    named = environ.get("CLEARML_CONFIG_FILE") or environ.get("TRAINS_CONFIG_FILE")
    home = environ.get("HOME") or environ.get("USERPROFILE") or str(Path.home())
    path = Path(os.path.expandvars(named)).expanduser() if named else Path(home) / "clearml.conf"
    return path.absolute() if path.is_file() else None


def recorded_environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that may be recorded with a run: those of the list, if they are set."""
    return {
        name: without_credentials(environ[name]) for name in RECORDED_VARIABLES if name in environ
    }


def without_credentials(text: str) -> str:
    """A text without what looks like a secret.

    Takes `user:password@` out of addresses, and puts `***` for the values of options and settings
    whose name ends in token, password, secret, key and the like, and for well-known shapes of keys.

    Args:
        text: An address, a command line, a diff, a config.
    """
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def is_secret_name(name: str) -> bool:
    """Whether a setting of this name holds a secret: `api_key`, `server.token`, `PASSWORD`."""
    return _SECRET_KEY.search(name) is not None


def _write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    temporary.replace(path)
