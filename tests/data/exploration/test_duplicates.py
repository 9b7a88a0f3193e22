"""Duplicates: the search against all pairs, and the groups on real files."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from seglab.data.exploration.duplicates import (
    MAX_DISTANCE,
    Duplicates,
    DuplicateSearch,
    near_pairs,
)
from seglab.data.exploration.listing import list_splits
from seglab.data.exploration.measure import measure_sample

from .conftest import Write, picture, square


def groups(root: Path) -> list[Duplicates]:
    search = DuplicateSearch()
    for split in list_splits(root, "all", "img", "labels"):
        for sample in split.samples:
            search.add(measure_sample(sample, 255, None))
    return search.groups()


@given(
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=12),
    st.lists(st.tuples(st.integers(0, 11), st.sets(st.integers(0, 63), max_size=9)), max_size=25),
)
def test_no_near_pair_is_missed(bases: list[int], changes: list[tuple[int, set[int]]]) -> None:
    changed = [bases[base % len(bases)] ^ sum(1 << bit for bit in bits) for base, bits in changes]
    hashes = sorted({*bases, *changed})
    found = {tuple(sorted(pair)) for pair in near_pairs(np.array(hashes, dtype=np.uint64))}
    expected = {
        (i, j)
        for j in range(len(hashes))
        for i in range(j)
        if (hashes[i] ^ hashes[j]).bit_count() <= MAX_DISTANCE
    }
    assert found == expected


def test_different_pictures_are_no_duplicates(data: Path) -> None:
    assert groups(data) == []


def test_exact_copies_and_their_masks(data: Path, write: Write) -> None:
    write("train", "copy", picture(0), square(2))
    write("val", "again", picture(3), square(2))
    conflict, leak = groups(data)
    assert conflict.files == ("train/00.png", "train/copy.png")
    assert conflict.exact
    assert conflict.conflicting
    assert conflict.disagreement == pytest.approx(100 * 144 / 1024)
    assert leak == Duplicates(("train/03.png", "val/again.png"), True, ("train", "val"), 0.0)
    assert not leak.conflicting


def recompressed(pixels: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=40)
    return np.asarray(Image.open(buffer))


def halved(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((16, 16)))


def darkened(pixels: np.ndarray) -> np.ndarray:
    return (pixels * 0.8).astype(np.uint8)


@pytest.mark.parametrize("change", [recompressed, halved, darkened])
def test_changed_copies_are_found(
    data: Path, write: Write, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    changed = change(picture(5))
    mask = np.asarray(Image.fromarray(square(2)).resize(changed.shape[1::-1], 0))
    write("val", "near", changed, mask)
    (group,) = groups(data)
    assert group.files == ("train/05.png", "val/near.png")
    assert not group.exact
    assert not group.conflicting


def test_same_structure_in_other_colours_is_another_picture(data: Path, write: Write) -> None:
    grey = np.asarray(Image.fromarray(picture(5)).convert("L"))
    tinted = np.stack([grey, 255 - grey // 4, 255 - grey // 4], axis=-1)
    write("val", "tinted", tinted, square(2))
    assert groups(data) == []
    write("val", "tinted_copy", tinted, square(1))  # copies of what only seemed to be a copy
    (group,) = groups(data)
    assert group.files == ("val/tinted.png", "val/tinted_copy.png")
    assert group.exact and group.conflicting


def test_flat_images_are_alike_only_when_equal(tmp_path: Path, write: Write) -> None:
    for value in (10, 100, 100, 200):
        flat = np.full((32, 32, 3), value, np.uint8)
        write("train", f"{value}_{len(list(tmp_path.rglob('*.png')))}", flat, square(1))
    (group,) = groups(tmp_path / "data")
    assert all("/100_" in name for name in group.files)


def test_copies_without_masks_do_not_conflict(data: Path, write: Write) -> None:
    write("train", "bare", picture(0), None)
    (group,) = groups(data)
    assert group.disagreement is None
    assert not group.conflicting
