"""The record a run leaves in its folder."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from seglab.utils.data_hashes import json_sha256
from seglab.utils.errors import UserError
from seglab.utils.io_utils import write_json, write_text
from seglab.utils.result_files import CONFIG_FILE, CONFIG_JSON, RUN_FILE
from seglab.utils.run_files import RESTORE, finite, read_object

#: What the parts of a record are that are read again.
_KINDS = {
    "seed": int,
    "monitor": str,
    "pretrained_backbone": str,
    "status": str,
    "sessions": list,
    "data": dict,
}


def read_record(work_dir: Path) -> dict[str, Any]:
    """A run's `run.json`; empty if it has none.

    Raises:
        UserError: It is damaged.
    """
    path = work_dir / RUN_FILE
    record = read_object(path) if path.is_file() else {}
    wrong = [key for key, kind in _KINDS.items() if not isinstance(record.get(key), kind | None)]
    if not wrong:
        parts = [*(record.get("sessions") or ()), *(record.get("data") or {}).values()]
        wrong = [] if all(isinstance(part, dict) for part in parts) else ["sessions or data"]
    if wrong:
        raise UserError(f"{path} is damaged: {', '.join(wrong)}", RESTORE)
    return record


class RunRecord:
    """Writes `config.py`, `config.json` and `run.json` of a run.

    The facts of the first session stay at the top; every session (the first, and each resumed
    one) adds an entry to `sessions`.

    Args:
        work_dir: The run's folder.
        facts: What is known when the run starts.
        session: What differs between the sessions of one run, such as the command.
    """

    def __init__(
        self, work_dir: Path, facts: Mapping[str, Any], session: Mapping[str, Any]
    ) -> None:
        self.work_dir = work_dir
        self._content: dict[str, Any] = {"schema": 1, **facts, "sessions": []}
        self._session = dict(session)
        self._started: float | None = None

    def begin(self, config: Config, built: Mapping[str, Any]) -> None:
        """Write the record, once nothing can refuse the run any more.

        A run that cannot be resumed as asked must leave the record of what it was as it is.

        Args:
            config: The resolved config.
            built: Facts that are known only now; `data` holds the hashes of its splits.

        Raises:
            UserError: The run began on other data than it would go on with.
        """
        earlier = read_record(self.work_dir)
        for split, hashes in (earlier.get("data") or {}).items():
            if hashes != built.get("data", {}).get(split, hashes):
                raise UserError(
                    f"the {split} images or labels are not those the run in {self.work_dir} "
                    "began with",
                    "restore them (check --data-root), or start a new run",
                )
        self._session["changes"] = _changes(
            earlier.get("environment", {}), self._content.get("environment", {})
        )
        self._content = {**self._content, **built, **earlier}
        self._content["sessions"] = [*(self._content["sessions"] or ()), self._session]
        self._content["config_sha256"] = json_sha256(config.to_dict())  # of the one stored now
        self._started = time.perf_counter()
        self._session["began"] = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        write_text(self.work_dir / CONFIG_FILE, config.pretty_text)
        write_json(self.work_dir / CONFIG_JSON, config.to_dict())
        self._write("running")

    @property
    def changes(self) -> tuple[str, ...]:
        """What differs between the environment the run began in and that of this session."""
        return tuple(self._session.get("changes", ()))

    def end(self, status: str, epochs: int, best: Mapping[str, Any]) -> None:
        """Complete the record; does nothing for a run that never began."""
        if self._started is None:
            return
        self._session["seconds"] = time.perf_counter() - self._started
        sessions = self._content["sessions"]
        seconds = sum(finite(session.get("seconds")) or 0.0 for session in sessions)
        self._content |= {"epochs": epochs, "best": dict(best), "seconds": seconds}
        self._write(status)

    def _write(self, status: str) -> None:
        self._session["status"] = self._content["status"] = status
        write_json(self.work_dir / RUN_FILE, self._content)


def _changes(earlier: Mapping[str, Any], now: Mapping[str, Any], where: str = "") -> list[str]:
    found: list[str] = []
    for key in sorted(earlier.keys() & now.keys()):
        old, new = earlier[key], now[key]
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += _changes(old, new, f"{where}{key}.")
        elif old != new:
            found.append(f"{where}{key}: {old} -> {new}")
    return found
