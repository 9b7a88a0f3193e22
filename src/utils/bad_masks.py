"""`bad_mask_paths.json`: which masks are bad, why, and who says so.

The audit, the audit's page and the FiftyOne session write it; relabelling reads it. A mask is named
by its path from the data root on, and by its checksum, so that a list is never applied to a file
that has changed since. `schemas/bad_masks.schema.json` describes the file key by key.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from seglab.utils.errors import UserError, raise_faults
from seglab.utils.io_utils import read_json, sha256_file, write_json
from seglab.utils.oxford_pet import folders_hint
from seglab.utils.paths import name_fault, shown_name
from seglab.utils.schemas import validate

SCHEMA = 1
AUDIT, PERSON = "audit", "person"
#: What the list is called where nobody says otherwise.
BAD_MASKS_FILE = "bad_mask_paths.json"
_FIX = "restore it, or tag the masks again"


@dataclass(frozen=True)
class BadMask:
    """One mask that is called bad.

    Attributes:
        path: The mask's path relative to the data root, with forward slashes.
        sha256: Of the mask file, 64 hexadecimal digits.
        reason: What is wrong with it, in words.
        tagged_by: `AUDIT` or `PERSON`.
        image: Its image's path relative to the data root, where it is known.
        score: The audit's suspicion, 0 to 1, where there was an audit.
    """

    path: str
    sha256: str
    reason: str
    tagged_by: str
    image: str | None = None
    score: float | None = None


def write_bad_masks(path: Path, masks: Sequence[BadMask], overwrite: bool = False) -> Path:
    """Write a list of bad masks.

    Args:
        path: The file.
        masks: What it lists.
        overwrite: Whether a file that exists is replaced.

    Returns:
        The path.

    Raises:
        UserError: The file exists, or there is nothing to list.
    """
    require_free(path, overwrite)
    if not masks:
        raise UserError(f"no mask is tagged: {path} was not written", "tag a mask first")
    content = {"schema": SCHEMA, "masks": [asdict(mask) for mask in masks]}
    validate("bad_masks", content, path, _FIX)
    return write_json(path, content)


def require_free(path: Path, overwrite: bool) -> None:
    """Raise UserError where a list exists, on which a person may have worked, or cannot be."""
    if path.is_dir():
        raise UserError(f"{path} is a folder", "name a file")
    if path.exists() and not overwrite:
        raise UserError(f"{path} is there already", "give --overwrite to replace it")


def read_bad_masks(path: Path, data_root: Path) -> list[BadMask]:
    """Read a list of bad masks and check it against the files.

    Args:
        path: The file.
        data_root: What its paths are relative to.

    Returns:
        The masks in the file's order.

    Raises:
        UserError: The file is damaged, of another schema or empty, or its entries name paths that
            lead out of the data root, files that are missing or have changed, or a mask twice.
            All faults are named at once.
    """
    content = read_json(path)
    if not isinstance(content, dict) or "schema" not in content:
        raise UserError(f"{path} is no list of bad masks: it states no schema", _FIX)
    version = content["schema"]
    if isinstance(version, bool) or version != SCHEMA:
        raise UserError(
            f"{path} is of schema {str(version)[:40]!r}; this version of seglab reads {SCHEMA}",
            "use the version of seglab that wrote it, or tag the masks again",
        )
    validate("bad_masks", content, path, _FIX)
    masks = [BadMask(**item) for item in content["masks"]]
    if not masks:
        raise UserError(f"{path} lists no mask: there is nothing to do", "tag a mask as bad first")
    if not data_root.is_dir():
        raise UserError(f"data root not found: {data_root}", "give the folder of the data set")
    faults: list[str] = []
    seen: dict[Path, int] = {}
    bar = tqdm(masks, desc="checking the masks", unit="mask", leave=False, delay=1.0)
    for number, mask in enumerate(bar):
        faults += [
            f"masks[{number}]: {fault}" for fault in _faults_of(mask, number, data_root, seen)
        ]
    raise_faults(
        f"{path} does not fit {data_root}",
        faults,
        folders_hint(data_root) or "check --data-root, and tag masks again that were changed since",
    )
    return masks


def _faults_of(mask: BadMask, number: int, root: Path, seen: dict[Path, int]) -> list[str]:
    """What is wrong with one entry; `seen` collects the files of those before it."""
    faults = []
    if mask.score is not None and not math.isfinite(mask.score):
        faults.append("score: not a number")
    for key, given in (("path", mask.path), ("image", mask.image)):
        if given is None:
            continue
        try:
            found = locate_inside(root, given)
            if key == "path":
                first = seen.setdefault(found, number)
                if first != number:
                    faults.append(f"path: {given!r} is listed already, as masks[{first}]")
                elif sha256_file(found) != mask.sha256:
                    faults.append(f"path: {given!r} has changed since it was tagged (sha256)")
        except UserError as error:
            faults.append(f"{key}: {error.message}")
    return faults


def locate_inside(root: Path, given: str) -> Path:
    """The real file behind a path that a data set's document names.

    Args:
        root: The folder that it has to be in.
        given: The path relative to it.

    Returns:
        The file, links resolved.

    Raises:
        UserError: The path is absolute, leads out of the folder, also through a link, names no
            file, or is no text.
    """
    parts, shown = PurePosixPath(given), shown_name(given)
    if any("\ud800" <= letter <= "\udfff" for letter in given):  # bytes that are no UTF-8
        raise UserError(f"{shown} is no UTF-8 and cannot stand in a list; rename the file")
    if fault := name_fault(given):
        raise UserError(f"{shown} {fault}; paths are relative to the data root")
    try:
        real = (root / parts).resolve()
        if not real.is_relative_to(root.resolve()):
            raise UserError(f"{shown} leads out of {root} through a link")
        if not real.is_file():
            raise UserError(f"{shown}: no such file in {root}")
        with real.open("rb"):
            pass
    except (OSError, RuntimeError, ValueError) as error:  # loops of links, names no disk can hold
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{shown} cannot be read: {reason}") from error
    return real


def path_inside(root: Path, path: Path) -> str:
    """A file's path relative to a data root, with forward slashes; as it is where it is outside."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def unlistable(root: Path, pairs: Mapping[Path, Path]) -> list[str]:
    """What would keep a list of bad masks from naming masks: told before a person tags any.

    Args:
        root: The data root.
        pairs: Image -> its mask; both exist.

    Returns:
        Files outside the data root, also through a link, and masks that two images share.
    """
    faults = []
    users: dict[Path, list[str]] = {}
    for image, mask in pairs.items():
        users.setdefault(mask, []).append(path_inside(root, image))
        for path in (image, mask):
            try:
                locate_inside(root, path_inside(root, path))
            except UserError as error:
                faults.append(error.message)
    return faults + [
        f"{' and '.join(images)} share the mask {path_inside(root, mask)}; rename one of them"
        for mask, images in users.items()
        if len(images) > 1
    ]
