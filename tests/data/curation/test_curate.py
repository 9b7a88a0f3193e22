"""A curation session with the real database, and the App in a real browser."""

import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seglab.data import audit, curate
from seglab.data.curation import fiftyone_start
from seglab.utils.bad_masks import BadMask, read_bad_masks
from seglab.utils.errors import UserError
from seglab.utils.prediction_cache import CacheIndex, save_probabilities, write_index

needs_fiftyone = pytest.mark.skipif(
    importlib.util.find_spec("fiftyone") is None,
    reason="fiftyone is not installed; run `make curation`",
)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fiftyone")


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """Six masks, of which 2.png to 4.png hold ever more specks; two with a class 2."""
    folder = tmp_path / f"set{uuid.uuid4().hex[:6]}"
    for part in ("img/train", "labels/train"):
        (folder / part).mkdir(parents=True)
    random = np.random.default_rng(0)
    for index in range(6):
        mask = np.zeros((48, 64), np.uint8)
        mask[8:30, 8:40] = 1 + index % 2
        if 2 <= index <= 4:
            mask[40, 2 : 2 + 4 * index : 4] = 1
        noise = random.integers(0, 255, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"img/train/{index}.jpg")
        Image.fromarray(mask).save(folder / f"labels/train/{index}.png")
    yield folder


@pytest.fixture
def audit_file(root: Path, tmp_path: Path) -> Path:
    command = ["--data-root", str(root), "--output-dir", str(tmp_path / "audit")]
    assert audit.main(command) == 0
    return tmp_path / "audit" / "audit.json"


def run(root: Path, database: Path, *more: object) -> int:
    return curate.main(
        ["--data_root", str(root), "--database", str(database), "--no-app", *map(str, more)]
    )


def open_dataset(database: Path, root: Path) -> Any:
    fiftyone = fiftyone_start.start_fiftyone(database)
    (name,) = [name for name in fiftyone.list_datasets() if root.name in name]
    return fiftyone.load_dataset(name)


def sample_of(dataset: Any, name: str) -> Any:
    return dataset.one(dataset_field(name))


def dataset_field(name: str) -> Any:
    from fiftyone import ViewField

    return ViewField("mask_path") == f"labels/train/{name}.png"


def tag(dataset: Any, name: str, *tags: str) -> None:
    sample = sample_of(dataset, name)
    sample.tags.extend(tags)
    sample.save()


def exported(root: Path, database: Path, path: Path) -> list[BadMask]:
    path.unlink(missing_ok=True)
    assert run(root, database, "--export", path) == 0
    return read_bad_masks(path, root)


@needs_fiftyone
def test_what_is_built(root: Path, audit_file: Path, database: Path, capsys: Any) -> None:
    ranking = json.loads(audit_file.read_text())["ranking"]
    assert [item["image"] for item in ranking[:3]] == ["4.jpg", "3.jpg", "2.jpg"]
    assert run(root, database, "--audit", audit_file, "--tag-top", 2) == 0
    assert "6 masks, 6 of them new" in capsys.readouterr().out
    dataset = open_dataset(database, root)
    assert dataset.persistent
    worst = dataset.load_saved_view("worst-first")
    assert worst.values("mask_path") == [item["mask"] for item in ranking]
    first = worst.first()
    assert first["score"] == ranking[0]["score"]
    assert first["reasons"] == ranking[0]["reasons"]
    assert Path(first.filepath) == root / "img/train/4.jpg"
    assert Path(first["mask"].mask_path) == root / "labels/train/4.png"
    x0, y0, x1, y1 = ranking[0]["regions"][0]["box"]
    box = [x0 / 64, y0 / 48, (x1 - x0) / 64, (y1 - y0) / 48]
    assert first["regions"].detections[0].bounding_box == box


@needs_fiftyone
def test_tags_survive_a_rebuild_and_are_exported(
    root: Path, audit_file: Path, database: Path, tmp_path: Path, capsys: Any
) -> None:
    ranking = json.loads(audit_file.read_text())["ranking"]
    assert run(root, database, "--audit", audit_file, "--tag-top", 2) == 0
    dataset = open_dataset(database, root)
    # A person takes one of the audit's tags away and adds two; one on the label, not the sample.
    other = sample_of(dataset, "3")
    other.tags.remove("bad_mask")
    other.save()
    tag(dataset, "0", "bad_mask", "reason: the dog, is missing", "seen")
    labelled = sample_of(dataset, "1")
    labelled["mask"].tags.append("bad_mask")
    labelled.save()
    boxed = sample_of(dataset, "2")
    boxed["regions"].detections[0].tags.append("bad_mask")
    boxed.save()
    assert run(root, database, "--audit", audit_file, "--tag-top", 2) == 0
    assert "6 masks, 0 of them new" in capsys.readouterr().out
    dataset.reload()
    assert sample_of(dataset, "0").tags == ["bad_mask", "reason: the dog, is missing", "seen"]
    masks = exported(root, database, tmp_path / "list.json")
    order = [item["mask"] for item in ranking if item["image"] != "3.jpg"]
    by_name = {Path(mask.path).stem: mask for mask in masks}
    assert [mask.path for mask in masks] == [path for path in order if "5.png" not in path]
    assert {name: m.tagged_by for name, m in by_name.items()} == {
        "4": "audit",
        "2": "person",
        "0": "person",
        "1": "person",
    }
    assert by_name["0"].reason == "the dog, is missing"
    assert by_name["4"].reason == "; ".join(ranking[0]["reasons"])
    assert by_name["1"].reason == "tagged without a reason"
    assert by_name["4"].score == ranking[0]["score"]
    assert by_name["4"].image == "img/train/4.jpg"
    with pytest.raises(UserError, match="there already"):
        run(root, database, "--export", tmp_path / "list.json")
    assert run(root, database, "--export", tmp_path / "list.json", "--overwrite") == 0

    # A reason that a person writes into the field makes the audit's tag theirs.
    confirmed = sample_of(dataset, "4")
    confirmed["reason"] = " torn "
    confirmed.save()
    masks = exported(root, database, tmp_path / "list.json")
    assert (masks[0].reason, masks[0].tagged_by) == ("torn", "person")


@needs_fiftyone
def test_masks_that_change_or_vanish_keep_their_tags(
    root: Path, database: Path, tmp_path: Path, capsys: Any
) -> None:
    assert run(root, database) == 0
    dataset = open_dataset(database, root)
    assert dataset.mask_targets["mask"] == {1: "class 1", 2: "class 2"}
    with pytest.raises(UserError, match="no mask is tagged"):
        exported(root, database, tmp_path / "list.json")
    tag(dataset, "0", "bad_mask")
    tag(dataset, "1", "bad_mask")
    Image.fromarray(np.ones((48, 64), np.uint8)).save(root / "labels/train/0.png")
    for name in ("1", "5"):
        (root / f"img/train/{name}.jpg").unlink()
        (root / f"labels/train/{name}.png").unlink()
    with pytest.raises(UserError) as caught:
        exported(root, database, tmp_path / "list.json")
    assert "'labels/train/0.png' has changed since it was shown" in str(caught.value)
    assert "'labels/train/1.png': no such file" in str(caught.value)
    assert not (tmp_path / "list.json").exists()
    assert run(root, database) == 0
    said = capsys.readouterr().out
    assert "1 tagged masks have changed since they were tagged" in said
    assert "not listed any more; they were kept: labels/train/1.png" in said
    dataset.reload()
    assert sorted(Path(path).stem for path in dataset.values("mask_path")) == list("01234")
    assert sample_of(dataset, "0").tags == ["bad_mask"]


@needs_fiftyone
def test_predictions_from_a_cache_and_from_a_folder(
    root: Path, database: Path, tmp_path: Path
) -> None:
    cache, folder = tmp_path / "cache", tmp_path / "png"
    folder.mkdir()
    for index in range(5):  # the sixth has none
        best = np.full((48, 64), index % 3, np.uint8)
        chances = np.eye(3, dtype=np.float32)[best].transpose(2, 0, 1)
        save_probabilities(cache, f"{index}.jpg", chances)
        Image.fromarray(best).save(folder / f"{index}.png")
    labels = {f"{index}.jpg": "0" * 64 for index in range(5)}
    names = ("background", "cat", "dog")
    write_index(cache, CacheIndex(names, dict.fromkeys(labels, 0), labels, {}))
    assert run(root, database, "--predictions", cache) == 0
    dataset = open_dataset(database, root)
    assert dataset.mask_targets["prediction"] == {1: "cat", 2: "dog"}
    for source in (cache, folder):
        assert run(root, database, "--predictions", source) == 0
        dataset.reload()
        for index in range(5):
            shown = sample_of(dataset, str(index))["prediction"].mask_path
            assert np.unique(np.asarray(Image.open(shown))).tolist() == [index % 3]
        assert sample_of(dataset, "5")["prediction"] is None
    Image.new("L", (3, 3)).save(folder / "0.png")
    with pytest.raises(UserError, match=r"0\.png cannot be shown: it is not of the mask's size"):
        run(root, database, "--predictions", folder)
    for odd, words in ((tmp_path / "none", "is no folder"), (tmp_path / "audit", "no prediction")):
        (tmp_path / "audit").mkdir(exist_ok=True)
        with pytest.raises(UserError, match=words):
            run(root, database, "--predictions", odd)


@needs_fiftyone
def test_a_person_tags_in_the_app(
    root: Path, audit_file: Path, tmp_path: Path, browser: Any
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    home = tmp_path / "home"
    home.mkdir()
    command = [sys.executable, curate.__file__, "--data_root", str(root), "--database"]
    command += [str(tmp_path / "database"), "--name", "toy"]
    environment = {**os.environ, "HOME": str(home), "BROWSER": "true"}
    process = subprocess.Popen(
        [*command, "--audit", str(audit_file), "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        # A shell starts background jobs deaf to Ctrl-C, and the tests may run in one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stdout is not None
        said = ""
        while "Tags are kept" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        assert f"http://127.0.0.1:{port}/datasets/toy?view=worst-first" in said
        browser.open(f"http://127.0.0.1:{port}/datasets/toy?view=worst-first")
        browser.wait("document.querySelectorAll('[data-cy=looker]').length === 6", 120)
        browser.wait("document.body.innerText.includes('worst-first')")
        time.sleep(3)  # the App draws its side bar again when the counts arrive
        tag_in_app(browser, 1, "bad_mask", "reason: specks, three")
        picture = browser.screenshot(tmp_path / "app.png")
        if os.environ.get("SEGLAB_KEEP_SCREENSHOTS"):
            shutil.copy(picture, os.environ["SEGLAB_KEEP_SCREENSHOTS"])
        process.send_signal(signal.SIGINT)
        said += process.communicate(timeout=60)[0]
    finally:
        process.kill()
    assert process.returncode == 0, said
    assert "1 tagged bad_mask" in said
    assert len(np.unique(np.asarray(Image.open(picture)).reshape(-1, 3), axis=0)) > 500
    listed = tmp_path / "list.json"
    subprocess.run([*command, "--export", str(listed)], check=True, env=environment)
    (mask,) = read_bad_masks(listed, root)
    ranking = json.loads(audit_file.read_text())["ranking"]
    assert (mask.path, mask.tagged_by) == (ranking[1]["mask"], "person")
    assert mask.reason == "specks, three"
    assert list(home.iterdir()) == []  # nothing is written into the home directory


def tag_in_app(browser: Any, number: int, *tags: str) -> None:
    """Select a sample in the grid, open the tag menu, type the tags, and apply them."""
    browser.run(
        "[...document.querySelectorAll('button')].filter(b => b.innerText.trim() === 'Dismiss')"
        ".forEach(b => b.click())"
    )
    box = f"document.querySelectorAll('[data-cy=looker]')[{number}].querySelector('input')"
    browser.run(f"{box}.click()")
    browser.wait("document.querySelector('[data-cy=selection-count-container]')")
    browser.run("document.querySelector('[data-cy=action-tag-sample-labels]').click()")
    place = "[data-cy=sample-tag-input]"
    field = f"document.querySelector('input{place}, {place} input')"
    browser.wait(field)
    for text in tags:
        browser.wait(f"{field} && ({field}.focus(), true)")
        browser.send("Input.insertText", text=text)
        browser.wait(f"{field}.value === {json.dumps(text)}")
        browser.press("Enter", 13, "\r")
        browser.wait(f"document.querySelector('[data-cy=popout] [title={json.dumps(text)}]')")
    browser.run("document.querySelector('[data-cy=button-Apply] span').click()")
    browser.wait("!document.querySelector('[data-cy=popout]')")
