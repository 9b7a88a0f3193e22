import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seglab.utils import forest, masks
from seglab.utils.errors import UserError
from seglab.utils.masks import (
    IGNORE_COLOR,
    OUTCOME_STYLES,
    PixelOutcome,
    class_colors,
    colorize_mask,
    dim,
    error_map,
    overlay_mask,
    paint_outcome,
)

TRUTH = np.array([[0, 0, 1, 1], [1, 2, 255, 255]], dtype=np.uint8)
PREDICTION = np.array([[0, 2, 1, 0], [2, 0, 0, 1]], dtype=np.uint8)

# Machado, Oliveira and Fernandes (2009), severity 1, for linear RGB.
SIGHTS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


def least_distance(colors):
    """The smallest CIELAB distance (CIE76) between two of the colours, under any sight."""
    linear = np.asarray(colors, dtype=float) / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]]
    )
    least = np.inf
    for sight in SIGHTS.values():
        seen = np.clip(linear @ np.transpose(sight), 0, 1)
        x, y, z = (seen @ to_xyz.T / [0.9505, 1.0, 1.0888]).T
        f = [np.where(v > 216 / 24389, np.cbrt(v), (24389 / 27 * v + 16) / 116) for v in (x, y, z)]
        lab = np.stack([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])], axis=-1)
        apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
        least = min(least, apart[np.triu_indices(len(lab), 1)].min())
    return least


def test_the_distance_sees_a_confusion():
    assert least_distance([(200, 30, 30), (80, 110, 30)]) > least_distance(
        [(213, 94, 0), (120, 120, 0)]
    )
    assert least_distance([(255, 0, 0), (145, 125, 0)]) < 15  # a deuteranope's reds and olives
    assert least_distance([(0, 0, 0), (255, 255, 255)]) == pytest.approx(100, abs=0.1)


def test_color_blind_people_can_tell_the_colors_apart():
    assert least_distance(class_colors(8)) > 15
    assert least_distance(class_colors(20)) > 15
    assert least_distance([*class_colors(20), IGNORE_COLOR, (255, 255, 255)]) > 15
    assert least_distance([color for _, color in OUTCOME_STYLES.values()]) > 30
    verdicts = [style["color"].lstrip("#") for style in forest._VERDICTS.values()]
    assert least_distance([list(bytes.fromhex(color)) for color in verdicts]) > 15


def test_error_map_pixel_by_pixel():
    o = PixelOutcome
    expected = [
        [o.CORRECT, o.FALSE_POSITIVE, o.CORRECT, o.FALSE_NEGATIVE],
        [o.WRONG_CLASS, o.FALSE_NEGATIVE, o.IGNORED, o.IGNORED],
    ]
    outcome = error_map(PREDICTION, TRUTH)
    assert outcome.dtype == np.uint8
    np.testing.assert_array_equal(outcome, expected)
    # Another ignored label: 255 is then an object like the others.
    assert error_map(PREDICTION, TRUTH, ignore_index=2)[1].tolist() == [
        o.WRONG_CLASS,
        o.IGNORED,
        o.FALSE_NEGATIVE,
        o.WRONG_CLASS,
    ]


LABELS = arrays(np.uint8, (5, 6), elements=st.sampled_from([0, 1, 2, 3, 255]))


@given(LABELS, LABELS)
def test_error_map_against_a_loop(prediction, truth):
    outcome = error_map(prediction, truth)
    for place in np.ndindex(truth.shape):
        p, t = int(prediction[place]), int(truth[place])
        if t == 255:
            name = "IGNORED"
        elif p == t:
            name = "CORRECT"
        elif t == 0:
            name = "FALSE_POSITIVE"
        else:
            name = "FALSE_NEGATIVE" if p == 0 else "WRONG_CLASS"
        assert PixelOutcome(outcome[place]).name == name


def test_paint_outcome():
    image = np.full((2, 4, 3), 100, dtype=np.uint8)
    outcome = error_map(PREDICTION, TRUTH)
    painted = paint_outcome(image, outcome)
    for value in PixelOutcome:
        expected = OUTCOME_STYLES[value][1] if value else dim(image)[0, 0]
        assert (painted[outcome == value] == expected).all()
    assert dim(image)[0, 0].tolist() == [65, 65, 65]  # 20 + 0.45 * 100


def test_colors_of_a_class_are_the_same_whatever_the_number_of_classes():
    many = class_colors(60)
    for number in (1, 2, 3, 8, 20):
        np.testing.assert_array_equal(class_colors(number), many[:number])
    assert len({tuple(color) for color in many.tolist()}) == 60


def test_configs_palette_wins():
    palette = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]
    for given_palette in (palette, np.array(palette, dtype=np.uint8)):
        colors = class_colors(3, given_palette)
        assert colors.dtype == np.uint8
        assert colors.tolist() == palette[:3]


@pytest.mark.parametrize(
    "palette",
    [[[0, 0, 0]], [[0, 0]] * 3, [[0, 0, 256]] * 3, [[0, 0, -1]] * 3, [], [[1, 2, 3], [1], [1, 2]]],
)
def test_bad_palettes(palette):
    with pytest.raises(UserError, match="palette"):
        class_colors(3, palette)


def test_colorize_mask():
    palette = class_colors(3)
    colored = colorize_mask(TRUTH, palette)
    assert colored.dtype == np.uint8
    assert colored.shape == (2, 4, 3)
    np.testing.assert_array_equal(colored[0], palette[[0, 0, 1, 1]])
    np.testing.assert_array_equal(colored[1, 2], IGNORE_COLOR)
    np.testing.assert_array_equal(palette, class_colors(3))


@pytest.mark.parametrize("value", [3, 254, -1])
def test_colorize_mask_refuses_what_is_no_class(value):
    with pytest.raises(ValueError, match="no class"):
        colorize_mask(np.array([[0, value]]), class_colors(3))


def test_overlay_leaves_the_background_and_mixes_the_rest():
    image = np.full((2, 4, 3), 100, dtype=np.uint8)
    palette = [[255, 255, 255], [200, 0, 50], [0, 0, 0]]
    mixed = overlay_mask(image, TRUTH, palette, alpha=0.25)
    assert mixed.dtype == np.uint8
    np.testing.assert_array_equal(mixed[0, 0], [100, 100, 100])
    np.testing.assert_array_equal(mixed[0, 2], [125, 75, 88])  # 87.5 rounds to even
    np.testing.assert_array_equal(image, 100)
    with pytest.raises(ValueError, match="sizes differ"):
        overlay_mask(image[:1], TRUTH, palette)


def test_masks_need_no_drawing_library():
    assert not [name for name in vars(masks) if "matplotlib" in name.lower()]
