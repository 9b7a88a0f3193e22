"""The program end to end: with stand-ins for the networks, and once with the real ones."""

import argparse
import errno
import importlib.util
import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seglab.data import clean_bad_masks
from seglab.data.clean_bad_masks import main
from seglab.data.detection import Detection
from seglab.data.detection.geometry import bounding_box
from seglab.data.relabelling import store as store_module
from seglab.data.relabelling.job import Job, Tools, area_totals
from seglab.data.relabelling.segmenters import Segment
from seglab.utils.bad_masks import BadMask, write_bad_masks
from seglab.utils.errors import UserError
from seglab.utils.io_utils import sha256_file
from seglab.utils.prediction_cache import CacheIndex, save_probabilities, write_index
from seglab.utils.script import run_tool


class Threshold:
    """Detector and segmenter in one: the squares of `tiny_data` are very bright or very dark."""

    name, sha256, declared, segments = "threshold", "0" * 64, "drawn squares", False
    score_means, sure_score, sure_outline = "always sure", 0.4, 0.8
    recognises, outlines = True, True
    looked_at: list[int]

    def __init__(self) -> None:
        self.looked_at = []

    def masks(self, image: np.ndarray) -> dict[int, np.ndarray]:
        return {1: image.min(axis=2) > 225, 2: image.max(axis=2) < 40}

    def detect(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        self.looked_at.append(len(images))
        found = []
        for image in images:
            boxes = [(label, bounding_box(mask)) for label, mask in self.masks(image).items()]
            found.append([Detection(box, label, 0.9) for label, box in boxes if box])
        return found

    def segment(
        self, images: Sequence[np.ndarray], found: Sequence[Sequence[Detection]]
    ) -> list[list[Segment]]:
        return [
            [Segment(self.masks(image)[each.label], 0.9) for each in own]
            for image, own in zip(images, found, strict=True)
        ]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Threshold:
    stand_in = Threshold()

    def load(args: argparse.Namespace, job: Job) -> Tools:
        stand_in.name = args.detector
        return Tools(stand_in, stand_in, {15: 1, 16: 2})

    monkeypatch.setattr(clean_bad_masks, "load_tools", load)
    return stand_in


def list_masks(root: Path, names: Sequence[str], folder: Path) -> Path:
    masks = []
    for name in names:
        path = f"labels/train/{name}.png"
        masks.append(BadMask(path, sha256_file(root / path), "looks odd", "person"))
    return write_bad_masks(folder / "bad_mask_paths.json", masks, overwrite=True)


@pytest.fixture
def data(tiny_data: Path, tmp_path: Path) -> Path:
    """A copy of the squares: 000 lost its object, 001 is right, 002 covers half of it."""
    root = tmp_path / "data"
    shutil.copytree(tiny_data, root)
    for name, keep in (("000", 0.0), ("002", 0.5)):
        path = root / f"labels/train/{name}.png"
        mask = np.array(Image.open(path))
        rows = np.flatnonzero(mask.any(axis=1))
        mask[rows[0] + int(keep * rows.size) :] = 0
        Image.fromarray(mask).save(path)
    return root


def arguments(data: Path, names: Sequence[str] = ("000", "001", "002"), *more: str) -> list[str]:
    listed = list_masks(data, names, data.parent)
    out = data / "labels_new"
    return ["--bad_masks", str(listed), "--data_root", str(data), "--output_dir", str(out), *more]


def snapshot(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def decisions(data: Path) -> dict[str, str]:
    content = json.loads((data / "labels_new/relabel.json").read_text())
    return {Path(record["mask"]).stem: record["decision"] for record in content["masks"]}


def test_the_whole_way(
    data: Path, tiny_data: Path, network: Threshold, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(data / "labels"), snapshot(data / "img")
    assert main(arguments(data)) == 0
    assert (snapshot(data / "labels"), snapshot(data / "img")) == before
    assert decisions(data) == {"000": "accepted", "001": "rejected", "002": "accepted"}
    out = data / "labels_new"
    names = {path.name for path in (data / "labels/train").iterdir()}
    assert {path.name for path in (out / "train").iterdir()} == names
    for name in names - {"000.png", "002.png"}:
        assert (out / "train" / name).read_bytes() == (data / "labels/train" / name).read_bytes()
    for name in ("000.png", "002.png"):
        with (
            Image.open(out / "train" / name) as new,
            Image.open(tiny_data / "labels/train" / name) as truth,
        ):
            assert new.mode == "L"
            assert (np.asarray(new) == np.asarray(truth)).mean() > 0.98
    content = json.loads((out / "relabel.json").read_text())
    record = content["masks"][0]
    assert record["detector"] == "yolov8x.pt" and record["segmenter"] == "yolov8x.pt"
    assert record["listed_for"] == "looks odd" and record["objects"][0]["kind"] == "added"
    assert "an animal that the old mask lacks" in record["reasons"][0]
    assert record["pixels"]["cat"]["before"] == 0 < record["pixels"]["cat"]["after"]
    assert content["counts"] == {"accepted": 2, "rejected": 1, "person": 0}
    with Image.open(out / "work/pictures/train/000.png") as picture:
        assert picture.width > 3 * 64
    printed = capsys.readouterr().out
    assert "accepted      2 masks" in printed and "before" in printed and "12 masks in" in printed


def test_what_is_done_is_not_done_again(
    data: Path, network: Threshold, capsys: pytest.CaptureFixture[str]
) -> None:
    main(arguments(data))
    first = snapshot(data / "labels_new")
    assert main(arguments(data)) == 0
    assert network.looked_at == [3]
    assert snapshot(data / "labels_new") == first
    assert "3 of 3 masks were finished before" in capsys.readouterr().out
    # Other settings, or another detector: all anew, none of the old ones left.
    main(arguments(data, ("000", "001", "002"), "--min_confidence", "0.3"))
    main(arguments(data, ("000", "001", "002"), "--detector", "other"))
    assert network.looked_at == [3, 3, 3]
    # A shorter list: the mask that is off it gets its old pixels back.
    main(arguments(data, ("001", "002"), "--detector", "other"))
    assert network.looked_at == [3, 3, 3]
    assert "removed 1 results" in capsys.readouterr().out
    old, new = (data / folder / "train/000.png" for folder in ("labels", "labels_new"))
    assert old.read_bytes() == new.read_bytes()
    left = {path.stem for path in (data / "labels_new/work").rglob("*.*")}
    assert left == {"001", "002"}


def test_the_folder_holds_nothing_without_an_original(data: Path, network: Threshold) -> None:
    main(arguments(data))
    shutil.copyfile(data / "labels/train/000.png", data / "labels_new/train/other.png")
    main(arguments(data))
    assert not (data / "labels_new/train/other.png").exists()


def test_areas_count_what_the_folder_holds() -> None:
    pixels = {"cat": {"before": 10, "after": 40}}
    records = [{"decision": each, "pixels": pixels} for each in ("accepted", "person", "rejected")]
    assert area_totals(records) == {"cat": {"before": 30, "after": 60}}


def test_a_damaged_record_or_proposal_is_made_again(data: Path, network: Threshold) -> None:
    main(arguments(data))
    first = snapshot(data / "labels_new")
    work = data / "labels_new/work"
    (work / "records/train/000.json").write_text("{")
    (work / "proposed/train/002.png").write_bytes(b"")
    main(arguments(data))
    assert network.looked_at == [3, 2] and snapshot(data / "labels_new") == first


def test_a_full_disk_keeps_what_is_finished(
    data: Path, network: Threshold, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, written = store_module.write_json, []

    def full(path: Path, content: object) -> Path:
        if len(written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        return real(path, content)

    monkeypatch.setattr(store_module, "write_json", full)
    before = snapshot(data / "labels")
    with pytest.raises(UserError) as caught:
        main(arguments(data, ("000", "001", "002"), "--batch_size", "1"))
    assert "the disk is full" in str(caught.value) and "goes on where" in str(caught.value)
    assert len(list((data / "labels_new/work/records").rglob("*.json"))) == 2
    assert snapshot(data / "labels") == before
    monkeypatch.setattr(store_module, "write_json", real)
    network.looked_at.clear()
    assert main(arguments(data, ("000", "001", "002"), "--batch_size", "1")) == 0
    assert network.looked_at == [1]


@pytest.mark.parametrize("folder", ["labels", "labels/train", "img/new", ".", "img"])
def test_the_originals_folders_are_refused(data: Path, network: Threshold, folder: str) -> None:
    before = snapshot(data)
    given = arguments(data)
    given[5] = str(data / folder)
    with pytest.raises(UserError, match="is, lies in or holds"):
        main(given)
    assert snapshot(data) == before and network.looked_at == []


def test_a_link_to_the_originals_and_a_strange_folder_are_refused(
    data: Path, network: Threshold
) -> None:
    (data / "alias").symlink_to(data / "labels")
    given = arguments(data)
    given[5] = str(data / "alias")
    with pytest.raises(UserError, match="is, lies in or holds"):
        main(given)
    (data / "full").mkdir()
    (data / "full/holiday.txt").write_text("mine")
    given[5] = str(data / "full")
    with pytest.raises(UserError, match="not from relabelling"):
        main(given)
    given[5] = str(data / "full/holiday.txt")
    with pytest.raises(UserError, match="is a file"):
        main(given)


def spoil_palette(root: Path) -> None:
    Image.new("P", (64, 64)).save(root / "labels/train/000.png")


def spoil_colours(root: Path) -> None:
    Image.new("RGB", (64, 64)).save(root / "labels/train/000.png")


def spoil_size(root: Path) -> None:
    Image.new("L", (60, 64)).save(root / "labels/train/000.png")


def spoil_values(root: Path) -> None:
    Image.new("L", (64, 64), 7).save(root / "labels/train/000.png")


def spoil_image(root: Path) -> None:
    path = root / "img/train/000.jpg"
    path.write_bytes(path.read_bytes()[:200])


def remove_image(root: Path) -> None:
    (root / "img/train/000.jpg").unlink()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_palette, "mode P"),
        (spoil_colours, "mode RGB"),
        (spoil_size, "is 60x64, its image"),
        (spoil_values, r"no class: \[7\]"),
        (spoil_image, "000.jpg cannot be read"),
        (remove_image, "there is no image"),
    ],
)
def test_bad_files_are_named_before_anything_is_done(
    data: Path, network: Threshold, spoil: object, words: str
) -> None:
    spoil(data)
    with pytest.raises(UserError, match=words):
        main(arguments(data))
    assert network.looked_at == [] and not (data / "labels_new").exists()


def test_all_faults_at_once(data: Path, network: Threshold) -> None:
    remove_image(data)
    Image.new("RGB", (64, 64)).save(data / "labels/train/001.png")
    with pytest.raises(UserError) as caught:
        main(arguments(data))
    assert "2 faults" in str(caught.value)
    with pytest.raises(UserError) as caught:
        main(arguments(data, ("000",), "--batch_size", "0", "--min_confidence", "2"))
    assert "--batch_size 0" in str(caught.value) and "--min_confidence 2" in str(caught.value)
    with pytest.raises(UserError, match="--classes: a name stands there twice"):
        main(arguments(data, ("000",), "--classes", "background", "cat", "cat"))
    with pytest.raises(UserError, match="--ignore_index 2 is the number of a class"):
        main(arguments(data, ("000",), "--ignore_index", "2"))


def test_another_ignore_index(data: Path, network: Threshold) -> None:
    path = data / "labels/train/000.png"
    mask = np.array(Image.open(path))
    mask[:30] = 9
    Image.fromarray(mask).save(path)
    assert main(arguments(data, ("000",), "--ignore_index", "9")) == 0
    with Image.open(data / "labels_new/train/000.png") as new:
        assert ((np.asarray(new) == 9) == (mask == 9)).all()


def test_why_a_mask_is_listed_now(data: Path, network: Threshold) -> None:
    given = arguments(data)
    main(given)
    content = json.loads(Path(given[1]).read_text())
    content["masks"][1].update(reason="a tail is missing", tagged_by="audit")
    Path(given[1]).write_text(json.dumps(content))
    main(given)
    record = json.loads((data / "labels_new/relabel.json").read_text())["masks"][1]
    assert (record["listed_for"], record["tagged_by"]) == ("a tail is missing", "audit")
    assert network.looked_at == [3]


def test_a_list_that_does_not_fit_is_refused(data: Path, network: Threshold) -> None:
    given = arguments(data)
    Image.new("L", (64, 64)).save(data / "labels/train/001.png")
    with pytest.raises(UserError, match="changed"):
        main(given)
    assert not (data / "labels_new").exists()


def test_no_detection_and_the_page_for_a_person(data: Path, network: Threshold) -> None:
    Image.new("RGB", (64, 64), (128, 128, 128)).save(data / "img/train/001.jpg")
    assert main(arguments(data)) == 0
    assert decisions(data)["001"] == "person"
    page = (data / "labels_new/person.html").read_text()
    assert "1 of 3 masks" in page and "the detector is silent" in page
    assert page.count("data:image/jpeg;base64,") == 1 and "http://" not in page
    old, new = (data / folder / "train/001.png" for folder in ("labels", "labels_new"))
    assert old.read_bytes() == new.read_bytes()


def ticked(data: Path, *names: str) -> Path:
    """The list that `person.html` downloads when these masks are ticked."""
    page = (data / "labels_new/person.html").read_text()
    found = re.search(r'id="masks">(.*?)</script>', page)
    assert found
    content = json.loads(found[1])
    masks = [mask for mask in content["masks"] if Path(mask["path"]).stem in names]
    path = data.parent / content["file"]
    path.write_text(json.dumps({"schema": content["schema"], "masks": masks}))
    return path


def test_what_a_person_takes_is_accepted_and_stays(
    data: Path, network: Threshold, blind: Path
) -> None:
    given = arguments(data, ("000", "001", "002"), "--predictions", str(blind))
    assert main(given) == 0
    assert decisions(data) == {"000": "person", "001": "rejected", "002": "person"}
    assert main([*given, "--accept", str(ticked(data, "000"))]) == 0
    after = {"000": "accepted", "001": "rejected", "002": "person"}
    assert decisions(data) == after
    taken = data / "labels_new/train/000.png"
    assert taken.read_bytes() == (data / "labels_new/work/proposed/train/000.png").read_bytes()
    assert taken.read_bytes() != (data / "labels/train/000.png").read_bytes()
    content = json.loads((data / "labels_new/relabel.json").read_text())
    assert content["masks"][0]["reasons"][0] == "a person took the new mask: it is right"
    assert sum(content["pixels"][name]["after"] for name in ("cat", "dog")) > sum(
        content["pixels"][name]["before"] for name in ("cat", "dog")
    )
    assert "1 of 3 masks" in (data / "labels_new/person.html").read_text()
    before = snapshot(data / "labels_new")
    assert main(given) == 0  # the list need not be given again
    assert snapshot(data / "labels_new") == before


def test_only_what_is_offered_can_be_taken(data: Path, network: Threshold, blind: Path) -> None:
    given = arguments(data, ("000", "001", "002"), "--predictions", str(blind))
    assert main(given) == 0
    right = ticked(data, "000")
    content = json.loads(right.read_text())
    rejected = "work/proposed/train/001.png"
    content["masks"][0]["path"] = rejected
    content["masks"][0]["sha256"] = sha256_file(data / "labels_new" / rejected)
    right.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"001\.png: not a new mask that is offered"):
        main([*given, "--accept", str(right)])
    listed = ticked(data, "000")
    Image.new("L", (64, 64), 2).save(data / "labels_new/work/proposed/train/000.png")
    with pytest.raises(UserError, match="changed"):
        main([*given, "--accept", str(listed)])


def test_another_proposal_needs_another_look(data: Path, network: Threshold, blind: Path) -> None:
    given = arguments(data, ("000", "001", "002"), "--predictions", str(blind))
    assert main(given) == 0
    assert main([*given, "--accept", str(ticked(data, "000"))]) == 0
    image = np.array(Image.open(data / "img/train/000.jpg"))
    Image.fromarray(np.roll(image, 8, axis=1)).save(data / "img/train/000.jpg", quality=100)
    assert main(given) == 0
    assert decisions(data)["000"] == "person"


def test_a_damaged_memory_of_what_was_taken_is_said(
    data: Path, network: Threshold, blind: Path
) -> None:
    given = arguments(data, ("000",), "--predictions", str(blind))
    assert main(given) == 0
    for damaged in ("[1]", '{"a": "b"}', '{"a": {"sha256": "b", "reason": 1}}'):
        (data / "labels_new/work/approved.json").write_text(damaged)
        with pytest.raises(UserError, match=r"approved\.json is damaged"):
            main(given)


@pytest.fixture
def blind(tmp_path: Path) -> Path:
    """Predictions that see background everywhere: what is found goes to a person."""
    cache, names = tmp_path / "blind", ("000", "001", "002")
    for name in names:
        nothing = np.zeros((3, 64, 64), np.float32)
        nothing[0] = 1
        save_probabilities(cache, f"{name}.jpg", nothing)
    samples = {f"{name}.jpg": 0 for name in names}
    write_index(cache, CacheIndex(("background", "cat", "dog"), samples, {}, {}))
    return cache


def test_predictions_are_heard_and_checked(data: Path, network: Threshold, tmp_path: Path) -> None:
    cache = tmp_path / "oof"
    names = ("000", "001", "002")
    for name in names:
        nothing = np.zeros((3, 64, 64), np.float32)
        nothing[0] = 1  # sees background everywhere
        save_probabilities(cache, f"{name}.jpg", nothing)
    samples = {f"{name}.jpg": 0 for name in names}
    write_index(cache, CacheIndex(("background", "cat", "dog"), samples, {}, {}))
    assert main(arguments(data, names, "--predictions", str(cache))) == 0
    assert decisions(data) == {"000": "person", "001": "rejected", "002": "person"}
    # Other predictions are other inputs.
    ones = np.zeros((3, 64, 64), np.float32)
    ones[1] = 1
    save_probabilities(cache, "000.jpg", ones)
    main(arguments(data, names, "--predictions", str(cache)))
    assert network.looked_at == [3, 1] and decisions(data)["000"] == "accepted"
    (cache / "samples/001.jpg.npz").unlink()
    with pytest.raises(UserError, match="no prediction of its image"):
        main(arguments(data, names, "--predictions", str(cache)))
    with pytest.raises(UserError, match="predicts background, cat, dog; --classes are"):
        main(arguments(data, names, "--predictions", str(cache), "--classes", "background", "cat"))


def test_sam2_without_weights_stops_and_names_the_fallbacks(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEGLAB_WEIGHTS", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def refuse(url: str) -> None:
        raise TimeoutError("no answer")

    monkeypatch.setattr("seglab.utils.weights._open_url", refuse)
    assert run_tool(main, arguments(data)) == 2
    printed = capsys.readouterr().err
    assert "--segmenter grabcut" in printed and "Traceback" not in printed
    # Both at once, each with what to fetch; SAM 2.1's checksum in full.
    for name in ("sam2.1_hiera_large.pt", "yolov8x.pt"):
        assert f"file:   {name}" in printed and f"/{name}\n" in printed
    assert "sha256: 2647878d5dfa5098f2f8649825738a9345572bae2d4350a2468587ece47dd318\n" in printed
    assert not (data / "labels_new").exists()


@pytest.mark.shared
def test_the_real_networks_mend_a_real_mask(shared_dir: Path, tmp_path: Path) -> None:
    if not all(map(importlib.util.find_spec, ("ultralytics", "onnxruntime"))):
        pytest.skip("the optional extras are absent; run `make curation`")
    source, name = shared_dir / "data/pets_coco", "000000258305_3996"
    root = tmp_path / "pets"
    for inside in (f"img/train/{name}.jpg", f"labels/train/{name}.png"):
        (root / inside).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / inside, root / inside)
    weights = shared_dir / "weights"
    given = arguments(root, (name,), "--detector", str(weights / "yolov8n_int8.onnx"))
    given += ["--segmenter", "yolov8-seg"]
    given += ["--segmenter_weights", str(weights / "yolov8n-seg_int8.onnx"), "--device", "cpu"]
    assert main(given) == 0
    record = json.loads((root / "labels_new/relabel.json").read_text())["masks"][0]
    assert record["decision"] == "accepted" and record["detector"] == "yolov8n_int8"
    assert record["segmenter"] == "yolov8-seg (yolov8n-seg_int8)"

    def iou(path: Path) -> float:
        first, second = (
            np.asarray(Image.open(each)) > 0
            for each in (path, source / f"labels_human/train/{name}.png")
        )
        return (first & second).sum() / (first | second).sum()

    assert iou(root / f"labels/train/{name}.png") < 0.55
    assert iou(root / f"labels_new/train/{name}.png") > 0.9
