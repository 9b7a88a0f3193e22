"""Checks of one split's files: partners, readability, sizes, modes and label values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from seglab.data.preflight.decode import FileFacts
from seglab.data.preflight.faults import Finding, make_finding
from seglab.data.preflight.split_folder import SplitFolder
from seglab.utils.image_limits import oversized_words

# Pillow's modes that are no masks; everything else but L is colour of some kind.
_MASK_MODE_CODES = {
    "P": "palette-mask",
    "PA": "palette-mask",
    "1": "1-bit-mask",
    "LA": "alpha-mask",
    "La": "alpha-mask",
    "F": "16-bit-mask",
}


@dataclass(frozen=True)
class SplitFiles:
    """The files of one `SplitFolder`.

    Attributes:
        folder: Where they are.
        images: The images.
        pairs: The mask of each image that has one.
        lone_masks: Masks without an image.
        facts: What was found by decoding them.
    """

    folder: SplitFolder
    images: list[Path]
    pairs: dict[Path, Path]
    lone_masks: list[Path]
    facts: Mapping[Path, FileFacts]

    @cached_property
    def readable_masks(self) -> list[Path]:
        """Masks whose pixels were decoded."""
        return [mask for mask in self.pairs.values() if self.facts[mask].readable]

    def finding(self, code: str, details: Mapping[Path, str], **values: object) -> list[Finding]:
        """A finding about the files in `details` (file -> remark), or none if it is empty."""
        if not details:
            return []
        shown = [
            self.folder.short(path) + (f" ({detail})" if detail else "")
            for path, detail in details.items()
        ]
        return [make_finding(code, list(details), shown, split=self.folder.split, **values)]


def list_split(folder: SplitFolder, facts: Mapping[Path, FileFacts]) -> SplitFiles:
    """Pair the images of `folder` with their masks; `facts` may be filled later."""
    images = folder.list_images()
    masks = set(folder.all_masks())
    pairs = {image: folder.mask_of(image) for image in images}
    # `indices` leaves images out on purpose; their masks have a partner all the same.
    partners = {folder.mask_of(image) for image in folder.all_images()}
    return SplitFiles(
        folder,
        images,
        {image: mask for image, mask in pairs.items() if mask in masks},
        sorted(masks - partners, key=str),
        facts,
    )


def check_folders(folder: SplitFolder) -> list[Finding]:
    """The data root and both folders exist, and there are images."""
    missing = folder.structure_findings()
    if missing or folder.list_images():
        return missing
    suffixes = " or ".join(folder.img_suffixes)
    return [
        *folder.own_findings(),
        make_finding(
            "empty-split",
            [folder.images],
            split=folder.split,
            folder=folder.images,
            suffixes=suffixes,
        ),
    ]


def check_layout(files: SplitFiles) -> list[Finding]:
    """What is to be said of this data set's layout alone."""
    return files.folder.own_findings()


def check_partners(files: SplitFiles) -> list[Finding]:
    """Every image has a mask and every mask an image."""
    folder = files.folder
    without_mask = {image: "" for image in files.images if image not in files.pairs}
    return [
        *files.finding(
            "missing-mask", without_mask, folder=folder.masks, suffix=folder.mask_suffix
        ),
        *files.finding("missing-image", dict.fromkeys(files.lone_masks, ""), folder=folder.images),
    ]


def check_readable(files: SplitFiles) -> list[Finding]:
    """Every file decodes in full and is of a size that can be handled."""
    findings = []
    oversized: dict[Path, str] = {}
    for code, paths in (
        ("unreadable-image", files.images),
        ("unreadable-mask", list(files.pairs.values())),
    ):
        broken = {path: files.facts[path].problem for path in paths if files.facts[path].problem}
        findings += files.finding(code, broken)
        oversized |= {path: "" for path in paths if files.facts[path].oversized}
    return findings + files.finding("oversized-file", oversized, limit=oversized_words())


def check_sizes(files: SplitFiles) -> list[Finding]:
    """Image and mask have the same width and height."""
    different = {}
    for image, mask in files.pairs.items():
        image_facts, mask_facts = files.facts[image], files.facts[mask]
        both = image_facts.readable and mask_facts.readable
        if both and image_facts.size != mask_facts.size:
            sizes = "{}x{}, mask {}x{}".format(*image_facts.size, *mask_facts.size)
            different[image] = sizes
    return files.finding("size-mismatch", different)


def check_modes(files: SplitFiles) -> list[Finding]:
    """Masks are 8-bit single-channel grey; images are RGB and upright."""
    findings = []
    by_code: dict[str, dict[Path, str]] = {}
    for mask in files.readable_masks:
        mode = files.facts[mask].mode
        if mode != "L":
            code = "16-bit-mask" if mode.startswith("I") else _MASK_MODE_CODES.get(mode, "rgb-mask")
            by_code.setdefault(code, {})[mask] = f"mode {mode}"
    for code, masks in by_code.items():
        findings += files.finding(code, masks)
    readable = [image for image in files.images if files.facts[image].readable]
    modes = {image: files.facts[image].mode for image in readable}
    turned = {image: files.facts[image].orientation for image in readable}
    odd = {image: f"mode {mode}" for image, mode in modes.items() if mode != "RGB"}
    tagged = {image: f"orientation {tag}" for image, tag in turned.items() if tag != 1}
    return [
        *findings,
        *files.finding("image-mode", odd),
        *files.finding("exif-orientation", tagged),
    ]


def check_labels(files: SplitFiles, num_classes: int) -> list[Finding]:
    """Mask values are class indices or the ignored value, and masks say something.

    Args:
        files: The split.
        num_classes: Number of classes C; valid values are 0..C-1 (1..C and 0 as ignored
            under `reduce_zero_label`).
    """
    folder = files.folder
    wrong: dict[Path, str] = {}
    ignored: dict[Path, str] = {}
    uniform: dict[Path, str] = {}
    for mask in files.readable_masks:
        values = files.facts[mask].values
        labels = {value: folder.label_of(mask, value) for value in values}
        valid = {*range(num_classes), folder.ignore_index}
        outside = [value for value, label in labels.items() if label not in valid]
        if outside:
            wrong[mask] = _list_values(outside)
        elif values and set(labels.values()) == {folder.ignore_index}:
            ignored[mask] = ""
        elif len(set(labels.values())) == 1:
            uniform[mask] = "all " + " and ".join(map(str, values))
    last = num_classes if folder.reduce_zero_label else num_classes - 1
    allowed = f"0 to {last}"
    return [
        *files.finding(folder.value_code, wrong, allowed=allowed, ignore_index=folder.ignore_index),
        *files.finding("ignored-mask", ignored),
        *files.finding("uniform-mask", uniform),
    ]


def check_absent_classes(train: Sequence[SplitFiles]) -> list[Finding]:
    """Every class of the train data set has at least one labelled pixel."""
    seen: set[int] = set()
    names: tuple[str, ...] = ()
    for files in train:
        names = names or files.folder.classes
        for image in files.images:
            mask = files.pairs.get(image)
            values = () if mask is None else files.facts[mask].values
            if mask is None or not values:  # missing, damaged, of a wrong mode: it may hold any
                return []
            seen.update(files.folder.label_of(mask, value) for value in values)
    absent = [f"{index} {name}" for index, name in enumerate(names) if index not in seen]
    if not absent or not seen:
        return []
    return [make_finding("absent-class", classes=", ".join(absent))]


def _list_values(values: Sequence[int]) -> str:
    text = ", ".join(str(value) for value in values[:8])
    return f"value {text}" + (f" and {len(values) - 8} more" if len(values) > 8 else "")
