"""What is measured of one sample, against plain numpy and scipy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from seglab.data.exploration.listing import Sample
from seglab.data.exploration.measure import (
    measure_mask,
    measure_sample,
    perceptual_hash,
    to_rgb,
)

from .conftest import Write, picture, square

MASKS = arrays(
    np.uint8,
    array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12),
    elements=st.sampled_from([0, 0, 1, 2, 255]),
)


@settings(max_examples=150, deadline=None)
@given(MASKS)
def test_components_and_holes_are_scipys(mask: np.ndarray) -> None:
    facts = measure_mask(mask)
    assert {v: n for v, n in enumerate(facts.pixels) if n} == dict(
        zip(*np.unique(mask, return_counts=True), strict=True)
    )
    expected = []
    for label in (1, 2):
        regions, count = scipy.ndimage.label(mask == label, np.ones((3, 3)))
        for index in range(1, count + 1):
            rows, columns = np.nonzero(regions == index)
            edge = np.isin(rows, (0, mask.shape[0] - 1)) | np.isin(columns, (0, mask.shape[1] - 1))
            x, y = (columns.mean() + 0.5) / mask.shape[1], (rows.mean() + 0.5) / mask.shape[0]
            expected.append((label, len(rows), round(x, 9), round(y, 9), bool(edge.any())))
    found = [(c.label, c.area, round(c.x, 9), round(c.y, 9), c.on_border) for c in facts.components]
    assert sorted(found) == sorted(expected)
    regions, count = scipy.ndimage.label(mask == 0)
    border = np.unique(np.r_[regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    holes = [int((regions == i).sum()) for i in range(1, count + 1) if i not in border]
    assert sorted(facts.holes) == sorted(holes)


@pytest.mark.parametrize("seed", range(12))
def test_perceptual_hash_is_the_published_one(seed: int) -> None:
    grey = np.asarray(Image.fromarray(picture(seed, 32)).convert("L"))
    low = scipy.fft.dctn(grey.astype(np.float64), norm="ortho")[:8, :8].ravel()
    bits = low > np.median(low[1:])
    assert perceptual_hash(grey) == int("".join(str(int(bit)) for bit in bits), 2)


def test_colours(tmp_path: Path, write: Write) -> None:
    pixels = picture(1)
    write("train", "a", pixels, square(1))
    root = tmp_path / "data"
    sample = Sample("train/a.png", root / "img/train/a.png", root / "labels/train/a.png")
    facts = measure_sample(sample, 255, None)
    assert facts.faults == ()
    assert facts.image is not None
    flat = pixels.reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(facts.image.mean, flat.mean(axis=0))
    np.testing.assert_allclose(facts.image.square, (flat**2).mean(axis=0))
    assert facts.image.brightness == pytest.approx(flat.mean(axis=0) @ (0.299, 0.587, 0.114), abs=1)
    assert not facts.image.colourless


@pytest.mark.parametrize(
    ("image", "colourless", "hashed"),
    [
        (np.full((9, 9, 3), 77, np.uint8), True, False),
        (np.arange(81, dtype=np.uint8).reshape(9, 9), True, True),
    ],
)
def test_flat_and_grey_images(
    tmp_path: Path, image: np.ndarray, colourless: bool, hashed: bool
) -> None:
    Image.fromarray(image).save(tmp_path / "a.png")
    facts = measure_sample(Sample("x/a.png", tmp_path / "a.png", None), 255, None)
    assert facts.image is not None
    assert facts.image.colourless is colourless
    assert (facts.image.perceptual is not None) is hashed
    assert facts.mask is None


def test_an_image_of_16_bits_is_not_clipped() -> None:
    deep = Image.fromarray(np.array([[0, 32768, 65535]], dtype=np.uint16))
    np.testing.assert_array_equal(to_rgb(deep)[0, :, 0], [0, 128, 255])


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (Image.new("RGB", (32, 32)), "mode RGB"),
        (Image.new("P", (32, 32)), "mode P"),
        (Image.new("L", (16, 32)), "is 16x32, its image 32x32"),
        (Image.fromarray(square(7)), "holds 7, classes are 0 to 2"),
    ],
)
def test_bad_masks(tmp_path: Path, write: Write, mask: Image.Image, message: str) -> None:
    write("train", "a", picture(1), square(1))
    path = tmp_path / "data/labels/train/a.png"
    mask.save(path)
    sample = Sample("train/a.png", tmp_path / "data/img/train/a.png", path)
    facts = measure_sample(sample, 255, 3)
    assert facts.mask is None
    assert len(facts.faults) == 1
    assert message in facts.faults[0]
    assert str(path) in facts.faults[0]
