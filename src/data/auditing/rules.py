"""Faults of a mask that show without a model: specks, holes, slivers, jagged or mixed objects."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from scipy import ndimage

from seglab.data.auditing.components import BoolArray, Region, box_of, disc, outline_of
from seglab.utils.masks import BACKGROUND, MaskArray

SPECK, HOLE, SLIVER, JAGGED = "speck", "hole", "sliver", "jagged"
MIXED, DUPLICATE = "mixed_classes", "duplicate"
_EIGHT = np.ones((3, 3))
Window = tuple[slice, ...]


@dataclass(frozen=True)
class RuleLimits:
    """What counts as a fault.

    Attributes:
        speck: A component or a hole of at most this share of the image's pixels is a speck.
        jagged: An outline is jagged where more than this share of an object's pixels changes when
            the object is smoothed (opened and closed by a disc a thirtieth of its size). Nine in
            ten human-corrected masks of cats and dogs stay under 0.021.
        jagged_pixels: Smaller objects are not asked for jaggedness: pixels are all they have.
        mixed: A connected object has mixed classes where the smaller one covers at least this
            share of it, and at most half by nature.
        aspect: An object is a sliver where the sides of the smallest rectangle around it, turned
            as it fits best, have more than this ratio. Of 107 objects in human-corrected masks of
            cats and dogs none had more than 3.6.
    """

    speck: float = 0.0006
    jagged: float = 0.025
    jagged_pixels: int = 400
    mixed: float = 0.05
    aspect: float = 4.5


def rule_regions(
    mask: MaskArray, limits: RuleLimits | None = None, ignore_index: int = 255
) -> list[Region]:
    """What the rules find in a mask.

    Args:
        mask: (H, W) class indices.
        limits: What counts as a fault; None for the defaults.
        ignore_index: Label of pixels that are no object.
    """
    limits = limits or RuleLimits()
    objects = (mask != BACKGROUND) & (mask != ignore_index)
    small = max(1, round(limits.speck * mask.size))
    found = _small_parts(mask, objects, small, SPECK)
    inside = ndimage.binary_fill_holes(objects) & (mask == BACKGROUND)
    found += _small_parts(mask, inside, small, HOLE)
    for here, window in _parts(objects):
        found += _object_faults(mask[window], here, window, limits, small)
    return found


def _object_faults(
    mask: MaskArray, here: BoolArray, window: Window, limits: RuleLimits, small: int
) -> list[Region]:
    """What is wrong with one connected object, whatever its classes."""
    found = []
    classes, counts = np.unique(mask[here], return_counts=True)
    label, area = int(classes[counts.argmax()]), int(here.sum())
    if len(classes) > 1 and np.sort(counts)[-2] >= limits.mixed * area:
        second = here & (mask == classes[np.argsort(counts)[-2]])
        found.append(_region(MIXED, second, window, label))
    if area > small and aspect_ratio(here) > limits.aspect:
        found.append(_region(SLIVER, here, window, label))
    if area >= limits.jagged_pixels and _changed_by_smoothing(here) > limits.jagged * area:
        found.append(_region(JAGGED, here, window, label))
    return found


def aspect_ratio(part: BoolArray) -> float:
    """Long side over short side of the smallest turned rectangle around a region.

    Args:
        part: (h, w) the region; sides are counted in pixels, so that a line is 1 wide.
    """
    points = np.argwhere(part).astype(np.float32)
    _, sides, _ = cv2.minAreaRect(points)
    return float((max(sides) + 1) / (min(sides) + 1))


def _parts(where: BoolArray) -> Iterator[tuple[BoolArray, Window]]:
    """Each connected part inside its window, and the window."""
    numbered, _ = ndimage.label(where, _EIGHT)
    for number, window in enumerate(ndimage.find_objects(numbered), start=1):
        yield numbered[window] == number, window


def _small_parts(mask: MaskArray, where: BoolArray, limit: int, kind: str) -> list[Region]:
    """Connected parts of at most `limit` pixels."""
    return [
        _region(kind, here, window, int(mask[window][here][0]))
        for here, window in _parts(where)
        if here.sum() <= limit
    ]


def _changed_by_smoothing(part: BoolArray) -> int:
    """Pixels that opening and closing by a disc add to or take from an object."""
    radius = max(1, round(math.sqrt(part.sum()) / 30))
    padded = np.pad(part, 2 * radius, mode="edge")  # an object cut by its box is not eroded there
    element = disc(radius)
    smooth = ndimage.binary_closing(ndimage.binary_opening(padded, element), element)
    inner = slice(2 * radius, -2 * radius)
    return int((smooth[inner, inner] != part).sum())


def _region(kind: str, part: BoolArray, window: Window, label: int) -> Region:
    area, outline = int(part.sum()), outline_of(part, window)
    return Region(kind, box_of(window), area, float(area), math.nan, label, label, outline)
