"""Errors that are the user's to mend: one clear message, no traceback.

The tools print a `UserError` as one message and exit non-zero (`seglab.utils.script.run_tool`);
every other exception is a defect of ours and keeps its traceback.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

_T = TypeVar("_T")
_SHOWN = 20
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_FIX = "\n  fix: "
_FROM_WORKER = re.compile(
    r"Caught \w+ in DataLoader worker process \d+\.\n.*\n[\w.]*Error: (?P<said>.*?)\s*\Z", re.DOTALL
)


class UserError(Exception):
    """Something the user can mend: a path, a value, a file.

    Args:
        message: What is wrong, naming the file or the key.
        fix: What to do about it, in the imperative.
        exit_code: Exit code of the process. 2 means wrong input.
    """

    def __init__(self, message: str, fix: str = "", exit_code: int = 2) -> None:
        # torch raises what a loading process raised again, with that one's traceback for message.
        if from_worker := _FROM_WORKER.match(message):
            message, _, told = from_worker["said"].partition(_FIX)
            fix = fix or told
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.exit_code = exit_code

    def __str__(self) -> str:
        """The message, with the fix on a line of its own, as a terminal may show it."""
        return visible(f"{self.message}{_FIX}{self.fix}" if self.fix else self.message)


def visible(text: str) -> str:
    """Text in which control characters, but line breaks and tabs, are spelled out.

    A terminal obeys them, wherever they come from: a file's name may clear the screen, or write
    another line over its own. Characters that turn the direction of reading and halves of
    characters, which cannot be printed, are spelled out as well.
    """
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def raise_faults(what: str, faults: Sequence[str], fix: str) -> None:
    """Raise one UserError that lists faults, the first 20 of many; nothing where there is none.

    Args:
        what: What is wrong as a whole, naming the file.
        faults: Each fault, on a line of its own.
        fix: What to do about them.

    Raises:
        UserError: There are faults.
    """
    if faults:
        more = [f"and {len(faults) - _SHOWN} more"] if len(faults) > _SHOWN else []
        lines = "".join(f"\n    {fault}" for fault in [*faults[:_SHOWN], *more])
        raise UserError(f"{what} ({len(faults)} fault{'s' * (len(faults) > 1)}):{lines}", fix)


def tried(read: Callable[[], _T], faults: list[str]) -> _T | None:
    """What a function returns; None, and its message noted, where it raises a UserError.

    Args:
        read: The function.
        faults: Gets the message, for `raise_faults`.
    """
    try:
        return read()
    except UserError as error:
        faults.append(error.message)
        return None
