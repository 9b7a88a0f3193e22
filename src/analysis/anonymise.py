"""Take what names a machine or a person out of texts that are to be published.

Absolute paths become relative to the project, or `DATA_ROOT/...`, or the file's name alone; names
of users and of the host become `USER` and `HOST`.
"""

from __future__ import annotations

import ast
import getpass
import io
import re
import socket
import tokenize
from collections.abc import Iterable
from pathlib import PurePath, PurePosixPath, PureWindowsPath
from typing import Any

from seglab.utils.paths import PROJECT_ROOT

DATA_ROOT = "DATA_ROOT"
#: The part of a text that is an absolute path, of Linux, macOS or Windows. `https://` and
#: `open-mmlab://` are none, nor are `and/or` and `../data`.
_ABSOLUTE = re.compile(
    r"(?<![\w./~\\-])"  # a path does not begin in the middle of one
    r"(?!(?<=:)//)"  # what follows `https:`
    r"(?:/(?=[^\s/])|[A-Za-z]:[\\/]|\\\\)"
    r"[^\s'\"`,;:=<>|()\[\]{}]+"
)
_HOME = re.compile(r"(?:/home|/Users|[A-Za-z]:\\Users)[/\\]([^/\\\s'\"]+)")
#: Names that say nothing about a person or a machine, and stand in many texts.
_COMMON = frozenset({"root", "user", "admin", "nobody", "runner", "ubuntu", "localhost", "shared"})


class Anonymiser:
    """Cleans texts.

    Args:
        data_roots: Folders of data; paths below them become `DATA_ROOT/...`.
        texts: What is to be published; users whose home folders it names are found in it.
        keep: Words that stay whoever bears them as a name: classes, splits.
    """

    def __init__(
        self,
        data_roots: Iterable[str] = (),
        texts: Iterable[str] = (),
        keep: Iterable[str] = (),
    ) -> None:
        self._places: list[tuple[PurePath, str]] = [(PROJECT_ROOT, "")]
        self._places += [(_pure(root), DATA_ROOT) for root in data_roots if is_absolute(root)]
        people = {name for text in texts for name in _HOME.findall(text)} | {_user()}
        kept = _COMMON | set(keep)
        self._users = sorted(name for name in people if len(name) > 2 and name not in kept)
        host = socket.gethostname()
        # A name may be an ordinary word: a user's counts only as a part of a path or an address.
        self._names = [
            (re.compile(rf"(?<=[/\\~]){name}(?![\w-])|(?<![\w-]){name}(?=[/\\@])"), "USER")
            for name in map(re.escape, self._users)
        ]
        if len(host) > 2 and host not in kept:
            self._names.append((re.compile(rf"(?<![\w-]){re.escape(host)}(?![\w-])"), "HOST"))

    def text(self, text: str) -> str:
        """A text without absolute paths and names."""
        while (cleaned := self._without_paths(text)) != text:
            text = cleaned  # what is left of one path may begin like another
        for pattern, shown in self._names:
            text = pattern.sub(shown, text)
        return text

    def _without_paths(self, text: str) -> str:
        text = text.replace("file://", "")
        if is_absolute(text):  # all of it: a path may hold spaces
            return self._path(text)
        return _ABSOLUTE.sub(lambda match: self._path(match.group()), text)

    def _path(self, text: str) -> str:
        path = _pure(text)
        for place, shown in self._places:
            if path.is_relative_to(place):
                return str(PurePosixPath(shown, *path.relative_to(place).parts))
        return "USER" if path.name in self._users else path.name

    def data(self, value: Any) -> Any:
        """What JSON holds, with every text in it cleaned."""
        if isinstance(value, dict):
            return {self.text(str(key)): self.data(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.data(item) for item in value]
        return self.text(value) if isinstance(value, str) else value

    def python(self, source: str) -> str:
        """Python source with its strings and comments cleaned; it is read, never run.

        Raises:
            SyntaxError: It is not Python.
        """
        lines = source.splitlines(keepends=True)
        tokens = tokenize.generate_tokens(io.StringIO(source).readline)
        try:
            found = [t for t in tokens if t.type in (tokenize.STRING, tokenize.COMMENT)]
        except tokenize.TokenError as error:
            raise SyntaxError(str(error)) from error
        for token in reversed(found):  # from the end, so that earlier positions hold
            (row, start), (end_row, end) = token.start, token.end
            head, tail = lines[row - 1][:start], lines[end_row - 1][end:]
            lines[row - 1 : end_row] = [head + self._token(token) + tail]
        return "".join(lines)

    def _token(self, token: tokenize.TokenInfo) -> str:
        if token.type == tokenize.COMMENT:
            return self.text(token.string)
        value = ast.literal_eval(token.string)
        cleaned = self.text(value) if isinstance(value, str) else value
        return token.string if cleaned == value else repr(cleaned)


def is_absolute(text: str) -> bool:
    """Whether a whole text is one absolute path, spaces and all."""
    if "\n" in text or re.search(r"\s[-/]", text):  # several, or a command line
        return False
    return bool(_ABSOLUTE.match(text)) and len(text) > 1


def has_absolute_path(text: str) -> bool:
    """Whether an absolute path stands anywhere in a text."""
    return "file:///" in text or bool(_ABSOLUTE.search(text))


def _pure(text: str) -> PurePath:
    windows = re.match(r"[A-Za-z]:[\\/]|\\\\", text)
    return PureWindowsPath(text) if windows else PurePosixPath(text)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a user id without a name, as in containers
        return ""
