"""Cached probabilities: what goes in comes out; damage is named."""

from pathlib import Path

import numpy as np
import pytest

from seglab.utils.errors import UserError
from seglab.utils.prediction_cache import (
    INDEX_FILE,
    CacheIndex,
    load_probabilities,
    probabilities_path,
    read_index,
    save_probabilities,
    write_index,
)


def test_round_trip(tmp_path: Path) -> None:
    chances = np.random.default_rng(0).dirichlet((1, 1, 1), (5, 4)).transpose(2, 0, 1)
    save_probabilities(tmp_path, "a/x.jpg", chances.astype(np.float32))
    read = load_probabilities(tmp_path, "a/x.jpg")
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, chances, atol=5e-4)
    index = CacheIndex(("background", "cat"), {"a/x.jpg": 1}, {"a/x.jpg": "0f"}, {"seed": 0})
    write_index(tmp_path, index)
    assert read_index(tmp_path) == index


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        '{"schema": 2}',
        '{"schema": 1, "classes": 3}',
        "{",
        '{"schema": 1, "classes": [], "folds": {}, "labels": {}, "recipe": {}}',
        '{"schema": 1, "classes": "abc", "folds": {}, "labels": {}, "recipe": {}}',
        '{"schema": 1, "classes": ["a", 3], "folds": {}, "labels": {}, "recipe": {}}',
        '{"schema": 1, "classes": ["a"], "folds": {}, "labels": {"x": 3}, "recipe": {}}',
    ],
)
def test_a_damaged_index_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / INDEX_FILE).write_text(content)
    with pytest.raises(UserError, match=INDEX_FILE):
        read_index(tmp_path)


@pytest.mark.parametrize("sample_id", ["../x.jpg", "/etc/x.jpg", "a/../../x.jpg", ""])
def test_an_id_that_leads_out_is_refused(tmp_path: Path, sample_id: str) -> None:
    with pytest.raises(UserError, match="leads out"):
        probabilities_path(tmp_path, sample_id)


def test_damaged_probabilities_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        load_probabilities(tmp_path, "x.jpg")
    path = save_probabilities(tmp_path, "x.jpg", np.full((3, 2, 2), np.nan, np.float32))
    with pytest.raises(UserError, match="no \\(C, H, W\\)"):
        load_probabilities(tmp_path, "x.jpg")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(UserError, match="cannot read"):
        load_probabilities(tmp_path, "x.jpg")
    np.savez(path, probabilities=np.array([object()]))
    with pytest.raises(UserError, match="cannot read"):
        load_probabilities(tmp_path, "x.jpg")


def test_damage_inside_the_archive_is_named(tmp_path: Path) -> None:
    chances = np.random.default_rng(0).random((3, 20, 20)).astype(np.float32)
    path = save_probabilities(tmp_path, "x.jpg", chances)
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):  # header, compressed data, directory
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            np.testing.assert_allclose(load_probabilities(tmp_path, "x.jpg"), chances, atol=1e-3)
        except UserError as error:
            assert "x.jpg.npz" in error.message
    with path.open("wb") as stream:
        np.save(stream, chances)  # an array, but no archive
    with pytest.raises(UserError, match="cannot read"):
        load_probabilities(tmp_path, "x.jpg")


def test_numbers_that_are_no_probabilities_are_named(tmp_path: Path) -> None:
    for value in (1.5, -0.2, np.inf):
        save_probabilities(tmp_path, "x.jpg", np.full((3, 2, 2), value, np.float32))
        with pytest.raises(UserError, match="no \\(C, H, W\\)"):
            load_probabilities(tmp_path, "x.jpg")
