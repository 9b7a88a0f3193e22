"""What a run's folder says about itself, for everybody who reads one.

`seglab.analysis.run_folder` reads whole tested runs and refuses damaged ones; here are the parts
that tracking and the overview of runs need too. Files are read as data, never executed.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from seglab.utils.errors import UserError
from seglab.utils.hypothesis import Hypothesis, parse_hypothesis
from seglab.utils.io_utils import read_json
from seglab.utils.result_files import (
    CONFIG_JSON,
    HISTORY_FILE,
    LAST_CHECKPOINT,
    RUN_FILE,
)

RESTORE = "restore the file, or train again"
#: The figure that chooses the best checkpoint where a run does not say.
DEFAULT_MONITOR = "val/mDice"
#: mmengine's name of the folder of one session's log, such as 20260102_030405.
STAMP = re.compile(r"\d{8}_\d{6}")

_STAMP_FORMAT = "%Y%m%d_%H%M%S"
_QUIET_EPOCHS, _QUIET_SECONDS = 5.0, 900.0


def dig(content: Any, *keys: str) -> Any:
    """A value in nested dicts; None where there is no such key, or no dict."""
    for key in keys:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def finite(value: Any) -> float | None:
    """A number as a float; None for what is none, and for what no float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file of a run.

    Raises:
        UserError: The file is missing, is not JSON, holds no object, or half a character, which
            no file can be made to hold again.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no JSON object", RESTORE)
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError) as error:
        raise UserError(f"{path} cannot be written again: {error}", RESTORE) from error
    return content


def load_history(folder: Path) -> list[dict[str, Any]]:
    """The epochs of `history.jsonl`, without figures that were not a number.

    Raises:
        UserError: The file is missing or damaged; names the line.
    """
    return [
        {key: item for key, item in record.items() if item is not None}
        for record in stored_history(folder)
    ]


def stored_history(folder: Path) -> list[dict[str, Any]]:
    """The epochs of `history.jsonl` as they are stored: None where a figure was not a number.

    Raises:
        UserError: The file is missing or damaged; names the line.
    """
    path = folder / HISTORY_FILE
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}", RESTORE) from error
    records: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append({**json.loads(line)})
        except (ValueError, TypeError, RecursionError) as error:
            raise UserError(f"{path}, line {number}: not a JSON object", RESTORE) from error
    return records


def run_seed(config: Mapping[str, Any], record: Mapping[str, Any]) -> int | None:
    """The seed a run was trained with, from its record or else its config."""
    seed = record.get("seed")
    if seed is None:
        seed = dig(config, "randomness", "seed")
    return int(seed) if isinstance(seed, int) else None


def run_hypothesis(
    config: Mapping[str, Any], record: Mapping[str, Any], folder: Path
) -> Hypothesis:
    """The hypothesis of a run; one that states none has its config's name as id, and no parent.

    Raises:
        UserError: What the config states is not a hypothesis.
    """
    stated = config.get("hypothesis")
    if stated:
        return parse_hypothesis(stated, folder / CONFIG_JSON)
    name = config.get("hypothesis_name") or record.get("hypothesis") or folder.name
    return Hypothesis(str(name))


def run_monitor(config: Mapping[str, Any], record: Mapping[str, Any]) -> str:
    """The figure that chooses a run's best checkpoint, such as `val/mDice`."""
    named = record.get("monitor") or dig(config, "default_hooks", "checkpoint", "save_best")
    if isinstance(named, list):
        named = named[0] if named else None
    return named if isinstance(named, str) and named else DEFAULT_MONITOR


def counts_epochs(config: Mapping[str, Any]) -> bool:
    """Whether a run is measured in epochs, not in iterations; so unless its config says not."""
    loop = config.get("train_cfg")
    kind = str(dig(loop, "type")).rpartition(".")[2]
    return kind != "IterBasedTrainLoop" and dig(loop, "by_epoch") is not False


def best_checkpoint_file(folder: Path, monitor: str) -> Path | None:
    """The weights that a run keeps as its best by a figure; None if there is none.

    A run that was moved and resumed may keep an older one beside it: the later epoch is better.

    Args:
        folder: The run's folder.
        monitor: The figure as the validation logs it, such as `val/Dice/dog`.
    """
    stem = re.escape(f"best_{monitor}_".replace("/", "_"))
    numbers = {}
    for path in folder.glob("best_*"):  # earlier versions wrote .pth
        if match := re.fullmatch(stem + r"(?:epoch|iter)_(\d+)\.(?:pth|safetensors)", path.name):
            numbers[path] = int(match[1])
    return max(numbers, key=lambda path: numbers[path]) if numbers else None


def session_began(record: Mapping[str, Any], index: int = -1) -> float | None:
    """When a session of a run began, in seconds since 1970; None if the record does not say.

    Args:
        record: `run.json`.
        index: Which session; the last one by default.
    """
    try:
        text = record["sessions"][index]["began"]
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp()
    except (KeyError, IndexError, TypeError, ValueError, OverflowError):
        return None


def run_stamp(folder: Path, record: Mapping[str, Any]) -> str:
    """What tells a run from others of its hypothesis: when it began, as its folder is named.

    A folder of another name (`--work-dir`) gives the stamp of its first session instead, or its
    own name where the record does not say.
    """
    if STAMP.match(folder.name):
        return folder.name
    began = session_began(record, 0)
    if began is None:
        return folder.name
    return time.strftime(_STAMP_FORMAT, time.localtime(began))


def last_sign(folder: Path) -> float:
    """When a training last wrote into its folder, in seconds since 1970; 0 if it never did."""
    return max((_changed(path) for path in _written_while_training(folder)), default=0.0)


def is_silent(folder: Path, history: list[dict[str, Any]], now: float | None = None) -> bool:
    """Whether a run that calls itself running has written nothing for so long that it is dead.

    A record cannot say that its process was killed. A living one writes at least once an epoch:
    five times its longest epoch, and never less than 15 minutes, are waited for.

    Args:
        folder: The run's folder.
        history: Its records, see `load_history`.
        now: Seconds since 1970; None for the present.
    """
    longest = max((finite(record.get("seconds")) or 0.0 for record in history), default=0.0)
    quiet = (time.time() if now is None else now) - last_sign(folder)
    return quiet > max(_QUIET_SECONDS, _QUIET_EPOCHS * longest)


def _written_while_training(folder: Path) -> Iterator[Path]:
    yield from (folder / name for name in (RUN_FILE, HISTORY_FILE, LAST_CHECKPOINT))
    for session in _folders(folder):
        if STAMP.match(session.name):
            yield from session.glob("*.log")


def _folders(folder: Path) -> list[Path]:
    try:
        return [path for path in folder.iterdir() if path.is_dir()]
    except OSError:
        return []


def _changed(path: Path) -> float:
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0
