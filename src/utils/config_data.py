"""Configs that are data: the `config.json` of a run, or YAML of plain values.

mmengine reads these too, but lets them name Python bases, which it runs, lets YAML call any
function, and fills in environment variables. Here they hold values and nothing else.
"""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from seglab.utils.errors import UserError
from seglab.utils.io_utils import read_json, read_small_text
from seglab.utils.paths import shown_name

DATA_SUFFIXES = (".json", ".yaml", ".yml")

_BASE = "_base_"
#: Where mmcv asks for a tuple, which JSON does not have. A list of them stays a list.
_TUPLES = frozenset(
    {"scale", "img_scale", "size", "crop_size", "ratio_range", "image_size", "classes"}
)
#: More is no config, even with the positions of all of a data set's images in it. Long text counts
#: as several.
_MOST_VALUES = 1_000_000
_COUNTED_TEXT = 64
_SHOWN = 5


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
    require_names(content, f"config {path}")
    try:
        restored: dict[str, Any] = _Restoring(path).value(content)
    except RecursionError as error:
        raise UserError(f"config {path} is nested without end", "restore it") from error
    return restored


def require_names(content: Mapping[str, Any], source: str) -> None:
    """Make sure that each key at the top of a config can be a name in Python.

    Args:
        content: The config's content.
        source: What holds it, for the message.

    Raises:
        UserError: Some cannot; lists such.
    """
    wrong = [
        key
        for key in content
        if not (key.isascii() and key.isidentifier()) or keyword.iskeyword(key)
    ]
    if wrong:
        raise UserError(
            f"{source} has keys at its top that are no names: "
            + ", ".join(map(shown_name, wrong[:_SHOWN])),
            "name them with ASCII letters, digits and underscores",
        )


def _read_yaml(path: Path) -> Any:
    try:
        return yaml.safe_load(read_small_text(path))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(
            f"config {path} is no YAML of plain values: {first}",
            "mend it; tags such as !!python/... are not read, for they run code",
        ) from error


class _Restoring:
    """Makes a config of what a file holds, within bounds.

    YAML lets a few hundred bytes name one list so often that it fills the memory once it is
    written out.

    Args:
        path: The file, for messages.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._left = _MOST_VALUES

    def value(self, node: Any, key: Any = "") -> Any:
        """A node with tuples where mmcv asks for them.

        Args:
            node: What stands in the file.
            key: What names it.

        Raises:
            UserError: It is text that cannot be written, or there is too much of everything.
            RecursionError: It is nested without end.
        """
        self._count(len(node) // _COUNTED_TEXT if isinstance(node, str) else 0)
        if isinstance(node, str):
            return self._text(node)
        if isinstance(node, dict):
            return {
                self._text(name) if isinstance(name, str) else name: self.value(inner, name)
                for name, inner in node.items()
            }
        if not isinstance(node, list):
            return node
        restored = [self.value(inner, key) for inner in node]
        plain = all(isinstance(inner, int | float | str) for inner in node)
        return tuple(restored) if key in _TUPLES and plain and node else restored

    def _count(self, more: int) -> None:
        self._left -= 1 + more
        if self._left < 0:
            raise UserError(
                f"config {self._path} comes to more than {_MOST_VALUES:,} values",
                "give a config; one in YAML must not name the same part over and over",
            )

    def _text(self, text: str) -> str:
        if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
            raise UserError(
                f"config {self._path} holds {shown_name(text)}, which no file can hold as text",
                "mend it",
            )
        return text
