"""What of a session is on a server already: `upload.json`, written after every acknowledgement."""

from __future__ import annotations

import json
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from seglab.utils.errors import UserError
from seglab.utils.io_utils import read_json, write_text

UPLOAD_FILE = "upload.json"

_SCHEMA = 1


@dataclass
class Cursor:
    """How far the events of one file were sent.

    Attributes:
        sent: How many are acknowledged.
        digest: Of those, so that a session that was written anew can be told from this one.
        last: The newest timestamp among them, in milliseconds.
        sending: Whether a batch was under way, of which nobody knows whether it arrived.
    """

    sent: int = 0
    digest: str = ""
    last: int = 0
    sending: bool = False


@dataclass
class UploadState:
    """The state of one upload.

    Attributes:
        path: Where it is kept.
        server: The address of the server's API.
        task: The task's id there; empty before it is made.
        project: The project's id there.
        marker: What the task's description holds, so that it is found again when the connection
            breaks between its making and the note of it.
        adopted: Whether the task was there before: an agent of ClearML runs it.
        url: The task's page.
        fields: A digest of what was sent of `task.json`.
        artifacts: Artifact -> [digest, link] of those that are there.
        cursors: File of events -> how far it was sent.
        status: The status that the task was given last.
    """

    path: Path
    server: str = ""
    task: str = ""
    project: str = ""
    marker: str = field(default_factory=lambda: uuid.uuid4().hex[:16])
    adopted: bool = False
    url: str = ""
    fields: str = ""
    artifacts: dict[str, list[str]] = field(default_factory=dict)
    cursors: dict[str, Cursor] = field(default_factory=dict)
    status: str = ""

    @classmethod
    def load(cls, path: Path) -> UploadState:
        """Read it; a new one where there is no file.

        Raises:
            UserError: The file is damaged.
        """
        if not path.exists():
            return cls(path)
        content = read_json(path)
        try:
            if content.pop("schema") != _SCHEMA:
                raise ValueError("another version wrote it")
            cursors = {key: Cursor(**value) for key, value in content.pop("cursors").items()}
            state = cls(path, cursors=cursors, **content)
            _require_kinds(state, cls(path))
            for cursor in cursors.values():
                _require_kinds(cursor, Cursor())
            if not all(map(_is_digest_and_link, state.artifacts.values())):
                raise ValueError("artifacts")
            return state
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            fix = "start a new task with --anew"
            raise UserError(f"{path} is not what seglab writes: {error}", fix) from error

    def save(self) -> None:
        """Write it atomically.

        Raises:
            UserError: The folder cannot be written.
        """
        content: dict[str, Any] = {"schema": _SCHEMA, **asdict(self)}
        del content["path"]
        try:
            write_text(self.path, json.dumps(content, indent=1) + "\n")
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be written ({error.strerror}): what is on the server could "
                "not be remembered",
                "copy the session into a folder that you may write, and give it from there",
            ) from error


def _require_kinds(found: UploadState | Cursor, usual: UploadState | Cursor) -> None:
    """Make sure that each field is of its type."""
    for key, value in vars(usual).items():
        if type(getattr(found, key)) is not type(value):
            raise TypeError(f"{key} is no {type(value).__name__}")


def _is_digest_and_link(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(v, str) for v in value)
