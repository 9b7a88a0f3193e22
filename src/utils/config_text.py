"""Configs as Python text that holds their values and nothing else.

mmengine puts the keys of a config between quotes as they are: a key that holds a quote ends it, and
what follows is code for whoever loads the text. It also fills in `{{ ... }}` when it loads one,
inside quotes and out of them. A JSON config of a stranger may hold both, and its text becomes the
`config.py` of a run.
"""

from __future__ import annotations

import keyword
import pprint
import re
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from seglab.utils.config_data import require_names

#: Keys that mmengine writes as what they are. Python reads names that are no ASCII as others.
_PLAIN_KEY = re.compile(r"[\w./+ -]*", re.ASCII)
_mmengine_text: Any = Config.pretty_text


def python_text(config: Config) -> str:
    """A config as Python, in mmengine's form wherever that says what the config says.

    Raises:
        UserError: A key at its top is no name.
    """
    content = config.to_dict()
    return inert(_mmengine_text.fget(config)) if _is_plain(content) else literal_text(content)


def literal_text(content: Mapping[str, Any]) -> str:
    """A config's content as `name = literal` lines.

    Raises:
        UserError: A key at its top is no name.
    """
    require_names(content, "the config")
    lines = (
        f"{name} = {pprint.pformat(value, width=100, sort_dicts=False)}\n"
        for name, value in content.items()
    )
    return inert("".join(lines))


def inert(text: str) -> str:
    """Python of values in which mmengine finds nothing to fill in.

    Args:
        text: Two opening braces stand in strings only: no key is a dict, and no dict is in a set.
    """
    return text.replace("{{", "{\\x7b")


def _is_plain(node: Any) -> bool:
    """Whether mmengine's text of a node is what the node says."""
    if isinstance(node, Mapping):
        return all(_is_plain_key(key) and _is_plain(value) for key, value in node.items())
    return not isinstance(node, list | tuple) or all(map(_is_plain, node))


def _is_plain_key(key: Any) -> bool:
    if not isinstance(key, str):
        return isinstance(key, int)
    return bool(_PLAIN_KEY.fullmatch(key)) and not keyword.iskeyword(key)
