"""Errors that are the user's to mend: one clear message, no traceback.

The tools print a `UserError` as one message and exit non-zero (`seglab.utils.script.run_tool`);
every other exception is a defect of ours and keeps its traceback.
"""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend: a path, a value, a file.

    Args:
        message: What is wrong, naming the file or the key.
        fix: What to do about it, in the imperative.
        exit_code: Exit code of the process. 2 means wrong input.
    """

    def __init__(self, message: str, fix: str = "", exit_code: int = 2) -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix
        self.exit_code = exit_code

    def __str__(self) -> str:
        """The message, with the fix on a line of its own."""
        return f"{self.message}\n  fix: {self.fix}" if self.fix else self.message
