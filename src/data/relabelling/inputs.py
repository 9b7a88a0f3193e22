"""What is to be relabelled: each listed mask with its image, checked before work starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import ImageOps
from tqdm import tqdm

from seglab.data.preflight.decode import FileFacts, decode_file
from seglab.data.relabelling.candidates import FloatArray
from seglab.utils.bad_masks import BadMask
from seglab.utils.errors import UserError, raise_faults
from seglab.utils.image_limits import open_image
from seglab.utils.io_utils import sha256_file
from seglab.utils.masks import ImageArray
from seglab.utils.paths import IMAGE_SUFFIXES
from seglab.utils.prediction_cache import load_probabilities, probabilities_path, read_index

_SHOWN = 20
_MASK_SUFFIX = ".png"


@dataclass(frozen=True)
class Task:
    """One listed mask.

    Attributes:
        listed: The list's entry.
        split: The split's folder.
        inside: The mask's path from the split's folder on.
        image: The image file.
        mask: The mask file.
        image_sha256: Of the image file.
        predictions: Its files of out-of-fold probabilities, one for each cache.
    """

    listed: BadMask
    split: str
    inside: PurePosixPath
    image: Path
    mask: Path
    image_sha256: str
    predictions: tuple[Path, ...]


def mask_folder(masks: Sequence[BadMask], named: str | None = None) -> str:
    """The mask folder that all listed masks lie in, relative to the data root.

    Args:
        masks: What is listed.
        named: The folder, where it is more than the first part of the paths.

    Raises:
        UserError: They lie in several, or a path has not the form MASK_DIR/SPLIT/NAME.png.
    """
    paths = [PurePosixPath(mask.path) for mask in masks]
    above = None if named is None else PurePosixPath(named)
    depth = 1 if above is None else len(above.parts)
    strange = [
        path.as_posix()
        for path in paths
        if len(path.parts) < depth + 2
        or path.suffix != _MASK_SUFFIX
        or (above is not None and not path.is_relative_to(above))
    ]
    if strange:
        more = f" and {len(strange) - _SHOWN} more" if len(strange) > _SHOWN else ""
        raise UserError(
            f"not of the form {named or 'MASK_DIR'}/SPLIT/NAME{_MASK_SUFFIX}: "
            f"{', '.join(strange[:_SHOWN])}{more}",
            "list masks of one mask folder, such as labels/train/x.png; where it lies deeper, "
            "name it with --mask_dir",
        )
    if above is not None:
        return above.as_posix()
    folders = sorted({path.parts[0] for path in paths})
    if len(folders) > 1:
        raise UserError(
            f"the listed masks lie in several folders: {', '.join(folders)}",
            "relabel one mask folder at a time",
        )
    return folders[0]


def gather_tasks(
    root: Path,
    masks: Sequence[BadMask],
    img_dir: str,
    classes: Sequence[str],
    caches: Sequence[Path],
    ignore_index: int,
    mask_dir: str | None = None,
) -> list[Task]:
    """Find the image of every listed mask, and check both.

    Args:
        root: The data root.
        masks: From `read_bad_masks`: inside the root, unchanged.
        img_dir: Image folder in the root.
        classes: Class names, background first.
        caches: Folders of out-of-fold predictions, perhaps none.
        ignore_index: Mask value that belongs to no class.
        mask_dir: From `mask_folder`; by default the first part of the masks' paths.

    Raises:
        UserError: Names every fault at once.
    """
    faults = _cache_faults(caches, classes)
    usable = () if faults else caches  # what is wrong with a cache is said once, not of each mask
    tasks = []
    depth = len(PurePosixPath(mask_dir).parts) if mask_dir else 1
    for listed in tqdm(masks, desc="checking", unit="mask", leave=False, delay=1.0):
        try:
            parts = PurePosixPath(listed.path).parts[depth:]
            split, inside = parts[0], PurePosixPath(*parts[1:])
            image, mask = _image_of(root, listed, img_dir, split, inside), root / listed.path
            facts = decode_file(image)
            _require_readable(image, facts, "image")
            _check_mask(mask, image, facts, len(classes), ignore_index)
            files = _prediction_files(root / img_dir / split, image, listed, usable)
            digest = sha256_file(image)
            tasks.append(Task(listed, split, inside, image, mask, digest, files))
        except UserError as error:
            faults.append(error.message)
    raise_faults(
        "what is listed cannot be relabelled",
        faults,
        "mend these or take them off the list; nothing was written",
    )
    return tasks


def _image_of(root: Path, listed: BadMask, img_dir: str, split: str, inside: PurePosixPath) -> Path:
    """The image of a mask: the one that the list names, else the one of the same name."""
    images = root / img_dir
    if listed.image is not None:
        image = root / listed.image
        if image.is_relative_to(images) and image.relative_to(images).parts[0] != split:
            raise UserError(
                f"{listed.path} is of the split {split!r}, its image {listed.image} is not: where "
                "the mask folder lies deeper, name it with --mask_dir"
            )
        return image
    folder = images / split / inside.parent
    found = [
        path
        for path in sorted(folder.glob("*"))
        if path.stem == inside.stem and path.suffix.lower() in IMAGE_SUFFIXES
    ]
    if not found:
        raise UserError(f"{listed.path}: there is no image {folder / inside.stem}.*")
    if len(found) > 1:
        names = ", ".join(path.name for path in found)
        raise UserError(f"{listed.path}: which of {names} in {folder} is its image?")
    return found[0]


def _prediction_files(
    folder: Path, image: Path, listed: BadMask, caches: Sequence[Path]
) -> tuple[Path, ...]:
    """The files of an image's predictions; `folder` is its split's."""
    if caches and not image.is_relative_to(folder):
        raise UserError(f"{listed.path}: its image {image} is not in {folder}: no prediction of it")
    files = [probabilities_path(each, image.relative_to(folder).as_posix()) for each in caches]
    absent = [str(path) for path in files if not path.is_file()]
    if absent:
        raise UserError(f"{listed.path}: no prediction of its image: {', '.join(absent)}")
    return tuple(files)


def _check_mask(
    mask: Path, image: Path, facts: FileFacts, num_classes: int, ignore_index: int
) -> None:
    own = decode_file(mask)
    _require_readable(mask, own, "mask")
    if own.mode != "L":
        raise UserError(
            f"mask {mask} is of mode {own.mode}: one 8-bit channel of class indices is wanted "
            "(mode L; colours or a palette are no classes)"
        )
    if own.size != facts.size:
        raise UserError(
            f"mask {mask} is {own.size[0]}x{own.size[1]}, its image {image} is "
            f"{facts.size[0]}x{facts.size[1]}"
        )
    strange = [value for value in own.values if value >= num_classes and value != ignore_index]
    if strange:
        raise UserError(f"mask {mask} holds values that are no class: {strange[:_SHOWN]}")


def _require_readable(path: Path, facts: FileFacts, kind: str) -> None:
    if not facts.readable:
        raise UserError(f"{kind} {path} cannot be read: {facts.problem or 'too large'}")


def _cache_faults(caches: Sequence[Path], classes: Sequence[str]) -> list[str]:
    faults = []
    for cache in caches:
        try:
            known = read_index(cache).classes
        except UserError as error:
            faults.append(error.message)
            continue
        if tuple(known) != tuple(classes):
            faults.append(
                f"{cache} predicts {', '.join(known)}; --classes are {', '.join(classes)}"
            )
    return faults


def read_image(path: Path) -> ImageArray:
    """An image as (H, W, 3) uint8 RGB, turned upright."""
    with open_image(path) as opened:
        return np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))


def read_predictions(
    task: Task, caches: Sequence[Path], shape: tuple[int, int, int]
) -> FloatArray | None:
    """The mean of a task's out-of-fold probabilities, (C, H, W); None where there are no caches.

    Args:
        task: Whose.
        caches: Where they are, in the order of the task's files.
        shape: (C, H, W) of the classes and the mask.

    Raises:
        UserError: A file is damaged, of another size than the mask, or of other classes.
    """
    if not caches:
        return None
    each = [
        load_probabilities(cache, path.relative_to(cache / "samples").as_posix()[: -len(".npz")])
        for cache, path in zip(caches, task.predictions, strict=True)
    ]
    for path, values in zip(task.predictions, each, strict=True):
        if values.shape != shape:
            raise UserError(
                f"{path} is of shape {values.shape}, {task.mask} asks for {shape}", "predict again"
            )
    return np.asarray(np.mean(each, axis=0), dtype=np.float32)
