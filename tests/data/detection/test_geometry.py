import numpy as np
import pytest

from seglab.data.detection.geometry import (
    bounding_box,
    box_iou,
    mask_iou,
    split_parts,
)


def test_boxes_by_hand() -> None:
    assert box_iou((0, 0, 4, 4), (2, 0, 6, 4)) == pytest.approx(8 / 24)
    assert box_iou((0, 0, 4, 4), (4, 0, 6, 4)) == 0
    assert box_iou((1, 1, 1, 1), (1, 1, 1, 1)) == 0  # no area, no overlap, no division


def test_masks_agree_with_sets_of_pixels() -> None:
    random = np.random.default_rng(0)
    first, second = random.random((2, 9, 7)) < 0.4
    one, two = (set(zip(*np.nonzero(mask), strict=True)) for mask in (first, second))
    assert mask_iou(first, second) == pytest.approx(len(one & two) / len(one | two))
    rows, columns = zip(*one, strict=True)
    assert bounding_box(first) == (min(columns), min(rows), max(columns) + 1, max(rows) + 1)
    nothing = np.zeros((3, 3), bool)
    assert bounding_box(nothing) is None and split_parts(nothing) == []
    assert mask_iou(nothing, nothing) == 1


def test_parts_touch_at_corners_and_come_by_size() -> None:
    mask = np.zeros((6, 6), bool)
    mask[0, 0] = mask[1, 1] = mask[5, 5] = True
    assert [int(part.sum()) for part in split_parts(mask)] == [2, 1]
    assert [int(part.sum()) for part in split_parts(mask, 1.5)] == [2]
