"""Enlarged looks, against what can be seen in the enlarged picture and computed by hand."""

import numpy as np
import pytest

from seglab.data.detection import Detection
from seglab.data.detection.geometry import Box, bounding_box, mask_iou
from seglab.data.detection.look import Look

HEIGHT, WIDTH = 90, 120


def drawn(box: Box, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """(H, W) bool: a filled box."""
    mask = np.zeros(shape, bool)
    x0, y0, x1, y1 = (int(value) for value in box)
    mask[y0:y1, x0:x1] = True
    return mask


def picture_of(mask: np.ndarray) -> np.ndarray:
    return np.where(mask[..., None], 220, 30).astype(np.uint8).repeat(3, axis=2)


def test_the_window_by_hand() -> None:
    image = np.zeros((60, 100, 3), np.uint8)
    look = Look.at(image, (10, 20, 30, 30), 0.5, False)  # 20 x 10 around (20, 25), 20 each way
    assert look.window == (0, 5, 40, 45) and look.picture.shape == (640, 640, 3)
    look = Look.at(image, (80, 50, 100, 60), 0.5, True)  # the image ends right and below
    assert look.window == (70, 35, 100, 60) and look.picture.shape == (533, 640, 3)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("margin", [0.0, 0.1, 0.6])
@pytest.mark.parametrize(
    "box",
    [
        (40, 30, 70, 42),  # inside
        (0, 0, 31, 17),  # corners
        (100, 70, WIDTH, HEIGHT),
        (0, 50, 12, HEIGHT),
        (0, 0, WIDTH, HEIGHT),  # all of it
        (60, 20, 63, 80),  # thin
    ],
)
def test_what_the_picture_shows_is_placed_where_it_is(
    box: Box, margin: float, mirrored: bool
) -> None:
    truth = drawn(box)
    look = Look.at(picture_of(truth), box, margin, mirrored)
    shown = look.picture[..., 0] > 125  # what a perfect network would see in the picture
    there = bounding_box(shown)
    assert there is not None
    seen = Detection(there, 1, 0.9, shown)
    assert look.place(seen) == pytest.approx(box, abs=0.5)
    assert mask_iou(look.place_mask(seen, truth.shape) >= 0.5, truth) > 0.95


def test_left_and_right_are_exchanged_and_exchanged_back() -> None:
    left = drawn((30, 30, 45, 60))
    plain, mirrored = (Look.at(picture_of(left), (30, 30, 60, 60), 0.0, m) for m in (False, True))
    assert plain.picture[320, 100, 0] == 220 and mirrored.picture[320, 100, 0] == 30
    assert (plain.picture == mirrored.picture[:, ::-1]).all()
    seen = Detection((0, 0, 320, 640), 1, 0.9)  # the left half of the mirrored picture
    assert mirrored.place(seen) == (45, 30, 60, 60)


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_mask_is_averaged_over_each_pixel_and_zero_outside(mirrored: bool) -> None:
    image = np.zeros((60, 100, 3), np.uint8)
    look = Look.at(image, (10, 20, 30, 30), 0.5, mirrored)
    mask = np.random.default_rng(0).random((640, 640)) < 0.4
    placed = look.place_mask(Detection((0, 0, 640, 640), 1, 0.9, mask), image.shape)
    blocks = mask.reshape(40, 16, 40, 16).mean(axis=(1, 3))  # 16 x 16 pixels make one
    expected = np.zeros((60, 100))
    expected[5:45, 0:40] = blocks[:, ::-1] if mirrored else blocks
    assert placed.dtype == np.float32 and placed == pytest.approx(expected, abs=1e-6)


def test_without_a_mask_nothing_is_placed() -> None:
    look = Look.at(np.zeros((60, 100, 3), np.uint8), (10, 20, 30, 30), 0.5, False)
    assert not look.place_mask(Detection((0, 0, 640, 640), 1, 0.9), (60, 100)).any()


def test_a_part_larger_than_the_look_is_shrunk() -> None:
    box = (200, 100, 1300, 900)
    truth = drawn(box, (1000, 1500))
    look = Look.at(picture_of(truth), box, 0.1, True)
    assert max(look.picture.shape) == 640
    shown = look.picture[..., 0] > 125
    there = bounding_box(shown)
    assert there is not None
    seen = Detection(there, 1, 0.9, shown)
    assert look.place(seen) == pytest.approx(box, abs=2)
    assert mask_iou(look.place_mask(seen, truth.shape) >= 0.5, truth) > 0.98
