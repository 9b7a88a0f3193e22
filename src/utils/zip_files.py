"""Zip files that nobody vouches for: what they unpack to is bounded before any of it is."""

from __future__ import annotations

import zipfile
from pathlib import Path

#: What unpacks to no more than this is no trap, whatever it was packed to.
_UNSUSPICIOUS = 64 << 20
#: Deflate reaches 1032. What is really written stays far below; what would fill a disk does not.
_MOST_RATIO = 300


def bomb_fault(unpacked: int, packed: int) -> str:
    """What tells a size from one that was packed in good faith; '' where nothing does.

    Args:
        unpacked: Bytes that a member, or the whole archive, says it unpacks to.
        packed: Bytes that it takes.
    """
    if unpacked <= max(_UNSUSPICIOUS, _MOST_RATIO * packed):
        return ""
    return f"claims to unpack to {unpacked / 1e9:.1f} GB: a zip bomb"


def refuse_bombs(path: Path) -> None:
    """Refuse a zip bomb; a file that is no zip is none.

    Args:
        path: The file; `zipfile` and torch read no more of a member than it claims.

    Raises:
        ValueError: It is one.
        zipfile.BadZipFile: It is damaged.
    """
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    sizes = [(member.file_size, member.compress_size) for member in members]
    # The whole too: members may share their bytes.
    for unpacked, packed in (*sizes, (sum(size for size, _ in sizes), path.stat().st_size)):
        if fault := bomb_fault(unpacked, packed):
            raise ValueError(f"it {fault}")
