"""Files to resume from: written whole, checked, and found again.

Beside each stands its SHA-256 in the format of `sha256sum -c`.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seglab.utils.io_utils import atomic_path, sha256_file, write_text

CHECKSUM_SUFFIX = ".sha256"
_NAME = re.compile(r"(epoch|iter)_(\d+)(?:_step_(\d+))?\.pth")
#: As `atomic_path` names what a training is still writing.
_UNFINISHED = re.compile(
    r"\.((epoch|iter|best)_.*|not_finite_step(\.pth)?|history|run|config|last_checkpoint)"
    r"\.[a-z0-9_]{8}(\.(pth|safetensors|sha256|jsonl?|py))?"
)


@dataclass(frozen=True, order=True)
class Place:
    """How far a run had come: finished epochs, and steps of the next one.

    A run that is measured in iterations has 0 epochs.
    """

    epochs: int
    steps: int = 0
    by_epoch: bool = field(default=True, compare=False)

    @property
    def file_name(self) -> str:
        """The name of the file with the state at this place."""
        if not self.by_epoch:
            return f"iter_{self.steps}.pth"
        return f"epoch_{self.epochs}{f'_step_{self.steps}' if self.steps else ''}.pth"


def place_of(name: str) -> Place | None:
    """The place that a file's name tells; None for a file of another kind."""
    match = _NAME.fullmatch(name)
    if not match:
        return None
    kind, number, steps = match.groups()
    if kind == "iter":
        return None if steps else Place(0, int(number), by_epoch=False)
    return Place(int(number), int(steps or 0))


@dataclass(frozen=True)
class ResumePoint:
    """The newest file that a run can go on from.

    Attributes:
        path: The file.
        skipped: Newer files that cannot be used, each with the reason.
    """

    path: Path
    skipped: tuple[str, ...] = ()


def write_checked(path: Path, content: Any) -> None:
    """Write a checkpoint with torch; its old file stays until the new one has been read back.

    Args:
        path: Where it goes, with its checksum beside it.
        content: What `torch.save` takes.

    Raises:
        OSError: It cannot be written, or reads back otherwise than it was written; what was there
            before is still there.
    """
    import torch

    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_checked_bytes(path, buffer.getbuffer())


def write_checked_bytes(path: Path, data: bytes | memoryview) -> None:
    """Write bytes as `write_checked` does."""
    digest = hashlib.sha256(data).hexdigest()
    with atomic_path(path) as temporary:
        with temporary.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if sha256_file(temporary) != digest:
            raise OSError(None, "it reads back otherwise than it was written", str(path))
        # Before the file itself, so that a new one never passes unchecked; with that of the old
        # one, which a kill between the two leaves in place.
        line, earlier = f"{digest}  {path.name}\n", _checksums(path) if path.is_file() else []
        old = "".join(f"{each}  {path.name}\n" for each in earlier if each != digest)
        write_text(checksum_path(path), line + old)
        _sync_folder(path.parent)  # a power cut keeps the order of the two
    if old:
        write_text(checksum_path(path), line)
    _sync_folder(path.parent)


def checksum_path(path: Path) -> Path:
    """Where a file's checksum stands."""
    return path.with_name(path.name + CHECKSUM_SUFFIX)


def fault_of(path: Path) -> str | None:
    """Why a file cannot be trusted to be whole; None if it can."""
    checksum = checksum_path(path)
    try:
        if not checksum.is_file():  # of an earlier seglab: the loading will tell
            return None if path.stat().st_size else "it is empty"
        if sha256_file(path) not in _checksums(path):
            return f"it does not match {checksum.name}"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    return None


def _checksums(path: Path) -> list[str]:
    """What a file's SHA-256 may be: one, or two while a new file takes an old one's place."""
    checksum = checksum_path(path)
    if not checksum.is_file():
        return []
    lines = checksum.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line.split()[0] for line in lines if line.strip()]


def resume_files(work_dir: Path) -> list[Path]:
    """The files of a run that hold a state to resume from, the newest first."""
    places = {path: place_of(path.name) for path in work_dir.glob("*.pth")}
    known = {path: place for path, place in places.items() if place is not None}
    return sorted(known, key=lambda path: known[path], reverse=True)


def newest_valid(work_dir: Path) -> ResumePoint | None:
    """The newest file that is whole; None if there is none.

    A damaged file is passed over, not removed.
    """
    skipped: list[str] = []
    for path in resume_files(work_dir):
        fault = fault_of(path) or _loading_fault(path)
        if fault is None:
            return ResumePoint(path, tuple(skipped))
        skipped.append(f"{path.name}: {fault}")
    return None


def superseded(work_dir: Path, place: Place, keep: int) -> list[Path]:
    """The states that are not needed once that at a place is kept.

    Args:
        work_dir: The run's folder.
        place: Of the newest state. A file of a later place is damaged, or the run would have gone
            on from it: it does not count.
        keep: How many states to keep; all if it is not positive.
    """
    if keep <= 0:
        return []
    known = [(path, place_of(path.name)) for path in resume_files(work_dir)]
    return [path for path, its in known if its is not None and its <= place][keep:]


def remove(path: Path) -> None:
    """Remove a checkpoint, then its checksum."""
    path.unlink(missing_ok=True)
    checksum_path(path).unlink(missing_ok=True)


def remove_leftovers(work_dir: Path) -> None:
    """Remove the unfinished files that a kill left; no run may be writing there."""
    for path in work_dir.glob(".*"):
        if _UNFINISHED.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def _loading_fault(path: Path) -> str | None:
    """Why a file without a checksum cannot be loaded."""
    if checksum_path(path).is_file():
        return None
    from seglab.utils.checkpoint_utils import load_checkpoint_file
    from seglab.utils.errors import UserError

    try:
        content = load_checkpoint_file(path)
    except UserError as error:
        return error.message
    return None if "optimizer" in content else "it holds no optimizer state"


def _sync_folder(folder: Path) -> None:
    """Have the renaming itself survive a power cut, where the system can do it."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
