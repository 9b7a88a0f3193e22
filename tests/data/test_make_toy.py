"""The command line and the folder that it writes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seglab.data import make_toy
from seglab.data.toy.options import FAULT_KINDS, SPLITS
from seglab.utils.errors import UserError
from seglab.utils.io_utils import read_json, write_json

SMALL = ["--size", "48", "--train", "3", "--val", "1", "--test", "0"]


def run(out: Path, *extra: str) -> Path:
    assert make_toy.main(["--out", str(out), *SMALL, *extra]) == 0
    return out


def snapshot(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_layout_formats_and_record(tmp_path: Path) -> None:
    root = run(tmp_path / "toy")
    record = read_json(root / "dataset.json")
    assert record["format"] == "seglab-toy"
    assert record["recipe"]["counts"] == {"train": 3, "val": 1, "test": 0}
    assert len(record["images"]) == 4
    for split, count in zip(SPLITS, (3, 1, 0), strict=True):
        images = sorted((root / "img" / split).iterdir())
        masks = sorted((root / "labels" / split).iterdir())
        assert [p.stem for p in images] == [p.stem for p in masks]
        assert len(images) == count
    for facts in record["images"]:
        stem = f"{facts['split']}/{facts['name']}"
        image = Image.open(root / "img" / f"{stem}.jpg")
        mask = Image.open(root / "labels" / f"{stem}.png")
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (48, 48))
        assert (mask.format, mask.mode, mask.size) == ("PNG", "L", (48, 48))
        labels = np.asarray(mask)
        seen = {a["species"] for a in facts["animals"] if a["pixels"]}
        assert set(np.unique(labels)) - {0} == {1 if s == "cat" else 2 for s in seen}
        assert sum(a["pixels"] for a in facts["animals"]) == int((labels > 0).sum())
    assert not (root / "labels_true").exists()
    assert not (root / "faults.json").exists()


def test_stored_colours_are_red_green_blue(tmp_path: Path) -> None:
    from seglab.data.toy.writer import draw_image

    root = run(tmp_path / "toy")
    stored = np.asarray(Image.open(root / "img/train/toy_00000.jpg"), float)
    drawn = draw_image(0, 0, 0, 48).image.astype(float)
    assert np.abs(stored - drawn).mean() < 0.5 * np.abs(stored - drawn[..., ::-1]).mean()


def test_same_options_same_bytes_for_any_number_of_workers(tmp_path: Path) -> None:
    first = snapshot(run(tmp_path / "a", "--faults", "0.7"))
    assert first == snapshot(run(tmp_path / "b", "--faults", "0.7", "--workers", "2"))
    other = snapshot(run(tmp_path / "c", "--faults", "0.7", "--seed", "1"))
    assert first["img/train/toy_00000.jpg"] != other["img/train/toy_00000.jpg"]


def test_first_images_do_not_depend_on_the_count_or_the_faults(tmp_path: Path) -> None:
    small = snapshot(run(tmp_path / "a"))
    large = snapshot(run(tmp_path / "b", "--train", "5", "--faults", "1"))
    for name, data in small.items():
        if name.startswith("img/") or name.startswith("labels/val"):
            assert large[name] == data
        elif name.startswith("labels/train"):
            assert large[name.replace("labels/", "labels_true/")] == data


def test_faults_are_as_recorded_and_only_there(tmp_path: Path) -> None:
    root = run(tmp_path / "toy", "--train", "24", "--faults", "0.5")
    record = read_json(root / "faults.json")
    assert record["version"] == 1
    faults = {fault["path"]: fault for fault in record["faults"]}
    assert len(faults) == 12
    assert {fault["kind"] for fault in faults.values()} == set(FAULT_KINDS)
    for path in sorted((root / "labels" / "train").iterdir()):
        name = str(path.relative_to(root))
        mask = np.asarray(Image.open(path))
        truth = np.asarray(Image.open(root / "labels_true" / "train" / path.name))
        if name not in faults:
            assert np.array_equal(mask, truth)
            continue
        per_class = [
            ((mask == c) & (truth == c)).sum() / ((mask == c) | (truth == c)).sum()
            for c in (1, 2)
            if ((mask == c) | (truth == c)).any()
        ]
        assert faults[name]["iou"] == pytest.approx(np.mean(per_class), abs=1e-6)
        assert faults[name]["iou"] < 1
        assert (root / faults[name]["true_path"]).is_file()
    assert not (root / "labels_true" / "val").exists()


def test_chosen_kinds_only(tmp_path: Path) -> None:
    root = run(tmp_path / "toy", "--faults", "1", "--fault-kinds", "shifted, specks")
    kinds = [fault["kind"] for fault in read_json(root / "faults.json")["faults"]]
    assert set(kinds) == {"shifted", "specks"}


def test_a_complete_set_is_left_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = run(tmp_path / "toy")
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    (root / "labels_sam2").mkdir()  # what later steps add does not matter
    run(tmp_path / "toy", "--force")
    assert "left as it is" in capsys.readouterr().out
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items() if path != root)


def test_an_incomplete_set_is_redone(tmp_path: Path) -> None:
    root = run(tmp_path / "toy")
    whole = snapshot(root)
    (root / "labels/train/toy_00001.png").unlink()
    (root / "img/val/toy_00000.jpg").write_bytes(b"")
    assert snapshot(run(root)) == whole


def test_a_killed_run_leaves_nothing_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seglab.data.toy import writer

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(writer, "_write_sheet", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "toy")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".toy.partial" / "img").mkdir(parents=True)  # of a run killed without mercy
    run(tmp_path / "toy")
    assert [path.name for path in tmp_path.iterdir()] == ["toy"]


def test_another_recipe_needs_force(tmp_path: Path) -> None:
    root = run(tmp_path / "toy")
    with pytest.raises(UserError, match="other options") as caught:
        run(root, "--seed", "5")
    assert "--force" in caught.value.fix
    assert read_json(root / "dataset.json")["recipe"]["seed"] == 0
    run(root, "--seed", "5", "--force")
    assert read_json(root / "dataset.json")["recipe"]["seed"] == 5


def test_force_does_not_delete_what_others_added(tmp_path: Path) -> None:
    root = run(tmp_path / "toy")
    (root / "labels_sam2").mkdir()
    with pytest.raises(UserError, match="labels_sam2"):
        run(root, "--seed", "5", "--force")
    assert (root / "labels_sam2").is_dir()


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_foreign_folder_is_never_touched(tmp_path: Path, force: list[str]) -> None:
    (tmp_path / "thesis.txt").write_text("four years", encoding="utf-8")
    with pytest.raises(UserError, match="not a toy set"):
        run(tmp_path, *force)
    write_json(tmp_path / "dataset.json", {"format": "of somebody else"})
    with pytest.raises(UserError, match="not a toy set"):
        run(tmp_path, *force)
    assert (tmp_path / "thesis.txt").read_text(encoding="utf-8") == "four years"


def test_a_file_in_place_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "toy").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="is a file"):
        run(tmp_path / "toy")
    with pytest.raises(UserError, match="cannot write"):
        run(tmp_path / "toy" / "below")


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "toy").mkdir()
    assert (run(tmp_path / "toy") / "dataset.json").is_file()


def test_all_bad_values_are_listed_at_once(tmp_path: Path) -> None:
    bad = ["--size", "8", "--train", "-1", "--val", "-2", "--faults", "1.5", "--seed", "-3"]
    bad += ["--workers", "0", "--fault-kinds", "shifted,melted"]
    with pytest.raises(UserError) as caught:
        run(tmp_path / "toy", *bad)
    for part in ("--size 8", "--train -1", "--val -2", "--faults 1.5", "--seed -3", "--workers 0"):
        assert part in caught.value.message
    assert "melted" in caught.value.message
    assert "shifted,melted" not in caught.value.message
    assert not (tmp_path / "toy").exists()


@pytest.mark.parametrize(
    ("extra", "part"),
    [
        (["--train", "0", "--val", "0"], "no images"),
        (["--faults", "nan"], "fraction"),
        (["--faults", "-0.1"], "fraction"),
        (["--fault-kinds", ","], "empty"),
        (["--size", "4096"], "2048"),
    ],
)
def test_single_bad_values(tmp_path: Path, extra: list[str], part: str) -> None:
    with pytest.raises(UserError, match=part):
        run(tmp_path / "toy", *extra)


@pytest.mark.parametrize("size", [32, 65])
def test_one_image_of_any_size(tmp_path: Path, size: int) -> None:
    root = run(tmp_path / "toy", "--train", "1", "--val", "0", "--size", str(size))
    assert Image.open(root / "img/train/toy_00000.jpg").size == (size, size)
    assert Image.open(root / "contact_sheet.png").format == "PNG"


def test_help_teaches_and_is_quick(tmp_path: Path) -> None:
    script = Path(make_toy.__file__)
    code = f"import runpy,sys; sys.argv=['x','--help']; runpy.run_path({str(script)!r})['main']()"
    heavy = "import sys; sys.modules['cv2'] = sys.modules['numpy'] = None; "  # import would fail
    done = subprocess.run(
        [sys.executable, "-c", heavy + code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    for word in ("--faults", "default: 128", "labels_true", *FAULT_KINDS):
        assert word in done.stdout


def test_the_contact_sheet_shows_every_cell(tmp_path: Path) -> None:
    root = run(tmp_path / "toy")
    sheet = np.asarray(Image.open(root / "contact_sheet.png"), int)
    assert sheet.shape[2] == 3
    orange = (np.abs(sheet - (255, 150, 40)).sum(axis=2) < 40).sum()
    blue = (np.abs(sheet - (60, 190, 255)).sum(axis=2) < 40).sum()
    # the legend has 225 pixels of each; the rest are outlines
    assert orange > 300
    assert blue > 300
    shutil.rmtree(root)
