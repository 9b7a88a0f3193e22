"""Audit the masks of a split: read, judge, rank."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from seglab.data.auditing.ranking import Verdict, judge, rank
from seglab.utils.data_hashes import SampleFiles, hash_samples
from seglab.utils.errors import UserError
from seglab.utils.prediction_cache import CacheIndex, load_probabilities, read_index

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_SHOWN = 10


@dataclass(frozen=True)
class AuditInput:
    """Where the masks and the predictions are.

    Attributes:
        data_root: The folder of images and masks.
        split: The split's folder in both.
        img_dir: Image folder in the root.
        mask_dir: Mask folder in the root.
        predictions: Cache of out-of-fold probabilities (or several: their mean is taken).
        ignore_index: Label of pixels that are not judged.
    """

    data_root: Path
    split: str = "train"
    img_dir: str = "img"
    mask_dir: str = "labels"
    predictions: tuple[Path, ...] = ()
    ignore_index: int = 255


@dataclass(frozen=True)
class AuditResult:
    """The verdicts, worst first, and what they are about."""

    verdicts: tuple[Verdict, ...]
    files: dict[str, SampleFiles]
    hashes: dict[str, dict[str, str | None]]
    classes: tuple[str, ...]
    recipes: tuple[dict[str, object], ...]


def run_audit(asked: AuditInput) -> AuditResult:
    """Judge every mask of a split.

    Raises:
        UserError: Files are missing or unreadable, or the predictions are of other masks.
    """
    files = _list_samples(asked)
    hashes = hash_samples(files.values())
    indexes = [read_index(folder) for folder in asked.predictions]
    _require_same(asked, indexes, hashes)
    conflicts = _conflicts(hashes)
    masks_seen = 0
    verdicts, faults = [], []
    classes = indexes[0].classes if indexes else ()
    names = classes or tuple(f"class {number}" for number in range(256))
    for sample_id, sample in tqdm(files.items(), desc="judging", unit="mask", delay=1.0):
        try:
            mask = read_mask(sample.label)
            masks_seen = max(masks_seen, *(int(v) for v in np.unique(mask) if v != 255), 0)
            chances = _mean_probabilities(asked.predictions, sample_id, mask.shape)
            _require_classes(mask, len(names), sample.label, asked.ignore_index)
        except UserError as error:
            faults.append(error.message)
            continue
        other = conflicts.get(sample_id, ())
        verdicts.append(judge(sample_id, mask, chances, names, other, asked.ignore_index))
    _raise_all(faults, "mend these files, or make the predictions again")
    known = classes or names[: masks_seen + 1]
    recipes = tuple(dict(index.recipe) for index in indexes)
    return AuditResult(tuple(rank(verdicts)), files, hashes, known, recipes)


def read_mask(path: Path) -> npt.NDArray[np.uint8]:
    """A mask's class indices: (H, W) uint8.

    Raises:
        UserError: It cannot be read or is not single-channel.
    """
    try:
        with Image.open(path) as image:
            mask = np.asarray(image)
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise UserError(f"cannot read mask {path}: {error}", "restore it") from error
    if mask.ndim != 2 or mask.dtype != np.uint8:
        raise UserError(f"mask {path} is not one 8-bit channel", "store class numbers, 0 to 255")
    return mask


def _list_samples(asked: AuditInput) -> dict[str, SampleFiles]:
    images = asked.data_root / asked.img_dir / asked.split
    masks = asked.data_root / asked.mask_dir / asked.split
    for folder in (images, masks):
        if not folder.is_dir():
            raise UserError(f"folder not found: {folder}", "check --data-root and --split")
    files = {}
    for path in sorted(images.rglob("*")):
        if path.suffix.lower() in _SUFFIXES:
            inside = path.relative_to(images)
            label = masks / inside.with_suffix(".png")
            files[inside.as_posix()] = SampleFiles(inside.as_posix(), path, label)
    if not files:
        raise UserError(f"no images in {images}", "check --data-root and --split")
    missing = [f"no mask for {key}" for key, item in files.items() if not item.label.is_file()]
    _raise_all(missing, f"add them to {masks}")
    return files


def _require_same(
    asked: AuditInput,
    indexes: Sequence[CacheIndex],
    hashes: Mapping[str, Mapping[str, str | None]],
) -> None:
    """The masks judged must be those that the other folds were trained on."""
    for folder, index in zip(asked.predictions, indexes, strict=True):
        if index.classes != indexes[0].classes:
            raise UserError(f"{folder} has other classes than {asked.predictions[0]}", "leave it")
        faults = [f"{key}: no prediction" for key in hashes if key not in index.labels]
        faults += [
            f"{key}: the mask has changed since"
            for key, files in hashes.items()
            if index.labels.get(key, files["label"]) != files["label"]
        ]
        _raise_all(faults, f"{folder} is of other masks: make the predictions again")


def _conflicts(hashes: Mapping[str, Mapping[str, str | None]]) -> dict[str, tuple[str, ...]]:
    """Sample id -> identical images whose mask files differ."""
    groups = defaultdict(list)
    for sample_id, files in hashes.items():
        groups[files["image"]].append(sample_id)
    found = {}
    for group in groups.values():
        for one in group:
            others = tuple(o for o in group if hashes[o]["label"] != hashes[one]["label"])
            if others:
                found[one] = others
    return found


def _mean_probabilities(
    folders: Sequence[Path], sample_id: str, shape: tuple[int, ...]
) -> npt.NDArray[np.float32] | None:
    if not folders:
        return None
    each = [load_probabilities(folder, sample_id) for folder in folders]
    sizes = sorted({item.shape[1:] for item in each} | {shape})
    if len(sizes) > 1:
        raise UserError(f"{sample_id}: sizes of mask and predictions differ: {sizes}")
    return np.asarray(np.mean(each, axis=0), dtype=np.float32)


def _require_classes(
    mask: npt.NDArray[np.uint8], count: int, path: Path, ignore_index: int
) -> None:
    bad = [int(v) for v in np.unique(mask) if v >= count and v != ignore_index]
    if bad:
        raise UserError(f"mask {path} holds values that are no class: {bad}")


def _raise_all(faults: Sequence[str], fix: str) -> None:
    if faults:
        more = [f"and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
        raise UserError("\n  ".join([*faults[:_SHOWN], *more]), fix)
