"""One HTML file from the report's Markdown: pictures and style inside, no script, no network."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from itertools import pairwise
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from seglab.analysis.report.markdown import slug

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
{body}</main>
</body>
</html>
"""
#: The page needs nothing but its own style and pictures; the browser is told to allow no more.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def render_page(markdown: str, title: str, pictures: Mapping[str, bytes]) -> str:
    """The report as one HTML page.

    Args:
        markdown: The report. Raw HTML in it is shown as text.
        title: The page's title.
        pictures: PNG files by the relative path that the Markdown names them by.

    Returns:
        The page; a picture is a data URI, a heading has the anchor that GitHub would give it, a
        table scrolls by itself where the screen is narrow.

    Raises:
        KeyError: The Markdown names a picture that is not given.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    _anchor_headings(tokens)
    _lift_figures(tokens)
    parser.add_render_rule("image", _image_rule(pictures))
    parser.add_render_rule("table_open", lambda *_: '<div class="table"><table>\n')
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    body = parser.renderer.render(tokens, parser.options, {})
    style = files("seglab.analysis.report").joinpath("report.css").read_text(encoding="utf-8")
    return _PAGE.format(title=html.escape(title), style=style, body=body, policy=_POLICY)


def _anchor_headings(tokens: Sequence[Token]) -> None:
    """Give each heading the id that GitHub derives from its text."""
    taken: dict[str, int] = {}
    for opening, content in pairwise(tokens):
        if opening.type == "heading_open":
            children = content.children or []
            name = slug("".join(child.content for child in children))
            taken[name] = taken.get(name, -1) + 1
            opening.attrSet("id", f"{name}-{taken[name]}" if taken[name] else name)


def _lift_figures(tokens: Sequence[Token]) -> None:
    """A paragraph that is one picture loses its <p>: a figure is no part of a paragraph."""
    for before, content, after in zip(tokens, tokens[1:], tokens[2:], strict=False):
        children = content.children or []
        if len(children) == 1 and children[0].type == "image":
            before.hidden = after.hidden = True


def _image_rule(pictures: Mapping[str, bytes]) -> Any:
    """How a picture is written: its bytes, and its caption below it."""

    def render(_renderer: object, tokens: Sequence[Token], index: int, *_: object) -> str:
        token = tokens[index]
        source = str(token.attrGet("src"))
        caption = "".join(child.content for child in token.children or [])
        data = pictures[source]
        size = _png_size(data)
        return (
            f'<figure><img src="data:image/png;base64,{base64.b64encode(data).decode()}" '
            f'width="{size[0]}" height="{size[1]}" alt="{html.escape(caption)}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>\n"
        )

    return render


def _png_size(data: bytes) -> tuple[int, int]:
    """Width and height of a PNG in pixels, from its header (PNG specification, 11.2.2)."""
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def plain_text(markdown: str) -> str:
    """What a line of Markdown reads as, without its marks: for titles."""
    tokens = MarkdownIt("commonmark", {"html": False}).parseInline(markdown)
    children = tokens[0].children or []
    return re.sub(r"\s+", " ", "".join(child.content for child in children)).strip()
