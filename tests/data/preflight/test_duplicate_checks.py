from __future__ import annotations

import shutil

import pytest

from seglab.data.preflight import run_preflight

from .conftest import draw_mask, write_pair


def codes(findings):
    return [finding.code for finding in findings]


def copy_pair(root, source, target):
    for kind, suffix in (("img", ".jpg"), ("labels", ".png")):
        (root / kind / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / kind / f"{source}{suffix}", root / kind / f"{target}{suffix}")


@pytest.fixture
def even(make_config):
    """A config whose batches are full whatever the number of images."""
    return make_config(**{"train_dataloader.drop_last": True})


def test_identical_images_with_identical_masks(root, even):
    copy_pair(root, "train/a", "train/z")
    (finding,) = run_preflight(even)
    assert (finding.code, finding.severity) == ("repeated-image", "doubt")
    assert "img/train/a.jpg = img/train/z.jpg" in finding.message
    assert finding.files == (str(root / "img/train/a.jpg"), str(root / "img/train/z.jpg"))


def test_identical_images_with_different_masks(root, even):
    copy_pair(root, "train/a", "train/z")
    copy_pair(root, "train/a", "train/y")
    draw_mask(2).save(root / "labels/train/z.png")
    (finding,) = run_preflight(even)
    assert (finding.code, finding.severity) == ("conflicting-masks", "doubt")
    assert "img/train/a.jpg = img/train/y.jpg = img/train/z.jpg" in finding.message


def test_the_same_image_in_train_and_val_stops(root, even):
    copy_pair(root, "train/b", "val/renamed")
    (finding,) = run_preflight(even)
    assert (finding.code, finding.severity) == ("image-in-two-splits", "fault")
    assert "img/train/b.jpg = img/val/renamed.jpg" in finding.message
    assert "train and val" in finding.message


@pytest.mark.parametrize("splits", [("train", "val"), ("val",), ("train",)])
def test_folders_beside_the_splits_asked_for_are_compared(root, even, splits):
    write_pair(root, "test", "t", 40, 1)
    copy_pair(root, f"{splits[0]}/{'e' if splits == ('val',) else 'a'}", "test/u")
    (finding,) = run_preflight(even, splits)
    assert finding.code == "image-in-two-splits"
    assert "img/test/u.jpg" in finding.message


def test_a_folder_beside_them_needs_no_masks_to_be_compared(root, even):
    copy_pair(root, "train/a", "test/u")
    shutil.rmtree(root / "labels/test")
    (finding,) = run_preflight(even)
    assert finding.code == "image-in-two-splits"


def test_other_faults_of_a_folder_not_asked_for_are_left_alone(root, even):
    write_pair(root, "test", "t", 40, 9)
    (root / "img/test/broken.jpg").write_bytes(b"")
    assert run_preflight(even) == []


def test_training_on_the_val_folder_is_a_leak(make_config):
    cfg = make_config(**{"train_dataloader.dataset.split": "val"})
    assert "image-in-two-splits" in codes(run_preflight(cfg))


def test_test_loader_that_is_the_val_loader_is_no_leak(make_config):
    cfg = make_config()
    cfg.test_dataloader = cfg.val_dataloader
    assert run_preflight(cfg, ("train", "val", "test")) == []


def test_the_same_folder_twice_in_one_split_is_no_repeat(make_config):
    cfg = make_config()
    twice = [cfg.train_dataloader.dataset] * 2
    cfg.train_dataloader.dataset = {"type": "ConcatDataset", "datasets": twice}
    assert run_preflight(cfg) == []


def test_unreadable_images_are_not_taken_for_copies(root, even):
    for name in "ab":
        (root / f"img/train/{name}.jpg").write_bytes(b"")
    (root / "img/val/e.jpg").write_bytes(b"")
    assert set(codes(run_preflight(even))) == {"unreadable-image"}
