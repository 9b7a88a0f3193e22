"""Configs that are data: the `config.json` of a run, or YAML of plain values.

mmengine reads these too, but lets them name Python bases, which it runs, lets YAML call any
function, and fills in environment variables. Here they hold values and nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from seglab.utils.errors import UserError
from seglab.utils.io_utils import read_json, read_small_text

DATA_SUFFIXES = (".json", ".yaml", ".yml")

_BASE = "_base_"
#: Where mmcv asks for a tuple, which JSON does not have. A list of them stays a list.
_TUPLES = frozenset(
    {"scale", "img_scale", "size", "crop_size", "ratio_range", "image_size", "classes"}
)


def read_config_data(path: Path) -> dict[str, Any]:
    """Read a config that is no Python.

    Args:
        path: A `.json`, `.yaml` or `.yml` file.

    Returns:
        Its content; pairs of numbers are tuples again where mmcv wants such.

    Raises:
        UserError: It is missing, damaged, no mapping, or names bases.
    """
    content = read_json(path) if path.suffix == ".json" else _read_yaml(path)
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UserError(f"config {path} holds no keys with values", "give a config")
    if _BASE in content:
        raise UserError(
            f"config {path} names bases ({_BASE}); one that is no Python stands for itself",
            "write it as Python, or resolve it: seglab show-config --config FILE.py --format json",
        )
    try:
        restored: dict[str, Any] = _with_tuples(content)
    except RecursionError as error:
        raise UserError(f"config {path} is nested without end", "restore it") from error
    return restored


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(read_small_text(path))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(
            f"config {path} is no YAML of plain values: {first}",
            "mend it; tags such as !!python/... are not read, for they run code",
        ) from error


def _with_tuples(node: Any, key: str = "") -> Any:
    if isinstance(node, dict):
        return {name: _with_tuples(value, str(name)) for name, value in node.items()}
    if not isinstance(node, list):
        return node
    restored = [_with_tuples(value, key) for value in node]
    plain = all(isinstance(value, int | float | str) for value in node)
    return tuple(restored) if key in _TUPLES and plain and node else restored
