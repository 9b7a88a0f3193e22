"""Unpack a tar archive that nobody vouches for: its files, and nothing outside the folder."""

from __future__ import annotations

import io
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from tqdm import tqdm

from seglab.utils.errors import UserError, raise_faults
from seglab.utils.paths import name_fault

#: More than this is no data set of photographs but an archive that fills the disk.
LARGEST = 8 << 30
_BLOCK = 1 << 20


def unpack(archive: Path, into: Path, top: str) -> int:
    """Unpack the files under the folder `top` of a .tar.gz.

    Files are written by their bytes alone: owners, rights, times and links of the archive mean
    nothing. What macOS leaves in archives (`._NAME`) and files beside `top` are left out.

    Args:
        archive: The archive.
        into: An empty folder of the caller's; on a fault it holds a part of the files.
        top: The folder in the archive that is wanted.

    Returns:
        Number of files written.

    Raises:
        UserError: The archive is damaged or truncated, too large, or holds a member that climbs
            out of the folder, is a link or a device, or comes twice: names all of them.
    """
    faults: list[str] = []
    files, room = 0, LARGEST
    try:
        for member, stream in _members(archive):
            fault = _fault(member)
            path = PurePosixPath(member.name)
            if fault:
                faults.append(f"{member.name}: {fault}")
            elif member.isfile() and path.parts[0] == top and not path.name.startswith("._"):
                room -= member.size
                if room < 0:
                    raise UserError(
                        f"{archive} unpacks to more than {LARGEST >> 30} GiB", "do not use it"
                    )
                if _write(into / path, stream):
                    files += 1
                else:
                    faults.append(f"{member.name}: is in the archive twice")
    except (EOFError, zlib.error, tarfile.TarError) as error:
        raise _damaged(archive, str(error)) from error
    except OSError as error:
        if error.errno is not None:  # the disk's; gzip's own have no number
            raise
        raise _damaged(archive, str(error)) from error
    raise_faults(
        f"{archive} holds members that do not belong into a data set",
        faults,
        "do not use it; nothing was kept of it",
    )
    return files


def _members(archive: Path) -> Iterator[tuple[tarfile.TarInfo, IO[bytes]]]:
    """Each member with its content (empty for what is no file), with progress by bytes read."""
    size = archive.stat().st_size
    counted: Any  # tqdm gives the file itself, but for its progress
    with (
        archive.open("rb") as raw,
        tqdm.wrapattr(raw, "read", total=size, desc=f"unpacking {archive.name}") as counted,
        # As a stream: members are handed out while the archive is read, once.
        tarfile.open(fileobj=counted, mode="r|gz") as tar,
    ):
        for member in tar:
            stream = tar.extractfile(member) if member.isfile() else None
            yield member, stream or io.BytesIO()


def _fault(member: tarfile.TarInfo) -> str:
    """Why a member is refused; empty if it is a plain file or folder inside."""
    path = PurePosixPath(member.name)
    fault = name_fault(member.name) if path.parts else ""  # the archive's top is "./"
    if fault or "\\" in member.name or ":" in member.name:
        return f"climbs out of the folder ({fault or 'on Windows'})"
    if member.issym() or member.islnk():
        return f"is a link to {member.linkname}"
    if not (member.isfile() or member.isdir()):
        return "is neither a file nor a folder"
    return "" if path.parts or member.isdir() else "has no name"


def _write(path: Path, stream: IO[bytes]) -> bool:
    """Write one file; False where it is there already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("xb") as out:
            for block in iter(lambda: stream.read(_BLOCK), b""):
                out.write(block)
    except FileExistsError:
        return False
    return True


def _damaged(archive: Path, reason: str) -> UserError:
    return UserError(
        f"{archive} is truncated or damaged ({reason or 'it ends too early'})",
        "fetch it again from its source",
    )
