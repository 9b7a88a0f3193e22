"""Every kind of finding the preflight knows, with the words it is reported in.

The table is the one place that holds the wording: messages are made from it and the
documentation prints it, so the two cannot differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Severity = Literal["fault", "doubt"]

_SHOWN_FILES = 5


@dataclass(frozen=True)
class FindingKind:
    """One kind of finding.

    Attributes:
        code: Name in kebab-case.
        severity: A 'fault' stops the run, a 'doubt' only warns.
        message: What was found; a `str.format` template.
        fix: What to do about it; a `str.format` template.
    """

    code: str
    severity: Severity
    message: str
    fix: str


@dataclass(frozen=True)
class Finding:
    """Something the preflight found in this config or this data set.

    Attributes:
        code: The kind's name, see `FAULTS`.
        severity: A 'fault' stops the run, a 'doubt' only warns.
        message: What was found, naming the first few files.
        fix: What to do about it.
        files: Paths of all the files concerned.
        unnamed: The cases that the message has no room for.
    """

    code: str
    severity: Severity
    message: str
    fix: str
    files: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()


_DATA_FAULTS = (
    FindingKind(
        "missing-dataloader",
        "fault",
        "the config has no {split}_dataloader with a dataset",
        "add it, or inherit configs/_base_/datasets/pets_coco.py",
    ),
    FindingKind(
        "missing-root",
        "fault",
        "the data root {root} does not exist",
        "give the folder that holds {img_dir} and {mask_dir} with --data-root{or_make_it}",
    ),
    FindingKind(
        "missing-folder",
        "fault",
        "{split} split: the folder {folder} does not exist",
        "create it, or correct {key} or split in the config",
    ),
    FindingKind(
        "pet-layout",
        "fault",
        "{root} is laid out as {layout}, the config reads {wanted}",
        "{remedy}",
    ),
    FindingKind(
        "empty-split",
        "fault",
        "{split} split: no file in {folder} ends in {suffixes}",
        "put images there, or correct img_suffix or split in the config",
    ),
    FindingKind(
        "missing-mask",
        "fault",
        "{split} split: images without a mask ({count}): {shown}",
        "add the masks under {folder} (same name, ending in {suffix}), or remove the images",
    ),
    FindingKind(
        "missing-image",
        "fault",
        "{split} split: masks without an image ({count}): {shown}",
        "add the images under {folder}, correct img_suffix, or remove the masks",
    ),
    FindingKind(
        "unreadable-image",
        "fault",
        "{split} split: images that cannot be decoded in full ({count}): {shown}",
        "fetch the files again from their source, or remove them with their masks",
    ),
    FindingKind(
        "unreadable-mask",
        "fault",
        "{split} split: masks that cannot be decoded in full ({count}): {shown}",
        "save or fetch the masks again, or remove them with their images",
    ),
    FindingKind(
        "oversized-file",
        "fault",
        "{split} split: files of {limit}, not decoded ({count}): {shown}",
        "cut them into tiles or scale them down before training, or raise SEGLAB_MAX_MEGAPIXELS "
        "or SEGLAB_MAX_IMAGE_MB",
    ),
    FindingKind(
        "size-mismatch",
        "fault",
        "{split} split: image and mask differ in size (width x height) ({count}): {shown}",
        "redraw the masks, or resize them with nearest-neighbour to the images' size",
    ),
    FindingKind(
        "mixed-sizes",
        "fault",
        "{split} split: images of several sizes (width x height) share batches and nothing in "
        "the pipeline makes them equal ({count}): {shown}",
        "set {split}_dataloader.batch_size=1, or add a Resize or RandomCrop to its pipeline",
    ),
    FindingKind(
        "rgb-mask",
        "fault",
        "{split} split: colour masks; one grey channel of class indices is needed ({count}): "
        "{shown}",
        "map each colour to its class index and save single-channel 8-bit PNG (Pillow mode L)",
    ),
    FindingKind(
        "palette-mask",
        "fault",
        "{split} split: palette masks, whose values depend on the program that reads them "
        "({count}): {shown}",
        "save the indices as plain grey: Image.fromarray(np.asarray(Image.open(mask)))",
    ),
    FindingKind(
        "16-bit-mask",
        "fault",
        "{split} split: masks of more than 8 bits, which wrap modulo 256 when read "
        "({count}): {shown}",
        "save them as 8-bit grey; if the values are instance numbers, map them to classes first",
    ),
    FindingKind(
        "1-bit-mask",
        "fault",
        "{split} split: 1-bit masks, read as 0/1 by some programs and 0/255 by others "
        "({count}): {shown}",
        "save them as 8-bit grey with the class indices",
    ),
    FindingKind(
        "alpha-mask",
        "fault",
        "{split} split: grey masks with an alpha channel ({count}): {shown}",
        "save the grey channel alone: mask.getchannel('L')",
    ),
    FindingKind(
        "label-out-of-range",
        "fault",
        "{split} split: mask values that are neither a class ({allowed}) nor ignored "
        "({ignore_index}) ({count}): {shown}",
        "map the values to class indices (masks drawn as 0/255 need 255 -> 1; lossy formats "
        "such as JPEG smear them), or add the missing classes to metainfo",
    ),
    FindingKind(
        "missing-list",
        "fault",
        "the list {list} does not exist",
        "unpack annotations.tar.gz again: see seglab prepare-oxford-pet --help",
    ),
    FindingKind(
        "pet-lists",
        "fault",
        "lists of {folder} that are damaged or disagree ({count}): {shown}",
        "unpack annotations.tar.gz again, or mend the lines named",
    ),
    FindingKind(
        "listed-not-there",
        "fault",
        "{split} split: images that are listed but not there ({count}): {shown}",
        "unpack images.tar.gz again into {folder}, or name them in the data sets' `exclude`",
    ),
    FindingKind(
        "pet-options",
        "fault",
        "{split} split: options of OxfordPetDataset that do not work ({count}): {shown}",
        "correct them in {split}_dataloader.dataset",
    ),
    FindingKind(
        "trimap-value",
        "fault",
        "{split} split: trimaps with values other than 1 animal, 2 background, 3 border "
        "({count}): {shown}",
        "unpack annotations.tar.gz again; masks of classes belong into a MaskFolderDataset",
    ),
    FindingKind(
        "image-in-two-splits",
        "fault",
        "the same image (equal pixels) is in both {split} and {other} ({count}): {shown}",
        "keep it in one split: otherwise the score is measured on what was trained on",
    ),
)

_DATA_DOUBTS = (
    FindingKind(
        "unchecked-dataset",
        "doubt",
        "{split} split: files of dataset type {type} were not checked; the preflight knows {known}",
        "use MaskFolderDataset to have images and masks checked",
    ),
    FindingKind(
        "conflicting-masks",
        "doubt",
        "{split} split: identical images with different masks ({count}): {shown}",
        "compare the masks and keep the right one",
    ),
    FindingKind(
        "repeated-image",
        "doubt",
        "{split} split: identical images with identical masks ({count}): {shown}",
        "remove the copies, unless the image is meant to count twice",
    ),
    FindingKind(
        "image-mode",
        "doubt",
        "{split} split: images that are not 8-bit RGB and are converted when read "
        "({count}): {shown}",
        "check that they look right, or save them as RGB",
    ),
    FindingKind(
        "exif-orientation",
        "doubt",
        "{split} split: images that are turned when read because of their EXIF orientation "
        "({count}): {shown}",
        "check that the masks are turned the same way; better, save the image turned, "
        "without the tag",
    ),
    FindingKind(
        "absent-class",
        "doubt",
        "train split: classes without a single labelled pixel: {classes}",
        "check the masks and the order of metainfo.classes; the model cannot learn these",
    ),
    FindingKind(
        "ignored-mask",
        "doubt",
        "{split} split: masks in which every pixel is ignored ({count}): {shown}",
        "label them, or remove the pairs: they add nothing to training",
    ),
    FindingKind(
        "uniform-mask",
        "doubt",
        "{split} split: masks that hold one class only ({count}): {shown}",
        "look whether an object was forgotten",
    ),
)

_MODEL_FAULTS = (
    FindingKind(
        "class-count",
        "fault",
        "{head}.num_classes is {num_classes}, but the data set ({splits}) has {count} "
        "classes ({classes})",
        "set {head}.num_classes to {count}, or correct metainfo.classes",
    ),
    FindingKind(
        "class-weight-length",
        "fault",
        "{loss}.{key} has {length} values, but the loss needs {expected} there",
        "give {expected} weight(s): {classes}",
    ),
    FindingKind(
        "activation-mismatch",
        "fault",
        "{loss} ({type}) applies {activation}, but the head has {channels} output channel(s) "
        "and predicts with {prediction}",
        "{remedy}, or use ComboLoss, which follows the head",
    ),
    FindingKind(
        "default-threshold",
        "doubt",
        "{head} has one logit and no threshold: mmseg takes for foreground what is above 0.3",
        "set {head}.threshold=0.5, or to what `seglab choose-threshold` finds on val",
    ),
    FindingKind(
        "batch-of-one",
        "fault",
        "{which} training batch holds one image ({images} images, batch size {batch_size}), "
        "on which BatchNorm in training fails or takes the statistics of that image alone",
        "{remedy}",
    ),
    FindingKind(
        "batch-size-one",
        "doubt",
        "batch size 1 with BatchNorm: each step normalises by the statistics of one image",
        "use a larger batch, GroupNorm, or a backbone with norm_eval=True",
    ),
    FindingKind(
        "sync-bn",
        "doubt",
        "SyncBN in a run on one device: it acts as plain BN there",
        "set norm_cfg=dict(type='BN', requires_grad=True)",
    ),
)

_SCHEDULE_FAULTS = (
    FindingKind(
        "no-steps",
        "fault",
        "batch size {batch_size} with drop_last leaves no full batch of {images} training images",
        "lower batch_size to at most {images}, or set drop_last=False",
    ),
    FindingKind(
        "never-validated",
        "fault",
        "train_cfg.val_begin is {begin}, but the run ends after {length} {unit}",
        "lower val_begin: without validation there is no best checkpoint",
    ),
    FindingKind(
        "validated-once",
        "doubt",
        "train_cfg.val_interval is {interval}, but the run ends after {length} {unit}: "
        "it is validated at its end only",
        "lower val_interval: best checkpoint and early stopping need several validations",
    ),
    FindingKind(
        "schedule-never-steps",
        "fault",
        "{scheduler} counts epochs, but an iteration-based run never ends one: "
        "the learning rate stays as it is",
        "set by_epoch=False and give begin and end in iterations",
    ),
    FindingKind(
        "schedule-never-starts",
        "fault",
        "{scheduler} begins at {begin}, but the run ends after {length} {unit}",
        "give begin in terms of this run, or use WarmupDecayLR, which fits any length",
    ),
    FindingKind(
        "schedule-too-long",
        "fault",
        "{scheduler} needs {end} {unit}, but the run ends after {length}: it never finishes",
        "leave `end` out (the run's length is filled in), set it to {length}, or use WarmupDecayLR",
    ),
    FindingKind(
        "schedule-ends-early",
        "doubt",
        "{scheduler} ends at {end} of {length} {unit}: the rest trains at its last learning rate",
        "leave `end` out (the run's length is filled in), or use WarmupDecayLR",
    ),
    FindingKind(
        "eta-min",
        "fault",
        "{scheduler} has {key} = {eta_min}, which is not below {limit}: "
        "the learning rate never falls",
        "set {key} well below it, for instance to {suggestion}",
    ),
    FindingKind(
        "eta-min-group",
        "doubt",
        "{scheduler} has eta_min = {eta_min}, which is not below the learning rate {rate} of the "
        "parameters under paramwise_cfg.custom_keys['{key}']: theirs rises instead of falling",
        "lower eta_min, or use eta_min_ratio",
    ),
)

FAULTS: tuple[FindingKind, ...] = (
    *_DATA_FAULTS,
    *_DATA_DOUBTS,
    *_MODEL_FAULTS,
    *_SCHEDULE_FAULTS,
)
_BY_CODE = {kind.code: kind for kind in FAULTS}


def make_finding(
    code: str, files: Sequence[Path] = (), shown: Sequence[str] = (), **values: Any
) -> Finding:
    """Word a finding of kind `code`.

    Args:
        code: A code of `FAULTS`.
        files: The files concerned.
        shown: One short text per case; the first few appear in the message as `{shown}`,
            their number as `{count}`.
        values: What else the kind's templates name.
    """
    kind = _BY_CODE[code]
    if shown:
        rest = len(shown) - _SHOWN_FILES
        listing = ", ".join(shown[:_SHOWN_FILES]) + (f" and {rest} more" if rest > 0 else "")
        values.update(shown=listing, count=len(shown))
    return Finding(
        code,
        kind.severity,
        kind.message.format(**values),
        kind.fix.format(**values),
        tuple(str(path) for path in files),
        tuple(shown[_SHOWN_FILES:]),
    )


def describe_kinds() -> str:
    """A Markdown table of every kind: code, whether it stops or warns, message and fix."""
    lines = [
        "| code | effect | message | suggested fix |",
        "|---|---|---|---|",
    ]
    for kind in FAULTS:
        effect = "stops" if kind.severity == "fault" else "warns"
        lines.append(f"| `{kind.code}` | {effect} | {kind.message} | {kind.fix} |")
    return "\n".join(lines) + "\n"
