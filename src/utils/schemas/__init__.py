"""The shapes of files that seglab writes and reads again, as JSON Schema, and the check.

`test_metrics`, `provenance` and `lab_scores` (what a test writes, in words in
`experiments/README.md`), `audit` and `bad_masks` are described key by key in the `*.schema.json`
beside this file.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from seglab.utils.errors import raise_faults

_FOLDER = Path(__file__).parent
_LONGEST_FAULT = 200  # characters: a message repeats the value it is about
_TEST_AGAIN = "restore it, or run `seglab test` again: it may be damaged or of another version"


def validate(name: str, data: Any, path: str | Path, fix: str = _TEST_AGAIN) -> None:
    """Check what was read from a JSON file.

    Args:
        name: The schema: `"test_metrics"`, `"provenance"`, `"lab_scores"`, `"audit"` or
            `"bad_masks"`.
        data: The file's content.
        path: The file, for the message.
        fix: What to do about a file that is damaged.

    Raises:
        UserError: It does not have the shape; names the file and every fault (the first
            20 of many).
    """
    faults = sorted(
        f"{error.json_path.removeprefix('$').lstrip('.') or 'the file'}: {_short(error.message)}"
        for error in _validator(name).iter_errors(data)
    )
    raise_faults(f"{path} is not what seglab writes", faults, fix)


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
