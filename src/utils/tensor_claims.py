"""Tensors that claim to hold more than their file does.

A few bytes suffice to spell a tensor of a million million numbers that all share one place in the
file (`torch.ones(1).expand(10**12)`). Copying it, or moving it to another device, would fill the
memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, strided

from seglab.utils.zip_files import bomb_fault


def refuse_empty_claims(path: Path, content: Any) -> None:
    """Refuse what was read from a file, if its tensors are larger than the file explains.

    Args:
        path: The file.
        content: What it holds: tensors in dicts and lists.

    Raises:
        ValueError: They are, or one has a shape and no numbers.
    """
    claimed = 0
    for tensor in _tensors(content):
        if tensor.is_meta:
            raise ValueError("it holds a tensor without numbers")
        claimed += tensor.numel() * tensor.element_size()
    if fault := bomb_fault(claimed, path.stat().st_size):
        raise ValueError(f"it {fault}")


def _tensors(content: Any) -> Iterator[Tensor]:
    """Every dense tensor in nested dicts, lists and tuples, however deep they are nested."""
    waiting, seen = [content], set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, Tensor):
            if item.layout is strided:  # a sparse one stays sparse
                yield item
        elif isinstance(item, Mapping | list | tuple) and id(item) not in seen:
            seen.add(id(item))  # a list may hold itself
            waiting.extend(item.values() if isinstance(item, Mapping) else item)
