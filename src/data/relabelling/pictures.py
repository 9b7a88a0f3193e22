"""Before and after, side by side, and the page of masks that a person has to look at."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from seglab.data.relabelling.merging import Mask
from seglab.utils.masks import ImageArray, Palette, overlay_mask

_SIDE = 256  # pixels; smaller images are enlarged until their longer side is about this long
_WIDEST = 1800  # pixels of a picture on the page; the file in the work folder is not shrunk
_TITLES = ("image", "old mask", "new mask")
_BAR = 18
_GAP = 4
_PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Relabelling: for a person</title>
<style>
body {{ font: 16px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem;
 padding: 0 1rem; color: #1c1c1c; }}
section {{ border-top: 1px solid #bbb; padding: 1rem 0; }}
img {{ max-width: 100%; }}
h2 {{ font-size: 1rem; overflow-wrap: anywhere; }}
</style></head><body>
<h1>Relabelling: for a person</h1>
<p>{count} of {total} masks were neither accepted nor rejected. Their old masks were kept; the
proposals lie in <code>work/proposed</code>. Detector: {detector}; segmenter: {segmenter}.</p>
{body}
</body></html>
"""


def before_after(
    image: ImageArray, old: Mask, new: Mask, colors: Palette, ignore_index: int
) -> ImageArray:
    """Image, old mask and new mask side by side under their names: (h, w, 3) uint8."""
    scale = max(1, round(_SIDE / max(image.shape[:2])))
    overlays = [overlay_mask(image, m, colors, ignore_index=ignore_index) for m in (old, new)]
    panels = []
    for title, picture in zip(_TITLES, (image, *overlays), strict=True):
        large = picture.repeat(scale, axis=0).repeat(scale, axis=1)
        canvas = Image.new("RGB", (large.shape[1] + _GAP, large.shape[0] + _BAR), "white")
        canvas.paste(Image.fromarray(large), (0, _BAR))
        ImageDraw.Draw(canvas).text((2, 2), title, fill="black")
        panels.append(np.asarray(canvas))
    return np.hstack(panels)


def person_page(records: Sequence[Mapping[str, Any]], pictures: Sequence[Path], total: int) -> str:
    """The page of the masks that go to a person, in one file.

    Args:
        records: Their records; at least the names of detector and segmenter are of `records[0]`.
        pictures: Their before/after pictures, in the same order.
        total: How many masks were listed.
    """
    sections = []
    for record, picture in zip(records, pictures, strict=True):
        name = html.escape(str(record["mask"]))
        reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in record["reasons"])
        sections.append(
            f'<section><h2>{name}</h2><img alt="{name}: image, old mask, new mask" '
            f'src="{_as_uri(picture)}"><ul>{reasons}</ul></section>'
        )
    return _PAGE.format(
        count=len(records),
        total=total,
        detector=html.escape(str(records[0]["detector"])) if records else "-",
        segmenter=html.escape(str(records[0]["segmenter"])) if records else "-",
        body="\n".join(sections),
    )


def _as_uri(path: Path) -> str:
    buffer = io.BytesIO()
    with Image.open(path) as picture:
        small = picture.convert("RGB")
        small.thumbnail((_WIDEST, _WIDEST))
        small.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
