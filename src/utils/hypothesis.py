"""What a config claims: the hypothesis it tests, and against which parent.

A hypothesis config states itself in one dict:

    hypothesis = dict(
        id="H2",
        parent="H1",
        question="Nine pixels in ten are background; does weighing it down help the animals?",
        change="cross-entropy weighs the classes [0.0585, 1, 1]",
        expects={"mDice": "+", "Recall/cat": "+"},
    )

`expects` names figures, as `test_metrics.json` does, and how each moves against the parent: `+`
rises, `-` falls, `=` stays within the margin. `stage`, where a config states it, is its part in
the story of a study: the baselines, their improved children, networks written for the study.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from seglab.utils.errors import UserError

DIRECTIONS = ("+", "-", "=")
#: The parts of a study's story, in its order.
STAGES = ("baseline", "improved", "own")
_TEXTS = ("question", "change")


@dataclass(frozen=True)
class Hypothesis:
    """A claim that a run tests.

    Attributes:
        id: Short and unique among the configs, such as H2.
        parent: Id of the hypothesis this one changes; None for a baseline.
        question: What is to be found out.
        change: What differs from the parent.
        expects: Metric key -> '+', '-' or '='.
        stage: One of `STAGES`; None where the config belongs to no such story.
    """

    id: str
    parent: str | None = None
    question: str = ""
    change: str = ""
    expects: Mapping[str, str] = field(default_factory=dict)
    stage: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As a config and `config.json` hold it; a stage that is not stated is left out."""
        content = {**asdict(self), "expects": dict(self.expects)}
        return {key: value for key, value in content.items() if (key, value) != ("stage", None)}


def parse_hypothesis(value: Any, source: str | Path) -> Hypothesis:
    """Check the dict of a config.

    Args:
        value: The config's `hypothesis`.
        source: Where it stands, for the message.

    Raises:
        UserError: It is not a hypothesis; lists every fault.
    """
    if not isinstance(value, Mapping):
        raise _fault(source, [f"it is {type(value).__name__}, expected a dict"])
    faults = [f"unknown key {key!r}" for key in value if key not in Hypothesis.__annotations__]
    identifier, parent = value.get("id"), value.get("parent")
    if not isinstance(identifier, str) or not identifier.strip():
        faults.append("id must be a word, such as 'H2'")
    if parent is not None and not isinstance(parent, str):
        faults.append("parent must be the id of another hypothesis, or None")
    elif parent is not None and parent == identifier:
        faults.append("it names itself as its parent")
    faults += [f"{key} must be text" for key in _TEXTS if not isinstance(value.get(key, ""), str)]
    stage = value.get("stage")
    if stage is not None and stage not in STAGES:
        faults.append(f"stage is {stage!r}: use {', '.join(map(repr, STAGES))}, or leave it out")
    expects = value.get("expects", {})
    if not isinstance(expects, Mapping):
        faults.append("expects must be a dict, such as {'mDice': '+'}")
        expects = {}
    faults += [
        f"expects[{key!r}] is {sign!r}: use '+', '-' or '='"
        for key, sign in expects.items()
        if sign not in DIRECTIONS
    ]
    if faults:
        raise _fault(source, faults)
    texts = {key: str(value.get(key, "")) for key in _TEXTS}
    return Hypothesis(str(identifier), parent, **texts, expects=dict(expects), stage=stage)


def stated_hypothesis(path: Path, name: str, inherited: Any) -> Hypothesis:
    """The hypothesis of a config file, apart from what it inherits.

    mmengine merges a child's dict into its parent's: what the child does not say would be the
    parent's claim under the child's name.

    Args:
        path: The config file.
        name: Id of a config that states no hypothesis.
        inherited: The config's `hypothesis` after mmengine's merging, or None.

    Returns:
        What the file itself says. A file that says nothing tests its own name against the
        hypothesis it inherits from.

    Raises:
        UserError: The dict is not a hypothesis, or is not written out in literals.
    """
    if path.suffix != ".py":
        value = inherited
    else:
        value = literal_assignment(path, "hypothesis")
        if value is None:
            parent = inherited.get("id") if isinstance(inherited, Mapping) else None
            return Hypothesis(name, parent)
    return Hypothesis(name) if value is None else parse_hypothesis(value, path)


def literal_assignment(path: Path, name: str) -> Any:
    """The value of `NAME = ...` in a Python file, without running it; None if absent.

    Raises:
        UserError: It is not written out in literals.
    """
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == name for target in node.targets
        ):
            return _literal_dict(node.value, path)
    return None


class _DictCalls(ast.NodeTransformer):
    """Writes `dict(a=1)`, and mmengine's `dict({"a/b": 1}, c=2)`, as the literal they mean."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Replace a call of `dict`."""
        self.generic_visit(node)
        if not isinstance(node.func, ast.Name) or node.func.id != "dict":
            return node
        merged = ast.Dict([], [])
        for argument in node.args:
            if not isinstance(argument, ast.Dict):
                return node
            merged.keys += argument.keys
            merged.values += argument.values
        for item in node.keywords:
            merged.keys.append(ast.Constant(item.arg) if item.arg else None)
            merged.values.append(item.value)
        return merged


def _literal_dict(node: ast.expr, path: Path) -> Any:
    try:
        return ast.literal_eval(_DictCalls().visit(node))
    except ValueError as error:
        raise _fault(path, ["it is computed"], "write its values out, without variables") from error


def _fault(source: str | Path, faults: list[str], fix: str = "") -> UserError:
    fix = fix or "write hypothesis = dict(id='H2', parent='H1', question=..., change=..., " + (
        "expects={'mDice': '+'})"
    )
    return UserError(f"the hypothesis of {source} is not usable: " + "; ".join(faults), fix)
