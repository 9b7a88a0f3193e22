"""The merge rule and the gate, on squares."""

import numpy as np
import pytest

from seglab.data.detection import Detection
from seglab.data.relabelling.candidates import (
    DETECTOR,
    PREDICTION,
    Candidate,
    Prompt,
    distinct,
    make_prompts,
)
from seglab.data.relabelling.gate import ACCEPTED, PERSON, REJECTED, GateRule, judge
from seglab.data.relabelling.merging import Edit, Merged, MergeRule, merge, soft_iou
from seglab.data.relabelling.segmenters import Segment

SIZE = 60


def square(x: int, y: int, side: int, value: int = 1) -> np.ndarray:
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[y : y + side, x : x + side] = value
    return mask


def candidate(
    x: int,
    y: int,
    side: int,
    label: int = 1,
    confidence: float = 0.9,
    score: float = 0.9,
    source: str = DETECTOR,
    rival: float = 0.0,
) -> Candidate:
    found = Detection((x, y, x + side, y + side), label, confidence)
    return Candidate(Prompt(found, source, rival), Segment(square(x, y, side) > 0, score))


def believes(mask: np.ndarray, sure: float = 0.9) -> np.ndarray:
    """Probabilities of three classes of a model that sees `mask`."""
    values = np.full((3, SIZE, SIZE), (1 - sure) / 2, np.float32)
    np.put_along_axis(values, mask[None].astype(np.int64), sure, axis=0)
    return values


def run(
    old: np.ndarray, candidates: list[Candidate], seen: np.ndarray | None = None, **rule: float
) -> tuple[Merged, str]:
    probabilities = None if seen is None else believes(seen)
    merged = merge(old, distinct(candidates), probabilities, MergeRule(**rule))
    return merged, judge(old, merged, probabilities, GateRule()).decision


def kinds(merged: Merged) -> list[str]:
    return sorted(edit.kind for edit in merged.edits)


def test_what_is_confirmed_stays_to_the_pixel() -> None:
    old = square(10, 10, 20, 2)
    merged, decision = run(old, [candidate(10, 11, 20, 2)], old)
    assert (merged.mask == old).all() and kinds(merged) == ["kept"] and decision == REJECTED


def test_a_missing_animal_is_added_and_the_other_left_alone() -> None:
    old, truth = square(2, 2, 20, 2), square(2, 2, 20, 2) + square(35, 35, 20, 1)
    merged, decision = run(old, [candidate(2, 2, 20, 2), candidate(35, 35, 20, 1)], truth)
    assert (merged.mask == truth).all() and kinds(merged) == ["added", "kept"]
    assert decision == ACCEPTED
    merged, decision = run(old, [candidate(2, 2, 20, 2), candidate(35, 35, 20, 1)])
    assert (merged.mask == truth).all() and decision == ACCEPTED


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"confidence": 0.4}, "only 0.40 sure"), ({"score": 0.35}, "score is only 0.35")],
)
def test_a_weak_find_goes_to_a_person_and_changes_nothing(changes: dict, word: str) -> None:
    old = square(2, 2, 20)
    merged, decision = run(old, [candidate(2, 2, 20), candidate(35, 35, 20, **changes)], old)
    assert (merged.mask == old).all() and decision == PERSON
    assert word in " ".join(edit.reason for edit in merged.edits)


def test_imprecise_outlines_replace_nothing_without_a_prediction() -> None:
    old, found = square(10, 10, 20), candidate(14, 14, 20)
    merged, decision = run(old, [found], outlines=False)
    assert (merged.mask == old).all() and decision == PERSON
    merged, decision = run(old, [found], square(14, 14, 20), outlines=False)
    assert (merged.mask == square(14, 14, 20)).all() and decision == ACCEPTED
    merged, decision = run(old, [found])  # a precise segmenter may
    assert (merged.mask == square(14, 14, 20)).all() and decision == ACCEPTED


def test_an_outline_alone_needs_a_surer_segment_than_an_object_that_is_off() -> None:
    truth = square(12, 12, 20)
    for offset, decision in ((3, PERSON), (12, ACCEPTED)):
        old = square(12 - offset, 12, 20)
        unsure = [candidate(12, 12, 20, score=0.7)]
        assert run(old, unsure, truth)[1] == decision, offset
        assert run(old, [candidate(12, 12, 20, score=0.85)], truth)[1] == ACCEPTED, offset


def test_a_new_outline_is_no_reason_to_take_another_object_away() -> None:
    truth = square(2, 2, 20)
    stray = square(45, 45, 12)
    merged, decision = run(square(5, 2, 20) + stray, [candidate(2, 2, 20)], truth)
    assert decision == PERSON and (merged.mask[stray > 0] == 1).all()
    assert kinds(merged) == ["doubt", "replaced"]
    merged, decision = run(stray, [candidate(2, 2, 20)], truth)
    assert decision == ACCEPTED and (merged.mask == truth).all()


def test_noise_is_not_worth_a_persons_time() -> None:
    old = square(2, 2, 20)
    merged, decision = run(old, [candidate(2, 2, 20), candidate(35, 35, 20, score=0.1)], old)
    assert kinds(merged) == ["ignored", "kept"] and decision == REJECTED


def test_a_label_beside_the_animal_moves() -> None:
    old, truth = square(2, 35, 20, 1), square(30, 5, 20, 2)
    merged, decision = run(old, [candidate(30, 5, 20, 2)], truth)
    assert (merged.mask == truth).all() and kinds(merged) == ["added", "removed"]
    assert decision == ACCEPTED
    # Without a prediction the old object stays, and a person is asked.
    merged, decision = run(old, [candidate(30, 5, 20, 2)])
    assert (merged.mask == old + truth).all() and decision == PERSON


def test_silence_alone_removes_nothing_but_specks() -> None:
    old = square(10, 10, 20) + square(50, 50, 1)
    merged, decision = run(old, [], np.zeros_like(old))
    assert (merged.mask == square(10, 10, 20)).all() and kinds(merged) == ["doubt", "removed"]
    assert decision == PERSON


def test_a_bad_outline_is_replaced_unless_the_prediction_prefers_it() -> None:
    old, truth = square(10, 10, 14), square(10, 10, 24)
    merged, decision = run(old, [candidate(10, 10, 24)], truth)
    assert (merged.mask == truth).all() and decision == ACCEPTED
    merged, decision = run(old, [candidate(10, 10, 24)], old)
    assert (merged.mask == old).all() and decision == PERSON
    assert (merged.proposal == truth).all()  # what the person is shown
    # Slightly off, so that only the outline is in question: a coarse segmenter may not touch it.
    near = square(10, 10, 20)
    merged, decision = run(near, [candidate(10, 10, 24)], truth)
    assert (merged.mask == truth).all() and decision == ACCEPTED
    merged, decision = run(near, [candidate(10, 10, 24)], truth, outlines=False)
    assert (merged.mask == near).all() and decision == PERSON


def test_two_animals_in_one_old_object_confirm_it_together() -> None:
    old = square(5, 5, 40)
    old[25:] = 0  # 40 x 20: two squares side by side
    merged, decision = run(old, [candidate(5, 5, 20), candidate(25, 5, 20, confidence=0.8)], old)
    assert (merged.mask == old).all() and decision == REJECTED


def test_a_class_changes_only_where_all_contradict_it() -> None:
    old = square(10, 10, 20, 1)
    dog = square(10, 10, 20, 2)
    merged, decision = run(old, [candidate(10, 10, 20, 2)], dog)
    assert (merged.mask == dog).all() and kinds(merged) == ["relabelled"]
    assert decision == ACCEPTED
    for seen, changes in ((old, {}), (dog, {"rival": 0.7}), (dog, {"confidence": 0.4})):
        merged, decision = run(old, [candidate(10, 10, 20, 2, **changes)], seen)
        assert (merged.mask == old).all() and decision == REJECTED


def test_ignored_pixels_stay_ignored() -> None:
    old = np.zeros((SIZE, SIZE), np.uint8)
    old[:, :20] = 255
    merged, _ = run(old, [candidate(10, 10, 24)])
    assert (merged.mask[:, :20] == 255).all() and merged.mask[12, 22] == 1


def test_ignored_pixels_count_for_nothing() -> None:
    # As many data sets draw them: a rim that belongs to no class around each object.
    old = square(15, 15, 30, 255)
    old[20:40, 20:40] = 1
    around = believes(square(15, 15, 30), 1.0)
    (edit,) = merge(old, [candidate(15, 15, 30)], around, MergeRule()).edits
    assert (edit.kind, edit.overlap, edit.area) == ("kept", 1, 400)
    merged = merge(old, [candidate(15, 15, 30)], around, MergeRule())
    verdict = judge(old, merged, around, GateRule())
    assert verdict.decision == REJECTED and verdict.figures["prediction_fits_old"] == 1
    # What lies in ignored pixels alone is no find.
    assert merge(square(0, 0, 60, 255), [candidate(9, 9, 9)], None, MergeRule()).edits == ()


def test_nothing_found_in_an_empty_mask_goes_to_a_person() -> None:
    _, decision = run(np.zeros((SIZE, SIZE), np.uint8), [])
    assert decision == PERSON


def test_the_order_of_the_candidates_is_of_no_consequence() -> None:
    old = square(2, 2, 20, 2)
    many = [
        candidate(2, 2, 20, 2),
        candidate(30, 30, 20, 1, confidence=0.7),
        candidate(32, 32, 20, 2, confidence=0.7),
        candidate(45, 45, 14, 1, confidence=0.6),
    ]
    first, second = run(old, many)[0].mask, run(old, many[::-1])[0].mask
    assert (first == second).all()


def test_one_prompt_an_animal_and_its_rival_remembered() -> None:
    found = [
        Detection((10, 10, 30, 30), 2, 0.6),
        Detection((11, 10, 30, 30), 1, 0.7),
        Detection((40, 40, 55, 55), 1, 0.5),
    ]
    cat, other = make_prompts(found, None)
    assert (cat.found.label, cat.rival, other.rival) == (1, 0.6, 0.0)


def test_only_the_prediction_sees_it() -> None:
    seen = square(5, 5, 20, 2) + square(40, 40, 15, 1)
    (found, predicted) = make_prompts([Detection((4, 4, 26, 26), 2, 0.8)], believes(seen))
    assert (found.source, predicted.source) == (DETECTOR, PREDICTION)
    assert predicted.found.box == (40, 40, 55, 55) and predicted.found.label == 1
    old = np.zeros((SIZE, SIZE), np.uint8)
    alone = candidate(40, 40, 15, 1, source=PREDICTION)
    merged, decision = run(old, [alone], seen)
    assert kinds(merged) == ["added"] and decision == ACCEPTED
    merged, decision = run(old, [alone], seen, recognised=False)
    assert not merged.mask.any() and decision == PERSON


def test_what_only_the_prediction_saw_replaces_nothing_unrecognised() -> None:
    old, truth = square(10, 10, 10), square(10, 10, 24)
    alone = candidate(10, 10, 24, source=PREDICTION)
    assert (run(old, [alone], truth)[0].mask == truth).all()
    merged, decision = run(old, [alone], truth, recognised=False)
    assert (merged.mask == old).all() and decision == PERSON


def test_the_gate_stops_what_the_prediction_fits_worse() -> None:
    old, new = square(10, 10, 20), square(10, 10, 30)
    edit = Edit("added", 1, 900, (10.0, 10.0, 40.0, 40.0), "grown")
    verdict = judge(old, Merged(new, new, (edit,)), believes(old, 1.0), GateRule())
    assert verdict.decision == PERSON and "fits the new mask worse (1.00" in verdict.reasons[0]
    verdict = judge(old, Merged(new, new, (edit,)), believes(new, 1.0), GateRule())
    assert verdict.decision == ACCEPTED
    assert verdict.figures["agreement_with_old"] == pytest.approx(400 / 900)


def test_soft_iou_is_iou_of_a_sure_model() -> None:
    one, two = square(0, 0, 20) > 0, square(10, 0, 20) > 0
    assert soft_iou(one, two.astype(np.float32)) == pytest.approx(200 / 600)
