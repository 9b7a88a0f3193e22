"""A picture of many pictures: images with the outlines of their masks, to be looked at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from seglab.data.toy.options import CLASSES
from seglab.data.toy.shapes import ByteArray
from seglab.utils.io_utils import atomic_path

OUTLINE_COLOURS = {1: (255, 150, 40), 2: (60, 190, 255)}  # RGB; cat orange, dog blue
_COLUMNS, _CELL, _GAP, _HEADER = 8, 176, 6, 30
_INK, _PAPER = (40, 40, 40), 250


def _text(canvas: ByteArray, text: str, at: tuple[int, int], colour: tuple[int, ...]) -> None:
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)


def outlined(image: ByteArray, mask: ByteArray, side: int) -> ByteArray:
    """An image with the outlines of its mask.

    Args:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8 labels.
        side: Side of the result in pixels.

    Returns:
        (side, side, 3) uint8 RGB.
    """
    smooth = cv2.INTER_CUBIC if side > image.shape[0] else cv2.INTER_AREA
    cell = np.ascontiguousarray(cv2.resize(image, (side, side), interpolation=smooth))
    large = cv2.resize(mask, (side, side), interpolation=cv2.INTER_NEAREST)
    for label, colour in OUTLINE_COLOURS.items():
        target = (large == label).astype(np.uint8)
        contours, _ = cv2.findContours(target, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(cell, contours, -1, colour, 1, cv2.LINE_AA)
    return np.asarray(cell, np.uint8)


def write_contact_sheet(pairs: list[tuple[ByteArray, ByteArray]], path: Path) -> Path:
    """Write a grid of outlined images as a PNG with a legend.

    Args:
        pairs: Image (H, W, 3) uint8 RGB and mask (H, W) uint8 of each cell, in reading order.
        path: The file to write.

    Returns:
        The path.
    """
    columns = min(_COLUMNS, len(pairs))
    rows = -(-len(pairs) // columns)
    pitch = _CELL + _GAP
    shape = (_HEADER + rows * pitch + _GAP, columns * pitch + _GAP, 3)
    sheet = np.full(shape, _PAPER, np.uint8)
    x = _GAP + 2
    for label, colour in OUTLINE_COLOURS.items():
        cv2.rectangle(sheet, (x, 9), (x + 14, 23), colour, cv2.FILLED)
        _text(sheet, CLASSES[label], (x + 20, 21), _INK)
        x += 70
    for number, (image, mask) in enumerate(pairs):
        top = _HEADER + number // columns * pitch
        left = _GAP + number % columns * pitch
        sheet[top : top + _CELL, left : left + _CELL] = outlined(image, mask, _CELL)
    with atomic_path(path) as temporary:
        cv2.imwrite(str(temporary), sheet[..., ::-1])
    return path
