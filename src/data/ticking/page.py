"""A page of masks with their pictures, a tick box for each, and a list to download.

One file without a network: pictures are inside it, and its script and style are allowed by their
hashes alone. What a person ticks is kept in the browser and downloaded as a list of masks
(`seglab.utils.bad_masks`).
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from PIL import Image

from seglab.utils.bad_masks import PERSON, SCHEMA, BadMask
from seglab.utils.masks import ImageArray, class_colors

_SUGGESTED = 25  # in the field beside "Tick the first"
_PAGE = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<style>{style}</style></head><body>
<h1>{title}</h1>
{introduction}
<noscript><p><strong>Ticking masks needs JavaScript.</strong></p></noscript>
<div id="bar">
<strong id="count" role="status" aria-live="polite">0 of {shown} ticked</strong>
<button type="button" id="download" disabled>Download {file}</button>
<span><button type="button" id="first">Tick the first</button>
<input type="number" id="number" min="1" max="{shown}" value="{suggested}" aria-label="how many">
</span>
<button type="button" id="none">Untick all</button>
</div>
{body}
<script type="application/json" id="masks">{masks}</script>
<script>{script}</script>
</body></html>
"""


@dataclass(frozen=True)
class Entry:
    """A mask on the page.

    Attributes:
        mask: What the downloaded list says of it.
        title: Its heading.
        picture: (h, w, 3) uint8.
        description: Of the picture, for those who cannot see it.
        reasons: In words.
    """

    mask: BadMask
    title: str
    picture: ImageArray
    description: str
    reasons: Sequence[str]


@dataclass(frozen=True)
class Words:
    """What the page is about.

    Attributes:
        title: Its heading.
        introduction: HTML; what comes from data is escaped already, see `legend`.
        tick: What a ticked box means.
        placeholder: What is taken where a person writes no reason.
        file: Name of the downloaded list.
        memory: Begins the key under which the browser keeps the ticks.
    """

    title: str
    introduction: str
    tick: str
    placeholder: str
    file: str
    memory: str


def tick_page(
    words: Words, entries: Sequence[Entry], listed: Sequence[BadMask], classes: int
) -> str:
    """The page as HTML.

    Args:
        words: What it is about.
        entries: The masks on it, in order.
        listed: All masks, also those that are not shown: ticks are kept for this set of files.
        classes: Number of classes, for the colours of the legend.
    """
    style, script = _asset("page.css") + _class_styles(classes), _asset("page.js")
    body = [_section(place, entry, words) for place, entry in enumerate(entries, start=1)]
    return _PAGE.format(
        policy=(
            f"default-src 'none'; img-src data:; style-src {_allowed(style)}; "
            f"script-src {_allowed(script)}; base-uri 'none'; form-action 'none'"
        ),
        style=style,
        script=script,
        title=html.escape(words.title),
        introduction=words.introduction,
        shown=len(entries),
        suggested=max(1, min(_SUGGESTED, len(entries))),
        file=html.escape(words.file),
        body="\n".join(body),
        masks=_data(words, entries, listed),
    )


def legend(classes: Sequence[str]) -> str:
    """The classes in their colours, as HTML; background is left out."""
    return ", ".join(
        f'<span class="class{number}">&#9632;</span> {html.escape(name)}'
        for number, name in enumerate(classes)
        if number
    )


@cache
def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _class_styles(count: int) -> str:
    """A colour for each class: style attributes are not allowed on the page."""
    colors = class_colors(count)
    return "".join(
        f".class{number} {{ color: rgb({red}, {green}, {blue}); }}\n"
        for number, (red, green, blue) in enumerate(colors.tolist())
    )


def _allowed(text: str) -> str:
    """The source expression that allows exactly this text (Content Security Policy 3, 2.3.1)."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _data(words: Words, entries: Sequence[Entry], listed: Sequence[BadMask]) -> str:
    """What the script knows of the masks, as JSON that cannot end its element.

    `key` names the listed files: ticks are those of this set of masks, in any order.
    """
    lines = sorted(f"{mask.path} {mask.sha256}" for mask in listed)
    content = {
        "key": words.memory + hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        "file": words.file,
        "schema": SCHEMA,
        "masks": [{**asdict(entry.mask), "tagged_by": PERSON} for entry in entries],
    }
    return json.dumps(content, ensure_ascii=True).replace("<", "\\u003c")


def _section(place: int, entry: Entry, words: Words) -> str:
    reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in entry.reasons)
    return (
        f'<section id="mask{place}"><h2>{place}. {html.escape(entry.title)}</h2>'
        f'<p><label><input type="checkbox" aria-describedby="why{place}"> '
        f"{html.escape(words.tick)}</label> "
        f'<label>why <input type="text" maxlength="500" '
        f'placeholder="{html.escape(words.placeholder)}"></label></p>'
        f'<img alt="{html.escape(entry.description)}" src="{_jpeg_uri(entry.picture)}">'
        f'<ul id="why{place}">{reasons or "<li>no single reason stands out</li>"}</ul></section>'
    )


def _jpeg_uri(picture: ImageArray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
