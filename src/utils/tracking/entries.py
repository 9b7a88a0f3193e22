"""What a tracked run records: one frozen dataclass for each kind of entry.

An entry is one line of JSON in `journal.jsonl`; `to_line` and `from_line` are its two directions.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import PurePosixPath
from time import time as now
from typing import Any, TypeAlias

from seglab.utils.io_utils import to_plain
from seglab.utils.tracking.settings import is_secret_name, without_credentials

#: What JSON can hold.
JSON: TypeAlias = Any

TASK_TYPES = ("training", "testing")
STATUSES = ("finished", "failed", "interrupted")


@dataclass(frozen=True, kw_only=True)
class _Timed:
    """What all entries have.

    Attributes:
        time: When it happened, in seconds since 1970.
    """

    time: float = field(default_factory=now)


@dataclass(frozen=True)
class Start(_Timed):
    """A run begins; again after a resume, and then the last one holds.

    Attributes:
        project: ClearML's project.
        name: The task's name.
        task_type: "training" or "testing".
        tags: The task's tags.
        comment: The task's description.
    """

    project: str
    name: str
    task_type: str
    tags: tuple[str, ...] = ()
    comment: str = ""


@dataclass(frozen=True)
class Parameters(_Timed):
    """One section of hyper-parameters; values may be nested."""

    section: str
    values: dict[str, JSON]


@dataclass(frozen=True)
class Configuration(_Timed):
    """A whole text, such as the resolved config."""

    name: str
    text: str


@dataclass(frozen=True)
class Script(_Timed):
    """The code that runs: where git knows it, and what was changed since the commit."""

    repository: str
    branch: str
    commit: str
    diff: str
    working_dir: str
    entry_point: str


@dataclass(frozen=True)
class Scalar(_Timed):
    """One point of a curve."""

    title: str
    series: str
    value: float
    step: int


@dataclass(frozen=True)
class SingleValue(_Timed):
    """A figure of the run as a whole."""

    name: str
    value: float


@dataclass(frozen=True)
class Table(_Timed):
    """A table; an empty cell is None."""

    title: str
    series: str
    step: int
    columns: tuple[str, ...]
    rows: tuple[tuple[JSON, ...], ...]


@dataclass(frozen=True)
class ConfusionMatrix(_Timed):
    """A confusion matrix, (C, C): a row for each true class, a column for each predicted one."""

    title: str
    series: str
    step: int
    classes: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Image(_Timed):
    """An image file.

    Attributes:
        title: Under which title ClearML shows it.
        series: Its name there.
        step: Iteration or epoch.
        file: POSIX path relative to the folder that holds the tracking folder.
    """

    title: str
    series: str
    step: int
    file: str


@dataclass(frozen=True)
class Artifact(_Timed):
    """A file that is kept with the task; `file` as in `Image`."""

    name: str
    file: str
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Text(_Timed):
    """What the console says."""

    text: str


@dataclass(frozen=True)
class End(_Timed):
    """The run is over: "finished", "failed" or "interrupted"."""

    status: str


Entry: TypeAlias = (
    Start
    | Parameters
    | Configuration
    | Script
    | Scalar
    | SingleValue
    | Table
    | ConfusionMatrix
    | Image
    | Artifact
    | Text
    | End
)

_KINDS: dict[str, type[Entry]] = {
    "start": Start,
    "parameters": Parameters,
    "configuration": Configuration,
    "script": Script,
    "scalar": Scalar,
    "single_value": SingleValue,
    "table": Table,
    "confusion_matrix": ConfusionMatrix,
    "image": Image,
    "artifact": Artifact,
    "text": Text,
    "end": End,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_FIELDS = {kind: tuple(item.name for item in fields(kind)) for kind in _NAMES}


def to_line(entry: Entry) -> bytes:
    """An entry as one line of JSON in UTF-8, its newline included; what looks secret is masked.

    Returns:
        The line; empty for a number that is NaN or infinite, which a curve cannot show.
    """
    kind = type(entry)
    values = {name: getattr(entry, name) for name in _FIELDS[kind]}
    if isinstance(entry, Scalar | SingleValue):
        if not math.isfinite(entry.value):
            return b""
        content = {"kind": _NAMES[kind], **to_plain(values)}
    else:
        content = {"kind": _NAMES[kind], **_without_secrets(to_plain(values))}
    # A path that is not UTF-8 arrives with lone surrogates, which no reader would take.
    return (json.dumps(content, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def _without_secrets(value: JSON) -> JSON:
    """Plain values with every text masked, and the values of keys such as `password`."""
    if isinstance(value, str):
        return without_credentials(value)
    if isinstance(value, dict):
        return {
            key: "***" if item and is_secret_name(key) else _without_secrets(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_without_secrets(item) for item in value]
    return value


def from_line(line: bytes) -> Entry:
    """The entry that a line holds.

    Args:
        line: One line of a journal, with or without its newline.

    Raises:
        ValueError: The line is no entry; the message says why.
    """
    try:
        content = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError("not JSON") from error
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    kind = _KINDS.get(str(content.pop("kind", None)))
    if kind is None:
        raise ValueError("its `kind` is not one of " + ", ".join(_KINDS))
    wrong = sorted(set(content) ^ set(_FIELDS[kind]))
    if wrong:
        raise ValueError(f"wrong keys for {_NAMES[kind]}: {', '.join(wrong)}")
    values = {}
    for item in fields(kind):
        try:
            values[item.name] = _CHECKS[str(item.type)](content[item.name])
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"`{item.name}` is not {item.type}") from error
    entry = kind(**values)
    for fault in _faults(entry):
        raise ValueError(fault)
    return entry


def _faults(entry: Entry) -> Iterator[str]:
    """What a type alone does not say."""
    if isinstance(entry, Start) and entry.task_type not in TASK_TYPES:
        yield f"`task_type` is not one of {', '.join(TASK_TYPES)}"
    if isinstance(entry, End) and entry.status not in STATUSES:
        yield f"`status` is not one of {', '.join(STATUSES)}"
    if isinstance(entry, Image | Artifact):
        # A file of elsewhere would leave the machine with the upload.
        path = PurePosixPath(entry.file)
        unsafe = path.is_absolute() or ".." in path.parts or not path.parts
        if unsafe or any(character in entry.file for character in "\\:\0"):
            yield "`file` is not a path inside the run's folder"
    for name in _folder_names(entry):
        if {".", ".."} & set(name.replace("\\", "/").split("/")):
            yield f"{name!r} cannot be the name of a folder"
    if isinstance(entry, Table) and any(len(row) != len(entry.columns) for row in entry.rows):
        yield "the rows are not as long as `columns`"
    if isinstance(entry, ConfusionMatrix):
        size = len(entry.classes)
        if len(entry.matrix) != size or any(len(row) != size for row in entry.matrix):
            yield "`matrix` does not have a row and a column for each class"


def _folder_names(entry: Entry) -> tuple[str, ...]:
    """The names of which the SDK makes folders of a session."""
    if isinstance(entry, Start):
        return entry.project, entry.name
    if isinstance(entry, Image):
        return entry.title, entry.series
    return (entry.name,) if isinstance(entry, Artifact) else ()


def _text(value: JSON) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _number(value: JSON) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    if not math.isfinite(value):
        raise ValueError
    return float(value)


def _whole(value: JSON) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _list(value: JSON) -> list[JSON]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _dict(value: JSON) -> dict[str, JSON]:
    if not isinstance(value, dict):
        raise TypeError
    return value


def _cell(value: JSON) -> float:
    """A matrix's value; None, which NaN was written as, is NaN again."""
    return math.nan if value is None else _number(value)


#: How a field is read, by its annotation.
_CHECKS: dict[str, Callable[[JSON], Any]] = {
    "str": _text,
    "float": _number,
    "int": _whole,
    "tuple[str, ...]": lambda value: tuple(_text(item) for item in _list(value)),
    "tuple[tuple[JSON, ...], ...]": lambda value: tuple(tuple(_list(r)) for r in _list(value)),
    "tuple[tuple[float, ...], ...]": lambda value: tuple(
        tuple(_cell(cell) for cell in _list(row)) for row in _list(value)
    ),
    "dict[str, JSON]": _dict,
    "dict[str, str]": lambda value: {k: _text(v) for k, v in _dict(value).items()},
}
