"""Where the project lies, how paths a person types are understood, and which names data may give.

A path that a person types may lead anywhere. A name that data gives (an image's, a JSON list's, an
archive's member) stays inside the folder that it belongs to.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath

from seglab.utils.errors import UserError

#: Endings of image files where no config names one; compared without regard to case.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")

#: The checkout that holds `configs/` and `experiments/`: the folder above the package.
#: Resolved through the real path, so that a link to the package does not mislead.
PROJECT_ROOT = Path(os.path.realpath(__file__)).parents[2]
if not (PROJECT_ROOT / "configs").is_dir():  # installed away from its checkout
    PROJECT_ROOT = Path.cwd()


def resolve_input(path: str | Path) -> Path:
    """Understand a path from the current folder first, then from the project's root.

    So `configs/h1.py` and `data/pets_coco` work from any working directory.

    Returns:
        The first of the two that exists, or the path from the current folder.
    """
    path = Path(path)
    with suppress(RuntimeError):  # `~name` of nobody: a file may be called so
        path = path.expanduser()
    with suppress(OSError):  # a name that no disk can hold: whoever reads it says so
        if not path.is_absolute() and not path.exists() and (PROJECT_ROOT / path).exists():
            return PROJECT_ROOT / path
    return path


#: What Linux's file systems hold, in bytes: one name, and a path from its folder on.
_LONGEST_NAME, _LONGEST_PATH = 255, 4096
_SHOWN = 200


def name_fault(given: str) -> str:
    """Why a name that data gives must not become a path inside a folder; '' if it may.

    It is judged as Linux, macOS and Windows would understand it: a data set travels.

    Args:
        given: The name, with `/` between folders.
    """
    parts, windows = PurePosixPath(given), PureWindowsPath(given)
    if "\0" in given:
        return "holds a NUL byte"
    if parts.is_absolute() or windows.is_absolute() or windows.root:
        return "is absolute"
    if ".." in parts.parts or ".." in windows.parts:
        return "leads upwards ('..')"
    if not parts.parts:
        return "names no file"
    sizes = [len(part.encode("utf-8", "surrogatepass")) for part in parts.parts]
    if max(sizes) > _LONGEST_NAME or sum(sizes) + len(sizes) > _LONGEST_PATH:
        return f"is longer than a file's name can be ({len(given)} characters)"
    return ""


def shown_name(given: str) -> str:
    """A name for a message: quoted, and not endless."""
    return repr(given if len(given) <= _SHOWN else given[:_SHOWN] + "...")


def leads_out(folder: Path, path: Path) -> bool:
    """Whether a path that lies in a folder is a link, or behind one, to somewhere else."""
    try:
        return not path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # loops of links, names no disk can hold
        return True


def output_path(folder: Path, given: str | PurePath) -> Path:
    """The path of a file that is named by data, certainly inside a folder.

    Args:
        folder: Where outputs go; it need not exist yet, and may be a link itself.
        given: The name from there on.

    Raises:
        UserError: The name is absolute, leads upwards, holds a NUL byte, names nothing, is too
            long, or leads out of the folder through a link.
    """
    text = given if isinstance(given, str) else given.as_posix()
    try:
        fault = name_fault(text)
        target = folder / text
        if not fault and not target.resolve().is_relative_to(folder.resolve()):
            fault = f"leads out of {folder} through a link"
    except (OSError, RuntimeError, ValueError) as error:  # loops of links, names no disk can hold
        fault = f"cannot be a path ({getattr(error, 'strerror', None) or error})"
    if fault:
        raise UserError(
            f"the name {shown_name(text)} {fault}; nothing is written there",
            "mend the name in the data, or delete the link",
        )
    return target
