"""What a curation session shows: masks of a split or of an audit, and predictions beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from seglab.data.exploration.listing import list_splits
from seglab.data.preflight.decode import FileFacts, decode_files
from seglab.utils.bad_masks import locate_inside, path_inside, unlistable
from seglab.utils.errors import UserError, raise_faults
from seglab.utils.io_utils import atomic_path, read_json, sha256_file
from seglab.utils.paths import output_path
from seglab.utils.prediction_cache import INDEX_FILE, load_probabilities, read_index
from seglab.utils.schemas import validate

_AUDIT_SCHEMA = 1
_AUDIT_FIX = "make it again with src/data/audit.py or `seglab audit`"


@dataclass(frozen=True)
class CuratedMask:
    """One mask that a person is to look at.

    Attributes:
        mask: Its path relative to the data root.
        image: Its image's path relative to the data root.
        sample_id: The image's path relative to the split's folder.
        sha256: Of the mask file.
        size: Width and height in pixels; (0, 0) until the files have been decoded.
        rank: Place in the audit's list, from 1 on; None without an audit.
        score: The audit's suspicion, 0 to 1.
        scores: The figures behind it.
        reasons: In words.
        regions: As `audit.json` holds them.
        prediction: PNG of predicted class indices, where there is one.
    """

    mask: str
    image: str
    sample_id: str
    sha256: str
    size: tuple[int, int] = (0, 0)
    rank: int | None = None
    score: float | None = None
    scores: Mapping[str, float | None] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    regions: tuple[Mapping[str, Any], ...] = ()
    prediction: Path | None = None


@dataclass(frozen=True)
class CuratedSet:
    """The masks and the names of their classes; no names where nothing says them."""

    masks: tuple[CuratedMask, ...]
    classes: tuple[str, ...]


def masks_of_audit(audit_file: Path, data_root: Path, split: str | None = None) -> CuratedSet:
    """The masks of an audit, worst first.

    Args:
        audit_file: `audit.json`.
        data_root: What its paths are relative to.
        split: The split that was asked for; None for the audit's.

    Raises:
        UserError: The file is damaged, of another schema or split, or of other masks: files are
            missing or have changed. All faults at once.
    """
    content = read_json(audit_file)
    if not isinstance(content, dict) or content.get("schema") != _AUDIT_SCHEMA:
        raise UserError(f"{audit_file} is no audit of schema {_AUDIT_SCHEMA}", _AUDIT_FIX)
    validate("audit", content, audit_file, _AUDIT_FIX)
    if split not in (None, content["split"]):
        raise UserError(
            f"--split {split}, but {audit_file} is of split {content['split']}", "leave --split out"
        )
    masks, faults = [], []
    for item in content["ranking"]:
        image = PurePosixPath(content["img_dir"], content["split"], item["image"]).as_posix()
        try:
            locate_inside(data_root, image)
            if sha256_file(locate_inside(data_root, item["mask"])) != item["sha256"]:
                faults.append(f"{item['mask']!r} has changed since the audit (sha256)")
        except UserError as error:
            faults.append(error.message)
        masks.append(
            CuratedMask(
                mask=item["mask"],
                image=image,
                sample_id=item["image"],
                sha256=item["sha256"],
                rank=item["rank"],
                score=item["score"],
                scores=item["scores"],
                reasons=tuple(item["reasons"]),
                regions=tuple(item["regions"]),
            )
        )
    if len({mask.mask for mask in masks}) < len(masks):
        faults.append("it lists a mask twice")
    raise_faults(f"{audit_file} is not of the masks in {data_root}", faults, _AUDIT_FIX)
    return CuratedSet(tuple(masks), tuple(content["classes"]))


def masks_of_split(data_root: Path, split: str, img_dir: str, mask_dir: str) -> CuratedSet:
    """All masks of a split, by name.

    Raises:
        UserError: Folders are missing or empty, images have no mask or share one, files are
            outside the data root, or several splits are named.
    """
    found = list_splits(data_root, split, img_dir, mask_dir)
    if len(found) > 1:
        raise UserError(f"--split {split} names {len(found)} splits", "look at one at a time")
    listed = found[0]
    faults = [f"{sample.name} has no mask" for sample in listed.samples if sample.mask is None]
    faults += unlistable(data_root, {each.image: each.mask for each in listed.samples if each.mask})
    raise_faults(f"masks of {data_root} cannot be listed", faults, "mend the data set")
    return CuratedSet(
        tuple(
            CuratedMask(
                mask=path_inside(data_root, sample.mask),
                image=path_inside(data_root, sample.image),
                sample_id=sample.name.partition("/")[2],
                sha256=sha256_file(sample.mask),
            )
            for sample in listed.samples
            if sample.mask is not None
        ),
        (),
    )


def with_sizes(chosen: CuratedSet, data_root: Path) -> CuratedSet:
    """Decode every file once: sizes, and class names ('class N') where nothing named them.

    Raises:
        UserError: Files cannot be decoded, a mask is not one 8-bit channel, or image, mask and
            prediction are of different size. All faults at once.
    """
    paths = [data_root / name for mask in chosen.masks for name in (mask.image, mask.mask)]
    facts = decode_files([*paths, *(mask.prediction for mask in chosen.masks if mask.prediction)])
    faults, masks, top = [], [], 0
    for mask in chosen.masks:
        of_image, of_mask = facts[data_root / mask.image], facts[data_root / mask.mask]
        for name, seen in ((mask.image, of_image), (mask.mask, of_mask)):
            if not seen.readable:
                faults.append(f"{name!r} cannot be read: {seen.problem or 'it is too large'}")
        if of_image.readable and of_mask.readable:
            faults += _mismatch(mask, of_image, of_mask)
            if mask.prediction and facts[mask.prediction].size != of_mask.size:
                problem = facts[mask.prediction].problem or "it is not of the mask's size"
                faults.append(f"prediction {mask.prediction} cannot be shown: {problem}")
        top = max([top, *(value for value in of_mask.values if value != 255)])
        masks.append(replace(mask, size=of_mask.size))
    raise_faults("masks cannot be shown", faults, "mend these files (src/tools/check.py says more)")
    names = tuple(f"class {number}" for number in range(top + 1))
    return CuratedSet(tuple(masks), chosen.classes or names)


def _mismatch(mask: CuratedMask, of_image: FileFacts, of_mask: FileFacts) -> list[str]:
    faults = []
    if of_mask.mode not in ("L", "P"):
        faults.append(f"{mask.mask!r} is not one 8-bit channel (mode {of_mask.mode})")
    if of_image.size != of_mask.size:
        sizes = " and ".join(f"{width}x{height}" for width, height in (of_image.size, of_mask.size))
        faults.append(f"{mask.image!r} and its mask differ in size: {sizes}")
    return faults


def with_predictions(chosen: CuratedSet, source: Path, painted: Path) -> CuratedSet:
    """Add predictions.

    Args:
        chosen: The masks.
        source: A cache of out-of-fold probabilities (the most probable class is taken), or a
            folder of PNGs of class indices with the names of the masks.
        painted: Folder for the PNGs made of a cache.

    Raises:
        UserError: There is no prediction for any mask, or the cache is damaged or of other
            classes than the audit.
    """
    if not source.is_dir():
        raise UserError(f"--predictions {source} is no folder", "name a cache or a folder of PNGs")
    classes = chosen.classes
    cached: Mapping[str, str] = {}
    if (source / INDEX_FILE).exists():
        index = read_index(source)
        cached, classes = index.labels, index.classes
        if chosen.classes and chosen.classes != classes:
            raise UserError(
                f"{source} has classes {', '.join(classes)}, the audit {', '.join(chosen.classes)}",
                "name predictions of the same classes",
            )
    masks, faults = [], []
    for mask in chosen.masks:
        try:
            if cached:
                path = _paint(mask, source, painted) if mask.sample_id in cached else None
            else:
                path = _find(mask, source)
            masks.append(replace(mask, prediction=path))
        except UserError as error:
            faults.append(error.message)
    raise_faults(f"predictions in {source} cannot be used", faults, "make them again")
    if not any(mask.prediction for mask in masks):
        raise UserError(f"{source} holds no prediction for any of the masks", "name another folder")
    return CuratedSet(tuple(masks), classes)


def _paint(mask: CuratedMask, cache: Path, painted: Path) -> Path:
    """The most probable class of each pixel as PNG."""
    best = load_probabilities(cache, mask.sample_id).argmax(axis=0).astype(np.uint8)
    path = output_path(painted, PurePosixPath(mask.mask).with_suffix(".png"))
    with atomic_path(path) as temporary:
        Image.fromarray(best).save(temporary)
    return path


def _find(mask: CuratedMask, folder: Path) -> Path | None:
    path = folder / PurePosixPath(mask.sample_id).with_suffix(".png")
    return path if path.is_file() else None
