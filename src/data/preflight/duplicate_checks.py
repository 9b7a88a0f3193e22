"""Checks that need all splits together: equal images within a split and across splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path

from seglab.data.preflight.faults import Finding, make_finding
from seglab.data.preflight.image_checks import SplitFiles


def check_repeats(split: str, parts: Sequence[SplitFiles]) -> list[Finding]:
    """Find identical images within one split, with different or with identical masks.

    Args:
        split: Name of the split.
        parts: All its folders.
    """
    masks = {image: files.pairs.get(image) for files in parts for image in files.images}
    findings = []
    conflicting: list[list[Path]] = []
    repeated: list[list[Path]] = []
    for group in _groups(parts).values():
        if len(group) > 1:
            facts = parts[0].facts  # one table serves all folders
            digests = {facts[mask].digest for path in group if (mask := masks[path]) is not None}
            (conflicting if len(digests) > 1 else repeated).append(group)
    short = _short_names(parts)
    for code, groups in (("conflicting-masks", conflicting), ("repeated-image", repeated)):
        if groups:
            shown = [" = ".join(short[path] for path in group) for group in groups]
            paths = [path for group in groups for path in group]
            findings.append(make_finding(code, paths, shown, split=split))
    return findings


def check_leaks(splits: Mapping[str, Sequence[SplitFiles]]) -> list[Finding]:
    """Find images that are in two splits, be it under other names or in the same folder.

    Args:
        splits: The folders of each split.
    """
    findings = []
    for (split, parts), (other, other_parts) in combinations(splits.items(), 2):
        ours, theirs = _groups(parts), _groups(other_parts)
        common = [digest for digest in ours if digest in theirs]
        if common:
            short = _short_names([*parts, *other_parts])
            shown = [f"{short[ours[d][0]]} = {short[theirs[d][0]]}" for d in common]
            paths = dict.fromkeys(path for d in common for path in (*ours[d], *theirs[d]))
            findings.append(
                make_finding("image-in-two-splits", list(paths), shown, split=split, other=other)
            )
    return findings


def _groups(parts: Sequence[SplitFiles]) -> dict[bytes, list[Path]]:
    """Paths of the readable images by the digest of their pixels."""
    groups: dict[bytes, dict[Path, None]] = {}
    for files in parts:
        for image in files.images:
            if files.facts[image].readable:
                groups.setdefault(files.facts[image].digest, {})[image] = None
    return {digest: list(paths) for digest, paths in groups.items()}


def _short_names(parts: Sequence[SplitFiles]) -> dict[Path, str]:
    return {image: files.folder.short(image) for files in parts for image in files.images}
