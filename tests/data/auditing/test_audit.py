"""The audit on masks whose faults are known, against independent references."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from seglab.data import audit
from seglab.data.auditing.components import disagreement_regions, disc
from seglab.data.auditing.ranking import judge
from seglab.data.auditing.rules import rule_regions
from seglab.data.auditing.scores import SCORES, image_scores, softmin
from seglab.data.toy.options import FAULT_KINDS, ToyOptions
from seglab.data.toy.writer import generate
from seglab.utils.data_hashes import SampleFiles, hash_samples
from seglab.utils.errors import UserError
from seglab.utils.prediction_cache import CacheIndex, save_probabilities, write_index

CLASSES = ("background", "cat", "dog")


def certain(truth: np.ndarray, sure: float = 0.98) -> np.ndarray:
    """Probabilities of a model that sees the truth."""
    rest = (1 - sure) / (len(CLASSES) - 1)
    return np.where(np.arange(len(CLASSES))[:, None, None] == truth, sure, rest).astype(np.float32)


def blocks(*parts: tuple[slice, slice, int]) -> np.ndarray:
    mask = np.zeros((64, 64), np.uint8)
    for rows, columns, label in parts:
        mask[rows, columns] = label
    return mask


CAT = (slice(8, 28), slice(8, 28), 1)
DOG = (slice(36, 60), slice(30, 60), 2)


@pytest.mark.parametrize(
    ("mask", "kind", "words"),
    [
        (blocks(CAT), "missing", "a dog the model is sure of is missing"),
        (blocks(CAT, DOG, (slice(40, 60), slice(2, 20), 1)), "spurious", "mask covers background"),
        (blocks(CAT, (*DOG[:2], 1)), "class_flip", "dog labelled cat"),
    ],
)
def test_each_kind_of_disagreement_is_named(mask: np.ndarray, kind: str, words: str) -> None:
    truth = blocks(CAT, DOG)
    verdict = judge("x.jpg", mask, certain(truth), CLASSES)
    assert verdict.regions[0].kind == kind
    assert verdict.reasons[0].startswith(words)
    rows, columns = np.nonzero(mask != truth)
    x0, y0, x1, y1 = verdict.regions[0].box
    assert (x0, y0, x1, y1) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    clean = judge("x.jpg", truth, certain(truth), CLASSES)
    assert not clean.reasons
    assert verdict.suspicion > 2 * clean.suspicion


def test_a_contour_one_pixel_off_is_no_region() -> None:
    truth = blocks(DOG)
    mask = np.roll(truth, 1, axis=1)
    assert disagreement_regions(mask, certain(truth)) == []
    assert disagreement_regions(np.roll(truth, 8, axis=1), certain(truth))


def test_ignored_pixels_are_not_judged() -> None:
    truth = blocks(CAT, DOG)
    mask = np.where(truth == 2, 255, truth).astype(np.uint8)
    verdict = judge("x.jpg", mask, certain(truth), CLASSES)
    assert verdict.regions == ()
    assert verdict.scores["hard_iou"] == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20))
def test_softmin_is_the_formula(values: list[float]) -> None:
    powers = [math.exp((1 - v) / 0.1) for v in values]
    expected = sum(v * p for v, p in zip(values, powers, strict=True)) / sum(powers)
    sure = np.array(values, np.float32)
    labels = np.arange(len(values)) % 2
    quality = softmin(labels, np.where(labels == 0, [sure, 1 - sure], [1 - sure, sure]))
    assert quality == pytest.approx(expected, abs=1e-6)
    assert min(values) - 1e-6 <= quality <= np.mean(values) + 1e-6


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_scores_are_shares_and_match_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.integers(0, 3, (12, 12)).astype(np.uint8)
    mask[rng.random(mask.shape) < 0.1] = 255
    chances = rng.dirichlet((0.5, 0.5, 0.5), mask.shape).transpose(2, 0, 1).astype(np.float32)
    scores = image_scores(mask, chances, disagreement_regions(mask, chances))
    assert set(scores) == set(SCORES)
    assert all(0 <= value <= 1 + 1e-9 for value in scores.values())
    same = union = inside = total = 0.0
    for y in range(12):
        for x in range(12):
            if mask[y, x] == 255:
                continue
            seen, labelled = chances[:, y, x].argmax() > 0, mask[y, x] > 0
            same, union = same + (seen and labelled), union + (seen or labelled)
            q = 1 - float(chances[0, y, x])
            inside += q if labelled else 0
            total += 1 if labelled else q
    assert scores["hard_iou"] == pytest.approx(1 - same / union)
    assert scores["expected_iou"] == pytest.approx(1 - inside / total, abs=1e-5)


def test_an_empty_mask_and_an_empty_picture() -> None:
    empty = blocks()
    assert judge("x", empty, certain(empty), CLASSES).suspicion < 0.5
    verdict = judge("x", empty, certain(blocks(DOG)), CLASSES)
    assert verdict.suspicion > 0.5
    assert verdict.reasons[0].startswith("a dog the model")
    named = judge("x", empty, certain(blocks(DOG)), ("background", "cat", "animal"))
    assert named.reasons[0].startswith("an animal the model")


def test_rules_find_specks_holes_jags_and_mixed_classes() -> None:
    clean = blocks(DOG)
    assert rule_regions(clean) == []
    spoiled = blocks(DOG, (slice(4, 5), slice(4, 6), 1), (slice(45, 46), slice(40, 41), 0))
    assert [r.kind for r in rule_regions(spoiled)] == ["speck", "hole"]
    mixed = blocks(DOG, (slice(36, 48), slice(30, 60), 1))
    assert [r.kind for r in rule_regions(mixed)] == ["mixed_classes"]
    comb = blocks(DOG)
    comb[30:36, 30:60:2] = 2
    assert [r.kind for r in rule_regions(comb)] == ["jagged"]


def test_disc() -> None:
    assert disc(1).tolist() == [[0, 1, 0], [1, 1, 1], [0, 1, 0]]
    assert disc(3).shape == (7, 7)


@pytest.fixture(scope="module")
def faulty_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("toy") / "set"
    options = ToyOptions(
        out=out, train=24, val=1, test=1, size=96, faults=0.25, fault_kinds=FAULT_KINDS
    )
    return Path(generate(options))


def make_cache(root: Path, folder: Path) -> Path:
    """Predictions of a model that sees the true masks."""
    images = sorted((root / "img/train").glob("*.jpg"))
    samples = [
        SampleFiles(path.name, path, root / "labels/train" / f"{path.stem}.png") for path in images
    ]
    for sample in samples:
        truth = np.asarray(Image.open(root / "labels_true/train" / sample.label.name))
        save_probabilities(folder, sample.sample_id, certain(truth))
    labels = {key: str(files["label"]) for key, files in hash_samples(samples).items()}
    write_index(folder, CacheIndex(CLASSES, dict.fromkeys(labels, 0), labels, {"seed": 0}))
    return folder


def test_toy_faults_come_first(faulty_set: Path, tmp_path: Path) -> None:
    cache, out = make_cache(faulty_set, tmp_path / "cache"), tmp_path / "out"
    command = ["--data-root", str(faulty_set), "--predictions", str(cache), "--output-dir"]
    assert audit.main([*command, str(out), "--write-bad-masks", "6", "--shown", "3"]) == 0
    listed = json.loads((out / "audit.json").read_text())
    faults = json.loads((faulty_set / "faults.json").read_text())
    assert listed["schema"] == 1
    spoiled = {Path(path).stem for path in _fault_names(faults)}
    assert len(spoiled) == 6
    first = {Path(item["image"]).stem for item in listed["ranking"][:6]}
    assert len(first & spoiled) >= 5
    bad = json.loads((out / "bad_mask_paths.json").read_text())
    assert [m["path"] for m in bad["masks"]] == [i["mask"] for i in listed["ranking"][:6]]
    assert all((faulty_set / m["path"]).is_file() and len(m["sha256"]) == 64 for m in bad["masks"])
    page = (out / "audit.html").read_text()
    assert page.count("data:image/jpeg") == 3
    assert "http://" not in page
    assert "https://" not in page
    with pytest.raises(UserError, match="already"):
        audit.main([*command, str(out), "--write-bad-masks", "6"])
    assert audit.main([*command, str(out), "--write-bad-masks", "2", "--overwrite"]) == 0
    assert len(json.loads((out / "bad_mask_paths.json").read_text())["masks"]) == 2


def _fault_names(faults: object) -> list[str]:
    """Every mask name in `faults.json`, wherever it stands."""
    if isinstance(faults, dict):
        keys = [key for key in faults if str(key).endswith((".png", ".jpg"))]
        return keys + [name for value in faults.values() for name in _fault_names(value)]
    if isinstance(faults, list):
        return [name for value in faults for name in _fault_names(value)]
    return [faults] if isinstance(faults, str) and faults.endswith((".png", ".jpg")) else []


def test_without_predictions_the_rules_judge(faulty_set: Path, tmp_path: Path) -> None:
    assert audit.main(["--data-root", str(faulty_set), "--output-dir", str(tmp_path)]) == 0
    listed = json.loads((tmp_path / "audit.json").read_text())
    assert "rules only" in listed["declared"]
    assert listed["ranking"][0]["scores"] == {}


def test_masks_in_which_nothing_was_found_are_not_called_bad(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("img/train", "labels/train"):
        (tmp_path / folder).mkdir(parents=True)
    speck = (slice(4, 5), slice(4, 6), 1)
    odd = np.full((64, 64), 255, np.uint8)  # all ignored
    for name, mask in (("a", blocks(DOG)), ("b", blocks()), ("c", odd), ("d", blocks(DOG, speck))):
        noise = np.random.default_rng(ord(name)).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"img/train/{name}.png")
        Image.fromarray(mask).save(tmp_path / f"labels/train/{name}.png")
    command = ["--data-root", str(tmp_path), "--output-dir", str(tmp_path / "out")]
    assert audit.main([*command, "--write-bad-masks"]) == 0
    bad = json.loads((tmp_path / "out/bad_mask_paths.json").read_text())["masks"]
    assert [mask["path"] for mask in bad] == ["labels/train/d.png"]
    (tmp_path / "out/bad_mask_paths.json").unlink()
    (tmp_path / "labels/train/d.png").unlink()
    (tmp_path / "img/train/d.png").unlink()
    assert audit.main([*command, "--write-bad-masks"]) == 0
    assert "nothing was found in any mask" in capsys.readouterr().out
    assert not (tmp_path / "out/bad_mask_paths.json").exists()


def test_changed_masks_and_bad_files_are_refused(faulty_set: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(faulty_set, root)
    cache = make_cache(root, tmp_path / "cache")
    command = ["--data-root", str(root), "--output-dir", str(tmp_path / "out"), "--predictions"]
    masks = sorted((root / "labels/train").glob("*.png"))
    Image.fromarray(np.zeros((96, 96), np.uint8)).save(masks[0])
    with pytest.raises(UserError, match="has changed since"):
        audit.main([*command, str(cache)])
    with pytest.raises(UserError, match=r"predictions\.json is missing"):
        audit.main([*command, str(tmp_path)])
    Image.new("RGB", (96, 96)).save(masks[0])
    masks[1].write_bytes(b"torn")
    with pytest.raises(UserError) as caught:
        audit.main(command[:-1])
    assert masks[0].name in str(caught.value)
    assert masks[1].name in str(caught.value)
    masks[1].unlink()
    with pytest.raises(UserError, match="images without a mask"):
        audit.main(command[:-1])


def test_a_conflicting_duplicate_is_named(faulty_set: Path, tmp_path: Path) -> None:
    root = tmp_path / "copy"
    shutil.copytree(faulty_set, root)
    one, other = sorted((root / "img/train").glob("*.jpg"))[:2]
    shutil.copy(one, other)
    assert audit.main(["--data-root", str(root), "--output-dir", str(tmp_path / "out")]) == 0
    ranking = json.loads((tmp_path / "out/audit.json").read_text())["ranking"]
    assert {item["image"] for item in ranking[:2]} == {one.name, other.name}
    assert f"the same photograph has another mask: {other.name}" in str(ranking[:2])
