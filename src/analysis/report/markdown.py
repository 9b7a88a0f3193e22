"""Markdown as the report uses it: text that stays text, tables, figures, headings with anchors.

Everything that comes from a run (names of classes, sample ids, hypotheses, commands) goes through
`escape` or `code_block`, so that it can only ever be read as text: the HTML page is made from this
Markdown with raw HTML switched off, and has nothing else to trust.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

#: Characters that Markdown (CommonMark and GitHub's tables) gives a meaning to inside a line; an
#: underscore inside a word has none.
_SPECIAL = re.compile(r"[\\`*\[\]#|~$]|(?<![^\W_])_|_(?![^\W_])")
_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
#: What makes a line a list, a heading or a rule when it stands at the line's start.
_LINE_START = re.compile(r"^(\d*)([-+=.)])(?=[\s=-]|$)")
_LIMIT = 2000


class Prose(str):
    """A piece of Markdown that is already safe: what is put together from escaped parts."""

    __slots__ = ()


def escape(text: object, limit: int = _LIMIT, line_start: bool = True) -> Prose:
    """Text as Markdown that shows exactly that text, on one line.

    Args:
        text: Any text; a `Prose` is returned as it is.
        limit: Longer text is cut in its middle.
        line_start: Whether it may come to stand where a list could begin.

    Returns:
        Markdown without line breaks; control characters and characters that turn the direction
        of reading are shown by their number.
    """
    if isinstance(text, Prose):
        return text
    shown = " ".join(str(text).split())
    if len(shown) > limit:
        shown = f"{shown[: limit // 2]} ... {shown[-limit // 2 :]}"
    shown = "".join(map(_visible, shown)).translate(_ENTITIES)
    shown = _SPECIAL.sub(r"\\\g<0>", shown).replace("://", r":\/\/").replace("@", "&#64;")
    return Prose(_LINE_START.sub(r"\1\\\2", shown) if line_start else shown)


def say(template: str, **values: object) -> Prose:
    """A sentence of ours with values of the runs in it.

    Args:
        template: Markdown with `{name}` for each value.
        values: Shown as text, each escaped; a `Prose` keeps its Markdown.
    """
    return Prose(template.format(**{name: escape(value) for name, value in values.items()}))


def sentences(parts: Iterable[str]) -> Prose:
    """Sentences of `say` one after the other."""
    return Prose(" ".join(part for part in parts if part))


def bold(text: object) -> Prose:
    """Strong text."""
    return Prose(f"**{escape(text)}**")


def heading(level: int, text: object) -> str:
    """A heading of a level, 1 to 6."""
    return f"{'#' * level} {title(text)}"


def title(text: object) -> Prose:
    """Text as it stands in a heading or a link."""
    return escape(text, limit=160, line_start=False)


def slug(text: str) -> str:
    """The anchor GitHub gives to a heading: lower case, words joined by hyphens."""
    words = re.sub(r"[^\w\- ]", "", text.strip().lower())
    return words.replace(" ", "-")


def bullets(items: Iterable[object]) -> str:
    """An unordered list, one item a line."""
    return "\n".join(f"- {escape(item)}" for item in items)


def numbered(items: Iterable[object]) -> str:
    """An ordered list."""
    return "\n".join(f"{index}. {escape(item)}" for index, item in enumerate(items, start=1))


def table(
    header: Sequence[object],
    rows: Iterable[Sequence[object]],
    text_columns: int = 1,
    text_last: bool = False,
) -> str:
    """A table; the first columns are set left, the others (figures) right.

    Args:
        header: The columns' names.
        rows: Cells; a `Prose` keeps its Markdown, everything else is shown as text.
        text_columns: How many columns are set left.
        text_last: Whether the last column is set left as well.
    """
    rules = [":---" if index < text_columns else "---:" for index in range(len(header))]
    if text_last:
        rules[-1] = ":---"
    lines: list[list[str]] = [[escape(cell) for cell in header], rules]
    lines += [[escape(cell) for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def figure(path: str, caption: object) -> str:
    """A picture with its caption, which is also what a reader without pictures gets.

    Args:
        path: Relative path of the picture, made of `safe_name` parts.
        caption: What it shows.
    """
    return f"![{escape(caption)}]({path})"


def code_block(text: str) -> str:
    """Text shown as it is, in a fence longer than any run of backticks in it."""
    clean = "".join(c if c == "\n" else _visible(c) for c in text.replace("\r\n", "\n"))
    longest = max((len(run) for run in re.findall(r"`+", clean)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{clean}\n{fence}"


def join_words(words: Sequence[object], last: str = "and") -> Prose:
    """'a, b and c', each word escaped."""
    shown = [escape(word) for word in words]
    if len(shown) < 2:
        return Prose("".join(shown))
    return Prose(f"{', '.join(shown[:-1])} {last} {shown[-1]}")


def _visible(character: str) -> str:
    """A character, or its number where it would not be seen or would move others."""
    hidden = unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    return f"U+{ord(character):04X}" if hidden else character
