"""Audit the masks of a split: read, judge, rank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from seglab.data.auditing.photographs import conflicting_masks, find_photographs, list_samples
from seglab.data.auditing.ranking import Verdict, judge, rank
from seglab.data.auditing.second_opinion import Opinion, ask
from seglab.data.detection import Detector
from seglab.data.exploration.listing import raise_all, split_folder
from seglab.data.exploration.measure import to_rgb
from seglab.data.preflight.decode import decode_files, decode_pixels, read_mask
from seglab.data.preflight.image_checks import (
    SplitFiles,
    check_folders,
    check_labels,
    check_modes,
    check_partners,
    check_readable,
    check_sizes,
    list_split,
)
from seglab.utils.bad_masks import unlistable
from seglab.utils.data_hashes import SampleFiles, hash_samples
from seglab.utils.errors import UserError
from seglab.utils.masks import BACKGROUND
from seglab.utils.paths import IMAGE_SUFFIXES
from seglab.utils.prediction_cache import CacheIndex, load_probabilities, read_index

_VALUES = 256


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
        img_suffixes: Endings of image files.
        detector: Gives a second opinion, loaded with `with_other_animals`; None to go without.
    """

    data_root: Path
    split: str = "train"
    img_dir: str = "img"
    mask_dir: str = "labels"
    predictions: tuple[Path, ...] = ()
    ignore_index: int = 255
    img_suffixes: tuple[str, ...] = IMAGE_SUFFIXES
    detector: Detector | None = None


@dataclass(frozen=True)
class AuditResult:
    """The verdicts, worst first, and what they are about.

    Attributes:
        verdicts: Of every mask.
        files: Sample id -> its image and mask.
        hashes: Sample id -> their SHA-256.
        classes: Class names, background first.
        recipes: How each cache of predictions was made.
        ignore_index: Label of pixels that were not judged.
    """

    verdicts: tuple[Verdict, ...]
    files: dict[str, SampleFiles]
    hashes: dict[str, dict[str, str | None]]
    classes: tuple[str, ...]
    recipes: tuple[dict[str, object], ...]
    ignore_index: int = 255


def run_audit(asked: AuditInput) -> AuditResult:
    """Judge every mask of a split.

    Raises:
        UserError: Files are missing or unreadable, or the predictions are of other masks; lists
            every fault.
    """
    indexes = [read_index(folder) for folder in asked.predictions]
    classes = _common_classes(asked, indexes)
    split = check_files(asked, classes)
    samples = {sample.name: sample for sample in list_samples(split.folder)}
    files = {
        name: SampleFiles(name, sample.image, split.pairs[sample.image])
        for name, sample in samples.items()
    }
    hashes = hash_samples(files.values())
    _require_same(asked, indexes, hashes)
    conflicts = conflicting_masks(find_photographs(samples.values()), samples)
    names = classes or _numbered_classes(split)
    verdicts, faults = [], []
    for name, sample in tqdm(files.items(), desc="judging", unit="mask", delay=1.0):
        mask = read_mask(sample.label)
        try:
            chances = _mean_probabilities(asked.predictions, name, (len(classes), *mask.shape))
        except UserError as error:
            faults.append(error.message)
            continue
        opinion = _opinion(asked, sample.image, mask, chances)
        other = conflicts.get(name, ())
        verdicts.append(judge(name, mask, chances, names, other, opinion, asked.ignore_index))
    raise_all(faults, "the predictions cannot be used", "make them again")
    recipes = tuple(dict(index.recipe) for index in indexes)
    ranked = tuple(rank(verdicts))
    return AuditResult(ranked, files, hashes, names, recipes, asked.ignore_index)


def _opinion(
    asked: AuditInput,
    image: Path,
    mask: npt.NDArray[np.uint8],
    chances: npt.NDArray[np.float32] | None,
) -> Opinion | None:
    if asked.detector is None:
        return None
    _, picture = decode_pixels(image)
    assert picture is not None  # it was checked with the rest of the split
    judged = mask != asked.ignore_index
    objects = np.where(judged, mask, BACKGROUND)
    return replace(ask(asked.detector, to_rgb(picture), objects, chances), judged=judged)


def check_files(asked: AuditInput, classes: Sequence[str]) -> SplitFiles:
    """Decode the split's files and find them in order.

    Args:
        asked: Where they are.
        classes: Class names; none to let every label value pass.

    Raises:
        UserError: They are not; it lists every fault as the preflight words it.
    """
    folder = replace(
        split_folder(asked.data_root, asked.split, asked.img_dir, asked.mask_dir),
        classes=tuple(classes),
        ignore_index=asked.ignore_index,
        img_suffixes=asked.img_suffixes,
    )
    places: list[str] = []
    findings = check_folders(folder)
    if not findings:
        listed = list_split(folder, {})
        paths = [path for pair in listed.pairs.items() for path in pair]
        split = replace(listed, facts=decode_files([*listed.images, *paths]))
        places = unlistable(folder.root, split.pairs)
        findings = [
            *(each for each in check_partners(split) if each.code == "missing-mask"),
            *check_readable(split),
            *check_sizes(split),
            *check_modes(split),
            *check_labels(split, len(classes) or _VALUES),
        ]
    faults = [each for each in findings if each.severity == "fault"]
    raise_all([*places, *(f"{each.message}\n    fix: {each.fix}" for each in faults)])
    return split


def _numbered_classes(split: SplitFiles) -> tuple[str, ...]:
    """Names for the values that the masks hold, where nothing says what they mean."""
    values = {value for mask in split.readable_masks for value in split.facts[mask].values}
    highest = max(values - {split.folder.ignore_index}, default=0)
    return tuple(f"class {number}" for number in range(highest + 1))


def _common_classes(asked: AuditInput, indexes: Sequence[CacheIndex]) -> tuple[str, ...]:
    """The classes that all predictions name; none without predictions."""
    for folder, index in zip(asked.predictions, indexes, strict=True):
        if index.classes != indexes[0].classes:
            raise UserError(
                f"{folder} has other classes than {asked.predictions[0]}", "leave one of them out"
            )
    return indexes[0].classes if indexes else ()


def _require_same(
    asked: AuditInput,
    indexes: Sequence[CacheIndex],
    hashes: Mapping[str, Mapping[str, str | None]],
) -> None:
    """The masks judged must be those that the other folds were trained on."""
    faults = []
    for folder, index in zip(asked.predictions, indexes, strict=True):
        faults += [f"{folder}: no prediction of {key}" for key in hashes if key not in index.labels]
        faults += [
            f"{folder}: the mask of {key} has changed since"
            for key, files in hashes.items()
            if index.labels.get(key, files["label"]) != files["label"]
        ]
    raise_all(faults, "the predictions are of other masks", "make them again")


def _mean_probabilities(
    folders: Sequence[Path], sample_id: str, shape: tuple[int, ...]
) -> npt.NDArray[np.float32] | None:
    if not folders:
        return None
    each = []
    for folder in folders:
        item = load_probabilities(folder, sample_id)
        if item.shape != shape:
            raise UserError(
                f"{folder}: the prediction of {sample_id} is {_by(item.shape)} (classes, height, "
                f"width); its mask wants {_by(shape)}"
            )
        each.append(item)
    return np.asarray(np.mean(each, axis=0), dtype=np.float32)


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))
