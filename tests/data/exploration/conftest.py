"""A data set in the layout that a look reads, written image by image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

SIDE = 32
Write = Callable[..., None]


def picture(seed: int, side: int = SIDE) -> np.ndarray:
    """(side, side, 3) uint8 smooth colours, another picture for each seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)


def square(label: int, side: int = SIDE, start: int = 8, stop: int = 20) -> np.ndarray:
    """A mask with one square."""
    mask = np.zeros((side, side), np.uint8)
    mask[start:stop, start:stop] = label
    return mask


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes one sample into `tmp_path/data`; PNG images, so that pixels stay as they are."""

    def write_one(
        split: str, name: str, image: np.ndarray, mask: np.ndarray | None, suffix: str = ".png"
    ) -> None:
        for folder, pixels, ending in (("img", image, suffix), ("labels", mask, ".png")):
            path = tmp_path / "data" / folder / split / f"{name}{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if pixels is not None:
                Image.fromarray(pixels).save(path)

    return write_one


@pytest.fixture
def data(tmp_path: Path, write: Write) -> Path:
    """12 train and 12 val images with a square of class 1 or 2."""
    for index, split in enumerate(("train", "val")):
        for number in range(12):
            write(split, f"{number:02d}", picture(100 * index + number), square(1 + number % 2))
    return tmp_path / "data"
