"""Every fault is the one that its name says."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from seglab.data.toy.faults import mask_iou, spoil
from seglab.data.toy.options import CLASSES, FAULT_KINDS
from seglab.data.toy.scene import Scene
from seglab.data.toy.writer import draw_image

SCENES = [s for s in (draw_image(0, 0, i, 96) for i in range(40)) if s.mask.any()]
Spoiled = list[tuple[Scene, np.ndarray, dict]]


@pytest.fixture
def spoiled() -> Callable[[str], Spoiled]:
    def make(kind: str) -> Spoiled:
        return [
            (scene, *spoil(np.random.default_rng([1, i]), scene, kind))
            for i, scene in enumerate(SCENES)
        ]

    return make


@pytest.mark.parametrize("kind", FAULT_KINDS)
def test_valid_masks_that_differ_and_leave_the_truth_alone(
    kind: str, spoiled: Callable[[str], Spoiled]
) -> None:
    truths = [scene.mask.copy() for scene in SCENES]
    for scene, mask, _ in spoiled(kind):
        assert mask.shape == scene.mask.shape
        assert mask.dtype == np.uint8
        assert mask.max() <= 2
        assert mask_iou(mask, scene.mask) < 1
    assert all(np.array_equal(t, s.mask) for t, s in zip(truths, SCENES, strict=True))


def test_missing_object(spoiled: Callable[[str], Spoiled]) -> None:
    for scene, mask, parameters in spoiled("missing_object"):
        gone = scene.instances == parameters["instance"]
        assert gone.any()
        assert not mask[gone].any()
        assert np.array_equal(mask[~gone], scene.mask[~gone])


def test_shifted(spoiled: Callable[[str], Spoiled]) -> None:
    for scene, mask, parameters in spoiled("shifted"):
        dx, dy = parameters["dx"], parameters["dy"]
        height, width = mask.shape
        expected = np.zeros_like(mask)
        for y in range(height):
            for x in range(width):
                if 0 <= y - dy < height and 0 <= x - dx < width:
                    expected[y, x] = scene.mask[y - dy, x - dx]
        assert np.array_equal(mask, expected)
    ious = [mask_iou(mask, scene.mask) for scene, mask, _ in spoiled("shifted")]
    assert 0.2 < np.median(ious) < 0.85


def test_jagged(spoiled: Callable[[str], Spoiled]) -> None:
    away = []
    for scene, mask, _ in spoiled("jagged"):
        assert set(np.unique(mask)) <= set(np.unique(scene.mask))
        band = cv2.distanceTransform((scene.mask == 0).astype(np.uint8), cv2.DIST_L2, 5)
        if (mask > 0).any():
            away.append(float(band[mask > 0].max()))
        assert mask_iou(mask, scene.mask) > 0.2
    assert np.median(away) < 12  # it strays along the outline and not across the picture
    ious = [mask_iou(mask, scene.mask) for scene, mask, _ in spoiled("jagged")]
    assert 0.5 < np.median(ious) < 0.95


def test_specks(spoiled: Callable[[str], Spoiled]) -> None:
    for scene, mask, parameters in spoiled("specks"):
        assert ((mask > 0) & (scene.mask == 0)).any()
        assert ((mask == 0) & (scene.mask > 0)).any()
        parts, _ = cv2.connectedComponents((mask != scene.mask).astype(np.uint8))
        assert 2 <= parts - 1 <= 3 * parameters["count"]
        assert (mask != scene.mask).mean() < 0.04


def test_wrong_class(spoiled: Callable[[str], Spoiled]) -> None:
    for scene, mask, parameters in spoiled("wrong_class"):
        target = scene.instances == parameters["instance"]
        was, now = CLASSES.index(parameters["from"]), CLASSES.index(parameters["to"])
        assert {was, now} == {1, 2}
        assert (scene.mask[target] == was).all()
        assert (mask[target] == now).all()
        assert np.array_equal(mask[~target], scene.mask[~target])


def test_wrong_object(spoiled: Callable[[str], Spoiled]) -> None:
    on_things = []
    for scene, mask, parameters in spoiled("wrong_object"):
        target = scene.instances == parameters["instance"]
        assert not mask[target].any()
        added = (mask > 0) & (scene.mask == 0)
        assert added.any()
        assert (mask[added] == CLASSES.index(parameters["class"])).all()
        left, top, right, bottom = parameters["labelled_box"]
        outside = added.copy()
        outside[top:bottom, left:right] = False
        assert not outside.any()
        on_things.append((scene.things[added] > 0).mean())
    assert np.mean(np.asarray(on_things) == 1) > 0.8


def test_iou_by_hand() -> None:
    truth = np.asarray([[1, 1, 0, 2]], np.uint8)
    given = np.asarray([[1, 0, 0, 1]], np.uint8)
    assert mask_iou(given, truth) == pytest.approx((1 / 3 + 0) / 2)
    assert mask_iou(truth * 0, truth * 0) == 1.0
    assert mask_iou(truth, truth) == 1.0
