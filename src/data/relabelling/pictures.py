"""Before and after, side by side, and the page of masks that a person has to look at."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from seglab.data.relabelling.merging import Mask
from seglab.data.ticking.page import Entry, Words, legend, tick_page
from seglab.utils.bad_masks import BadMask
from seglab.utils.image_limits import open_image
from seglab.utils.masks import ImageArray, Palette, overlay_mask

_SIDE = 256  # pixels; smaller images are enlarged until their longer side is about this long
_WIDEST = 1800  # pixels of a picture on the page; the file in the work folder is not shrunk
_TITLES = ("image", "old mask", "new mask")
_BAR = 18
_GAP = 4
APPROVED_FILE = "accepted_masks.json"
_INTRODUCTION = """\
<p>{count} of {total} masks were neither accepted nor rejected. Their old masks were kept; the
proposals lie in <code>work/proposed</code>. Detector: {detector}; segmenter: {segmenter}.
{legend}</p>
<p>Tick the new masks that are right. Download the list, then run the same command again with
<code>--accept {file}</code>: they are taken. Mend the others by hand in a copy of the old ones.</p>
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


def person_page(
    asked: Sequence[tuple[Mapping[str, Any], Path, BadMask]], total: int, classes: Sequence[str]
) -> str:
    """The page of the masks that go to a person, in one file.

    Args:
        asked: Their records, before/after pictures, and what the downloaded list says of each.
        total: How many masks were listed.
        classes: Class names.
    """
    used = asked[0][0] if asked else {"detector": "-", "segmenter": "-"}
    introduction = _INTRODUCTION.format(
        count=len(asked),
        total=total,
        detector=html.escape(str(used["detector"])),
        segmenter=html.escape(str(used["segmenter"])),
        legend=legend(classes),
        file=APPROVED_FILE,
    )
    entries = [
        Entry(
            mask,
            str(record["mask"]),
            _read_picture(picture),
            f"{record['mask']}: image, old mask, new mask",
            list(map(str, record["reasons"])),
        )
        for record, picture, mask in asked
    ]
    words = Words(
        title="Relabelling: for a person",
        introduction=introduction,
        tick="take the new mask",
        placeholder="it is right",
        file=APPROVED_FILE,
        memory="seglab-relabel-",
    )
    return tick_page(words, entries, [mask for _, _, mask in asked], len(classes))


def _read_picture(path: Path) -> ImageArray:
    with open_image(path) as picture:
        small = picture.convert("RGB")
        small.thumbnail((_WIDEST, _WIDEST))
        return np.asarray(small)
