"""Faults of a mask that show without a model: specks, holes, jagged outlines, mixed objects."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from seglab.data.auditing.components import BoolArray, Region, box_of, disc
from seglab.utils.masks import BACKGROUND, MaskArray

SPECK, HOLE, JAGGED, MIXED, DUPLICATE = "speck", "hole", "jagged", "mixed_classes", "duplicate"
_EIGHT = np.ones((3, 3))


@dataclass(frozen=True)
class RuleLimits:
    """What counts as a fault.

    Attributes:
        speck: A component or a hole of at most this share of the image's pixels is a speck.
        jagged: An outline is jagged where more than this share of an object's pixels changes when
            the object is smoothed (opened and closed by a disc a thirtieth of its size).
        jagged_pixels: Smaller objects are not asked for jaggedness: pixels are all they have.
        mixed: A connected object has mixed classes where the smaller one covers at least this
            share of it, and at most half by nature.
    """

    speck: float = 0.0006
    jagged: float = 0.06
    jagged_pixels: int = 400
    mixed: float = 0.05


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
    numbered, _ = ndimage.label(objects, _EIGHT)
    for number, window in enumerate(ndimage.find_objects(numbered), start=1):
        here = numbered[window] == number
        classes, counts = np.unique(mask[window][here], return_counts=True)
        label = int(classes[counts.argmax()])
        area = int(here.sum())
        if len(classes) > 1 and np.sort(counts)[-2] >= limits.mixed * area:
            found.append(_region(MIXED, window, int(np.sort(counts)[-2]), label))
        changed = _changed_by_smoothing(here)
        if area >= limits.jagged_pixels and changed > limits.jagged * area:
            found.append(_region(JAGGED, window, changed, label))
    return found


def _small_parts(mask: MaskArray, where: BoolArray, limit: int, kind: str) -> list[Region]:
    """Connected parts of at most `limit` pixels."""
    numbered, _ = ndimage.label(where, _EIGHT)
    found = []
    for number, window in enumerate(ndimage.find_objects(numbered), start=1):
        here = numbered[window] == number
        area = int(here.sum())
        if area <= limit:
            found.append(_region(kind, window, area, int(mask[window][here][0])))
    return found


def _changed_by_smoothing(part: BoolArray) -> int:
    """Pixels that opening and closing by a disc add to or take from an object."""
    radius = max(1, round(math.sqrt(part.sum()) / 30))
    padded = np.pad(part, 2 * radius, mode="edge")  # an object cut by its box is not eroded there
    element = disc(radius)
    smooth = ndimage.binary_closing(ndimage.binary_opening(padded, element), element)
    inner = slice(2 * radius, -2 * radius)
    return int((smooth[inner, inner] != part).sum())


def _region(kind: str, window: tuple[slice, ...], area: int, label: int) -> Region:
    return Region(kind, box_of(window), area, float(area), math.nan, label, label)
