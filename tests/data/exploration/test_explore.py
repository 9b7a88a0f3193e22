"""A whole look: figures by hand, files on disk, bad input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seglab.data.exploration.explore import JSON_FILE, PAGE_FILE, Options, look_at, write_look
from seglab.data.exploration.findings import Finding
from seglab.data.exploration.page import write_page
from seglab.utils.errors import UserError

from .conftest import Write, picture, square


def kinds(root: Path, split: str = "train", **options: object) -> dict[str, Finding]:
    look = look_at(Options(root, split, **options))  # type: ignore[arg-type]
    return {finding.kind: finding for finding in look.findings}


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_figures_of_a_known_set(tmp_path: Path, write: Write) -> None:
    two = square(1)
    two[25:31, 25:31] = 2
    two[0, 31] = 255
    ring = square(2, start=0, stop=12)
    ring[4:6, 4:7] = 0
    for name, mask in (("a", two), ("b", ring), ("c", np.zeros((32, 32), np.uint8))):
        write("train", name, picture(ord(name)), mask)
    look = look_at(Options(tmp_path / "data"))
    summary = look.statistics[0].summary(look.names)
    assert look.names == ("background", "class_1", "class_2")
    counted = 3 * 1024 - 1
    one, second = summary["classes"]["class_1"], summary["classes"]["class_2"]
    assert (one["pixels"], second["pixels"]) == (144, 36 + 138)
    assert one["pixel_percent"] == 100 * 144 / counted
    assert second["image_percent"] == pytest.approx(200 / 3)
    assert second["area_pixels"] == dict(minimum=36, q1=61.5, median=87, q3=112.5, maximum=138)
    assert second["area_percent"]["maximum"] == pytest.approx(100 * 138 / 1024, rel=5e-5)
    assert summary["co_occurrence"].tolist() == [[3, 1, 2], [1, 1, 1], [2, 1, 2]]
    assert summary["instances_per_image"] == {"0": 1, "1": 1, "2": 1}
    assert summary["border_instances"] == 1
    assert summary["central_instances"] == 1  # the square's centre is at 14 of 32
    assert summary["holes"] == {"regions": 1, "images": 1, "files": ["train/b.png"]}
    assert summary["without_objects"]["files"] == ["train/c.png"]
    assert summary["ignored_percent"] == pytest.approx(100 / (3 * 1024))
    assert one["centres"][7, 7] == 1  # 14 / 32 of 16 cells
    assert summary["sizes"] == {"32x32": 3}


def test_tiny_components_are_no_objects(data: Path, write: Write) -> None:
    mask = square(1)
    mask[30, 30] = mask[2, 2] = 1
    write("train", "specks", picture(77), mask)
    finding = kinds(data, tiny_percent=0.5)["tiny-components"]
    assert finding.text.startswith("train: 2 of 15 connected regions are smaller than 0.5 %")
    assert finding.files == ("train/specks.png",)
    assert "tiny-components" not in kinds(data, tiny_percent=0.05)


def test_findings_name_their_files(data: Path, write: Write) -> None:
    write("train", "bare", picture(50), None)
    write("train", "empty", picture(51), np.zeros((32, 32), np.uint8))
    write("train", "grey", picture(52)[..., 0], square(1))
    write("train", "twin", picture(0), square(2))
    write("val", "leak", picture(1), square(2))
    (data / "labels/train/orphan.png").write_bytes((data / "labels/train/00.png").read_bytes())
    found = kinds(data, "all")
    assert found["missing-masks"].files == ("train/bare.png",)
    assert found["no-objects"].files == ("train/empty.png",)
    assert found["image-modes"].files == ("train/grey.png",)
    assert found["conflicting-duplicates"].files == ("train/00.png", "train/twin.png")
    assert found["duplicates-across-splits"].files == ("train/01.png", "val/leak.png")
    assert found["orphan-masks"].files == ("labels/train/orphan.png",)
    assert all(found[kind].action for kind in ("missing-masks", "orphan-masks", "no-objects"))


def test_splits_that_differ_are_told_with_the_size(tmp_path: Path, write: Write) -> None:
    for number in range(12):
        write("train", f"{number}", picture(number), square(1, start=8, stop=12 + number % 3))
        write("val", f"{number}", picture(50 + number), square(1, start=8, stop=24 + number % 3))
    look = look_at(Options(tmp_path / "data", "all"))
    texts = [f.text for f in look.findings if f.kind == "split-difference"]
    assert any("area of class_1" in text and "a difference of +2" in text for text in texts)
    assert not any("images with class_1" in text for text in texts)


def test_files(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    written = write_look(look_at(Options(data, "all")), out)
    content = json.loads((out / JSON_FILE).read_text())
    assert content["schema"] == 1
    assert all(isinstance(text, str) for text in content["findings"])
    assert len(content["findings"]) == len(content["details"])
    assert sorted(content["pictures"]) == sorted(path.name for path in out.glob("*.png"))
    assert "samples_2.png" in content["pictures"]
    assert {path.name for path in out.iterdir()} == {
        JSON_FILE,
        PAGE_FILE,
        *(path.name for path in written.figures),
    }
    for path in written.figures:
        assert Image.open(path).size[0] > 300
    page = written.page.read_text()
    assert "## To act on" in page
    assert "How the splits differ" in page
    before = snapshot(out)
    write_look(look_at(Options(data, "all")), out)
    assert snapshot(out) == before  # the same data give the same bytes
    write_look(look_at(Options(data, "train")), out)
    assert not (out / "samples_2.png").exists()


def test_pictures_of_others_stay(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.png").write_bytes(b"x")
    (tmp_path / "outside.png").write_bytes(b"x")
    (out / JSON_FILE).write_text(json.dumps({"pictures": ["../outside.png", 3, "gone.png"]}))
    write_look(look_at(Options(data)), out)
    assert (out / "mine.png").exists()
    assert (tmp_path / "outside.png").exists()


def test_nothing_is_left_of_a_look_that_fails(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    look = look_at(Options(data))
    write_look(look, out)
    before = snapshot(out)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("seglab.data.exploration.explore.write_json", fail)
    with pytest.raises(OSError, match="No space"):
        write_look(look, out)
    assert snapshot(out) == before


def test_all_faults_of_files_at_once(data: Path, write: Write) -> None:
    (data / "img/train/00.png").write_bytes(b"no image")
    (data / "labels/train/01.png").write_bytes((data / "labels/train/01.png").read_bytes()[:-30])
    Image.new("RGB", (32, 32)).save(data / "labels/train/02.png")
    write("train", "03", picture(3), square(1, side=16, start=2, stop=9))
    with pytest.raises(UserError) as caught:
        look_at(Options(data))
    message = str(caught.value)
    assert "(4 faults)" in message
    for part in ("img/train/00.png", "labels/train/01.png", "mode RGB", "is 16x16, its image 32"):
        assert part in message


def test_values_beyond_the_classes(data: Path) -> None:
    with pytest.raises(UserError, match="holds 2, classes are 0 to 1"):
        look_at(Options(data, classes=("background", "cat")))


def test_all_faults_of_folders_at_once(data: Path) -> None:
    (data / "img/bare").mkdir()
    (data / "img/unlabelled").mkdir()
    Image.fromarray(picture(1)).save(data / "img/unlabelled/a.png")
    with pytest.raises(UserError) as caught:
        look_at(Options(data, "train,bare,nosuch,unlabelled"))
    message = str(caught.value)
    assert "(3 faults)" in message
    assert "split 'bare' is empty" in message
    assert "unknown split 'nosuch' (there are: bare, train, unlabelled, val)" in message
    assert "split 'unlabelled' has no labels" in message
    with pytest.raises(UserError, match="there is no folder images"):
        look_at(Options(data, img_dir="images"))
    with pytest.raises(UserError, match="names no split"):
        look_at(Options(data, " , "))


def test_masks_without_any_object(tmp_path: Path, write: Write) -> None:
    for name in "ab":
        write("train", name, picture(ord(name)), np.zeros((32, 32), np.uint8))
    look = look_at(Options(tmp_path / "data"))
    assert look.names == ("background",)
    written = write_look(look, tmp_path / "out")
    assert written.page.exists()


def test_many_classes_and_sizes(tmp_path: Path, write: Write) -> None:
    for number in range(30):
        side = 32 + number
        write("train", f"{number}", picture(number, side), square(number * 4, side))
    look = look_at(Options(tmp_path / "data"))
    written = write_look(look, tmp_path / "out")
    assert all(Image.open(path).size[1] < 3000 for path in written.figures)
    assert look.statistics[0].summary(look.names)["different_sizes"] == 30


def test_the_page_escapes_names() -> None:
    summary = {"splits": {}, "differences": []}
    page = write_page(summary, [Finding("x", "a_b|<i> is *odd*.", "Act.", ("c.png",))], [])
    assert "a\\_b\\|\\<i\\> is \\*odd\\*. **Act.**" in page
    assert "Also: `c.png`" in page


@pytest.mark.shared
def test_the_study_s_facts(shared_dir: Path) -> None:
    look = look_at(Options(shared_dir / "data" / "pets_coco", "all"))
    texts = "\n".join(finding.text for finding in look.findings)
    assert "train: share of the pixels: background 90.8 %, class_1 5.0 %, class_2 4.2 %" in texts
    assert "from 17 to 16,985 pixels" in texts
    (group,) = look.duplicates
    assert group.conflicting
    assert group.exact
    assert group.files == ("train/000000481212_908.jpg", "train/000000481212_908_1.jpg")
    assert look.findings[0].kind == "conflicting-duplicates"


def test_many_classes_stay_readable(tmp_path: Path, write: Write) -> None:
    for number in range(1, 25):
        write("train", f"{number:02d}", picture(number), square(number))
    look = look_at(Options(tmp_path / "data"))
    text = next(finding.text for finding in look.findings if finding.kind == "class-share")
    assert "and 17 smaller classes." in text
    assert max(len(finding.text) for finding in look.findings) < 400
