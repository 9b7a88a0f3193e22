"""One process at a time writes a session, and one sends it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seglab.utils.errors import UserError


@contextmanager
def locked(path: Path, seconds: float, busy: UserError) -> Iterator[tuple[int, ...]]:
    """Hold a file or folder against other processes that lock it too; it ends with the process.

    Args:
        path: What to lock; nothing is written to it.
        seconds: How long to wait for another process.
        busy: Raised when that takes longer.

    Yields:
        The handle, which a child may inherit to hold the lock as well; none where there are no
        locks.

    Raises:
        UserError: `busy`, or the path cannot be opened.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no such locks; two processes at once are unlikely
        yield ()
        return
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"cannot open {path}: {error.strerror}", "check the path") from error
    try:
        limit = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= limit:
                    raise busy from None
                time.sleep(0.1)
            except OSError:  # a file system without locks
                break
        yield (handle,)
    finally:
        os.close(handle)
