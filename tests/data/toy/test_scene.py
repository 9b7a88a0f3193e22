"""The pictures: balanced, labelled by what is seen, and told by shape alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score
from sklearn.svm import SVC

from seglab.data.toy.scene import Scene, draw_scene
from seglab.data.toy.shapes import fill
from seglab.data.toy.silhouettes import POSES, draw_animal, extent
from seglab.data.toy.writer import contents, draw_image

SIZE = 64


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [draw_image(3, 0, index, SIZE) for index in range(288)]


@pytest.fixture(scope="module")
def singles(scenes: list[Scene]) -> list[Scene]:
    return [s for s in scenes if len(s.animals) == 1 and s.animals[0]["pixels"] > 40]


def test_contents_are_balanced_in_every_prefix() -> None:
    shown = [contents(7, 1, index) for index in range(96)]
    flat = [species for content in shown for species in content]
    assert flat.count("cat") == flat.count("dog") == 51
    assert shown.count(()) == 6
    assert sum(len(content) == 2 for content in shown) == 12
    for count in range(2, 97):
        so_far = [species for content in shown[:count] for species in content]
        assert abs(so_far.count("cat") - so_far.count("dog")) <= 3
        assert {"cat", "dog"} <= set(so_far)
    assert shown != [contents(8, 1, index) for index in range(96)]


def test_same_seed_same_scene_and_every_index_its_own() -> None:
    first, again = draw_image(1, 0, 4, SIZE), draw_image(1, 0, 4, SIZE)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.mask, again.mask)
    others = [draw_image(1, 0, 5, SIZE), draw_image(1, 1, 4, SIZE), draw_image(2, 0, 4, SIZE)]
    assert all(not np.array_equal(first.image, other.image) for other in others)


def test_neighbours_of_the_same_content_are_different_pictures() -> None:
    same = [i for i in range(0, 60, 2) if contents(1, 0, i) == contents(1, 0, i + 1)]
    assert same
    for index in same:
        first, second = draw_image(1, 0, index, 32), draw_image(1, 0, index + 1, 32)
        assert not np.array_equal(first.image, second.image)


def test_masks_follow_the_instances(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.image.shape == (SIZE, SIZE, 3)
        assert scene.image.dtype == scene.mask.dtype == np.uint8
        for number, animal in enumerate(scene.animals, start=1):
            seen = scene.instances == number
            assert int(seen.sum()) == animal["pixels"]
            assert set(np.unique(scene.mask[seen])) <= {1 if animal["species"] == "cat" else 2}
        assert not scene.mask[scene.instances == 0].any()
        assert not (scene.mask[scene.things > 0]).any()


def test_empty_pictures_have_an_empty_mask() -> None:
    scene = draw_scene(np.random.default_rng(0), SIZE, ())
    assert not scene.mask.any()
    assert scene.animals == []


def test_variety(scenes: list[Scene]) -> None:
    animals = [animal for scene in scenes for animal in scene.animals]
    assert {animal["pose"] for animal in animals} == set(POSES)
    scales = [animal["scale"] for animal in animals]
    assert min(scales) < 0.35
    assert max(scales) > 0.8
    assert max(abs(animal["rotation"]) for animal in animals) <= 20
    for key, low, high in (("occluded", 0.08, 0.5), ("cut", 0.1, 0.7)):
        assert low < np.mean([animal[key] for animal in animals]) < high
    assert 0.4 < np.mean([animal["facing"] == "left" for animal in animals]) < 0.6
    share = np.mean([(scene.mask > 0).mean() for scene in scenes])
    assert 0.05 < share < 0.35


def test_nearly_every_animal_is_seen(scenes: list[Scene]) -> None:
    pixels = [animal["pixels"] for scene in scenes for animal in scene.animals]
    assert np.mean(np.asarray(pixels) > 0.004 * SIZE**2) > 0.97


def _colour_and_place(scene: Scene) -> list[float]:
    """Mean and spread of the animal's colour, and the centre of its mask."""
    seen = scene.mask > 0
    colours = scene.image[seen].astype(float)
    rows, columns = np.nonzero(seen)
    return [*colours.mean(0), *colours.std(0), rows.mean(), columns.mean()]


def _shape(scene: Scene, flip: bool) -> np.ndarray:
    """The mask alone, cut out and brought to 20 x 20: no colour and no position."""
    seen = (scene.mask > 0).astype(np.uint8)
    x, y, width, height = cv2.boundingRect(seen)
    side = max(width, height)
    square = np.zeros((side, side), np.float32)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = seen[y : y + height, x : x + width]
    small = cv2.resize(square, (20, 20), interpolation=cv2.INTER_AREA)
    return (small[:, ::-1] if flip else small).ravel()


def test_shape_tells_the_species_but_colour_and_place_do_not(singles: list[Scene]) -> None:
    species = np.asarray([scene.mask.max() for scene in singles])
    half = len(singles) // 2
    colour = np.asarray([_colour_and_place(scene) for scene in singles])
    forest = RandomForestClassifier(100, random_state=0).fit(colour[:half], species[:half])
    by_colour = accuracy_score(species[half:], forest.predict(colour[half:]))

    plain = np.asarray([_shape(scene, False) for scene in singles])
    mirror = np.asarray([_shape(scene, True) for scene in singles])
    train = np.concatenate([plain[:half], mirror[:half]])
    machine = SVC(C=10).fit(train, np.tile(species[:half], 2))
    by_shape = accuracy_score(species[half:], machine.predict(plain[half:]))
    assert by_colour < 0.65  # chance is 0.5 with a standard error of 0.05
    assert by_shape > 0.75
    assert by_shape > by_colour + 0.15


def test_pixels_cannot_be_labelled_by_colour_and_position(singles: list[Scene]) -> None:
    grid = np.moveaxis(np.mgrid[0:SIZE, 0:SIZE], 0, 2) / SIZE
    features = np.stack([np.concatenate([s.image / 255, grid], axis=2) for s in singles])
    features = features.reshape(len(singles), -1, 5)[:, ::9]
    labels = np.stack([s.mask for s in singles]).reshape(len(singles), -1)[:, ::9]
    half = len(singles) // 2
    train_x, train_y = features[:half].reshape(-1, 5), labels[:half].ravel()
    test_x, test_y = features[half:].reshape(-1, 5), labels[half:].ravel()
    settings = {"min_samples_leaf": 5, "random_state": 0, "class_weight": "balanced"}

    forest = RandomForestClassifier(30, **settings).fit(train_x, train_y)
    dice = f1_score(test_y, forest.predict(test_x), average=None)  # F1 of pixels is Dice
    assert dice[1:].max() < 0.4

    animal, held_out = train_y > 0, test_y > 0
    forest = RandomForestClassifier(30, **settings).fit(train_x[animal], train_y[animal])
    told = balanced_accuracy_score(test_y[held_out], forest.predict(test_x[held_out]))
    assert told < 0.6


@pytest.mark.parametrize(("species", "tips"), [("cat", 2), ("dog", 1)])
def test_two_ears_point_up_on_a_cat_and_none_on_a_dog(species: str, tips: int) -> None:
    for seed in range(12):
        figure = draw_animal(np.random.default_rng(seed), species, "portrait")
        canvas = np.zeros((200, 200), np.uint8)
        to_pixels = np.asarray([[80, 0, 100], [0, -80, 110]], np.float32)
        for part in figure.parts:
            fill(part.moved(to_pixels), canvas)
        tilted_ear = round(0.33 * 80 * figure.head_radius)  # one ear may be that much higher
        top = int(np.nonzero(canvas.any(axis=1))[0][0])
        row = canvas[top + tilted_ear]
        assert np.count_nonzero(np.diff(row.astype(int)) == 1) == tips


@pytest.mark.parametrize("pose", POSES)
@pytest.mark.parametrize("species", ["cat", "dog"])
def test_figures_are_whole(species: str, pose: str) -> None:
    figure = draw_animal(np.random.default_rng(0), species, pose)
    left, bottom, right, top = extent(figure.parts)
    assert left < figure.head[0] < right
    assert bottom < figure.head[1] < top
    assert 0.3 < (right - left) / (top - bottom) < 4
