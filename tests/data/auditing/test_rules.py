"""Rules that need no model: slivers and outlines (the others are in test_audit.py)."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from seglab.data.auditing.components import outline_of
from seglab.data.auditing.rules import SLIVER, aspect_ratio, rule_regions


@pytest.mark.parametrize("angle", [0, 30, 45, 77])
@pytest.mark.parametrize(("length", "width"), [(60, 6), (40, 20), (50, 50)])
def test_the_aspect_ratio_does_not_depend_on_the_turn(angle: int, length: int, width: int) -> None:
    box = cv2.boxPoints(((64, 64), (length, width), angle))
    canvas = np.zeros((128, 128), np.uint8)
    cv2.fillPoly(canvas, [np.round(box).astype(np.int32)], 1)
    assert aspect_ratio(canvas > 0) == pytest.approx((length + 1) / (width + 1), rel=0.2)


def test_a_sliver_is_found_and_an_animal_is_none() -> None:
    mask = np.zeros((128, 128), np.uint8)
    mask[10:14, 20:80] = 2  # 60 x 4
    mask[40:100, 40:90] = 1
    found = [region for region in rule_regions(mask) if region.kind == SLIVER]
    assert [(r.box, r.area, r.labelled) for r in found] == [((20, 10, 80, 14), 240, 2)]


def test_a_speck_is_no_sliver_as_well() -> None:
    mask = np.zeros((256, 256), np.uint8)
    mask[5, 10:40] = 1  # 30 pixels of 65,536
    assert [region.kind for region in rule_regions(mask)] == ["speck"]


def test_an_outline_goes_around_its_region() -> None:
    part = np.zeros((50, 60), bool)
    part[10:30, 5:25] = part[20:40, 5:50] = True
    window = (slice(100, 150), slice(200, 260))
    outline = outline_of(part, window)
    canvas = np.zeros((200, 300), np.uint8)
    cv2.fillPoly(canvas, [np.array(line, np.int32) for line in outline], 1)
    assert (canvas[window] > 0).sum() == pytest.approx(part.sum(), rel=0.02)
    assert (canvas > 0).sum() == (canvas[window] > 0).sum()


def test_a_region_of_two_touching_corners_has_its_outline() -> None:
    part = np.eye(3, dtype=bool)
    lines = outline_of(part, (slice(0, 3), slice(0, 3)))
    assert {point for line in lines for point in line} >= {(0, 0), (2, 2)}
    assert math.isfinite(aspect_ratio(part))
