"""The code that runs, as git knows it."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from seglab.utils.paths import PROJECT_ROOT
from seglab.utils.tracking.journal import Script
from seglab.utils.tracking.settings import without_credentials

#: A larger difference to the commit is not recorded: somebody changed data, not code.
LONGEST_DIFF = 500_000  # bytes
_SECONDS = 10


def script_entry(tool: str, command: Sequence[str] = (), root: Path = PROJECT_ROOT) -> Script:
    """The state of the checkout, and which of its programs runs.

    Args:
        tool: The program in `src/tools`, for a command that names another file (the console
            script `seglab`, say).
        command: The command line; its first word names the program.
        root: The checkout.

    Returns:
        The repository's URL without credentials, branch, commit, and the difference of tracked
        files to the commit. Everything is empty outside git; untracked files are not recorded.
    """
    commit = git(root, "rev-parse", "HEAD").strip()
    branch = git(root, "rev-parse", "--abbrev-ref", "HEAD").strip() if commit else ""
    return Script(
        repository=_remote(root) if commit else "",
        branch="" if branch == "HEAD" else branch,  # detached
        commit=commit,
        diff=_difference(root) if commit else "",
        working_dir=".",
        entry_point=_entry_point(tool, command, root),
    )


def recorded_script(tool: str, command: Sequence[str], revision: str | None) -> Script:
    """The code of a run that was made earlier, from its record alone.

    Args:
        tool: As in `script_entry`.
        command: As in `script_entry`.
        revision: The recorded commit, with `+changes` where files differed.
    """
    commit, _, changed = (revision or "").partition("+")
    # An agent cannot apply this, and must not train anything else in its place silently.
    diff = "# files differed from the commit; by how much was not recorded\n" if changed else ""
    return Script("", "", commit, diff, ".", _entry_point(tool, command, PROJECT_ROOT))


def _entry_point(tool: str, command: Sequence[str], root: Path) -> str:
    """The program relative to the checkout."""
    if command and command[0].endswith(".py"):
        path = Path(command[0])
        path = path if path.is_absolute() else Path.cwd() / path
        if path.is_file() and path.resolve().is_relative_to(root.resolve()):
            return path.resolve().relative_to(root.resolve()).as_posix()
    return f"src/tools/{tool}.py"


def _remote(root: Path) -> str:
    """The URL of `origin`, or of the first remote there is."""
    remotes = git(root, "remote").split()
    if not remotes:
        return ""
    name = "origin" if "origin" in remotes else remotes[0]
    url = git(root, "remote", "get-url", name).strip()
    return without_credentials(url)


def _difference(root: Path) -> str:
    diff = git(root, "diff", "HEAD", "--no-color", "--no-ext-diff", "--no-textconv")
    size = len(diff.encode("utf-8", "replace"))
    if size > LONGEST_DIFF:
        # Half of it would be applied as if it were all.
        return f"# {size} bytes of changes were not recorded: more than {LONGEST_DIFF}\n"
    # Only in what was added: the other lines are in the commit, and must fit it.
    return "".join(
        without_credentials(line) if line.startswith("+") else line
        for line in diff.splitlines(keepends=True)
    )


def git(root: Path, *arguments: str) -> str:
    """What git answers in a checkout; nothing where it cannot."""
    try:
        return subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_SECONDS,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
