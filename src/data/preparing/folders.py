"""Folders that are made whole or not at all."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seglab.utils.errors import UserError


@contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """Yield a hidden folder beside `out`; it becomes `out` when the block succeeds.

    Args:
        out: A folder that is not there yet, or is empty.

    Raises:
        UserError: It holds something already, or cannot be written.
    """
    require_new(out)
    place = out.resolve()  # `--out .` has no name
    partial = place.parent / f".{place.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
    try:
        partial.mkdir(parents=True)
        yield partial
        if place.exists():
            place.rmdir()
        partial.rename(place)
    except OSError as error:
        if error.filename is None or Path(error.filename).is_relative_to(place.parent):
            reason = error.strerror or str(error)
            raise UserError(
                f"cannot write {out}: {reason}", "check the disk and the rights"
            ) from error
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def require_new(out: Path) -> None:
    """Make sure that writing `out` destroys nothing.

    Raises:
        UserError: It is a file, or a folder with something in it.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file", "name a new folder")
    if out.is_dir() and any(out.iterdir()):
        shown = ", ".join(sorted(entry.name for entry in out.iterdir())[:5])
        raise UserError(f"--out {out} is not empty (it holds {shown})", "name a new folder")
