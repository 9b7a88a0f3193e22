"""What really differs between two resolved configs.

A config file names variables (`norm_cfg`, `train_pipeline`) that its parts are made of; what they
hold stands in those parts as well. Only the keys that something reads are compared, without those
that say where a run lay and how it was logged.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Final

from seglab.utils.config_keys import EFFECTIVE_KEYS

#: Top-level keys that are read, but do not change what is trained or scored.
_BOOKKEEPING = frozenset(
    {
        *("work_dir", "hypothesis", "experiment_name", "launcher", "resume"),
        *("visualizer", "log_level", "log_processor"),
    }
)
#: Keys skipped wherever they stand: where the data lies (its hashes tell whether it differs).
_PLACES = frozenset({"data_root"})
#: Values longer than this are cut where nothing else is asked for.
SETTING_WIDTH = 120
#: Two dicts of different types that share at least this part of their keys are one thing changed;
#: of others (another backbone) one replaces the other.
_ALIKE = 0.5


class _Absent:
    """The value of a key that one of the configs does not have."""

    def __repr__(self) -> str:
        return "-"


#: Stands for a key or a list entry that one of the two configs does not have.
ABSENT: Final = _Absent()


@dataclass(frozen=True)
class Change:
    """One thing that differs.

    Attributes:
        key: Dotted path; an entry of a list of dicts goes by its type:
            `train_dataloader.dataset.pipeline[RandomCrop]`.
        before: The parent's value, or ABSENT.
        after: The value, or ABSENT.
    """

    key: str
    before: Any
    after: Any


def effective_difference(parent: Mapping[str, Any], config: Mapping[str, Any]) -> list[Change]:
    """List what takes effect and differs between two resolved configs.

    Left out are variables that nothing reads, where runs and data lie, how a run is logged, and
    the training seed (`Run.seed` has it). Lists of dicts, such as pipelines and hooks, are
    aligned by the types of their entries, so that an added step is one change.

    Args:
        parent: The resolved config to start from, plain dicts and lists as in `config.json`.
        config: The resolved config to arrive at.

    Returns:
        The changes in the order of `config`'s keys, then those it no longer has.
    """
    return list(_compare_dicts(_effective(parent), _effective(config), ""))


def _effective(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a config that takes effect, without bookkeeping."""
    kept = {k: v for k, v in config.items() if k in EFFECTIVE_KEYS and k not in _BOOKKEEPING}
    # The Runner takes None for an argument that is not given; other constructors may not.
    kept = {key: value for key, value in kept.items() if value is not None}
    if isinstance(kept.get("randomness", {}), Mapping):
        # Whether a run repeats itself depends on its device, and is nothing that was tried.
        drawn = {"seed": None, "deterministic": None}
        kept["randomness"] = {**kept.get("randomness", {}), **drawn}
    model = kept.get("model")
    if "data_preprocessor" in kept and isinstance(model, Mapping):
        # As mmengine's Runner does it: the model's own comes first.
        preprocessor = kept.pop("data_preprocessor")
        kept["model"] = {"data_preprocessor": preprocessor, **model}
    plain: dict[str, Any] = _strip(kept, config.get("default_scope"))
    return plain


def _strip(value: Any, scope: Any) -> Any:
    """Take out places, and the scope where it is the one that holds anyhow."""
    if isinstance(value, Mapping):
        return {
            key: _strip(item, scope)
            for key, item in value.items()
            if key not in _PLACES and (key, item) != ("_scope_", scope)
        }
    if isinstance(value, list | tuple):
        return [_strip(item, scope) for item in value]
    return value


def _compare(before: Any, after: Any, key: str) -> Iterator[Change]:
    if isinstance(before, Mapping) and isinstance(after, Mapping) and _alike(before, after):
        yield from _compare_dicts(before, after, f"{key}.")
    elif _is_dict_list(before) and _is_dict_list(after) and (before or after):
        yield from _compare_dict_lists(before, after, key)
    elif _canonical(before) != _canonical(after):
        yield Change(key, before, after)


def _compare_dicts(
    before: Mapping[str, Any], after: Mapping[str, Any], prefix: str
) -> Iterator[Change]:
    for key in [*after, *(key for key in before if key not in after)]:
        yield from _compare(before.get(key, ABSENT), after.get(key, ABSENT), f"{prefix}{key}")


def _compare_dict_lists(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], key: str
) -> Iterator[Change]:
    """Align the entries by type; what is left over was added or taken away."""
    old_names, new_names = _entry_names(before), _entry_names(after)
    old_kinds, new_kinds = [_kind(item) for item in before], [_kind(item) for item in after]
    matcher = SequenceMatcher(None, old_kinds, new_kinds, autojunk=False)
    for operation, start, end, new_start, new_end in matcher.get_opcodes():
        if operation == "equal":
            for old, new in zip(range(start, end), range(new_start, new_end), strict=True):
                yield from _compare(before[old], after[new], f"{key}[{new_names[new]}]")
            continue
        for old in range(start, end):
            yield Change(f"{key}[{old_names[old]}]", before[old], ABSENT)
        for new in range(new_start, new_end):
            yield Change(f"{key}[{new_names[new]}]", ABSENT, after[new])


def _kind(item: Mapping[str, Any]) -> str:
    """What an entry is aligned by: its type, or else everything in it."""
    return str(item["type"]) if "type" in item else _canonical(item)


def _entry_names(items: Sequence[Mapping[str, Any]]) -> list[str]:
    """The types of the entries; the second of a type is `Type#2`, one without a type its index."""
    seen: Counter[str] = Counter()
    names = []
    for index, item in enumerate(items):
        name = str(item.get("type", index))
        seen[name] += 1
        names.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return names


def _is_dict_list(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, Mapping) for item in value)


def _alike(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two dicts describe the same thing, rather than one in place of the other."""
    if before.get("type") == after.get("type"):
        return True
    keys, other = set(before) - {"type"}, set(after) - {"type"}
    return len(keys & other) >= _ALIKE * max(len(keys | other), 1)


def _canonical(value: Any) -> str:
    """A text that is equal for equal values: tuples are lists, 1 is 1.0, and True is not 1."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, Mapping):
        inner = sorted((str(k), _canonical(v)) for k, v in value.items())
        return "{" + ",".join(f"{json.dumps(k)}:{v}" for k, v in inner) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_canonical, value)) + "]"
    return json.dumps(value, default=repr)


def format_change(change: Change) -> str:
    """One change as a line of text, such as `optim_wrapper.optimizer.lr: 0.0005 -> 0.001`."""
    if change.before is ABSENT:
        return f"+ {change.key}: {format_value(change.after)}"
    if change.after is ABSENT:
        return f"- {change.key}: {format_value(change.before)}"
    return f"{change.key}: {format_value(change.before)} -> {format_value(change.after)}"


def format_value(value: Any, width: int = SETTING_WIDTH) -> str:
    """A value as short text: a dict with a type as `RandomCrop(crop_size=[256, 256])`.

    Args:
        value: Anything a resolved config holds, or ABSENT.
        width: What is longer is cut and ends in `...`.
    """
    text = _spell(value)
    return text if len(text) <= width else f"{text[: width - 3]}..."


def _spell(value: Any) -> str:
    if isinstance(value, Mapping):
        arguments = [(key, _spell(item)) for key, item in value.items() if key != "type"]
        if "type" in value:
            return f"{value['type']}({', '.join(f'{key}={text}' for key, text in arguments)})"
        return "{" + ", ".join(f"{key}: {text}" for key, text in arguments) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_spell, value)) + "]"
    return value if isinstance(value, str) and value else repr(value)
