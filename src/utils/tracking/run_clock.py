"""When the steps of a finished run happened.

`history.jsonl` and mmengine's scalars hold no times. Known are the lines of mmengine's log, to the
second, and of every session when it began and how long it took; times between are interpolated.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone, tzinfo
from pathlib import Path
from typing import Any, NamedTuple

from seglab.utils.run_files import STAMP, dig, session_began

_LINE = re.compile(rb"(\d{4}/\d\d/\d\d \d\d:\d\d:\d\d) - \w+ - INFO - (?:Epoch|Iter)\(train\)")


class Anchor(NamedTuple):
    """A time that is known."""

    iteration: float
    time: float


class RunClock:
    """Tells when a step happened.

    Args:
        anchors: In the order in which they happened; where a resumed run repeats steps that a
            kill had lost, the later ones hold.
        default: The time of everything where no anchor is known.
    """

    def __init__(self, anchors: Sequence[Anchor], default: float = 0.0) -> None:
        self._anchors: list[Anchor] = []
        for anchor in anchors:
            while self._anchors and self._anchors[-1].iteration >= anchor.iteration:
                self._anchors.pop()
            self._anchors.append(anchor)
        self._default = default

    def at(self, iteration: float) -> float:
        """Seconds since 1970; before the first known time that one, after the last the last."""
        if not self._anchors:
            return self._default
        index = bisect_left(self._anchors, (iteration,))
        if index == len(self._anchors):
            return self._anchors[-1].time
        after = self._anchors[index]
        if index == 0:
            return after.time
        before = self._anchors[index - 1]
        share = (iteration - before.iteration) / (after.iteration - before.iteration)
        return before.time + share * (after.time - before.time)


def run_clock(
    folder: Path, record: Mapping[str, Any], history: Sequence[Mapping[str, Any]]
) -> RunClock:
    """The clock of a run.

    Args:
        folder: The run's folder.
        record: `run.json`.
        history: The records of `history.jsonl`.

    Returns:
        From the log's lines where mmengine's log is there and complete; else each session's
        seconds are spread over the epochs in proportion to theirs, from when it began.
    """
    changed = (folder / "history.jsonl").stat().st_mtime if history else 0.0
    anchors = list(_from_logs(folder, record)) or list(_from_sessions(record, history))
    return RunClock(anchors, changed)


def training_records(session: Path) -> list[dict[str, Any]]:
    """What mmengine's LoggerHook wrote in one session, `STAMP/vis_data/STAMP.json`, in order.

    A line that is torn or no record is left out: a kill leaves one.
    """
    records = []
    for path in sorted((session / "vis_data").glob("[0-9]*.json")):
        for line in path.read_bytes().splitlines():
            try:
                content = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(content, dict) and isinstance(content.get("step"), int):
                records.append(content)
    return records


def session_folders(folder: Path) -> list[Path]:
    """Mmengine's folders of a run's sessions, the oldest first."""
    return sorted(p for p in folder.iterdir() if STAMP.fullmatch(p.name) and p.is_dir())


def _from_logs(folder: Path, record: Mapping[str, Any]) -> Iterator[Anchor]:
    zone = _zone(record)
    for session in session_folders(folder):
        steps = [r["step"] for r in training_records(session) if "iter" in r]
        try:
            times = [_parse(text, zone) for text in _training_lines(session)]
        except ValueError:  # the 99th of a month: damaged
            continue
        if len(times) == len(steps):  # else which line is whose is not known
            yield from map(Anchor, steps, times)


def _training_lines(session: Path) -> Iterator[bytes]:
    """The times of the log's lines about training steps, as they stand there."""
    for path in sorted(session.glob("*.log")):
        yield from _LINE.findall(path.read_bytes())


def _parse(text: bytes, zone: tzinfo) -> float:
    moment = datetime.strptime(text.decode(), "%Y/%m/%d %H:%M:%S")
    return moment.replace(tzinfo=zone).timestamp()


def _sessions(record: Mapping[str, Any]) -> list[Any]:
    sessions = dig(record, "sessions")
    return sessions if isinstance(sessions, list) else []


def _zone(record: Mapping[str, Any]) -> tzinfo:
    """The time zone in which the run was made, so that its log is understood elsewhere."""
    for session in reversed(_sessions(record)):
        try:
            began = datetime.strptime(session["began"], "%Y-%m-%dT%H:%M:%S%z")
            return began.tzinfo or timezone.utc
        except (KeyError, TypeError, ValueError):
            continue
    return timezone.utc


def _from_sessions(
    record: Mapping[str, Any], history: Sequence[Mapping[str, Any]]
) -> Iterator[Anchor]:
    """Walk through the sessions' seconds; how long a killed one took is not known."""
    spent = sum(_seconds(epoch) for epoch in history)
    sessions = [
        (began, _seconds(session))
        for index, session in enumerate(_sessions(record))
        if (began := session_began(record, index)) is not None
    ]
    if not sessions:
        return
    unknown = sum(not length for _, length in sessions)
    left = max(0.0, spent - sum(length for _, length in sessions))
    spans = [(began, length or left / unknown) for began, length in sessions]
    stretch = sum(length for _, length in spans) / spent if spent else 0.0
    yield Anchor(0, spans[0][0])
    passed = 0.0
    for epoch in history:
        passed += stretch * _seconds(epoch)
        if isinstance(epoch.get("iter"), int):
            yield Anchor(epoch["iter"], _wall_clock(spans, passed))


def _wall_clock(spans: Sequence[tuple[float, float]], passed: float) -> float:
    """When so many seconds of training had passed, over all sessions."""
    for began, length in spans[:-1]:
        if passed <= length:
            return began + passed
        passed -= length
    return spans[-1][0] + passed


def _seconds(content: Any) -> float:
    value = dig(content, "seconds")
    return float(value) if isinstance(value, int | float) and 0 < value < 1e9 else 0.0
