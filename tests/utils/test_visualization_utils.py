from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seglab.utils import visualization_utils
from seglab.utils.errors import UserError
from seglab.utils.test_utils import RankedSample, find_best_worst_samples
from seglab.utils.visualization_utils import (
    IGNORE_COLOR,
    PixelOutcome,
    SegmentationSample,
    class_colors,
    colorize_mask,
    error_map,
    overlay_mask,
    plot_best_worst_predictions,
    safe_name,
    visualize_segmentation_4panel,
)

NAMES = ("background", "cat", "dog")
TRUTH = np.array([[0, 0, 1, 1], [1, 2, 255, 255]], dtype=np.uint8)
PREDICTION = np.array([[0, 2, 1, 0], [2, 0, 0, 1]], dtype=np.uint8)


def sample_of(seed=0, height=48, width=64):
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    truth = np.zeros((height, width), dtype=np.uint8)
    truth[10:30, 10:30] = 1
    truth[:4] = 255
    return SegmentationSample(image, truth, np.roll(truth, 5, axis=1) % 255)


def has_color(picture, color, tolerance=0):
    close = np.abs(picture.astype(int) - np.array(color)).max(axis=-1) <= tolerance
    return int(close.sum())


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


def test_colors_of_a_class_are_the_same_whatever_the_number_of_classes():
    many = class_colors(60)
    for number in (1, 2, 3, 8, 20):
        np.testing.assert_array_equal(class_colors(number), many[:number])
    assert len({tuple(color) for color in many.tolist()}) == 60


def test_configs_palette_wins():
    palette = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [10, 11, 12]]
    colors = class_colors(3, palette)
    assert colors.dtype == np.uint8
    assert colors.tolist() == palette[:3]


@pytest.mark.parametrize("palette", [[[0, 0, 0]], [[0, 0]] * 3, [[0, 0, 256]] * 3, [], [1, 2, 3]])
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


@pytest.mark.parametrize("palette", [None, [[0, 0, 0], [10, 250, 20], [20, 10, 250]]])
def test_four_panels_show_classes_and_errors_in_their_colors(tmp_path, palette):
    truth = np.zeros((60, 60), dtype=np.uint8)
    truth[:20], truth[20:30] = 1, 255
    prediction = np.zeros_like(truth)
    prediction[:, :20], prediction[:, 20:40] = 1, 2
    image = np.zeros((60, 60, 3), dtype=np.uint8)
    path = tmp_path / "new folder" / "panels.png"
    title = "costs $5 and $6_{x"
    assert (
        visualize_segmentation_4panel(image, truth, prediction, NAMES, palette, title, path) == path
    )
    assert list(path.parent.iterdir()) == [path]
    picture = np.array(Image.open(path).convert("RGB"))
    assert 1100 < picture.shape[1] < 1500
    assert 300 < picture.shape[0] < 600
    quarter = picture.shape[1] // 4
    colors = class_colors(3, palette)
    # Over a black image the masks' colours are a mixture with the dimmed grey of black, 20.
    cat, dog = (0.75 * colors[1:] + 0.25 * 20).tolist()
    panels = [picture[60:-60, i * quarter : (i + 1) * quarter] for i in range(4)]
    assert has_color(panels[1], cat, 2) > 1000
    assert has_color(panels[1], dog, 2) == 0
    assert has_color(panels[2], cat, 2) > 1000
    assert has_color(panels[2], dog, 2) > 1000
    for label, color in visualization_utils._OUTCOMES.values():
        assert has_color(panels[3], color, 2) > 1000, label
    legend = picture[-45:]
    shown = [*colors[1:], *(color for _, color in visualization_utils._OUTCOMES.values())]
    for color in shown:
        assert has_color(legend, color, 2) > 50
    assert (picture[:, [0, -1]] == 255).all(), "something is cut off at the side"


def test_sizes_must_agree(tmp_path):
    image, truth, prediction = sample_of()
    with pytest.raises(ValueError, match="sizes differ"):
        visualize_segmentation_4panel(
            image, truth, prediction[:-1], NAMES, None, "", tmp_path / "x.png"
        )
    with pytest.raises(ValueError, match="sizes differ"):
        visualize_segmentation_4panel(
            image[:-1], truth, prediction, NAMES, None, "", tmp_path / "x.png"
        )
    assert not list(tmp_path.iterdir())


def test_best_and_worst(tmp_path):
    ids = ["cats/a b.jpg", "../../etc/passwd", "x.y.png"]
    best, worst = find_best_worst_samples([97.318, 31.026, 50.0], ids, 2)
    loaded = []

    def load(sample_id):
        loaded.append(sample_id)
        return sample_of(len(loaded))

    paths = plot_best_worst_predictions(best, worst, load, NAMES, None, tmp_path / "out", "val")
    assert loaded == ["cats/a b.jpg", "../../etc/passwd", "x.y.png"]
    assert [path.name for path in paths] == [
        "val_best_01_cats_a_b_mDice_97.32.png",
        "val_worst_01_.._.._etc_passwd_mDice_31.03.png",
        "val_worst_02_x.y_mDice_50.00.png",
        "val_overview.png",
    ]
    assert {path.parent for path in paths} == {tmp_path / "out"}
    assert sorted(paths) == sorted(tmp_path.rglob("*.png"))
    for path in paths:
        width, height = Image.open(path).size
        assert 700 < width < 1700
        assert 300 < height < 1200


def test_overview_of_one_sample(tmp_path):
    paths = plot_best_worst_predictions(
        [],
        [RankedSample("a.jpg", 5.0)],
        lambda _: sample_of(),
        NAMES,
        None,
        tmp_path,
        "test",
        "Dice/cat",
    )
    assert [path.name for path in paths] == [
        "test_worst_01_a_Dice_cat_5.00.png",
        "test_overview.png",
    ]


def test_nothing_to_draw(tmp_path):
    with pytest.raises(UserError, match="no sample"):
        plot_best_worst_predictions([], [], lambda _: sample_of(), NAMES, None, tmp_path, "val")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("000000481212_908.jpg", "000000481212_908"),
        ("a/b/c.PNG", "a_b_c"),
        ("a\\b.jpeg", "a_b"),
        ("/etc/passwd", "etc_passwd"),
        ("..", "unnamed"),
        ("", "unnamed"),
        ("v1.5 final:*?.jpg", "v1.5_final"),
        ("кошка.jpg", "кошка"),
        ("a\x00b\n.jpg", "a_b"),
    ],
)
def test_safe_name(name, expected):
    assert safe_name(name) == expected


def test_safe_name_of_a_very_long_id_can_be_written(tmp_path):
    name = safe_name("猫" * 500 + ".jpg")
    assert 100 < len(name.encode()) <= 160
    Path(tmp_path / f"{name}_mDice_31.03.png").write_text("x")


def test_importing_leaves_pyplot_alone():
    import subprocess
    import sys

    code = "import sys, seglab.utils.curves; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.shared
def test_real_image(shared_dir, tmp_path):
    image = np.array(
        Image.open(sorted((shared_dir / "data/pets_coco/img/val").glob("*.jpg"))[0]).convert("RGB")
    )
    truth = np.array(
        Image.open(sorted((shared_dir / "data/pets_coco/labels/val").glob("*.png"))[0])
    )
    path = visualize_segmentation_4panel(
        image, truth, np.roll(truth, 9, axis=0), NAMES, None, "real", tmp_path / "real.png"
    )
    assert Image.open(path).size[0] > 1100
