"""Gather the findings of all checks and report them at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seglab.data.preflight.batch_checks import check_batch_sizes
from seglab.data.preflight.decode import FileFacts, decode_files
from seglab.data.preflight.duplicate_checks import check_leaks, check_repeats
from seglab.data.preflight.faults import Finding
from seglab.data.preflight.folders import find_folders
from seglab.data.preflight.image_checks import (
    SplitFiles,
    check_absent_classes,
    check_folders,
    check_labels,
    check_layout,
    check_modes,
    check_partners,
    check_readable,
    check_sizes,
    list_split,
)
from seglab.data.preflight.model_checks import (
    check_activations,
    check_batch_norm,
    check_class_count,
    check_class_weights,
    check_thresholds,
    iter_heads,
)
from seglab.data.preflight.plan import read_plan
from seglab.data.preflight.schedule_checks import check_eta_min, check_loop, check_schedules
from seglab.data.preflight.split_folder import SplitFolder
from seglab.utils.errors import UserError, visible

_SPLITS = ("train", "val", "test")
_FILE_CHECKS = (check_layout, check_partners, check_readable, check_sizes, check_modes)


def run_preflight(cfg: Any, splits: Sequence[str] = ("train", "val")) -> list[Finding]:
    """Check data and config before any compute is spent.

    Every file of the splits asked for is decoded in full. Whether an image is in two
    splits is checked against the train, val and test folders beside them as well. The
    training schedule is checked only when 'train' is asked for.

    Args:
        cfg: A fully resolved mmengine Config.
        splits: Which of `train_dataloader`, `val_dataloader` and `test_dataloader` to check.

    Returns:
        All findings, faults first; empty when everything is in order.
    """
    folders: dict[str, list[SplitFolder]] = {}
    findings: list[Finding] = []
    for split in splits:
        folders[split], unchecked = find_folders(cfg, split)
        findings += unchecked
    data_findings, images = _check_data(cfg, folders)
    findings += data_findings
    model = cfg.get("model") or {}
    findings += check_class_count(model, [f for split in folders.values() for f in split])
    if "train" in splits:
        findings += _check_training(cfg, folders["train"], images)
    # Splits that share a data root would each report that it is missing.
    unique = dict.fromkeys(findings)
    return sorted(unique, key=lambda finding: finding.severity == "doubt")


def report(findings: Sequence[Finding], every_case: bool = False) -> str:
    """The findings as plain text for the terminal, faults first, each with its fix.

    Args:
        findings: From `run_preflight`.
        every_case: Name also what a message leaves at "and N more", each on a line of its own.
    """
    faults = sum(finding.severity == "fault" for finding in findings)
    lines = [f"preflight: {_count(faults, 'fault')}, {_count(len(findings) - faults, 'doubt')}"]
    for finding in sorted(findings, key=lambda finding: finding.severity == "doubt"):
        lines.append(f"{finding.severity} [{finding.code}]: {finding.message}")
        lines += [f"    {case}" for case in finding.unnamed if every_case]
        lines.append(f"  fix: {finding.fix}")
    if not every_case and any(finding.unnamed for finding in findings):
        lines.append("seglab check --all-files names every file")
    return visible("\n".join(lines))


def raise_on_faults(findings: Sequence[Finding], every_case: bool = False) -> None:
    """Stop when there is a fault.

    Args:
        findings: From `run_preflight`.
        every_case: As for `report`.

    Raises:
        UserError: With the whole report, doubts included.
    """
    if any(finding.severity == "fault" for finding in findings):
        raise UserError(
            report(findings, every_case),
            "mend the faults, or run with --skip-preflight to go on in spite of them",
        )


def _check_data(
    cfg: Any, folders: dict[str, list[SplitFolder]]
) -> tuple[list[Finding], int | None]:
    """Findings about the files, and the number of training images if it is known."""
    findings: list[Finding] = []
    facts: dict[Any, FileFacts] = {}
    splits: dict[str, list[SplitFiles]] = {}
    for split, parts in folders.items():
        found = [(part, check_folders(part)) for part in parts]
        findings += [finding for _, missing in found for finding in missing]
        splits[split] = [list_split(part, facts) for part, missing in found if not missing]
    others = {name: [list_split(part, facts)] for name, part in _siblings(folders).items()}
    everything = [files for parts in splits.values() for files in parts]
    paths = [path for files in everything for pair in files.pairs.items() for path in pair]
    paths += [path for files in everything for path in files.images]
    paths += [path for parts in others.values() for files in parts for path in files.images]
    facts.update(decode_files(paths))
    for files in everything:
        findings += [finding for check in _FILE_CHECKS for finding in check(files)]
        num_classes = len(files.folder.classes) or _head_classes(cfg)
        if num_classes:
            findings += check_labels(files, num_classes)
    for split, listed in splits.items():
        findings += check_repeats(split, listed)
        findings += check_batch_sizes(cfg, split, listed)
    findings += check_leaks(_without_shared_test({**splits, **others}))
    findings += check_absent_classes(splits.get("train", []))
    return findings, _count_images(folders.get("train", []), splits.get("train", []))


def _check_training(cfg: Any, train: Sequence[SplitFolder], images: int | None) -> list[Finding]:
    model = cfg.get("model") or {}
    plan = read_plan(cfg, images)
    names = next((folder.classes for folder in train if folder.classes), ())
    return [
        *check_class_weights(model, names),
        *check_activations(model),
        *check_thresholds(model),
        *check_batch_norm(model, plan),
        *check_loop(cfg, plan),
        *check_schedules(cfg, plan),
        *check_eta_min(cfg),
    ]


def _siblings(folders: dict[str, list[SplitFolder]]) -> dict[str, SplitFolder]:
    """The train, val and test folders that lie beside those asked for, but were not."""
    asked = {part.source for parts in folders.values() for part in parts}
    first = next((part for parts in folders.values() for part in parts), None)
    if first is None:
        return {}
    beside = {name: first.sibling(name) for name in _SPLITS if name not in folders}
    return {
        name: part for name, part in beside.items() if part.is_there() and part.source not in asked
    }


def _without_shared_test(
    splits: dict[str, list[SplitFiles]],
) -> dict[str, list[SplitFiles]]:
    """Leave test out where it is the very val set, as many mmseg configs have it."""
    images = {split: {files.folder.source for files in parts} for split, parts in splits.items()}
    if "test" in images and images["test"] == images.get("val"):
        return {split: parts for split, parts in splits.items() if split != "test"}
    return splits


def _count_images(folders: Sequence[SplitFolder], files: Sequence[SplitFiles]) -> int | None:
    """Training images in an epoch; None when a part of the data set could not be counted."""
    if not folders or len(files) < len(folders):
        return None
    return sum(part.folder.repeats * len(part.images) for part in files)


def _head_classes(cfg: Any) -> int | None:
    heads = iter_heads(cfg.get("model") or {})
    return next((head["num_classes"] for _, head in heads if head.get("num_classes")), None)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
