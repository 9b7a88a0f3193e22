"""What to do next: rules over measured figures, each with the figure it rests on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from seglab.analysis.comparison import Pair
from seglab.analysis.multiplicity import images_needed
from seglab.analysis.report import numbers
from seglab.analysis.report.choice import KEY
from seglab.analysis.report.context import Context, representative
from seglab.analysis.report.error_section import WORST
from seglab.analysis.report.findings import CALIBRATED, confidence_gap, signs_of, with_unit
from seglab.analysis.report.markdown import Prose, join_words, say, sentences, table
from seglab.analysis.report.weighing import weighing_advice
from seglab.analysis.run_folder import Run
from seglab.analysis.verdict import Outcome
from seglab.utils.breakdown import by_object_size, error_budget
from seglab.utils.test_utils import (
    IntArray,
    aggregate_metrics,
    find_best_worst_samples,
    per_image_scores,
)

#: Training seeds below which how much a seed matters is hardly known.
_FEW_SEEDS = 3
_ADVICE = {
    "false_positive": "Predict fewer objects where there are none: train on more images without "
    "objects and with look-alikes",
    "false_negative": "Find more of the objects without inventing others: see more images with "
    "the often missed class",
    "wrong_class": "Tell the object classes apart: more training images of those that are "
    "confused, or an encoder pretrained on them",
}
_EVIDENCE = {
    "false_positive": "of the wrong pixels are objects predicted on background",
    "false_negative": "of the wrong pixels are missed objects",
    "wrong_class": "of the wrong pixels have another object's class",
}


@dataclass(frozen=True)
class Step:
    """Something to do.

    Attributes:
        advice: What to do.
        rests_on: The measured figure that says so.
        gain: Points of mDice that it can bring at most, where an oracle tells; else NaN.
        for_score: Whether it is meant to raise the figures, rather than make them surer.
    """

    advice: Prose
    rests_on: Prose
    gain: float = math.nan
    for_score: bool = True


def steps_section(context: Context) -> list[str]:
    """The next steps, those that an oracle ranks first."""
    run = representative(context.comparison.row(context.choice.id))
    steps = [step for rule in RULES for step in rule(context, run)]
    ranked = sorted(steps, key=lambda step: -step.gain if math.isfinite(step.gain) else math.inf)
    blocks = []
    for title, for_score in (("To raise the score", True), ("To be surer of it", False)):
        chosen = [step for step in ranked if step.for_score == for_score]
        if not chosen:
            continue
        blocks.append(f"### {title}")
        header = ["rank", "step", "rests on"]
        rows: list[list[object]] = [
            [rank, step.advice, step.rests_on] for rank, step in enumerate(chosen, start=1)
        ]
        if for_score:
            blocks.append(
                "Ranked by the points of mDice that a step could bring if it succeeded entirely, "
                "as an oracle that mends just these pixels shows; a real step brings a part. Steps "
                "without such a figure come last."
            )
            header.append("at most, points")
            for row, step in zip(rows, chosen, strict=True):
                row.append(numbers.signed(step.gain))
        blocks.append(table(header, rows, text_columns=3))
    return blocks or ["No rule applies."]


def _kinds(context: Context, run: Run) -> Iterator[Step]:
    """One step for each kind of error."""
    budget = error_budget(run.results.matrices, run.classes)
    for entry in budget:
        kind, gain = str(entry["kind"]), entry["gain_mDice"]
        if entry["truth"] is not None or not entry["pixels"]:
            continue
        share = entry["error_percent"]
        assert isinstance(gain, float)
        assert isinstance(share, float)
        evidence = say(
            "{share} % {evidence}", share=numbers.fixed(share, 1), evidence=_EVIDENCE[kind]
        )
        pairs = [e for e in budget if e["truth"] is not None and e["kind"] == kind]
        if pairs:
            evidence = say(
                "{evidence}, most often {truth} taken for {prediction}",
                evidence=evidence,
                truth=pairs[0]["truth"],
                prediction=pairs[0]["prediction"],
            )
        tried = _fewest(context, run, kind, int(entry["pixels"]))
        advice = Prose(f"{_ADVICE[kind]}{weighing_advice(context.comparison, kind)}.")
        yield Step(advice, sentences([evidence, tried]), gain)


def _fewest(context: Context, run: Run, kind: str, pixels: int) -> Prose:
    """Which other hypothesis has fewest pixels of a kind of error, and what that cost it."""
    others: dict[str, int] = {}
    if context.comparison.forced:  # counts on different images
        return Prose("")
    for row in context.comparison.rows:
        other = representative(row)
        if other.id != run.id:
            entries = error_budget(other.results.matrices, other.classes)
            others[row.id] = next(int(e["pixels"] or 0) for e in entries if e["kind"] == kind)
    fewest = min(others, key=lambda name: others[name], default=None)
    if fewest is None or others[fewest] >= pixels:
        return Prose("")
    return say(
        "(of all hypotheses {name} has fewest of them, {fewer} less, with {points} points of mDice "
        "less)",
        name=fewest,
        fewer=numbers.share(pixels - others[fewest], pixels, 0),
        points=numbers.fixed(context.choice.rival(fewest).lead.value),
    )


def _worst_images(_context: Context, run: Run) -> Iterator[Step]:
    """The images to look at first."""
    matrices = run.results.matrices
    _, worst = find_best_worst_samples(per_image_scores(matrices), run.results.sample_ids, WORST)
    names = {sample.sample_id for sample in worst}
    chosen = np.array([name in names for name in run.results.sample_ids])
    wrong = matrices.sum(axis=(1, 2)) - np.trace(matrices, axis1=1, axis2=2)
    if not wrong[chosen].sum():
        return
    mended = np.where(chosen[:, None, None], _all_right(matrices), matrices)
    yield Step(
        say(
            "Look at the {images} listed above: mend the mask where it is wrong, and where the "
            "prediction is, collect training images like it.",
            images=numbers.quantity(len(worst), "worst image"),
        ),
        say(
            "they are {images} of the images and hold {share} of the wrong pixels",
            images=numbers.share(len(worst), len(matrices)),
            share=numbers.share(int(wrong[chosen].sum()), int(wrong.sum())),
        ),
        _gain(run, mended),
    )


def _small_objects(_context: Context, run: Run) -> Iterator[Step]:
    """Small objects, where they are found worse than large ones."""
    sizes = by_object_size(run.results.matrices, run.classes)
    if len(sizes) < 2:
        return
    low, high, limit = sizes[0]["mean/Dice"], sizes[-1]["mean/Dice"], sizes[0]["max_pixels"]
    assert isinstance(low, float)
    assert isinstance(high, float)
    assert isinstance(limit, int)
    if low >= high:
        return
    matrices = run.results.matrices
    areas = matrices.sum(axis=2)
    small = (areas > 0) & (areas <= limit)
    small[:, 0] = False
    mended = np.where(small[:, :, None], _all_right(matrices), matrices)
    yield Step(
        Prose("Do better on small objects: train and test at a higher resolution or on crops."),
        say(
            "the mean Dice of the smallest quarter of the objects is {low} %, of the largest "
            "{high} %",
            low=numbers.fixed(low),
            high=numbers.fixed(high),
        ),
        _gain(run, mended),
    )


def _training_length(_context: Context, run: Run) -> Iterator[Step]:
    """Longer or shorter training, as the curve says."""
    signs = signs_of(run)
    if signs is None:
        return
    if signs.overfits:
        yield Step(
            Prose(
                "Regularise or augment more: epochs after the best one only fit the training "
                "images."
            ),
            say(
                "{metric} declined by {decline} from epoch {best} to {last} while the training "
                "loss fell by {loss} %",
                metric=signs.metric,
                decline=numbers.fixed(signs.decline),
                best=signs.best_epoch,
                last=signs.last_epoch,
                loss=numbers.fixed(-100.0 * signs.loss_change, 1),
            ),
        )
    elif signs.still_rising:
        yield Step(
            Prose("Train longer."),
            say(
                "the last quarter of the {epochs} still gained {gain} in {metric}",
                epochs=numbers.quantity(signs.epochs, "epoch"),
                gain=numbers.fixed(signs.late_gain),
                metric=signs.metric,
            ),
        )


def _combine(context: Context, _run: Run) -> Iterator[Step]:
    """Changes of one parent that were each supported."""
    by_parent: dict[str, list[Pair]] = {}
    for pair in context.comparison.pairs:
        if pair.verdict.outcome is Outcome.SUPPORTED and pair.differences[KEY].value > 0:
            by_parent.setdefault(pair.before, []).append(pair)
    for parent, pairs in by_parent.items():
        settings = [change.key for pair in pairs for change in pair.changes]
        # A setting that two of them change cannot have both values.
        if len(pairs) < 2 or len(settings) > len(set(settings)):
            continue
        gains = [f"{pair.after} {numbers.signed(pair.differences[KEY].value)}" for pair in pairs]
        yield Step(
            say(
                "Combine the changes of {names} in one run.",
                names=join_words([pair.after for pair in pairs]),
            ),
            say(
                "each was supported against {parent}: {gains} points of mDice",
                parent=parent,
                gains=join_words(gains),
            ),
        )


def _calibrate(_context: Context, run: Run) -> Iterator[Step]:
    """Temperature scaling for a network that is too sure, or not sure enough."""
    gap = confidence_gap(run)
    if gap is None or abs(gap[0] - gap[1]) <= CALIBRATED:
        return
    yield Step(
        Prose(
            "Where the probabilities are used, scale them by a temperature fitted on val. This "
            "changes no prediction and so no mDice."
        ),
        say(
            "ECE {ece} over all pixels: mean confidence {confidence} %, right {accuracy} %",
            ece=with_unit(run, "ECE"),
            confidence=numbers.fixed(gap[0]),
            accuracy=numbers.fixed(gap[1]),
        ),
        for_score=False,
    )


def _more_images(context: Context, _run: Run) -> Iterator[Step]:
    """How many test images would show the largest difference that is still open."""
    images = len(context.comparison.sample_ids)
    open_pairs = [
        pair
        for pair in context.comparison.pairs
        if not pair.differences[KEY].interval.excludes_zero()
        and 0 < abs(pair.differences[KEY].value) < pair.differences[KEY].detectable
    ]
    if not open_pairs:
        return
    pair = max(open_pairs, key=lambda pair: abs(pair.differences[KEY].value))
    difference = pair.differences[KEY]
    needed = images_needed(
        difference.standard_error, images, abs(difference.value), difference.seed_error
    )
    if not math.isfinite(needed):
        return  # only more seeds would do
    yield Step(
        say(
            "Score on more images: about {needed} to decide between {after} and {before}, if their "
            "true difference is the one observed.",
            needed=numbers.count(math.ceil(needed)),
            after=pair.after,
            before=pair.before,
        ),
        say(
            "{images} show {detectable} points; the largest difference left open is {observed}",
            images=numbers.quantity(images, "image"),
            detectable=numbers.fixed(difference.detectable),
            observed=numbers.signed(difference.value),
        ),
        for_score=False,
    )


def _more_seeds(context: Context, run: Run) -> Iterator[Step]:
    """More training seeds where there are few."""
    fewest = min(len(row.runs) for row in context.comparison.rows)
    if fewest >= _FEW_SEEDS:
        return
    signs = signs_of(run)
    evidence = say(
        "at least one hypothesis was trained with {seeds} only",
        seeds=numbers.quantity(fewest, "seed"),
    )
    if signs is not None and math.isfinite(signs.restlessness):
        evidence = say(
            "{evidence}; from epoch to epoch {metric} moves by {step} in the median",
            evidence=evidence,
            metric=signs.metric,
            step=numbers.fixed(signs.restlessness),
        )
    yield Step(
        say(
            "Train each hypothesis with {seeds} and compare with --seeds: the intervals then cover "
            "the luck of the training too.",
            seeds=numbers.quantity(_FEW_SEEDS, "seed"),
        ),
        evidence,
        for_score=False,
    )


def _unseen_split(context: Context, _run: Run) -> Iterator[Step]:
    """A split that chose nothing."""
    if context.choice.id not in context.comparison.selected:
        return
    yield Step(
        say("Score {name} once on images that chose nothing.", name=context.choice.id),
        say(
            "its checkpoint was chosen on {split}, the split it is scored on",
            split=context.comparison.split,
        ),
        for_score=False,
    )


def _mend_masks(context: Context, _run: Run) -> Iterator[Step]:
    """Masks that cannot be right, where the data folder was read."""
    for masks in context.data.masks if context.data else ():
        if masks.unknown:
            yield Step(
                say(
                    "Mend the masks in {name}: `seglab check` lists them.",
                    name=f"{masks.version}/{masks.split}",
                ),
                say("{pixels} pixels hold no class", pixels=numbers.count(masks.unknown)),
            )


def _all_right(matrices: IntArray) -> IntArray:
    """The (N, C, C) matrices of predictions that are the truth."""
    areas = matrices.sum(axis=2)
    right: IntArray = areas[:, :, None] * np.eye(areas.shape[1], dtype=np.int64)
    return right


def _gain(run: Run, mended: IntArray) -> float:
    """Points of mDice that the mended matrices have more."""
    now = aggregate_metrics(run.results.matrices, run.classes)[KEY]
    return aggregate_metrics(mended, run.classes)[KEY] - now


#: A new rule goes here: from the figures of the report and the chosen run to any number of steps.
RULES: tuple[Callable[[Context, Run], Iterator[Step]], ...] = (
    *(_kinds, _worst_images, _small_objects, _combine, _training_length, _mend_masks),
    *(_unseen_split, _more_images, _more_seeds, _calibrate),
)
