import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sklearn_metrics

from seglab.utils.breakdown import by_classes_present, by_object_size, error_budget
from seglab.utils.io_utils import to_plain

NAMES = ("background", "cat", "dog", "bird")
SIZE = len(NAMES)


def matrix(prediction, truth):
    counts = np.zeros((SIZE, SIZE), dtype=np.int64)
    np.add.at(counts, (truth, prediction), 1)
    return counts


@st.composite
def splits(draw, min_images=0):
    """Predictions and truths of images of different sizes; classes may be absent."""
    images = []
    for _ in range(draw(st.integers(min_images, 7))):
        present = st.sampled_from(draw(st.sampled_from([(0,), (0, 1), (0, 2, 3), (0, 1, 2, 3)])))
        pixels = draw(st.integers(0, 40))
        truth = draw(hnp.arrays(np.int64, pixels, elements=present))
        other = draw(hnp.arrays(np.int64, pixels, elements=st.integers(0, SIZE - 1)))
        right = draw(hnp.arrays(bool, pixels))
        images.append((np.where(right, truth, other), truth))
    return images


def stack(images):
    return np.array([matrix(*pair) for pair in images]).reshape(-1, SIZE, SIZE)


def dice(prediction, truth, label):
    both = ((truth == label) & (prediction == label)).sum()
    return 200.0 * both / ((truth == label).sum() + (prediction == label).sum())


def mean_dice(prediction, truth):
    labels = sorted({*prediction.tolist(), *truth.tolist()})
    return float(np.mean([dice(prediction, truth, label) for label in labels]))


def joined(images):
    return [np.concatenate(masks) for masks in zip(*images, strict=True)]


@given(splits())
@settings(max_examples=60, deadline=None)
def test_object_sizes_equal_a_loop_over_objects(images):
    rows = by_object_size(stack(images), NAMES)
    objects = []  # area, percent, class, prediction, truth
    for prediction, truth in images:
        for label in range(1, SIZE):
            area = int((truth == label).sum())
            if area:
                objects.append((area, 100 * area / len(truth), label, prediction, truth))
    assert sum(row["objects"] for row in rows) == len(objects)
    areas = sorted(entry[0] for entry in objects)
    for row in rows:
        low, high = (
            math.inf * (end - 0.5) if place in (0, 4) else np.quantile(areas, place / 4)
            for end, place in enumerate((row["quartile"] - 1, row["quartile"]))
        )
        chosen = [entry for entry in objects if low < entry[0] <= high]
        assert row["objects"] == len(chosen) > 0
        for label in range(1, SIZE):
            of_class = [entry for entry in chosen if entry[2] == label]
            assert row[f"objects/{NAMES[label]}"] == len(of_class)
        for key, place in (("pixels", 0), ("percent", 1)):
            values = [entry[place] for entry in chosen]
            assert (row[f"min_{key}"], row[f"max_{key}"]) == (min(values), max(values))
        predicted = [prediction == label for _, _, label, prediction, _ in chosen]
        true = [truth == label for _, _, label, _, truth in chosen]
        for key, score in (
            ("Dice", sklearn_metrics.f1_score),
            ("Recall", sklearn_metrics.recall_score),
        ):
            each = [100 * score(t, p) for p, t in zip(predicted, true, strict=True)]
            assert row[f"mean/{key}"] == pytest.approx(np.mean(each))
            pooled = 100 * score(np.concatenate(true), np.concatenate(predicted))
            assert row[f"pooled/{key}"] == pytest.approx(pooled)
    assert json.loads(json.dumps(rows)) == rows


def test_quartiles_of_areas_with_ties():
    def cats(area):
        return [[100 - area, 0, 0, 0], [area // 2, area - area // 2, 0, 0], [0] * 4, [0] * 4]

    rows = by_object_size([cats(area) for area in (10, 20, 30, 40, 50, 60, 70, 80)], NAMES)
    assert [(row["quartile"], row["objects"]) for row in rows] == [(1, 2), (2, 2), (3, 2), (4, 2)]
    assert [(row["min_pixels"], row["max_percent"]) for row in rows] == [
        (10, 20.0),
        (30, 40.0),
        (50, 60.0),
        (70, 80.0),
    ]
    assert rows[0]["mean/Recall"] == 50
    # Objects of one area are never split between groups.
    rows = by_object_size([cats(10)] * 5 + [cats(90)], NAMES)
    assert [(row["quartile"], row["objects"]) for row in rows] == [(1, 5), (4, 1)]


@given(splits())
@settings(max_examples=60, deadline=None)
def test_classes_present_equal_a_loop_over_images(images):
    rows = by_classes_present(stack(images), NAMES)
    groups = {}
    for prediction, truth in images:
        key = tuple(label for label in range(1, SIZE) if (truth == label).any())
        groups.setdefault(key, []).append((prediction, truth))
    order = [
        key
        for number in range(SIZE)
        for key in itertools.combinations(range(1, SIZE), number)
        if key in groups
    ]
    assert [row["classes"] for row in rows] == [
        " + ".join(NAMES[label] for label in key) if key else "none" for key in order
    ]
    for row, key in zip(rows, order, strict=True):
        members = groups[key]
        prediction, truth = joined(members)
        assert row["images"] == len(members)
        with_pixels = [pair for pair in members if len(pair[1])]
        assert row["images/mDice"] == len(with_pixels)
        assert row["classes/mDice"] == len({*prediction.tolist(), *truth.tolist()})
        if with_pixels:
            assert row["mDice"] == pytest.approx(mean_dice(prediction, truth))
            each = [mean_dice(*pair) for pair in with_pixels]
            assert row["image_mean/mDice"] == pytest.approx(np.mean(each))
        else:
            assert math.isnan(row["mDice"])
            assert math.isnan(row["image_mean/mDice"])
        confused = ((truth > 0) & (prediction > 0) & (truth != prediction)).sum()
        assert row["object_pixels"] == (truth > 0).sum()
        assert row["confused_pixels"] == confused
        if key:
            assert row["confused_percent"] == pytest.approx(100 * confused / (truth > 0).sum())
        else:
            assert math.isnan(row["confused_percent"])
    assert json.loads(json.dumps(to_plain(rows), allow_nan=False)) is not None


@given(splits(min_images=1))
@settings(max_examples=60, deadline=None)
def test_error_budget_equals_mending_the_pixels(images):
    rows = error_budget(stack(images), NAMES)
    prediction, truth = joined(images)
    wrong = prediction != truth
    kinds = {
        "false_positive": wrong & (truth == 0),
        "false_negative": wrong & (prediction == 0),
        "wrong_class": wrong & (truth > 0) & (prediction > 0),
    }
    assert [(row["kind"], row["truth"]) for row in rows[:3]] == [(kind, None) for kind in kinds]
    pairs = set()
    for row in rows:
        cells = kinds[row["kind"]]
        if row["truth"] is not None:
            pair = NAMES.index(row["truth"]), NAMES.index(row["prediction"])
            cells = cells & (truth == pair[0]) & (prediction == pair[1])
            pairs.add(pair)
            assert row["pixels"] > 0
        assert row["pixels"] == cells.sum()
        if wrong.any():
            assert row["error_percent"] == pytest.approx(100 * cells.sum() / wrong.sum())
        else:
            assert math.isnan(row["error_percent"])
        if len(truth):
            mended = np.where(cells, truth, prediction)
            gain = mean_dice(mended, truth) - mean_dice(prediction, truth)
            assert row["gain_mDice"] == pytest.approx(gain, abs=1e-9)
    confused = kinds["wrong_class"]
    assert pairs == set(zip(truth[confused].tolist(), prediction[confused].tolist(), strict=True))
    assert len(rows) == 3 + len(pairs)
    pixels = [row["pixels"] for row in rows[3:]]
    assert pixels == sorted(pixels, reverse=True)


def test_error_budget_of_a_known_split():
    counts = np.zeros((1, 4, 4), dtype=np.int64)
    counts[0, :3, :3] = [[80, 0, 0], [0, 0, 10], [10, 0, 0]]
    false_positive, false_negative, wrong_class, pair = error_budget(counts, NAMES)
    assert false_positive["gain_mDice"] == 0
    assert false_negative["error_percent"] == wrong_class["error_percent"] == 50
    before = (160 / 170 + 0 + 0) / 3
    assert false_negative["gain_mDice"] == pytest.approx(100 * ((1 + 0 + 2 / 3) / 3 - before))
    assert wrong_class["gain_mDice"] == pytest.approx(100 * ((160 / 170 + 1 + 0) / 3 - before))
    assert pair == wrong_class | {"truth": "cat", "prediction": "dog"}


def test_without_images_or_objects():
    nothing = np.zeros((0, 4, 4), dtype=np.int64)
    assert by_object_size(nothing, NAMES) == by_classes_present(nothing, NAMES) == []
    assert [row["pixels"] for row in error_budget(nothing, NAMES)] == [0, 0, 0]
    alone = error_budget([[[5]]], ("background",))
    assert [row["gain_mDice"] for row in alone] == [0, 0, 0]
    assert by_object_size([[[5]]], ("background",)) == []
    assert by_classes_present([[[5]]], ("background",))[0]["classes"] == "none"


@pytest.mark.parametrize("function", [by_object_size, by_classes_present, error_budget])
def test_other_classes_raise(function):
    with pytest.raises(ValueError, match=r"\(N, 4, 4\)"):
        function(np.zeros((2, 3, 3)), NAMES)
