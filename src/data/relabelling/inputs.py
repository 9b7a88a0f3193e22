"""What is to be relabelled: each listed mask with its image, checked before work starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from seglab.data.preflight.decode import FileFacts, decode_file
from seglab.data.relabelling.candidates import FloatArray
from seglab.data.relabelling.merging import Mask
from seglab.utils.bad_masks import BadMask
from seglab.utils.errors import UserError
from seglab.utils.io_utils import sha256_file
from seglab.utils.masks import BACKGROUND, ImageArray
from seglab.utils.prediction_cache import load_probabilities, probabilities_path, read_index

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_SHOWN = 20


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


def mask_folder(masks: Sequence[BadMask]) -> str:
    """The mask folder that all listed masks lie in, relative to the data root.

    Raises:
        UserError: They lie in several, or a path has not the form MASK_DIR/SPLIT/NAME.
    """
    short = [mask.path for mask in masks if len(PurePosixPath(mask.path).parts) < 3]
    if short:
        raise UserError(
            f"not of the form MASK_DIR/SPLIT/NAME.png: {', '.join(short[:_SHOWN])}",
            "list masks below the data root's mask folder, such as labels/train/x.png",
        )
    folders = sorted({PurePosixPath(mask.path).parts[0] for mask in masks})
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
) -> list[Task]:
    """Find the image of every listed mask, and check both.

    Args:
        root: The data root.
        masks: From `read_bad_masks`: inside the root, unchanged.
        img_dir: Image folder in the root.
        classes: Class names, background first.
        caches: Folders of out-of-fold predictions, perhaps none.
        ignore_index: Mask value that belongs to no class.

    Raises:
        UserError: Names every fault at once.
    """
    faults = _cache_faults(caches, classes)
    tasks = []
    for listed in tqdm(masks, desc="checking", unit="mask", leave=False, delay=1.0):
        try:
            tasks.append(_task(root, listed, img_dir, len(classes), caches, ignore_index))
        except UserError as error:
            faults.append(error.message)
    if faults:
        more = [f"and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
        raise UserError(
            f"{len(faults)} fault{'s' * (len(faults) > 1)} in what is to be relabelled:\n  - "
            + "\n  - ".join([*faults[:_SHOWN], *more]),
            "mend these or take them off the list; nothing was written",
        )
    return tasks


def _task(
    root: Path,
    listed: BadMask,
    img_dir: str,
    num_classes: int,
    caches: Sequence[Path],
    ignore_index: int,
) -> Task:
    parts = PurePosixPath(listed.path).parts
    split, inside = parts[1], PurePosixPath(*parts[2:])
    image, mask = _image_of(root, listed, img_dir, split, inside), root / listed.path
    facts = decode_file(image)
    _require_readable(image, facts, "image")
    _check_mask(mask, image, facts, num_classes, ignore_index)
    folder = root / img_dir / split
    sample = (image.relative_to(folder) if image.is_relative_to(folder) else inside).as_posix()
    files = tuple(probabilities_path(cache, sample) for cache in caches)
    absent = [str(path) for path in files if not path.is_file()]
    if absent:
        raise UserError(f"{listed.path}: no prediction of its image: {', '.join(absent)}")
    return Task(listed, split, inside, image, mask, sha256_file(image), files)


def _image_of(root: Path, listed: BadMask, img_dir: str, split: str, inside: PurePosixPath) -> Path:
    if listed.image is not None:
        return root / listed.image
    folder = root / img_dir / split / inside.parent
    found = [
        path
        for path in sorted(folder.glob("*"))
        if path.stem == inside.stem and path.suffix.lower() in _SUFFIXES
    ]
    if not found:
        raise UserError(f"{listed.path}: there is no image {folder / inside.stem}.*")
    return found[0]


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
        known = read_index(cache).classes
        if len(known) != len(classes):
            faults.append(f"{cache} predicts {len(known)} classes, the data set has {len(classes)}")
    return faults


def read_image(path: Path) -> ImageArray:
    """An image as (H, W, 3) uint8 RGB, turned upright."""
    with Image.open(path) as opened:
        return np.asarray(ImageOps.exif_transpose(opened).convert("RGB"))


def read_old_mask(path: Path) -> Mask:
    """A mask as (H, W) uint8."""
    with Image.open(path) as opened:
        return np.asarray(opened, dtype=np.uint8)


def read_predictions(
    task: Task, caches: Sequence[Path], shape: tuple[int, int]
) -> FloatArray | None:
    """The mean of a task's out-of-fold probabilities, (C, H, W); None where there are no caches.

    Raises:
        UserError: A file is damaged or of another size than the mask.
    """
    if not caches:
        return None
    each = [
        load_probabilities(cache, path.relative_to(cache / "samples").as_posix()[: -len(".npz")])
        for cache, path in zip(caches, task.predictions, strict=True)
    ]
    for path, values in zip(task.predictions, each, strict=True):
        if values.shape[1:] != shape:
            raise UserError(f"{path} is of another size than {task.mask}", "predict again")
    mean = np.asarray(np.mean(each, axis=0), dtype=np.float32)
    assert mean.shape[0] > BACKGROUND
    return mean
