"""Files written atomically: a kill leaves the old file or the new one, never half of one."""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seglab.utils.errors import UserError


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it into place when the block succeeds.

    Args:
        path: Where the finished file goes. Parent folders are made.

    Yields:
        A path in the same folder with the same suffix (writers choose a format by suffix).
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.stem[:40]}.", suffix=path.suffix
    )
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes files private; a result is as readable as the user's umask says.
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        # A full disk names no file; without a number the file would hide the message.
        if error.errno is not None and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def require_writable(folder: Path, option: str) -> None:
    """Make a folder, and make sure that files can be written into it.

    Args:
        folder: The folder.
        option: The option that named it, for the message.

    Raises:
        UserError: It cannot be made or written.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{option} {folder} is a file", "give a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"{option} {folder} cannot be written: {error.strerror}", "give another folder"
        ) from error


@contextmanager
def whole_folder(out: Path, goes_on: bool = False) -> Iterator[Path]:
    """Yield a hidden folder beside `out`; it takes the place of `out` when the block succeeds.

    Args:
        out: Where the finished folder goes. What is there is replaced, see `require_new`.
        goes_on: Keep what a stopped run left, for the next one to go on with.

    Yields:
        A folder; new and empty unless it `goes_on`.

    Raises:
        UserError: It cannot be written.
    """
    place = out.resolve()  # `--out .` has no name
    partial = place.parent / f".{place.name}.partial"
    if partial.is_symlink():  # nobody's here: what is written would land elsewhere
        partial.unlink()
    if not goes_on:
        shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
    try:
        partial.mkdir(parents=True, exist_ok=True)
        yield partial
        if place.exists():
            shutil.rmtree(place)
        partial.rename(place)
    except OSError as error:
        raise UserError(f"cannot write {out}: {error}", "check the disk and the rights") from error
    finally:
        if not goes_on:
            shutil.rmtree(partial, ignore_errors=True)


def require_new(out: Path, option: str = "--out") -> None:
    """Make sure that writing a folder destroys nothing.

    Args:
        out: The folder.
        option: The option that named it, for the message.

    Raises:
        UserError: It is a file, or a folder with something in it.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{option} {out} is a file", "name a new folder")
    if out.is_dir() and any(out.iterdir()):
        shown = ", ".join(sorted(entry.name for entry in out.iterdir())[:5])
        raise UserError(f"{option} {out} is not empty (it holds {shown})", "name a new folder")


def write_text(path: str | Path, text: str) -> Path:
    """Write `text` as UTF-8, atomically; returns the path."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def open_appending(path: Path) -> int:
    """A handle that appends to a file, made if need be; a link in its place is not followed.

    Raises:
        OSError: It cannot be opened, or is a link: in a folder of a stranger's it may lead to any
            file of this machine.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
    flags |= getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    return os.open(path, flags, 0o666)


def to_plain(value: Any) -> Any:
    """Turn numpy / torch scalars and arrays, paths and tuples into what JSON can hold.

    NaN and infinities become None: JSON has no such numbers, and many readers refuse them.
    """
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [to_plain(item) for item in value]
    if hasattr(value, "tolist"):  # numpy and torch, scalars and arrays
        return to_plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)


def write_json(path: str | Path, data: Any) -> Path:
    """Write `data` as indented JSON, atomically; returns the path."""
    return write_text(path, json.dumps(to_plain(data), indent=2, ensure_ascii=False) + "\n")


#: More is no list or record of ours; COCO's largest list of annotations has half of it.
MOST_TEXT = 1 << 30


def read_small_text(path: str | Path) -> str:
    """Read a text file, unless it is one that would fill the memory or never ends.

    Raises:
        UserError: It cannot be read, is no ordinary file, or has more than a gibibyte.
        ValueError: It is no UTF-8.
    """
    path = Path(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no ordinary file"
            raise UserError(f"cannot read {path}: it is {kind}", "name a file")
        if status.st_size > MOST_TEXT:
            raise UserError(f"{path} has {status.st_size:,} bytes: too much", "check the path")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", "check the path") from error


def read_json(path: str | Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: The file is missing, too large or not JSON.
    """
    try:
        return json.loads(read_small_text(path))
    except (ValueError, RecursionError) as error:  # brackets nested without end
        raise UserError(f"{path} is not valid JSON: {error}", "restore the file") from error


def sha256_file(path: str | Path) -> str:
    """The SHA-256 of a file, as 64 hexadecimal digits, read in blocks."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
