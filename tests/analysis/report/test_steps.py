"""The next steps: which rules apply, what they rest on, how they are ranked."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seglab.analysis.report.choice import choose
from seglab.analysis.report.context import Context, DataFolder, Exploration, Pictures
from seglab.analysis.report.data_folder import MaskFolder
from seglab.analysis.report.steps import RULES, Step, steps_section
from seglab.analysis.resampling import Interval
from seglab.utils.config_diff import ABSENT, Change
from seglab.utils.test_utils import aggregate_metrics

MakeRun = Callable[..., Path]
MakeContext = Callable[..., Context]


@pytest.fixture
def context_of(compared: Callable[..., Any], tmp_path: Path) -> MakeContext:
    def build(folders: list[Path], data: DataFolder | None = None, **options: Any) -> Context:
        comparison = compared(folders, **options)
        pictures = Pictures(tmp_path, "files")
        return Context(comparison, choose(comparison), data, Exploration(), pictures)

    return build


def steps_of(context: Context, run: Any = None) -> dict[str, Step]:
    """Every step, by the first words of its advice."""
    run = run or context.comparison.row(context.choice.id).runs[0]
    return {
        " ".join(step.advice.split()[:3]): step for rule in RULES for step in rule(context, run)
    }


def test_the_kinds_of_errors_are_ranked_by_their_oracle(
    context_of: MakeContext, family: list[Path]
) -> None:
    context = context_of(family)
    run = context.comparison.row("H2").runs[0]
    total = run.results.matrices.sum(axis=0)
    steps, now = steps_of(context), aggregate_metrics(total[None], run.classes)["mDice"]
    kinds = {
        "Predict fewer objects": [(0, 1), (0, 2)],
        "Find more of": [(1, 0), (2, 0)],
        "Tell the object": [(1, 2), (2, 1)],
    }
    wrong = total.sum() - np.trace(total)
    for name, places in kinds.items():
        mended, pixels = total.copy(), 0
        for truth, taken in places:
            pixels += mended[truth, taken]
            mended[truth, truth] += mended[truth, taken]
            mended[truth, taken] = 0
        gain = aggregate_metrics(mended[None], run.classes)["mDice"] - now
        assert steps[name].gain == pytest.approx(gain)
        assert steps[name].rests_on.startswith(f"{100 * pixels / wrong:.1f} %")
    assert "most often" in steps["Tell the object"].rests_on
    # In the document the largest gain comes first, those without one last.
    table = steps_section(context)[2].splitlines()[2:]
    gains = [line.rsplit("|", 2)[1].strip() for line in table]
    known = [float(gain) for gain in gains if gain[0] in "+-0123456789"]
    assert known == sorted(known, reverse=True) and known
    assert gains[: len(known)] == [gain for gain in gains if gain[0] in "+-0123456789"]


def test_the_worst_images_and_small_objects(context_of: MakeContext, family: list[Path]) -> None:
    context = context_of(family)
    run = context.comparison.row("H2").runs[0]
    matrices = run.results.matrices
    now = aggregate_metrics(matrices, run.classes)["mDice"]
    scores = {}
    for name, matrix in zip(run.results.sample_ids, matrices, strict=True):
        sums = matrix.sum(axis=0) + matrix.sum(axis=1)
        scores[name] = np.mean([200 * matrix[i, i] / sums[i] for i in range(3) if sums[i]])
    worst = sorted(scores, key=lambda name: (scores[name], name))[:10]
    mended = matrices.copy()
    for index, name in enumerate(run.results.sample_ids):
        if name in worst:
            mended[index] = np.diag(matrices[index].sum(axis=1))
    step = steps_of(context)["Look at the"]
    assert step.gain == pytest.approx(aggregate_metrics(mended, run.classes)["mDice"] - now)
    assert step.rests_on.startswith(f"they are {100 * 10 / len(matrices):.1f} % of the images")
    # Small objects: shrunk and made bad, they are what a step is about.
    bad = matrices.copy()
    small = bad[:6]
    small[:] = 0
    small[:, 0, 0] = 4000
    small[:, 1, 0], small[:, 1, 1] = 30, 10
    changed = replace(run, results=replace(run.results, matrices=bad))
    step = steps_of(context, changed)["Do better on"]
    good = bad.copy()
    good[:6, 1, 0], good[:6, 1, 1] = 0, 40
    before = aggregate_metrics(bad, run.classes)["mDice"]
    assert step.gain == pytest.approx(aggregate_metrics(good, run.classes)["mDice"] - before)
    assert f"is {200 * 10 / 50:.2f} %, of the largest" in step.rests_on


def test_surer_by_images_seeds_and_another_split(
    context_of: MakeContext, make_run: MakeRun, tmp_path: Path
) -> None:
    h2 = {"id": "H2", "parent": "H1", "expects": {"mDice": "+"}}
    folders = [
        make_run(tmp_path / "a", "H1", skill=0.8, images=40),
        make_run(tmp_path / "b", h2, skill=0.803, images=40),
    ]
    context = context_of(folders)
    difference = context.comparison.pairs[0].differences["mDice"]
    assert not difference.interval.excludes_zero()
    steps = steps_of(context)
    more = steps["Score on more"]
    # The t test's approximation: (z of 97.5 % + z of 80 %)^2 standard errors.
    needed = 40 * ((1.959964 + 0.841621) * difference.standard_error / difference.value) ** 2
    shown = float(more.advice.split("about ")[1].split(" ")[0].replace(",", ""))
    assert shown == pytest.approx(needed, rel=0.1) and shown > 40
    assert f"{difference.value:+.2f}" in more.rests_on
    assert f"40 images show {difference.detectable:.2f} points" in more.rests_on
    assert "trained with 1 seed only" in steps["Train each hypothesis"].rests_on
    assert steps[f"Score {context.choice.id} once"].rests_on.startswith("its checkpoint was chosen")
    assert not any(steps[name].for_score for name in ("Score on more", "Train each hypothesis"))


def test_rules_that_do_not_apply_are_silent(
    context_of: MakeContext, make_run: MakeRun, tmp_path: Path, edit: Callable[..., None]
) -> None:
    folders = [
        make_run(tmp_path / f"{name}{seed}", stated, seed=seed, skill=skill, boundary=False)
        for name, stated, skill in (("a", "H1", 0.6), ("b", {"id": "H2", "parent": "H1"}, 0.9))
        for seed in range(3)
    ]
    for folder in folders:
        edit(folder / "test_val" / "test_metrics.json", lambda c: c.update(selected_on=None))
    steps = steps_of(context_of(folders, by_seed=True))
    absent = ["Score on more", "Train each hypothesis", "Score H2 once", "Where the probabilities"]
    assert not set(absent) & set(steps) and "Find more of" in steps


def test_supported_changes_of_one_parent_are_to_be_combined(
    context_of: MakeContext, make_run: MakeRun, tmp_path: Path
) -> None:
    def child(name: str) -> dict[str, Any]:
        return {"id": name, "parent": "H1", "expects": {"mDice": "+"}}

    folders = [
        make_run(tmp_path / "a", "H1", skill=0.6),
        make_run(tmp_path / "b", child("H2"), skill=0.8),
        make_run(tmp_path / "c", child("H3"), skill=0.85),
    ]
    context = context_of(folders)
    step = steps_of(context)["Combine the changes"]
    gains = {pair.after: pair.differences["mDice"].value for pair in context.comparison.pairs}
    assert "H2 and H3" in step.advice
    assert f"H2 {gains['H2']:+.2f} and H3 {gains['H3']:+.2f}" in step.rests_on
    assert "Combine the changes" not in steps_of(context_of(folders[:2]))
    # One setting cannot have the values of both.
    change = Change("optim_wrapper.optimizer.lr", 0.1, 0.2)
    pairs = tuple(replace(pair, changes=(change,)) for pair in context.comparison.pairs)
    other = replace(context, comparison=replace(context.comparison, pairs=pairs))
    assert "Combine the changes" not in steps_of(other)


@pytest.mark.parametrize(
    ("weights", "skill", "missed", "invented"),
    [
        ([0.1, 1.0, 1.0], 0.6, "Weighing the object classes more, as H2 does, is no way", ", or"),
        ([1.0, 0.1, 0.1], 0.6, ", or", "Weighing the background more, as H2 does, is no way"),
        ([0.1, 1.0, 1.0], 0.9, ", or", ", or"),  # it won
        ("weights.npy", 0.6, ", or", ", or"),  # not known in which direction
    ],
)
def test_weights_that_lost_are_not_advised(
    context_of: MakeContext,
    make_run: MakeRun,
    tmp_path: Path,
    weights: Any,
    skill: float,
    missed: str,
    invented: str,
) -> None:
    h2 = {"id": "H2", "parent": "H1"}
    folders = [make_run(tmp_path / "a", "H1"), make_run(tmp_path / "b", h2, skill=skill)]
    context = context_of(folders)
    (pair,) = context.comparison.pairs
    change = Change("model.decode_head.loss_decode.class_weight", ABSENT, weights)
    others = (change, Change("model.depth", 1, 2))

    def advice(changes: tuple[Change, ...]) -> list[str]:
        pairs = (replace(pair, changes=changes),)
        comparison = replace(context.comparison, pairs=pairs)
        steps = steps_of(replace(context, comparison=comparison))
        return [str(steps[name].advice) for name in ("Find more of", "Predict fewer objects")]

    for text, expected in zip(advice((change,)), (missed, invented), strict=True):
        assert expected in text
        assert ("or weigh the" in text) is (expected == ", or") and text.endswith(".")
        if expected != ", or":
            assert f"{-pair.differences['mDice'].value:.2f} points below that of H1" in text
    assert all("or weigh the" in text for text in advice(others))  # it may be the other change


def test_calibration_and_masks(context_of: MakeContext, family: list[Path]) -> None:
    counts = np.array([5, 3, 1])
    bad = MaskFolder("train", "labels", 3, 3, counts, counts, 0, unknown=1234)
    context = context_of(family, DataFolder((bad, replace(bad, split="val", unknown=0)), None))
    run = context.comparison.row("H2").runs[0]
    steps = steps_of(context)
    assert steps["Mend the masks"].rests_on == "1,234 pixels hold no class"
    assert run.results.calibration is not None
    loud = run.results.calibration.copy()
    loud[:, 0, :, 1] = 0.9 * loud[:, 0, :, 2]
    step = steps_of(context, replace(run, results=replace(run.results, calibration=loud)))[
        "Where the probabilities"
    ]
    assert f"ECE {run.figures['ECE']:.2f} %" in step.rests_on and not step.for_score
    calm = run.results.calibration.copy()
    calm[:, 0, :, 1] = calm[:, 0, :, 2]
    quiet = replace(run, results=replace(run.results, calibration=calm))
    assert "Where the probabilities" not in steps_of(context, quiet)


def test_background_is_no_small_object(context_of: MakeContext, family: list[Path]) -> None:
    context = context_of(family)
    run = context.comparison.row("H2").runs[0]
    matrices = run.results.matrices.copy()
    matrices[0] = [[10, 0, 0], [30, 10, 0], [0, 0, 0]]  # a small cat, and less background
    matrices[1] = [[5, 20, 0], [0, 2000, 0], [0, 0, 0]]  # hardly any background, all else cat
    changed = replace(run, results=replace(run.results, matrices=matrices))
    step = steps_of(context, changed)["Do better on"]
    areas = matrices.sum(axis=2)
    limit = np.quantile(areas[:, 1:][areas[:, 1:] > 0], 0.25)
    good = matrices.copy()
    for image, truth in np.argwhere((areas > 0) & (areas <= limit)):
        if truth:
            good[image, truth] = np.eye(3, dtype=np.int64)[truth] * areas[image, truth]
    gain = [aggregate_metrics(m, run.classes)["mDice"] for m in (good, matrices)]
    assert step.gain == pytest.approx(gain[0] - gain[1])


def test_a_difference_that_is_decided_needs_no_more_images(
    context_of: MakeContext, make_run: MakeRun, tmp_path: Path
) -> None:
    h2 = {"id": "H2", "parent": "H1", "expects": {"mDice": "+"}}
    context = context_of(
        [make_run(tmp_path / "a", "H1"), make_run(tmp_path / "b", h2, skill=0.803)]
    )
    pair = context.comparison.pairs[0]
    difference = pair.differences["mDice"]
    decided = replace(difference, value=1.0, detectable=2.0, interval=Interval(0.5, 1.5))
    still_open = replace(decided, interval=Interval(-0.5, 2.5))
    for changed, expected in ((decided, False), (still_open, True)):
        pairs = (replace(pair, differences={**pair.differences, "mDice": changed}),)
        other = replace(context, comparison=replace(context.comparison, pairs=pairs))
        assert ("Score on more" in steps_of(other)) is expected


def test_a_step_says_what_was_tried(context_of: MakeContext, family: list[Path]) -> None:
    context = context_of(family)
    run = context.comparison.row("H2").runs[0]
    others = [context.comparison.row(name).runs[0] for name in ("H1", "H3")]
    assert "of all hypotheses" not in steps_of(context)["Find more of"].rests_on
    # The chosen run now misses more than any other.
    matrices = run.results.matrices.copy()
    for truth in (1, 2):
        matrices[:, truth, 0] += matrices[:, truth, truth]
        matrices[:, truth, truth] = 0
    changed = replace(run, results=replace(run.results, matrices=matrices))
    missed = {o.id: o.results.matrices[:, 1:, 0].sum() for o in others}
    fewest = min(missed, key=lambda name: missed[name])
    share = 100 * (1 - missed[fewest] / matrices[:, 1:, 0].sum())
    lead = context.choice.rival(fewest).lead.value
    expected = (
        f"(of all hypotheses {fewest} has fewest of them, {share:.0f} % less, with {lead:.2f}"
    )
    assert expected in steps_of(context, changed)["Find more of"].rests_on
