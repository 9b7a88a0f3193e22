"""What the audit reads, and how it refuses it."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seglab.data.auditing.job import AuditInput, run_audit
from seglab.data.preflight.decode import read_mask
from seglab.utils.data_hashes import SampleFiles, hash_samples
from seglab.utils.errors import UserError
from seglab.utils.prediction_cache import CacheIndex, save_probabilities, write_index


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Nine images of noise with a square each; image 8 is in a folder of its own."""
    random = np.random.default_rng(0)
    for number in range(9):
        name = f"{number}" if number < 8 else "sub/8"
        image, mask = tmp_path / f"img/train/{name}.JPG", tmp_path / f"labels/train/{name}.png"
        for path in (image, mask):
            path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(image, "JPEG")
        values = np.zeros((40, 40), np.uint8)
        values[5:25, 5:25] = 1 + number % 2
        Image.fromarray(values).save(mask)
    return tmp_path


def test_sound_masks_are_judged_and_classes_counted(root: Path) -> None:
    Image.new("L", (5, 5)).save(root / "labels/train/nobody.png")  # belongs to no image
    result = run_audit(AuditInput(root))
    assert {verdict.sample_id for verdict in result.verdicts} == {
        *(f"{number}.JPG" for number in range(8)),
        "sub/8.JPG",
    }
    assert result.classes == ("class 0", "class 1", "class 2")
    assert result.files["sub/8.JPG"].label == root / "labels/train/sub/8.png"


def test_all_faults_are_named_at_once(root: Path) -> None:
    masks = root / "labels/train"
    palette = Image.open(masks / "0.png").convert("P")
    palette.save(masks / "0.png")
    Image.fromarray(np.zeros((40, 40), np.uint16)).save(masks / "1.png")
    Image.new("RGB", (40, 40)).save(masks / "2.png")
    data = (masks / "3.png").read_bytes()
    (masks / "3.png").write_bytes(data[: len(data) // 2])
    (masks / "4.png").unlink()
    Image.new("L", (40, 30)).save(masks / "5.png")
    (root / "img/train/6.JPG").write_bytes(b"")
    with pytest.raises(UserError) as caught:
        run_audit(AuditInput(root))
    message = str(caught.value)
    for words in (
        "0.png (mode P)",
        "1.png (mode I;16)",
        "2.png (mode RGB)",
        "labels/train/3.png (",
        "img/train/4.JPG",
        "5.JPG (40x40, mask 40x30)",
        "6.JPG (0 bytes)",
    ):
        assert words in message
    assert "7 faults" in message
    for name in ("0", "1", "2", "3", "4"):
        with pytest.raises(UserError, match=rf"{name}\.png"):
            read_mask(masks / f"{name}.png")
    assert read_mask(masks / "7.png").dtype == np.uint8


def test_missing_folders_and_values_without_a_class(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"img/val does not exist(?s:.)*labels/val does not exist"):
        run_audit(AuditInput(root, split="val"))
    cache = tmp_path / "cache"
    labels = {f"{number}.JPG": "0" for number in range(7)}
    write_index(cache, CacheIndex(("background", "cat"), dict.fromkeys(labels, 0), labels, {}))
    with pytest.raises(UserError, match=r"1\.png \(value 2\)"):
        run_audit(AuditInput(root, predictions=(cache,)))
    write_index(cache, CacheIndex(("a", "b", "c"), dict.fromkeys(labels, 0), labels, {}))
    with pytest.raises(UserError) as caught:
        run_audit(AuditInput(root, predictions=(cache,)))
    assert "no prediction of sub/8.JPG" in str(caught.value)
    assert "the mask of 0.JPG has changed since" in str(caught.value)
    other = tmp_path / "other"
    write_index(other, CacheIndex(("a",), dict.fromkeys(labels, 0), labels, {}))
    with pytest.raises(UserError, match="other classes"):
        run_audit(AuditInput(root, predictions=(cache, other)))


def test_masks_that_no_list_could_name_are_refused(root: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40)).save(root / "img/train/3.png")
    (root / "labels/train/4.png").rename(tmp_path / "4.png")
    other = tmp_path / "elsewhere"
    shutil.copytree(root / "img", other / "img")
    shutil.copytree(root / "labels", other / "labels")
    (other / "labels/train/4.png").symlink_to(tmp_path / "4.png")
    with pytest.raises(UserError) as caught:
        run_audit(AuditInput(other))
    message = str(caught.value)
    assert "2 faults" in message
    assert "img/train/3.JPG and img/train/3.png share the mask labels/train/3.png" in message
    assert "'labels/train/4.png' leads out of" in message
    run_audit(AuditInput(other / "..", img_suffixes=(".jpg",), split="train/sub"))
    for folder in ("../labels", str(root / "labels")):
        with pytest.raises(UserError, match=r"leads upwards|is absolute"):
            run_audit(AuditInput(other, mask_dir=folder))


def test_names_that_are_no_text_are_refused(root: Path) -> None:
    for folder, ending in (("img", "JPG"), ("labels", "png")):
        name = os.fsencode(root / folder / "train") + b"/\xff." + ending.encode()
        shutil.copy(root / folder / f"train/0.{ending}", name)
    with pytest.raises(UserError, match="no UTF-8"):
        run_audit(AuditInput(root))


def test_predictions_of_another_shape_are_refused(root: Path, tmp_path: Path) -> None:
    files = [
        SampleFiles(name, root / "img/train" / name, root / f"labels/train/{name[:-4]}.png")
        for name in [*(f"{number}.JPG" for number in range(8)), "sub/8.JPG"]
    ]
    labels = {key: str(pair["label"]) for key, pair in hash_samples(files).items()}
    cache = tmp_path / "cache"
    write_index(cache, CacheIndex(("a", "b", "c"), dict.fromkeys(labels, 0), labels, {}))
    for number, name in enumerate(labels):
        shape = {0: (2, 40, 40), 1: (4, 40, 40), 2: (3, 40, 41)}.get(number, (3, 40, 40))
        save_probabilities(cache, name, np.full(shape, 0.25, np.float32))
    with pytest.raises(UserError) as caught:
        run_audit(AuditInput(root, predictions=(cache,)))
    message = str(caught.value)
    assert "3 faults" in message
    assert "0.JPG is 2x40x40 (classes, height, width); its mask wants 3x40x40" in message
