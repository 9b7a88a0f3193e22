"""Each fault of a data set in Oxford-IIIT Pet's layout, made for real."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from PIL import Image

from seglab.data.preflight import raise_on_faults, run_preflight
from seglab.data.preflight.folders import find_folders
from seglab.utils.errors import UserError

ALL = ("train", "val", "test")


def config(root: Path, **options: Any) -> Config:
    """A config of data loaders alone; a batch of one, as sizes do not matter here."""
    loaders = {
        f"{split}_dataloader": {
            "batch_size": 1,
            "dataset": {
                "type": "OxfordPetDataset",
                "data_root": str(root),
                "split": split,
                **options,
            },
        }
        for split in ALL
    }
    return Config({**loaders, "train_cfg": {"max_epochs": 1}})


def found(root: Path, **options: Any) -> dict[str, str]:
    """Code -> messages of all findings."""
    messages: dict[str, str] = {}
    for finding in run_preflight(config(root, **options), ALL):
        messages[finding.code] = messages.get(finding.code, "") + finding.message
    return messages


def trimap(root: Path, name: str) -> Path:
    return root / "annotations" / "trimaps" / f"{name}.png"


@pytest.mark.parametrize("mode", ["binary", "species", "trimap"])
def test_a_sound_set_gives_no_findings(pets: Path, mode: str) -> None:
    assert found(pets, mode=mode) == {}


def test_lists_what_the_data_set_lists(pets: Path) -> None:
    from seglab.mmseg_custom.datasets import OxfordPetDataset

    for split in ALL:
        (folder,), _ = find_folders(config(pets), split)
        listed = OxfordPetDataset(str(pets), split, lazy_init=True).load_data_list()
        assert [str(path) for path in folder.list_images()] == [s["img_path"] for s in listed]
        masks = [str(folder.mask_of(path)) for path in folder.list_images()]
        assert masks == [sample["seg_map_path"] for sample in listed]
        for mask, sample in zip(masks, listed, strict=True):
            for value, label in sample["label_map"].items():
                assert folder.label_of(Path(mask), value) == label
        assert folder.classes == ("background", "animal")


def test_unlisted_files_and_macos_leftovers_do_not_matter(pets: Path) -> None:
    trimap(pets, "._Bengal_1").write_bytes(b"leftover")
    Image.new("L", (3, 3)).save(trimap(pets, "Bengal_77"))
    (pets / "images/Bengal_101.mat").write_bytes(b"matlab")
    assert found(pets) == {}


def test_a_listed_image_that_is_missing(pets: Path) -> None:
    (pets / "images/Bengal_3.jpg").unlink()  # of test
    messages = found(pets)
    assert list(messages) == ["listed-not-there"]
    assert "images/Bengal_3.jpg" in messages["listed-not-there"]
    for image in (pets / "images").iterdir():
        image.unlink()
    codes = {finding.code for finding in run_preflight(config(pets), ("test",))}
    assert codes == {"listed-not-there", "empty-split"}


def test_trimap_of_other_values(pets: Path) -> None:
    Image.fromarray(np.array([[0, 1, 2, 255]], np.uint8)).resize((24, 18), 0).save(
        trimap(pets, "Bengal_3")
    )
    messages = found(pets)
    assert list(messages) == ["trimap-value"]
    assert "Bengal_3.png (value 0, 255)" in messages["trimap-value"]


def test_a_species_without_a_pixel_is_a_class_that_cannot_be_learnt(pets: Path) -> None:
    for path in (pets / "annotations" / "trimaps").glob("beagle*"):
        Image.new("L", (24, 18), 2).save(path)
    assert "2 dog" in found(pets, mode="species")["absent-class"]
    assert "uniform-mask" in found(pets)


def test_a_trimap_that_is_all_border(pets: Path) -> None:
    Image.new("L", (24, 18), 3).save(trimap(pets, "beagle_3"))
    assert "beagle_3.png" in found(pets)["ignored-mask"]
    assert "ignored-mask" not in found(pets, border="background")


def test_train_and_trainval_share_images(pets: Path) -> None:
    cfg = config(pets)
    cfg.train_dataloader.dataset.split = "trainval"
    (finding,) = run_preflight(cfg)
    assert finding.code == "image-in-two-splits"


def test_options_that_do_not_work(pets: Path) -> None:
    message = found(pets, mode="species", metainfo={"classes": ("background", "animal")})
    assert list(message) == ["pet-options"]
    assert message["pet-options"].count("mode 'species' has 3 classes") == len(ALL)
    codes = [f.code for f in run_preflight(config(pets, mode="bin", border="none"), ("train",))]
    assert codes == ["pet-options"]
    cfg = config(pets)
    cfg.train_dataloader.dataset.split = "training"
    assert "split is 'training'" in run_preflight(cfg, ("train",))[0].message


def test_excluded_images_are_left_out_of_every_check(pets: Path) -> None:
    (pets / "images/Bengal_1.jpg").unlink()
    trimap(pets, "Bengal_3").write_bytes(b"")
    assert set(found(pets)) == {"listed-not-there", "unreadable-mask"}
    assert found(pets, exclude=("Bengal_1", "Bengal_3")) == {}
    assert set(found(pets, exclude="Bengal_1")) == {"unreadable-mask"}
    message = found(pets, exclude=("Bengal_1", "Bengal_3", "Bengal_33"))
    assert "no list has 'Bengal_33'" in message["pet-options"]


def test_missing_parts_are_named(pets: Path) -> None:
    (pets / "annotations/list.txt").unlink()
    shutil.rmtree(pets / "annotations/trimaps")
    findings = run_preflight(config(pets), ("train",))
    assert {finding.code for finding in findings} == {"missing-list", "missing-folder"}
    (finding,) = run_preflight(config(pets / "nowhere"), ALL)
    assert finding.code == "missing-root"
    assert "images" in finding.fix and "annotations" in finding.fix
    assert finding.fix.endswith("with --data-root, or make it with seglab prepare-oxford-pet")


def test_all_bad_input_is_reported_at_once_by_name(pets: Path) -> None:
    """Everything that can be wrong with files, in one report, before any training."""
    (pets / "images/Bengal_1.jpg").unlink()
    trimap(pets, "Bengal_2").unlink()
    Image.fromarray(np.full((18, 24), 7, np.uint8)).save(trimap(pets, "Bengal_3"))
    grey, cmyk, cut = (pets / "images" / f"Abyssinian_{i}.jpg" for i in (1, 2, 3))
    Image.open(grey).convert("L").save(grey)
    Image.open(cmyk).convert("CMYK").save(cmyk)
    cut.write_bytes(cut.read_bytes()[:-200])
    Image.new("L", (9, 9), 1).save(trimap(pets, "beagle_1"))
    Image.new("RGB", (24, 18)).save(trimap(pets, "beagle_2"))
    with (pets / "annotations/test.txt").open("a") as stream:
        stream.write("beagle_4 5 2 1\n")
    findings = run_preflight(config(pets), ALL)
    with pytest.raises(UserError) as caught:
        raise_on_faults(findings)
    words = {
        "listed-not-there": "images/Bengal_1.jpg",
        "missing-mask": "images/Bengal_2.jpg",
        "trimap-value": "trimaps/Bengal_3.png",
        "unreadable-image": "images/Abyssinian_3.jpg",
        "size-mismatch": "images/beagle_1.jpg",
        "rgb-mask": "trimaps/beagle_2.png",
        "pet-lists": "beagle_4 is in both",
        "image-in-two-splits": "images/beagle_4.jpg",
    }
    lines = str(caught.value).splitlines()
    for code, word in words.items():
        (line,) = (line for line in lines if f"[{code}]" in line)
        assert word in line
    modes = next(line for line in lines if "[image-mode]" in line)
    assert "Abyssinian_1.jpg (mode L)" in modes and "Abyssinian_2.jpg (mode CMYK)" in modes


@pytest.mark.shared
def test_the_real_sample_is_sound(shared_dir: Path) -> None:
    faults = [
        finding
        for finding in run_preflight(config(shared_dir / "data" / "oxford_pet_sample"), ALL)
        if finding.severity == "fault"
    ]
    assert faults == []
