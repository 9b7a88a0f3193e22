"""Known faults for masks: each spoils a true mask and says what it did.

The kinds are those that people and tools make when they label in a hurry. A spoiled mask stays a
valid mask: the same size and the same classes.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from seglab.data.toy.options import CLASSES
from seglab.data.toy.scene import Scene
from seglab.data.toy.shapes import ByteArray

_Spoiled = tuple[ByteArray, dict[str, Any]]


def mask_iou(first: ByteArray, second: ByteArray) -> float:
    """Agreement of two masks: IoU averaged over the animal classes that either one has.

    Args:
        first: (H, W) uint8 mask.
        second: (H, W) uint8 mask.

    Returns:
        0 to 1; 1 where neither mask has an animal.
    """
    values = []
    for label in range(1, len(CLASSES)):
        one, other = first == label, second == label
        union = int((one | other).sum())
        if union:
            values.append(int((one & other).sum()) / union)
    return float(np.mean(values)) if values else 1.0


def _pick_instance(rng: np.random.Generator, scene: Scene) -> int:
    """Number of one of the animals that are seen."""
    return int(rng.choice(np.unique(scene.instances[scene.instances > 0])))


def _length(rng: np.random.Generator, scene: Scene) -> int:
    """Longer side in pixels of the box around one of the animals that are seen."""
    rows, columns = np.nonzero(scene.instances == _pick_instance(rng, scene))
    return int(max(np.ptp(rows), np.ptp(columns))) + 1


def _missing_object(rng: np.random.Generator, scene: Scene) -> _Spoiled:
    """One animal is not labelled."""
    number = _pick_instance(rng, scene)
    mask = np.where(scene.instances == number, 0, scene.mask).astype(np.uint8)
    return mask, {"instance": number, "class": scene.animals[number - 1]["species"]}


def _shifted(rng: np.random.Generator, scene: Scene) -> _Spoiled:
    """The whole mask is moved by 6 to 16 % of an animal's length."""
    reach = max(_length(rng, scene) * rng.uniform(0.06, 0.16), 2.0)
    turn = rng.uniform(0, 2 * np.pi)
    dx, dy = round(reach * np.cos(turn)), round(reach * np.sin(turn))
    height, width = scene.mask.shape
    move = np.asarray([[1, 0, dx], [0, 1, dy]], np.float32)
    mask = cv2.warpAffine(scene.mask, move, (width, height), flags=cv2.INTER_NEAREST)
    return np.asarray(mask, np.uint8), {"dx": dx, "dy": dy}


def _jagged(rng: np.random.Generator, scene: Scene) -> _Spoiled:
    """Outlines are polygons of a few careless clicks that stray to both sides."""
    length = _length(rng, scene)
    step, stray = max(length * 0.07, 3.0), max(length * 0.035, 1.5)
    mask = np.zeros_like(scene.mask)
    for label in range(1, len(CLASSES)):
        target = (scene.mask == label).astype(np.uint8)
        contours, _ = cv2.findContours(target, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        for contour in contours:
            clicks = contour[:: max(round(step), 1), 0, :]
            if len(clicks) < 3:
                continue
            strayed = clicks + rng.normal(0, stray, clicks.shape)
            cv2.fillPoly(mask, [np.round(strayed).astype(np.int32)], label)
    return mask, {"step_px": round(step, 2), "stray_px": round(stray, 2)}


def _specks(rng: np.random.Generator, scene: Scene) -> _Spoiled:
    """Small wrong blobs: labels on the background and holes in the animals."""
    mask = scene.mask.copy()
    size = mask.shape[0]
    count = int(rng.integers(8, 20))
    present = np.unique(mask[mask > 0])
    rows, columns = np.nonzero(mask)
    for number in range(count):
        radius = max(round(size * rng.uniform(0.008, 0.022)), 1)
        if number % 2:
            where = int(rng.integers(len(rows)))
            centre, value = (int(columns[where]), int(rows[where])), 0
        else:
            x, y = rng.integers(0, size, 2).tolist()
            centre, value = (x, y), int(rng.choice(present))
        cv2.circle(mask, centre, radius, value, cv2.FILLED)
    return mask, {"count": count}


def _wrong_class(rng: np.random.Generator, scene: Scene) -> _Spoiled:
    """One animal has the label of the other species."""
    number = _pick_instance(rng, scene)
    was = CLASSES.index(scene.animals[number - 1]["species"])
    now = 3 - was
    mask = np.where(scene.instances == number, now, scene.mask).astype(np.uint8)
    return mask, {"instance": number, "from": CLASSES[was], "to": CLASSES[now]}


def _wrong_object(rng: np.random.Generator, scene: Scene) -> _Spoiled:
    """A distractor is labelled in place of an animal."""
    number = _pick_instance(rng, scene)
    species = scene.animals[number - 1]["species"]
    mask = np.where(scene.instances == number, 0, scene.mask).astype(np.uint8)
    sizes = np.bincount(scene.things.ravel(), minlength=2)
    sizes[0] = 0
    labelled = scene.things == sizes.argmax()
    if sizes.max() < 0.005 * mask.size:  # no distractor is seen: a patch of background instead
        labelled = np.roll(scene.instances == number, mask.shape[0] // 2, axis=(0, 1))
        labelled &= scene.instances == 0
    mask[labelled] = CLASSES.index(species)
    rows, columns = np.nonzero(labelled)
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1] if len(rows) else []
    return mask, {"instance": number, "class": species, "labelled_box": [int(v) for v in box]}


_MAKERS = {
    "missing_object": _missing_object,
    "shifted": _shifted,
    "jagged": _jagged,
    "specks": _specks,
    "wrong_class": _wrong_class,
    "wrong_object": _wrong_object,
}


def spoil(rng: np.random.Generator, scene: Scene, kind: str) -> _Spoiled:
    """Put a fault into a mask.

    Args:
        rng: Source of its parameters.
        scene: The picture with its truth; at least one animal must be seen.
        kind: One of `options.FAULT_KINDS`.

    Returns:
        The (H, W) uint8 faulty mask and the parameters of the fault.
    """
    return _MAKERS[kind](rng, scene)
