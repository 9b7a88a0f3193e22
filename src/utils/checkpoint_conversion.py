"""Checkpoints of other tools as weights that can be shared: safetensors, with facts beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seglab.utils.checkpoint_utils import (
    SAFETENSORS_SUFFIX,
    facts_path,
    load_checkpoint_file,
    weights_of,
    write_weights,
)
from seglab.utils.errors import UserError
from seglab.utils.io_utils import sha256_file
from seglab.utils.resume_files import checksum_path

#: Where frameworks put the weights: mmengine and timm, SegFormer's and SAM's authors, tutorials.
_WRAPPERS = ("state_dict", "model", "model_state_dict")
_META = ("epoch", "iter", "seed", "mmengine_version")
#: What safetensors has no name for.
_FOREIGN = (torch.complex32, torch.complex128, torch.quint8, torch.qint8, torch.qint32)


def output_path(source: Path, folder: Path | None) -> Path:
    """Where the weights of a checkpoint go: beside it, or into a folder.

    Args:
        source: The checkpoint.
        folder: The folder; None for that of the checkpoint.
    """
    return (folder or source.parent) / f"{source.stem}{SAFETENSORS_SUFFIX}"


def check_conversions(sources: Sequence[Path], folder: Path | None) -> list[str]:
    """What is wrong with a conversion before any file is read.

    Args:
        sources: The checkpoints.
        folder: Where the weights go; None for beside each checkpoint.

    Returns:
        A line for each fault: a missing file, one that is no checkpoint by its name, a result
        that is there already or that two checkpoints share.
    """
    faults = []
    taken: dict[Path, Path] = {}
    for source in sources:
        target = output_path(source, folder)
        if not source.is_file():
            faults.append(f"{source}: no such file")
        elif source.suffix == SAFETENSORS_SUFFIX:
            faults.append(f"{source}: it is safetensors already")
        elif target in taken:
            faults.append(f"{source}: {target} is also what {taken[target]} becomes")
        else:
            beside = (target, facts_path(target), checksum_path(target))
            faults += [f"{source}: {path} is there already" for path in beside if path.exists()]
        taken[target] = source
    return faults


def read_for_conversion(source: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint as data.

    Args:
        source: A `.pth` / `.pt` / `.bin` file of torch, mmengine or mmseg.

    Returns:
        The weights by name, without DataParallel's `module.`, and the facts that the file tells
        of them. Config text in it is neither executed nor copied.

    Raises:
        UserError: It is damaged, holds objects other than weights and plain values, or no weights.
    """
    content = load_checkpoint_file(source)
    wrapper = next((name for name in _WRAPPERS if isinstance(content.get(name), Mapping)), None)
    weights = weights_of({"state_dict": content[wrapper]} if wrapper else content)
    foreign = [name for name, tensor in weights.items() if _is_foreign(tensor)]
    if not weights or foreign:
        what = f"{foreign[0]} is of a kind that safetensors cannot hold" if foreign else ""
        raise UserError(
            f"checkpoint {source} cannot be converted: {what or 'it holds no weights'}",
            "give a file with a state dict of dense tensors",
        )
    meta = content.get("meta")
    inside = set(content) - {wrapper} if wrapper else set(content) - _names(weights)
    facts: dict[str, Any] = {
        "schema": 1,
        "converted_from": {"file": source.name, "sha256": sha256_file(source)},
        "left_out": sorted(str(name) for name in inside if not str(name).startswith("_")),
        "tensors": len(weights),
        "parameters": sum(tensor.numel() for tensor in weights.values()),
        **_facts_of(meta if isinstance(meta, Mapping) else {}),
    }
    return weights, facts


def convert(source: Path, target: Path, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Convert a checkpoint.

    Args:
        source: The checkpoint, which stays as it is.
        target: Where the weights go; the facts and the checksum go beside them.
        more: Facts that the file does not tell.

    Returns:
        The facts.

    Raises:
        UserError: See `read_for_conversion`.
        OSError: It cannot be written.
    """
    weights, facts = read_for_conversion(source)
    facts |= more or {}
    write_weights(target, weights, facts)
    return facts


def _is_foreign(tensor: Tensor) -> bool:
    return tensor.dtype in _FOREIGN or tensor.layout is not torch.strided


def _names(weights: Mapping[str, Tensor]) -> set[str]:
    """The names of the weights as the file may spell them."""
    return {*weights, *(f"module.{name}" for name in weights)}


def _facts_of(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What mmengine (`dataset_meta`) or mmseg before 1.0 (`CLASSES`) say in a checkpoint."""
    data = meta.get("dataset_meta")
    data = data if isinstance(data, Mapping) else {}
    classes = data.get("classes") or meta.get("CLASSES")
    palette = data.get("palette") or meta.get("PALETTE")
    facts: dict[str, Any] = {key: meta[key] for key in _META if _is_plain(meta.get(key))}
    if isinstance(classes, list | tuple):
        facts["classes"] = [str(name) for name in classes]
    if isinstance(palette, list | tuple):
        facts["palette"] = palette
    return facts


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)
