"""What the fuzz tests share: how long they go on, and documents that are nearly right.

They draw a fixed set of examples each; `SEGLAB_FUZZ_EXAMPLES=20000` draws as many new ones.
"""

from __future__ import annotations

import copy
import os
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

_ASKED = os.environ.get("SEGLAB_FUZZ_EXAMPLES")


def examples(number: int) -> settings:
    """Settings of a fuzz test that draws so many examples unless more are asked for."""
    return settings(
        max_examples=int(_ASKED or number),
        derandomize=_ASKED is None,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


#: Words and numbers that readers trip over.
ODD = st.sampled_from(
    ["", "\0", "\ud800", "../../x", "/etc/passwd", "nan", "é" * 300, "x" * 5000, "1e999",
     "__class__", float("nan"), float("inf"), -1, 0, 1, 2**63, -(2**63), 10**400, 1e308, True,
     False, None]
)  # fmt: skip
SCALARS = ODD | st.integers() | st.floats() | st.text(max_size=12) | st.none() | st.booleans()
JSON_VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def _nodes(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = (
        list(value.items())
        if isinstance(value, dict)
        else list(enumerate(value[:3]))
        if isinstance(value, list)
        else []
    )
    return [path] + [each for key, child in children for each in _nodes(child, (*path, key))]


@st.composite
def nearly(draw: st.DrawFn, document: Any) -> Any:
    """A document with one to three of its parts replaced, removed or doubled."""
    content = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        paths = _nodes(content)
        *above, last = draw(st.sampled_from(paths)) or (None,)
        if last is None:
            content = draw(JSON_VALUES)
            continue
        node = content
        for key in above:
            node = node[key]
        action = draw(st.sampled_from(["replace", "replace", "remove", "double"]))
        if action == "remove":
            del node[last]
        elif action == "double":
            node[last] = [node[last], node[last]]
        else:
            node[last] = draw(JSON_VALUES)
    return content


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """A file with some bytes changed, cut out, put in, or its end missing."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        action = draw(st.sampled_from(["change", "change", "cut", "insert", "end"]))
        if action == "change" and data:
            data[place] = draw(st.integers(0, 255))
        elif action == "cut":
            del data[place : place + draw(st.integers(1, 40))]
        elif action == "insert":
            data[place:place] = draw(st.binary(max_size=40))
        elif action == "end":
            del data[place:]
    return bytes(data)
