"""`audit.html`: the worst masks with their pictures, and tick boxes for a person's judgement."""

from __future__ import annotations

import html
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from seglab.data.auditing.job import AuditResult
from seglab.data.auditing.ranking import Verdict
from seglab.data.exploration.measure import to_rgb
from seglab.data.preflight.decode import decode_pixels, read_mask
from seglab.data.ticking.page import Entry, Words, legend, tick_page
from seglab.utils.bad_masks import BAD_MASKS_FILE, BadMask
from seglab.utils.errors import UserError
from seglab.utils.masks import ImageArray, class_colors, overlay_mask

_OUTLINE = (213, 94, 0)
_TINY = 8  # pixels
_WIDEST = 800  # pixels of a picture's longer side; larger ones are shrunk to it
_INTRODUCTION = """\
<p>{count} masks, the most suspicious {shown} shown. {declared}
Left: image with the suspicious regions outlined; right: the mask over it. {legend}</p>
<p>Tick the masks that are bad; where you leave the reason empty, the audit's is taken. Ticks are
kept in this browser. Download the list, then repair what it names with
<code>python src/data/clean_bad_masks.py --bad_masks {file}</code>.</p>
"""


def audit_page(result: AuditResult, listed: Sequence[BadMask], shown: int, declared: str) -> str:
    """The page.

    Args:
        result: From `run_audit`.
        listed: Every mask of the ranking, in its order.
        shown: How many masks the page shows.
        declared: What the figures rest on, in words.
    """
    entries = [
        Entry(
            mask,
            f"{verdict.sample_id} (score {verdict.suspicion:.3f})",
            _picture(verdict, result),
            f"{verdict.sample_id}: regions outlined, and the mask",
            verdict.reasons,
        )
        for verdict, mask in list(zip(result.verdicts, listed, strict=True))[:shown]
    ]
    introduction = _INTRODUCTION.format(
        count=len(result.verdicts),
        shown=len(entries),
        declared=html.escape(declared),
        legend=legend(result.classes),
        file=BAD_MASKS_FILE,
    )
    words = Words(
        title="Mask audit",
        introduction=introduction,
        tick="bad mask",
        placeholder="as the audit says",
        file=BAD_MASKS_FILE,
        memory="seglab-audit-",
    )
    return tick_page(words, entries, listed, len(result.classes))


def _picture(verdict: Verdict, result: AuditResult) -> ImageArray:
    """Outlined image and mask side by side: (h, w, 3) uint8."""
    files = result.files[verdict.sample_id]
    _, opened = decode_pixels(files.image)
    mask = read_mask(files.label)
    if opened is None or (photograph := to_rgb(opened)).shape[:2] != mask.shape:
        raise UserError(f"{files.image} or its mask has changed meanwhile", "audit again")
    colors = class_colors(len(result.classes))
    painted = overlay_mask(photograph, mask, colors, ignore_index=result.ignore_index)
    shrunk = min(1.0, _WIDEST / max(mask.shape))
    return np.hstack([_outline(picture, verdict, shrunk) for picture in (photograph, painted)])


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
