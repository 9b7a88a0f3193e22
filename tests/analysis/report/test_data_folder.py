"""Counting a data folder."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seglab.analysis.report.data_folder import read_data_folder
from seglab.utils.errors import UserError


def write_mask(path: Path, values: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(values, dtype=np.uint8)).save(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split, names in (("val", ["a.jpg", "sub/b.jpg"]), ("train", ["c.jpg"]), ("odd", ["d.jpg"])):
        for name in names:
            path = tmp_path / "img" / split / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
    write_mask(tmp_path / "labels/val/a.png", [[0, 1], [1, 255]])
    write_mask(tmp_path / "labels/val/sub/b.png", [[0, 2], [0, 7]])
    write_mask(tmp_path / "labels/train/c.png", [[0, 0]])
    write_mask(tmp_path / "human/val/a.png", [[2, 2]])
    write_mask(tmp_path / "labels/odd/d.png", [[1]])
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_everything_is_counted(root: Path) -> None:
    found = read_data_folder(root, 3)
    assert [(m.split, m.version, m.images, m.masks) for m in found] == [
        ("train", "labels", 1, 1),
        ("val", "human", 2, 1),
        ("val", "labels", 2, 2),
        ("odd", "labels", 1, 1),
    ]
    val = found[2]
    assert val.pixels.tolist() == [3, 2, 1] and val.containing.tolist() == [2, 1, 1]
    assert (val.ignored, val.unknown) == (1, 1)


def test_another_ignored_value(root: Path) -> None:
    val = read_data_folder(root, 3, ignore_index=7)[2]
    assert (val.ignored, val.unknown) == (1, 1)
    assert read_data_folder(root, 2, ignore_index=255)[2].unknown == 2


@pytest.mark.parametrize("kind", ["rgb", "deep", "broken", "header", "chunk"])
def test_a_mask_that_is_none_is_named(root: Path, kind: str) -> None:
    path = root / "labels" / "val" / "z.png"
    if kind == "rgb":
        Image.new("RGB", (2, 2)).save(path)
    elif kind == "deep":
        Image.fromarray(np.array([[300]], dtype=np.uint16)).save(path)
    elif kind == "broken":
        path.write_bytes(b"\x89PNG no")
    else:
        write_mask(path, np.random.default_rng(0).integers(0, 2, (64, 64)))
        content = bytearray(path.read_bytes())
        content[11 if kind == "header" else 35] ^= 1  # the length of the header, of the pixels
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"z\.png"):
        read_data_folder(root, 3)


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="has no folder img"):
        read_data_folder(tmp_path, 3)
