"""Square crops around the objects of a photograph, with the labels of everything in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from seglab.data.preparing.coco_objects import CocoObject, Photograph

IGNORED = 255
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Crop:
    """One object's crop.

    Attributes:
        target: The object it is made for.
        box: Left, top, right and bottom in the photograph; may reach beyond it.
        area: Pixels of the object in the photograph.
        image: The crop, RGB.
        mask: (size, size) uint8: 0 background, classes from 1, 255 ignored.
    """

    target: CocoObject
    box: Box
    area: int
    image: Image.Image
    mask: npt.NDArray[np.uint8]


def draw_labels(
    objects: Sequence[CocoObject], masks: Sequence[npt.NDArray[np.bool_]]
) -> npt.NDArray[np.uint8]:
    """The labels of a whole photograph.

    Crowds are ignored, except where a single object is known. Where objects overlap, the smaller
    one is seen: it is the one in front, or a part of the larger would be missing by an error of
    the annotator. Every crop of a photograph is cut from the same labels, so that no two of them
    contradict each other.

    Args:
        objects: The photograph's.
        masks: (H, W) bool, one for each.

    Returns:
        (H, W) uint8 labels.
    """
    labels = np.zeros(masks[0].shape, dtype=np.uint8)
    order = sorted(
        range(len(objects)),
        key=lambda i: (not objects[i].crowd, -int(masks[i].sum()), objects[i].identifier),
    )
    for index in order:
        labels[masks[index]] = IGNORED if objects[index].crowd else objects[index].label
    return labels


def square_around(mask: npt.NDArray[np.bool_], margin: float) -> Box:
    """The square to cut out around an object.

    It is centred on the object, moved inside the photograph, and holds all of the object. The
    margin shrinks where there is no room for it; only an object longer than the photograph is
    wide reaches beyond, into pixels that are black and ignored.

    Args:
        mask: (H, W) bool, the object; not empty.
        margin: Width of the surroundings on each side, as a share of the object's longer side.

    Returns:
        Left, top, right, bottom.
    """
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    longer = max(_length(rows), _length(columns))
    side = min(round(longer * (1 + 2 * margin)), max(longer, min(height, width)))
    left, top = (
        _start(int(line[0]), int(line[-1]) + 1, side, room)
        for line, room in ((columns, width), (rows, height))
    )
    return left, top, left + side, top + side


def cut_crops(
    photograph: Photograph, image: Image.Image, size: int, min_area: int, margin: float
) -> Iterator[Crop]:
    """Cut one crop for each single object that is large enough.

    Args:
        photograph: Its objects.
        image: Its pixels, as they are stored.
        size: Side of the crops, pixels.
        min_area: Least number of the object's pixels in the photograph.
        margin: As for `square_around`.

    Raises:
        UserError: A segmentation cannot be read.
    """
    masks = [each.mask(photograph.height, photograph.width) for each in photograph.objects]
    labels = draw_labels(photograph.objects, masks)
    colour = image.convert("RGB")
    for each, mask in zip(photograph.objects, masks, strict=True):
        area = int(mask.sum())
        if each.crowd or area < max(min_area, 1):
            continue
        box = square_around(mask, margin)
        # Pillow's bicubic filter averages when it shrinks; outside the photograph it is black.
        pixels = colour.crop(box).resize((size, size), Image.Resampling.BICUBIC)
        yield Crop(each, box, area, pixels, _resized(_cut(labels, box), size))


def _length(line: npt.NDArray[np.intp]) -> int:
    """Pixels from the first index to the last."""
    return int(line[-1] - line[0]) + 1


def _start(first: int, end: int, side: int, room: int) -> int:
    """Where a stretch of `side` around [first, end) begins, inside [0, room) if it fits."""
    start = (first + end - side) // 2
    if side > room:
        return (room - side) // 2
    return min(max(start, 0), room - side)


def _cut(labels: npt.NDArray[np.uint8], box: Box) -> npt.NDArray[np.uint8]:
    """A part of the labels, ignored where it reaches beyond them."""
    left, top, right, bottom = box
    height, width = labels.shape
    part = np.full((bottom - top, right - left), IGNORED, dtype=np.uint8)
    inside = labels[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    row, column = max(-top, 0), max(-left, 0)
    part[row : row + inside.shape[0], column : column + inside.shape[1]] = inside
    return part


def _resized(mask: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    picture = Image.fromarray(mask).resize((size, size), Image.Resampling.NEAREST)
    return np.asarray(picture)
