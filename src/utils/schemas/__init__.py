"""The shapes of the files a test writes, as JSON Schema, and the check against them.

`test_metrics` and `provenance` are described key by key in the `*.schema.json` beside this file,
and in words in `experiments/README.md`.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from seglab.utils.errors import UserError

_FOLDER = Path(__file__).parent
_LONGEST_FAULT = 200  # characters: a message repeats the value it is about


def validate(name: str, data: Any, path: str | Path) -> None:
    """Check what was read from a JSON file.

    Args:
        name: `"test_metrics"` or `"provenance"`.
        data: The file's content.
        path: The file, for the message.

    Raises:
        UserError: It does not have the shape; names the file and every fault.
    """
    faults = sorted(
        f"{error.json_path.removeprefix('$').lstrip('.') or 'the file'}: {_short(error.message)}"
        for error in _validator(name).iter_errors(data)
    )
    if faults:
        count = f"{len(faults)} fault{'' if len(faults) == 1 else 's'}"
        raise UserError(
            f"{path} is not what seglab writes ({count}):\n    " + "\n    ".join(faults),
            "restore it, or run `seglab test` again: it may be damaged or of another version",
        )


@cache
def _validator(name: str) -> Any:
    from jsonschema import Draft202012Validator  # takes a moment: only those who read files wait

    schema = json.loads((_FOLDER / f"{name}.schema.json").read_text(encoding="utf-8"))
    return Draft202012Validator(schema)


def _short(message: str) -> str:
    if len(message) <= _LONGEST_FAULT:
        return message
    # The end says what was expected; the middle repeats the value.
    return f"{message[: _LONGEST_FAULT // 2]} ... {message[-_LONGEST_FAULT // 2 :]}"
