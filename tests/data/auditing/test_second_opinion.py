"""What a detector adds to the audit; the detectors here are stand-ins, but for the last test."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seglab.data import audit
from seglab.data.auditing import second_opinion
from seglab.data.auditing.job import AuditInput, run_audit
from seglab.data.auditing.ranking import judge
from seglab.data.auditing.second_opinion import (
    COCO_ANIMALS,
    Opinion,
    ask,
    best_witness,
    load_audit_detector,
    unlabelled_regions,
    with_other_animals,
    without_other_animals,
)
from seglab.data.curation.samples import masks_of_audit
from seglab.data.detection import Detection
from seglab.utils.bad_masks import read_bad_masks
from seglab.utils.data_hashes import SampleFiles, hash_samples
from seglab.utils.errors import UserError
from seglab.utils.prediction_cache import CacheIndex, save_probabilities, write_index

# Not importorskip: whoever imports ultralytics first decides what it may do by itself.
needs_extra = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("ultralytics", "onnxruntime"))),
    reason="the optional extras are absent; run `make curation`",
)

CLASSES = ("background", "cat", "dog")
SHAPE = (64, 64)


def block(rows: slice, columns: slice) -> np.ndarray:
    where = np.zeros(SHAPE, bool)
    where[rows, columns] = True
    return where


ANIMAL = block(slice(10, 40), slice(10, 40))
OTHER = block(slice(10, 40), slice(44, 62))
ANIMAL_BOX, OTHER_BOX = (10.0, 10.0, 40.0, 40.0), (44.0, 10.0, 62.0, 40.0)


def chances_of(where: np.ndarray, label: int, sure: float) -> np.ndarray:
    """(3, H, W): a class with this probability somewhere, background elsewhere."""
    chances = np.zeros((3, *SHAPE), np.float32)
    chances[label] = sure * where
    chances[0] = 1 - chances[label]
    return chances


class StandInDetector:
    """Knows one object of a picture by its colour; stands in for YOLOv8."""

    name, sha256, declared = "stand-in", "0" * 64, "It knows the colour."

    def __init__(self, segments: bool = True, confidence: float = 0.9) -> None:
        self.segments, self.confidence = segments, confidence
        self.asked: list[tuple[int, ...]] = []

    def detect(self, images: Sequence[np.ndarray]) -> list[list[Detection]]:
        found = []
        for image in images:
            self.asked.append(image.shape)
            where = image[..., 0] > 128
            if not where.any():
                found.append([])
                continue
            rows, columns = np.nonzero(where)
            box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            mask = where if self.segments else None
            found.append([Detection(tuple(map(float, box)), 1, self.confidence, mask)])
        return found


def red(where: np.ndarray) -> np.ndarray:
    image = np.zeros((*SHAPE, 3), np.uint8)
    image[where, 0] = 255
    return image


def test_other_animals_are_background_and_own_classes_stay() -> None:
    mapped = with_other_animals({15: 1, 17: 2})
    assert {number: mapped[number] for number in (14, 15, 16, 17, 18)} == {
        14: 0,
        15: 1,
        16: 0,
        17: 2,
        18: 0,
    }
    assert set(mapped) == set(COCO_ANIMALS)


def test_a_horse_is_taken_back_in_its_box_only() -> None:
    chances = chances_of(ANIMAL | OTHER, 2, 0.9)
    horse = Detection(OTHER_BOX, 0, 0.8)
    adjusted = without_other_animals(chances, [horse])
    assert adjusted.sum(axis=0) == pytest.approx(1)
    assert adjusted[2][OTHER] == pytest.approx(0.9 * 0.2)
    assert adjusted[2][ANIMAL] == pytest.approx(0.9)
    assert chances[2][OTHER] == pytest.approx(0.9)  # not changed in place


@pytest.mark.parametrize(
    "detections",
    [
        [],
        [Detection(OTHER_BOX, 0, 0.2)],  # not believed
        [Detection(OTHER_BOX, 0, 0.6), Detection(OTHER_BOX, 2, 0.4)],  # perhaps a dog
    ],
)
def test_a_doubtful_horse_takes_nothing_back(detections: list[Detection]) -> None:
    chances = chances_of(OTHER, 2, 0.9)
    assert without_other_animals(chances, detections) is chances


def test_an_animal_without_a_label_is_said() -> None:
    mask = ANIMAL.astype(np.uint8)
    seen = [
        Detection(ANIMAL_BOX, 1, 0.9),
        Detection(OTHER_BOX, 2, 0.8),
        Detection((0, 45, 20, 60), 2, 0.3),  # not sure
        Detection((30, 45, 50, 60), 0, 0.9),  # another animal
    ]
    assert [(r.box, r.predicted) for r in unlabelled_regions(mask, seen)] == [((44, 10, 62, 40), 2)]
    verdict = judge("x", mask, None, CLASSES, opinion=Opinion(tuple(seen)))
    assert verdict.reasons == ("a dog that the detector sees has no label (540 px, 80 % sure)",)
    assert verdict.suspicion == pytest.approx(0.3)
    assert not judge("x", mask, None, CLASSES).suspicion


def test_pixels_to_ignore_count_as_covered() -> None:
    mask = np.where(OTHER, 255, 0).astype(np.uint8)
    assert not unlabelled_regions(mask, [Detection(OTHER_BOX, 2, 0.9)])


def test_the_best_witness_counts() -> None:
    mask = ANIMAL.astype(np.uint8)
    half = block(slice(10, 25), slice(10, 40))
    model = chances_of(ANIMAL, 1, 0.9)
    seen = best_witness(mask, model, Opinion(closer=half))
    assert seen is not None
    assert (seen.name, seen.agreement) == ("the model", 1)
    alone = best_witness(mask, None, Opinion(closer=half))
    assert alone is not None
    assert alone.name == "the detector on the enlarged image"
    assert alone.agreement == pytest.approx(0.5)


def test_a_detector_that_sees_nothing_has_no_opinion() -> None:
    mask = ANIMAL.astype(np.uint8)
    nothing = Opinion(closer=np.zeros(SHAPE, bool))
    model = chances_of(OTHER, 1, 0.9)
    assert best_witness(mask, model, nothing) is None
    assert best_witness(mask, model, Opinion()) is None  # does not segment
    hard = judge("x", mask, model, CLASSES, opinion=nothing)
    asked_alone = judge("x", mask, model, CLASSES)
    assert 0 < hard.suspicion < asked_alone.suspicion / 5


def test_an_animal_in_pixels_to_ignore_is_held_against_nobody(tmp_path: Path) -> None:
    """The detector sees it, the mask says 255: that is no disagreement."""
    both = ANIMAL | OTHER
    labels = {
        "all": np.where(both, 255, 0),
        "half": np.where(OTHER, 255, ANIMAL),
        "none": np.zeros(SHAPE, int),
    }
    (tmp_path / "img/train").mkdir(parents=True)
    (tmp_path / "labels/train").mkdir(parents=True)
    for number, (name, mask) in enumerate(labels.items()):
        image = red(both)
        image[..., 1 + number % 2] = 40 * number  # three photographs
        image[50:, : 20 * number, 1] = 255
        Image.fromarray(image).save(tmp_path / f"img/train/{name}.png")
        Image.fromarray(mask.astype(np.uint8)).save(tmp_path / f"labels/train/{name}.png")
    found = run_audit(AuditInput(tmp_path, detector=StandInDetector()))
    scores = {verdict.sample_id: verdict.scores["unconfirmed"] for verdict in found.verdicts}
    assert scores["all.png"] == 0
    assert scores["half.png"] == pytest.approx(0, abs=0.1)
    assert scores["none.png"] == 1
    # Each of the three witnesses by itself.
    whole = Detection(ANIMAL_BOX, 1, 0.9, both)
    for opinion, chances in (
        (Opinion((), both, ~OTHER), None),
        (Opinion((whole,), np.zeros(SHAPE, bool), ~OTHER), None),
        (Opinion((), block(slice(10, 30), slice(10, 40)), ~OTHER), chances_of(both, 1, 0.9)),
    ):
        witness = best_witness(ANIMAL.astype(np.uint8), chances, opinion)
        assert witness is not None
        assert witness.agreement == 1


def test_an_unsure_whole_image_is_no_witness() -> None:
    faint = Detection(ANIMAL_BOX, 1, 0.4, ANIMAL)
    empty = np.zeros(SHAPE, bool)
    assert best_witness(ANIMAL.astype(np.uint8), None, Opinion((faint,), empty)) is None
    sure = Detection(ANIMAL_BOX, 1, 0.6, ANIMAL)
    seen = best_witness(ANIMAL.astype(np.uint8), None, Opinion((sure,), empty))
    assert seen is not None
    assert seen.agreement == 1


def test_a_mask_that_nobody_confirms_says_so_and_shows_what_was_seen() -> None:
    wrong = block(slice(40, 60), slice(2, 30)).astype(np.uint8)
    opinion = ask(StandInDetector(), red(ANIMAL), wrong, chances_of(ANIMAL, 1, 0.9))
    verdict = judge("x", wrong, chances_of(ANIMAL, 1, 0.9), CLASSES, opinion=opinion)
    assert verdict.suspicion > 0.95
    assert any("no witness confirms it" in reason for reason in verdict.reasons)
    shown = [region for region in verdict.regions if region.kind == "unconfirmed"]
    assert [region.box for region in shown] == [(10, 10, 40, 40)]


def test_enlarged_looks_go_where_mask_or_model_have_something() -> None:
    detector = StandInDetector()
    opinion = ask(detector, red(ANIMAL), ANIMAL.astype(np.uint8), chances_of(OTHER, 2, 0.9))
    assert len(detector.asked) == 3  # the whole, and one joined place, straight and mirrored
    assert max(detector.asked[1][:2]) == 640
    assert opinion.closer is not None
    union = (opinion.closer | ANIMAL).sum()
    assert (opinion.closer & ANIMAL).sum() / union > 0.9
    assert len(opinion.detections) == 1


def test_a_detector_without_masks_looks_once() -> None:
    detector = StandInDetector(segments=False)
    opinion = ask(detector, red(ANIMAL), ANIMAL.astype(np.uint8), None)
    assert opinion.closer is None
    assert len(detector.asked) == 1


def test_faint_looks_are_not_believed() -> None:
    faint = ask(StandInDetector(confidence=0.05), red(ANIMAL), ANIMAL.astype(np.uint8), None)
    assert faint.closer is not None
    assert not faint.closer.any()


@needs_extra
@pytest.mark.parametrize("segments", [True, False])
def test_a_run_with_a_detector_can_be_curated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, segments: bool
) -> None:
    """Both kinds of detector, through the command, into the file that `curate` reads."""
    (tmp_path / "img/train").mkdir(parents=True)
    (tmp_path / "labels/train").mkdir(parents=True)
    masks = {"missing": np.zeros(SHAPE, np.uint8), "sound": ANIMAL.astype(np.uint8)}
    files = []
    for name, mask in masks.items():
        Image.fromarray(red(ANIMAL)).save(tmp_path / f"img/train/{name}.jpg", quality=95)
        Image.fromarray(mask).save(tmp_path / f"labels/train/{name}.png")
        files.append(
            SampleFiles(
                f"{name}.jpg",
                tmp_path / f"img/train/{name}.jpg",
                tmp_path / f"labels/train/{name}.png",
            )
        )
        save_probabilities(tmp_path / "oof", f"{name}.jpg", chances_of(ANIMAL, 1, 0.9))
    labels = {key: str(pair["label"]) for key, pair in hash_samples(files).items()}
    write_index(tmp_path / "oof", CacheIndex(CLASSES, dict.fromkeys(labels, 0), labels, {}))
    detector = StandInDetector(segments)
    monkeypatch.setattr(second_opinion, "load_audit_detector", lambda *_: detector)
    command = ["--data-root", str(tmp_path), "--predictions", str(tmp_path / "oof")]
    command += ["--output-dir", str(tmp_path / "out"), "--detector", "stand-in.pt"]
    assert audit.main([*command, "--write-bad-masks", "1"]) == 0
    chosen = masks_of_audit(tmp_path / "out/audit.json", tmp_path)
    assert chosen.classes == CLASSES
    # Both show one photograph, so each is told that the other contradicts it.
    first, second = chosen.masks
    assert first.mask == "labels/train/missing.png"
    assert any("a cat that the detector sees has no label" in why for why in first.reasons)
    assert "unlabelled" in {region["kind"] for region in first.regions}
    assert "unlabelled" not in {region["kind"] for region in second.regions}
    assert ("unconfirmed" in first.scores) == segments
    if segments:
        assert second.scores["unconfirmed"] is not None
        assert second.scores["unconfirmed"] < 0.1
    assert "stand-in" in (tmp_path / "out/audit.html").read_text()
    (bad,) = read_bad_masks(tmp_path / "out/bad_mask_paths.json", tmp_path)
    assert bad.path == first.mask


def test_belief_stays_a_probability_where_sums_were_rounded() -> None:
    chances = np.zeros((3, *SHAPE), np.float32)
    chances[1] = chances[2] = np.float16(0.5) + np.float16(0.0005)
    horse = Detection(OTHER_BOX, 0, 0.9)
    adjusted = without_other_animals(chances, [horse])
    assert adjusted.min() >= 0
    assert adjusted.max() <= 1


def test_weights_that_are_absent_are_named() -> None:
    with pytest.raises(UserError, match=r"nowhere\.onnx"):
        load_audit_detector("nowhere.onnx", CLASSES)


@needs_extra
@pytest.mark.shared
def test_the_real_detector_denies_a_wrong_mask(shared_dir: Path) -> None:
    detector = load_audit_detector(
        str(shared_dir / "weights/yolov8n-seg_int8.onnx"), CLASSES, device="cpu"
    )
    data = shared_dir / "data/pets_coco"
    name = "000000419618_7033"
    with Image.open(data / f"img/train/{name}.jpg") as opened:
        image = np.asarray(opened.convert("RGB"))
    agreements = []
    for folder in ("labels", "labels_human"):
        mask = np.asarray(Image.open(data / folder / f"train/{name}.png"))
        seen = best_witness(mask, None, ask(detector, image, mask, None))
        assert seen is not None
        agreements.append(seen.agreement)
    assert agreements[0] < 0.3
    assert agreements[1] > 0.8
