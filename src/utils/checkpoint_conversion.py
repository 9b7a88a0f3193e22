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
#: What safetensors has names for, in all the versions that people read it with.
_KNOWN = {
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64, torch.bool),
    *(torch.int64, torch.int32, torch.int16, torch.int8),
    *(torch.uint64, torch.uint32, torch.uint16, torch.uint8),
    *(torch.float8_e4m3fn, torch.float8_e5m2),
}
#: The format's own key beside the names of the tensors.
_RESERVED = "__metadata__"


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
    state = content[wrapper] if wrapper else content
    named = all(isinstance(name, str) for name in state)
    weights = weights_of({"state_dict": state}) if named else {}
    if fault := _fault(state, weights):
        raise UserError(
            f"checkpoint {source} cannot be converted: {fault}",
            "give a file with a state dict of dense tensors",
        )
    meta = content.get("meta")
    inside = set(content) - {wrapper} if wrapper else set()
    inside |= {name for name, value in state.items() if not isinstance(value, Tensor)}
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


def _fault(state: Mapping[str, Any], weights: Mapping[str, Tensor]) -> str:
    """Why the tensors of a state dict cannot become a file of weights; '' if they can."""
    if not weights:
        return "it holds no weights"
    if len(weights) < sum(isinstance(value, Tensor) for value in state.values()):
        return "it holds weights of one name twice, with and without `module.`"
    if _RESERVED in weights:
        return f"safetensors has no tensors named {_RESERVED}"
    foreign = [name for name, tensor in weights.items() if _is_foreign(tensor)]
    return f"{foreign[0]} is of a kind that safetensors cannot hold" if foreign else ""


def _is_foreign(tensor: Tensor) -> bool:
    lazy = tensor.is_conj() or tensor.is_neg()  # their memory holds other numbers
    return tensor.dtype not in _KNOWN or tensor.layout is not torch.strided or lazy


def _facts_of(meta: Mapping[str, Any]) -> dict[str, Any]:
    """What mmengine (`dataset_meta`) or mmseg before 1.0 (`CLASSES`) say in a checkpoint."""
    data = meta.get("dataset_meta")
    data = data if isinstance(data, Mapping) else {}
    classes = data.get("classes") or meta.get("CLASSES")
    palette = data.get("palette") or meta.get("PALETTE")
    facts: dict[str, Any] = {key: meta[key] for key in _META if _is_plain(meta.get(key))}
    if isinstance(classes, list | tuple) and all(isinstance(name, str) for name in classes):
        facts["classes"] = list(classes)
    if palette and _is_palette(palette):
        facts["palette"] = [list(colour) for colour in palette]
    return facts


def _is_palette(value: Any) -> bool:
    """Whether it is a list of colours, and nothing else that a file might hold in its place."""
    return isinstance(value, list | tuple) and all(
        isinstance(colour, list | tuple)
        and len(colour) == 3
        and all(isinstance(part, int) and 0 <= part <= 255 for part in colour)
        for colour in value
    )


def _is_plain(value: Any) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)
