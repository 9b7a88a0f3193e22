from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import f1_score

from seglab.utils.errors import UserError
from seglab.utils.masks import OUTCOME_STYLES, class_colors
from seglab.utils.panels import (
    SegmentationSample,
    plot_best_worst_predictions,
    safe_name,
    visualize_segmentation_4panel,
)
from seglab.utils.test_utils import RankedSample, find_best_worst_samples

NAMES = ("background", "cat", "dog")


def sample_of(seed=0, height=48, width=64):
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    truth = np.zeros((height, width), dtype=np.uint8)
    truth[height // 5 : height // 2, 10:30] = 1
    truth[: height // 12] = 255
    return SegmentationSample(image, truth, np.roll(truth, 5, axis=1) % 255)


def has_color(picture, color, tolerance=0):
    close = np.abs(picture.astype(int) - np.array(color)).max(axis=-1) <= tolerance
    return int(close.sum())


def titles_of(figure):
    return [part.get_suptitle() for part in (figure, *figure.subfigs) if part.get_suptitle()]


def legends_of(figure):
    return [[text.get_text() for text in legend.texts] for legend in figure.subfigs[1].legends]


@pytest.mark.parametrize("palette", [None, [[0, 0, 0], [10, 250, 20], [20, 10, 250]]])
def test_four_panels_show_classes_and_errors_in_their_colors(tmp_path, palette, check_readable):
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
    check_readable(path)
    picture = np.array(Image.open(path).convert("RGB"))
    quarter = picture.shape[1] // 4
    colors = class_colors(3, palette)
    # Over a black image the masks' colours are a mixture with the dimmed grey of black, 20.
    cat, dog = (0.75 * colors[1:] + 0.25 * 20).tolist()
    panels = [picture[60:-90, i * quarter : (i + 1) * quarter] for i in range(4)]
    assert has_color(panels[1], cat, 2) > 1000
    assert has_color(panels[1], dog, 2) == 0
    assert has_color(panels[2], cat, 2) > 1000
    assert has_color(panels[2], dog, 2) > 1000
    for label, color in OUTCOME_STYLES.values():
        assert has_color(panels[3], color, 2) > 1000, label
    legend = picture[-75:]
    for color in [*colors[1:], *(color for _, color in OUTCOME_STYLES.values())]:
        assert has_color(legend, color, 2) > 50


def test_the_title_has_the_images_mdice(tmp_path, drawn):
    sample = sample_of()
    counted = sample.truth != 255
    # The mean over the classes that are in truth or prediction, as scikit-learn has it.
    reference = 100 * f1_score(sample.truth[counted], sample.prediction[counted], average="macro")
    visualize_segmentation_4panel(*sample, NAMES, None, "a.jpg", tmp_path / "a.png")
    visualize_segmentation_4panel(*sample, NAMES, None, "a.jpg", tmp_path / "a.png", mdice=12.345)
    nothing = np.full_like(sample.truth, 255)
    visualize_segmentation_4panel(
        sample.image, nothing, sample.prediction, NAMES, None, "a.jpg", tmp_path / "a.png"
    )
    assert [titles_of(figure) for figure in drawn] == [
        [f"a.jpg   mDice {reference:.2f}"],
        ["a.jpg   mDice 12.35"],
        ["a.jpg   no counted pixel"],
    ]


@pytest.mark.parametrize(
    ("height", "width", "rows"), [(300, 100, 1), (64, 64, 1), (40, 100, 2), (8, 200, 4), (1, 1, 1)]
)
def test_wide_images_get_wide_panels(tmp_path, drawn, check_readable, height, width, rows):
    sample = sample_of(0, max(height, 24), max(width, 40))
    sample = SegmentationSample(*(array[:height, :width] for array in sample))
    path = tmp_path / "x.png"
    visualize_segmentation_4panel(*sample, NAMES, None, "a long name " * 20, path)
    check_readable(path)
    axes = drawn[0].axes
    assert [axis.get_title() for axis in axes] == [
        "image",
        "ground truth",
        "prediction",
        "error map",
    ]
    assert len({round(axis.get_position().y0, 2) for axis in axes}) == rows


def test_legend_of_many_classes(tmp_path, drawn, check_readable):
    image, truth, prediction = sample_of()
    for size in (3, 12, 60):
        names = ["background", *(f"a rather long name {i}" for i in range(1, size))]
        shown = np.where(prediction == 1, size - 1, prediction)
        path = visualize_segmentation_4panel(
            image, truth, shown, names, None, "x", tmp_path / "x.png"
        )
        check_readable(path)
    classes = [legends_of(figure)[0] for figure in drawn]
    assert [len(names) for names in classes] == [2, 11, 2]
    # Of more than twelve classes, those that are there.
    assert classes[2] == ["a rather long name 1", "a rather long name 59"]
    assert legends_of(drawn[2])[1] == ["errors:", *(name for name, _ in OUTCOME_STYLES.values())]


def test_sizes_must_agree(tmp_path):
    image, truth, prediction = sample_of()
    for arrays in ((image, truth, prediction[:-1]), (image[:-1], truth, prediction)):
        with pytest.raises(ValueError, match="sizes differ|must be alike"):
            visualize_segmentation_4panel(*arrays, NAMES, None, "", tmp_path / "x.png")
    with pytest.raises(ValueError, match="no class"):
        visualize_segmentation_4panel(image, truth + 9, truth, NAMES, None, "", tmp_path / "x.png")
    assert not list(tmp_path.iterdir())


def test_best_and_worst(tmp_path, drawn, check_readable):
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
    # The published score, not one computed anew: it must be the one in the tables.
    assert titles_of(drawn[0]) == ["best 1   cats/a b.jpg   mDice 97.32"]
    check_readable(paths[-1])
    labels = [axis.get_ylabel() for axis in drawn[-1].axes if axis.get_ylabel()]
    assert labels == ["97.32", "31.03", "50.00"]


def test_ranked_by_another_metric_where_lower_is_better(tmp_path, drawn, check_readable):
    best = [RankedSample("good.jpg", 1.5)]
    worst = [RankedSample("bad" * 40 + ".jpg", 40.25)]
    paths = plot_best_worst_predictions(
        best, worst, lambda _: sample_of(), NAMES, None, tmp_path, "test", "HD95/big dog"
    )
    assert [path.name for path in paths] == [
        "test_best_01_good_HD95_big_dog_1.50.png",
        f"test_worst_01_{'bad' * 40}_HD95_big_dog_40.25.png",
        "test_overview.png",
    ]
    title = titles_of(drawn[0])[0]
    assert title.startswith("best 1   good.jpg   HD95/big dog 1.50   mDice ")
    assert len(titles_of(drawn[1])[0]) < 110
    check_readable(paths[-1])


def test_overview_of_worst_samples_alone(tmp_path, check_readable):
    paths = plot_best_worst_predictions(
        [], [RankedSample("a.jpg", 5.0)], lambda _: sample_of(), NAMES, None, tmp_path, "test"
    )
    assert [path.name for path in paths] == ["test_worst_01_a_mDice_5.00.png", "test_overview.png"]
    check_readable(paths[-1])


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
        ("Dice/dog", "Dice_dog"),
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


@pytest.mark.shared
def test_real_image(shared_dir, tmp_path, check_readable):
    data = shared_dir / "data/pets_coco"
    image = np.array(Image.open(sorted((data / "img/val").glob("*.jpg"))[0]).convert("RGB"))
    truth = np.array(Image.open(sorted((data / "labels/val").glob("*.png"))[0]))
    prediction = np.where(truth == 255, 0, np.roll(truth, 9, axis=0)) % 255
    path = visualize_segmentation_4panel(
        image, truth, prediction, NAMES, None, "real", tmp_path / "real.png"
    )
    check_readable(path)
