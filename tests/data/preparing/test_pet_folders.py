"""Oxford-IIIT Pet written as folders of masks, which the other tools then read."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seglab.data import prepare_oxford_pet
from seglab.data.exploration.listing import list_splits
from seglab.data.preflight import run_preflight
from seglab.data.preparing import pet_folders
from seglab.data.preparing.pet_folders import PetFolders, write_folders
from seglab.tools import audit, check, repair_gain
from seglab.utils import oxford_pet as official
from seglab.utils.bad_masks import PERSON, BadMask, read_bad_masks, write_bad_masks
from seglab.utils.config_utils import load_config
from seglab.utils.errors import UserError
from seglab.utils.io_utils import read_json

SPECIES_CONFIG = "configs/lite_fpn_effnetlite2_oxford_species.py"
OPTIONS = [("binary", "background"), ("species", "foreground"), ("trimap", "ignore")]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("mmseg_scope")
@pytest.mark.parametrize(("mode", "border"), OPTIONS)
def test_a_data_set_of_folders_is_that_of_the_trimaps(
    pets: Path, tmp_path: Path, mode: str, border: str
) -> None:
    """The same images in the same order with the same labels, through mmseg's own loading."""
    from mmseg.registry import DATASETS

    out = tmp_path / "folders"
    counts, findings = write_folders(pets, PetFolders(out, mode, border))
    assert counts == {"train": 9, "val": 3, "test": 6} and findings == []
    pipeline = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations")]
    for split, count in counts.items():
        common: dict[str, Any] = dict(split=split, pipeline=pipeline)
        plain = DATASETS.build(dict(type="MaskFolderDataset", data_root=str(out), **common))
        options = dict(data_root=str(pets), mode=mode, border=border, **common)
        trimaps = DATASETS.build(dict(type="OxfordPetDataset", **options))
        assert len(plain) == len(trimaps) == count
        for ours, theirs in zip(plain, trimaps, strict=True):
            assert ours["sample_id"] == theirs["sample_id"]
            np.testing.assert_array_equal(ours["img"], theirs["img"])
            np.testing.assert_array_equal(ours["gt_seg_map"], theirs["gt_seg_map"])
    record = read_json(out / "dataset.json")
    assert tuple(record["classes"]) == official.MODES[mode] and record["images"] == counts
    assert names(tmp_path) == ["folders", "pets"]


def test_masks_by_hand(pets: Path, tmp_path: Path) -> None:
    """Against the trimap's definition, written out once more."""
    write_folders(pets, PetFolders(tmp_path / "out", "species"))
    for path in (tmp_path / "out" / "labels").rglob("*.png"):
        with Image.open(path) as picture:
            assert picture.mode == "L"
            mask = np.asarray(picture)
        trimap = np.asarray(Image.open(pets / "annotations/trimaps" / path.name))
        animal = 2 if path.name.startswith("beagle") else 1
        expected = np.select([trimap == 1, trimap == 2, trimap == 3], [animal, 0, 255], 77)
        np.testing.assert_array_equal(mask, expected)
    for path in (tmp_path / "out" / "img").rglob("*.jpg"):
        assert path.read_bytes() == (pets / "images" / path.name).read_bytes()


def test_a_stopped_run_is_gone_on_with(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    real = pet_folders.read_mask

    def stops(path: Path) -> Any:
        if len(written) >= 5:
            raise KeyboardInterrupt
        written.append(path.name)
        return real(path)

    folders = PetFolders(tmp_path / "out", "species")
    monkeypatch.setattr(pet_folders, "read_mask", stops)
    with pytest.raises(KeyboardInterrupt):
        write_folders(pets, folders)
    half = tmp_path / ".out.partial"
    assert not folders.out.exists() and half.is_dir()
    assert all(Image.open(path).size == (24, 18) for path in half.rglob("*.png"))  # none torn
    done = {path.name for path in half.rglob("*.png")}
    assert len(done) == 5
    (half / "img" / "train" / ".Bengal_1.x7c.jpg").write_bytes(b"of a run that was killed")
    # In the meantime one that was written is corrected.
    (changed, *_) = sorted(done)
    source = pets / "annotations/trimaps" / changed
    Image.new("L", (24, 18), 1).save(source)
    os.utime(source, (1, 1))
    again: list[str] = []

    def counts(path: Path) -> Any:
        again.append(path.name)
        return real(path)

    monkeypatch.setattr(pet_folders, "read_mask", counts)
    write_folders(pets, folders)
    assert set(again) & done == {changed} and len(again) == 18 - 5 + 1
    (mask,) = folders.out.rglob(f"labels/*/{changed}")
    assert set(np.unique(np.asarray(Image.open(mask)))) <= {1, 2}
    assert not half.exists()
    assert len([path for path in folders.out.rglob("*") if path.is_file()]) == 2 * 18 + 1


def test_what_another_recipe_left_is_not_used(pets: Path, tmp_path: Path) -> None:
    half = tmp_path / ".out.partial"
    write_folders(pets, PetFolders(tmp_path / "other", "trimap"))
    shutil.copytree(tmp_path / "other", half)
    (half / "labels" / "train" / "of_nobody.png").write_bytes(b"x")
    write_folders(pets, PetFolders(tmp_path / "out"))
    masks = list((tmp_path / "out").rglob("*.png"))
    assert len(masks) == 18
    assert {v for path in masks for v in np.unique(np.asarray(Image.open(path)))} == {0, 1, 255}


def test_the_command_line(pets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "folders"
    arguments = ["--out", str(pets), "--mask-folders", str(out), "--mode", "species"]
    for _ in range(2):  # the second finds it there and leaves it
        assert prepare_oxford_pet.main(arguments) == 0
        said = capsys.readouterr().out
        assert f"folders of masks: {out} (9 train, 3 val, 6 test); 0 background, 1 cat, 2 dog" in (
            said
        )
    before = (out / "labels/test/Bengal_3.png").stat().st_mtime_ns
    with pytest.raises(UserError, match=r"(?s)holds another set.*mode: species; asked for: trimap"):
        prepare_oxford_pet.main([*arguments[:-1], "trimap"])
    assert (out / "labels/test/Bengal_3.png").stat().st_mtime_ns == before
    left_out = [*arguments[:3], str(tmp_path / "less"), "--exclude", "Bengal_1", "Bengal_3"]
    assert prepare_oxford_pet.main(left_out) == 0
    assert len(list((tmp_path / "less").rglob("*.jpg"))) == 16
    assert "Bengal_1.jpg" in names(out / "img" / "train") + names(out / "img" / "val")
    # From a folder that is copied first, in one command.
    both = ["--folder", str(pets), "--out", str(tmp_path / "copy")]
    assert prepare_oxford_pet.main([*both, "--mask-folders", str(tmp_path / "binary")]) == 0
    assert len(list((tmp_path / "copy" / "images").iterdir())) == 18
    assert len(list((tmp_path / "binary").rglob("*.png"))) == 18


def test_the_data_are_looked_for_where_the_configs_look(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the one command of the README would download what is there already."""
    monkeypatch.setenv("SEGLAB_OXFORD_PET", str(pets))
    assert prepare_oxford_pet.main(["--mask-folders", str(tmp_path / "out")]) == 0
    assert len(list((tmp_path / "out").rglob("*.png"))) == 18
    monkeypatch.setenv("SEGLAB_OXFORD_PET", "")
    assert prepare_oxford_pet.build_parser().parse_args([]).out == Path("data/oxford_pet")


def test_what_is_asked_for_wrongly_is_said_before_any_work(pets: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("x")
    nowhere = ["--out", str(tmp_path / "nowhere"), "--folder", str(pets)]
    for arguments, words in (
        (["--mode", "species"], "--mode without --mask-folders"),
        (["--mask-folders", str(mine)], r"--mask-folders .*mine is not empty \(it holds thesis"),
        (["--mask-folders", str(mine / "thesis.txt")], "is a file"),
        (
            ["--mask-folders", str(tmp_path / "a"), "--mode", "trimap", "--border", "foreground"],
            "the border is a class itself",
        ),
    ):
        with pytest.raises(UserError, match=words):
            prepare_oxford_pet.main([*nowhere, *arguments])
    assert not (tmp_path / "nowhere").exists()
    assert names(mine) == ["thesis.txt"]


def test_faulty_files_are_all_named_and_nothing_is_written(pets: Path, tmp_path: Path) -> None:
    (pets / "images/Bengal_1.jpg").unlink()
    Image.new("L", (24, 18), 9).save(pets / "annotations/trimaps/beagle_3.png")
    with pytest.raises(UserError) as caught:
        write_folders(pets, PetFolders(tmp_path / "out"))
    said = str(caught.value)
    assert "images/Bengal_1.jpg" in said and "beagle_3.png (value 9)" in said
    assert "--exclude NAME" in caught.value.fix
    assert names(tmp_path) == ["pets"]
    with pytest.raises(UserError, match="no list has 'Bengal_99'"):
        write_folders(pets, PetFolders(tmp_path / "out", exclude=("Bengal_99",)))
    counts, _ = write_folders(pets, PetFolders(tmp_path / "out", exclude=("Bengal_1", "beagle_3")))
    assert sum(counts.values()) == 16


def test_tools_for_folders_say_what_to_do_with_the_official_layout(
    pets: Path, tmp_path: Path
) -> None:
    command = f"seglab prepare-oxford-pet --out {pets} --mask-folders DIR"
    with pytest.raises(UserError) as caught:
        list_splits(pets, "all", "img", "labels")  # eda, curate and audit-masks
    assert command in caught.value.fix
    with pytest.raises(UserError) as caught:
        check.main(["--config", SPECIES_CONFIG, "--data-root", str(pets)])
    # Of the classes that this config has: binary masks would make every animal a cat.
    assert "[pet-layout]" in str(caught.value) and f"{command} --mode species " in str(caught.value)
    assert "is laid out as Oxford-IIIT Pet officially is, the config reads folders of masks" in str(
        caught.value
    )
    listed = [BadMask("labels/train/Bengal_1.png", "0" * 64, "ragged", PERSON)]
    write_bad_masks(tmp_path / "bad.json", listed)
    with pytest.raises(UserError) as caught:
        read_bad_masks(tmp_path / "bad.json", pets)  # clean-bad-masks
    assert command in caught.value.fix
    lab = ["--config", "configs/lab_simple_cnn.py", "--data-root", str(pets)]
    with pytest.raises(UserError) as caught:
        audit.main([*lab, "--output-dir", str(tmp_path / "audit")])
    assert f"{command} --mode species" in caught.value.fix and SPECIES_CONFIG in caught.value.fix
    with pytest.raises(UserError) as caught:
        repair_gain.main([*lab, "--masks", "labels_sam2", "--output-dir", str(tmp_path / "gain")])
    assert f"{command} --mode binary" in caught.value.fix


def test_folders_are_not_taken_for_the_official_layout(pets: Path, tmp_path: Path) -> None:
    write_folders(pets, PetFolders(tmp_path / "out"))
    with pytest.raises(UserError) as caught:
        check.main(["--config", "configs/lab_simple_cnn.py", "--data-root", str(tmp_path / "out")])
    said = str(caught.value)
    assert "preflight: 1 fault" in said and "is laid out as folders of masks" in said
    assert "with MaskFolderDataset" in said


def test_masks_of_another_mode_are_no_masks_for_a_config(pets: Path, tmp_path: Path) -> None:
    """By their values alone binary masks are cats, and borders are dogs."""
    modes = {mode: tmp_path / mode for mode in official.MODES}
    for mode, out in modes.items():
        write_folders(pets, PetFolders(out, mode))
    config = load_config(SPECIES_CONFIG, data_root=modes["species"])
    assert run_preflight(config, ("train", "val", "test")) == []
    for mode in ("binary", "trimap"):
        found = run_preflight(load_config(SPECIES_CONFIG, data_root=modes[mode]))
        (fault,) = [finding for finding in found if finding.severity == "fault"]
        assert fault.message == (
            f"{modes[mode]} is laid out as masks of {', '.join(official.MODES[mode])}, the config "
            "reads masks of background, cat, dog"
        )
        assert "--mode species" in fault.fix
    # Other names for as many classes are the user's business; so is a record that is damaged.
    assert official.other_masks(modes["species"], ("0", "katze", "hund")) == ()
    assert official.other_masks(modes["binary"], ("0", "katze", "hund")) != ()
    for content in ("{", "[]", "{}", '{"format": "seglab-toy", "mode": "binary"}'):
        (modes["binary"] / "dataset.json").write_text(content)
        assert official.other_masks(modes["binary"], ("0", "katze", "hund")) == ()
    assert official.other_masks(tmp_path / "nowhere", ("0", "1", "2")) == ()


@pytest.mark.shared
def test_the_real_sample(
    shared_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from seglab.data import audit as audit_by_rules
    from seglab.data import eda

    sample, out = shared_dir / "data" / "oxford_pet_sample", tmp_path / "folders"
    arguments = ["--out", str(sample), "--mask-folders", str(out), "--mode", "species"]
    assert prepare_oxford_pet.main(arguments) == 0
    config = load_config(SPECIES_CONFIG, data_root=out)
    assert run_preflight(config, ("train", "val", "test")) == []
    look = ["--data-root", str(out), "--split", "val", "--output-dir", str(tmp_path / "eda")]
    assert eda.main([*look, "--config", SPECIES_CONFIG]) == 0
    assert "24 masks" in capsys.readouterr().out
    splits = read_json(tmp_path / "eda" / "eda.json")["splits"]
    assert list(splits) == ["val"]
    where = ["--data-root", str(out), "--split", "val", "--output-dir", str(tmp_path / "audit")]
    assert audit_by_rules.main(where) == 0
    ranking = read_json(tmp_path / "audit" / "audit.json")["ranking"]
    assert {item["image"] for item in ranking} == set(names(out / "img" / "val"))
