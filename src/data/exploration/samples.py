"""Grids of photographs with their masks; each picture is read again when it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from seglab.data.exploration.duplicates import read_mask
from seglab.data.exploration.listing import Sample
from seglab.data.exploration.measure import to_rgb
from seglab.data.preflight.decode import decode_pixels
from seglab.utils.figures import shorten
from seglab.utils.io_utils import atomic_path
from seglab.utils.masks import BACKGROUND, ImageArray, colorize_mask

_COLUMNS = 4
_SIDE = 220  # pixels of a cell
_GAP = 8
_LINE = 20  # height of a line of text
_OPACITY = 0.45
_INK, _PAPER = (34, 34, 34), (255, 255, 255)
_LETTERS = 30  # that fit over a cell


def draw_samples(
    samples: Sequence[Sample],
    names: Sequence[str],
    colors: ImageArray,
    ignore_index: int,
    title: str,
    path: Path,
) -> Path:
    """Draw images with their masks laid over and outlined.

    Args:
        samples: What to draw, in this order; at most a dozen or so.
        names: The class names.
        colors: (C, 3) colours of the classes.
        ignore_index: Mask value that belongs to no class.
        title: Above the grid.
        path: The PNG to write.
    """
    painted = [_paint(sample, colors, ignore_index) for sample in samples]
    seen = sorted(set().union(*(labels for _, labels in painted)))
    columns = max(2, min(_COLUMNS, len(samples)))
    wide = _SIDE + _GAP
    high = max(picture.shape[0] for picture, _ in painted) + _LINE + _GAP
    rows, lines = -(-len(samples) // columns), -(-len(seen) // columns)
    # Pillow draws a grid in a tenth of the time that matplotlib takes for as many axes.
    size = (columns * wide + _GAP, rows * high + (lines + 1) * _LINE + 2 * _GAP)
    sheet = Image.new("RGB", size, _PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    draw.text((_GAP, 3), title, _INK, font)
    for place, (sample, (picture, _)) in enumerate(zip(samples, painted, strict=True)):
        left, top = _GAP + place % columns * wide, _LINE + _GAP + place // columns * high
        draw.text((left, top), shorten(sample.name, _LETTERS), _INK, font)
        sheet.paste(Image.fromarray(picture), (left, top + _LINE))
    for place, label in enumerate(seen):
        left = _GAP + place % columns * wide
        top = _LINE + _GAP + rows * high + place // columns * _LINE
        draw.rectangle((left, top, left + 24, top + 12), tuple(colors[label].tolist()))
        draw.text((left + 30, top - 2), shorten(names[label], 24), _INK, font)
    with atomic_path(path) as temporary:
        sheet.save(temporary, compress_level=3)  # the default takes thrice as long
    return path


def evenly(samples: Sequence[Sample], count: int) -> list[Sample]:
    """`count` samples spread evenly over the list, or all of a shorter one."""
    places = np.linspace(0, len(samples) - 1, min(count, len(samples))).round().astype(int)
    return [samples[place] for place in places]


def _paint(sample: Sample, colors: ImageArray, ignore_index: int) -> tuple[ImageArray, set[int]]:
    """The small picture with its mask, and the object classes in it."""
    _, opened = decode_pixels(sample.image)
    if opened is None:  # it was readable a moment ago
        return np.zeros((_SIDE, _SIDE, 3), dtype=np.uint8), set()
    picture = to_rgb(opened)
    scale = _SIDE / max(picture.shape[:2])
    size = [max(1, round(side * scale)) for side in picture.shape[1::-1]]
    picture = np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if sample.mask is None:
        return picture, set()
    mask = cv2.resize(read_mask(sample), size, interpolation=cv2.INTER_NEAREST)
    covered = mask != BACKGROUND
    painted = colorize_mask(mask, colors, ignore_index)
    inside = cv2.erode(covered.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    opacity = np.where(covered, np.where(inside, _OPACITY, 1.0), 0.0)[..., None]
    mixed = np.rint(opacity * painted + (1 - opacity) * picture).astype(np.uint8)
    return mixed, {int(v) for v in np.unique(mask) if v not in (BACKGROUND, ignore_index)}
