"""Checks of how images are put together into batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seglab.data.preflight.faults import Finding, make_finding
from seglab.data.preflight.folders import type_name
from seglab.data.preflight.image_checks import SplitFiles

# Transforms of these families may bring images to one size; who uses one is believed.
_SIZING = ("Resize", "Crop", "Pad", "Mosaic", "Albu")


def check_batch_sizes(cfg: Any, split: str, parts: Sequence[SplitFiles]) -> list[Finding]:
    """Images that share a batch can be stacked: mmseg pads in training only, up to a size."""
    loader = cfg.get(f"{split}_dataloader") or {}
    if int(loader.get("batch_size", 1) or 1) < 2 or _has_sizing(loader.get("dataset") or {}):
        return []
    sizes = {
        files.facts[image].size
        for files in parts
        for image in files.images
        if files.facts[image].readable
    }
    if split == "train":
        room = ((cfg.get("model") or {}).get("data_preprocessor") or {}).get("size")
        if room and all(width <= room[1] and height <= room[0] for width, height in sizes):
            return []
    if len(sizes) < 2:
        return []
    shown = [f"{width}x{height}" for width, height in sorted(sizes)]
    return [make_finding("mixed-sizes", (), shown, split=split)]


def _has_sizing(dataset: Mapping[str, Any]) -> bool:
    inner = [dataset.get("dataset"), *(dataset.get("datasets") or [])]
    steps = dataset.get("pipeline") or []
    return any(_sizes(step) for step in steps) or any(
        _has_sizing(part) for part in inner if isinstance(part, Mapping)
    )


def _sizes(step: Mapping[str, Any]) -> bool:
    """Whether a step, or one inside it, may bring images to one size."""
    name = type_name(step)
    # Ours names its transforms as a pipeline does; mmseg's `Albu` is believed.
    if name != "Albumentations" and any(word in name for word in _SIZING):
        return True
    inner = step.get("transforms") or []
    return any(_sizes(part) for part in inner if isinstance(part, Mapping))
