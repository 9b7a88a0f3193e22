"""`audit.html`: the worst masks with their pictures, and tick boxes for a person's judgement.

One file without a network: pictures are inside it, and its script and style are allowed by their
hashes alone. What a person ticks is kept in the browser and downloaded as a list of bad masks
(`seglab.utils.bad_masks`).
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from seglab.data.auditing.job import AuditResult
from seglab.data.auditing.ranking import Verdict
from seglab.data.exploration.measure import to_rgb
from seglab.data.preflight.decode import decode_pixels, read_mask
from seglab.utils.bad_masks import BAD_MASKS_FILE, PERSON, SCHEMA, BadMask
from seglab.utils.errors import UserError
from seglab.utils.masks import ImageArray, class_colors, overlay_mask

_OUTLINE = (213, 94, 0)
_TINY = 8  # pixels
_WIDEST = 800  # pixels of a picture's longer side; larger ones are shrunk to it
_SUGGESTED = 25  # in the field beside "Tick the first"
_PAGE = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>Mask audit</title>
<style>{style}</style></head><body>
<h1>Mask audit</h1>
<p>{count} masks, the most suspicious {shown} shown. {declared}
Left: image with the suspicious regions outlined; right: the mask over it. {legend}</p>
<p>Tick the masks that are bad; where you leave the reason empty, the audit's is taken. Ticks are
kept in this browser. Download the list, then repair what it names with
<code>python src/data/clean_bad_masks.py --bad_masks {file}</code>.</p>
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


def audit_page(result: AuditResult, listed: Sequence[BadMask], shown: int, declared: str) -> str:
    """The page.

    Args:
        result: From `run_audit`.
        listed: Every mask of the ranking, in its order.
        shown: How many masks the page shows.
        declared: What the figures rest on, in words.
    """
    sections = [
        _section(place, verdict, result)
        for place, verdict in enumerate(result.verdicts[:shown], start=1)
    ]
    style, script = _asset("page.css") + _class_styles(len(result.classes)), _asset("page.js")
    legend = ", ".join(
        f'<span class="class{number}">&#9632;</span> {html.escape(name)}'
        for number, name in enumerate(result.classes)
        if number
    )
    return _PAGE.format(
        policy=(
            f"default-src 'none'; img-src data:; style-src {_allowed(style)}; "
            f"script-src {_allowed(script)}; base-uri 'none'; form-action 'none'"
        ),
        style=style,
        script=script,
        count=len(result.verdicts),
        shown=len(sections),
        suggested=max(1, min(_SUGGESTED, len(sections))),
        declared=html.escape(declared),
        legend=legend,
        file=BAD_MASKS_FILE,
        body="\n".join(sections),
        masks=_data(listed, len(sections)),
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


def _data(listed: Sequence[BadMask], shown: int) -> str:
    """What the script knows of the masks, as JSON that cannot end its element.

    `key` names the audited files: ticks are those of this set of masks, in any order.
    """
    lines = sorted(f"{mask.path} {mask.sha256}" for mask in listed)
    masks = [{**asdict(mask), "tagged_by": PERSON} for mask in listed[:shown]]
    content = {
        "key": "seglab-audit-" + hashlib.sha256("\n".join(lines).encode()).hexdigest(),
        "file": BAD_MASKS_FILE,
        "schema": SCHEMA,
        "masks": masks,
    }
    return json.dumps(content, ensure_ascii=True).replace("<", "\\u003c")


def _section(place: int, verdict: Verdict, result: AuditResult) -> str:
    files = result.files[verdict.sample_id]
    picture = _picture(files.image, files.label, verdict, result)
    name = html.escape(verdict.sample_id)
    reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in verdict.reasons)
    return (
        f'<section id="mask{place}"><h2>{place}. {name} (score {verdict.suspicion:.3f})</h2>'
        f'<p><label><input type="checkbox" aria-describedby="why{place}"> bad mask</label> '
        '<label>why <input type="text" maxlength="500" placeholder="as the audit says"></label></p>'
        f'<img alt="{name}: regions outlined, and the mask" src="{picture}">'
        f'<ul id="why{place}">{reasons or "<li>no single reason stands out</li>"}</ul></section>'
    )


def _picture(image: Path, label: Path, verdict: Verdict, result: AuditResult) -> str:
    """Outlined image and mask side by side, as a data URI."""
    _, opened = decode_pixels(image)
    mask = read_mask(label)
    if opened is None or (photograph := to_rgb(opened)).shape[:2] != mask.shape:
        raise UserError(f"{image} or its mask has changed meanwhile", "audit again")
    colors = class_colors(len(result.classes))
    painted = overlay_mask(photograph, mask, colors, ignore_index=result.ignore_index)
    shrunk = min(1.0, _WIDEST / max(mask.shape))
    outlined = [_outline(picture, verdict, shrunk) for picture in (photograph, painted)]
    buffer = io.BytesIO()
    Image.fromarray(np.hstack(outlined)).save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _outline(picture: ImageArray, verdict: Verdict, scale: float = 1.0) -> ImageArray:
    """The picture with the contours of the suspicious regions, or boxes where none are known."""
    canvas = Image.fromarray(picture)
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in canvas.size)
        canvas = canvas.resize((width, height), Image.Resampling.BOX)
    draw = ImageDraw.Draw(canvas)
    for region in verdict.regions:
        x0, y0, x1, y1 = (round(side * scale) for side in region.box)
        # Two or three pixels cannot be seen: whatever is tiny gets a box around it.
        if not region.outline or max(x1 - x0, y1 - y0) < _TINY:
            draw.rectangle((x0 - 1, y0 - 1, x1, y1), outline=_OUTLINE, width=2)
            continue
        for contour in region.outline:
            line = [(x * scale, y * scale) for x, y in (*contour, contour[0])]
            draw.line(line, fill=_OUTLINE, width=2)
    return np.asarray(canvas)
