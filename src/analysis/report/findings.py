"""Sentences about one run, each made of figures measured on its images."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np

from seglab.analysis.report import numbers
from seglab.analysis.report.learning import LearningSigns, learning_signs
from seglab.analysis.report.markdown import Prose, join_words, say
from seglab.analysis.run_folder import Run
from seglab.utils.breakdown import error_budget
from seglab.utils.masks import BACKGROUND
from seglab.utils.run_files import dig
from seglab.utils.test_utils import per_image_scores

#: Mean confidence and accuracy closer than this (points) are not called over- or underconfident.
CALIBRATED = 1.0
#: The kinds of errors of `error_budget`, in words.
KINDS = {
    "false_positive": "false positives (an object predicted on background)",
    "false_negative": "missed (background predicted on an object)",
    "wrong_class": "of the wrong class (one object's in place of another's)",
}


def monitor_of(run: Run) -> str:
    """Key in the history of the metric that chose the run's best checkpoint."""
    named = dig(run.config, "default_hooks", "checkpoint", "save_best")
    if isinstance(named, list) and named:  # of several the first is the run's own
        named = named[0]
    key = named if isinstance(named, str) else "mDice"
    # A config may leave out the evaluator's prefix.
    return next((k for k in (key, f"val/{key}") for r in run.history if k in r), "val/mDice")


def signs_of(run: Run) -> LearningSigns | None:
    """The signs in the run's own curve; None where nothing was validated."""
    return learning_signs(run.history, monitor_of(run))


def run_findings(run: Run) -> list[Prose]:
    """Everything the report says about a run besides its tables.

    Returns:
        Sentences about its classes, errors, contours, images, training and calibration. What was
        not measured is left out.
    """
    parts = (_classes, _errors, _confusion, boundary_share, _images, _training, calibration)
    return list(chain.from_iterable(part(run) for part in parts))


def _classes(run: Run) -> Iterator[Prose]:
    """Which object class is worst, by how much, and in which direction it errs."""
    figures = run.figures
    scored = {
        name: figures[f"Dice/{name}"]
        for name in run.classes[BACKGROUND + 1 :]
        if np.isfinite(figures[f"Dice/{name}"])
    }
    if not scored:
        return
    worst = min(scored, key=lambda name: scored[name])
    best = max(scored, key=lambda name: scored[name])
    if best != worst:
        yield say(
            "The weakest class is {worst}: Dice {dice} %, {gap} points below {best}.",
            worst=worst,
            dice=numbers.fixed(scored[worst]),
            gap=numbers.fixed(scored[best] - scored[worst]),
            best=best,
        )
    recall, precision = figures[f"Recall/{worst}"], figures[f"Precision/{worst}"]
    if not (np.isfinite(recall) and np.isfinite(precision)):
        return
    template = (
        "Of the true pixels of {name} {recall} % are found, and of those predicted as {name} "
        "{precision} % are right: {verdict}."
    )
    verdict = "it is missed as often as it is invented"
    if recall != precision:
        more = "missed more often than invented"
        verdict = f"it is {more if recall < precision else 'invented more often than missed'}"
    yield say(
        template,
        name=worst,
        recall=numbers.fixed(recall),
        precision=numbers.fixed(precision),
        verdict=verdict,
    )


def _errors(run: Run) -> Iterator[Prose]:
    """What kinds of errors the wrong pixels are."""
    matrices = run.results.matrices
    counted = int(matrices.sum())
    kinds = {
        str(row["kind"]): row
        for row in error_budget(matrices, run.classes)
        if row["truth"] is None and row["pixels"]
    }
    wrong = sum(int(row["pixels"] or 0) for row in kinds.values())
    if not wrong:
        return
    ranked = sorted(kinds, key=lambda kind: -int(kinds[kind]["pixels"] or 0))
    shown = [
        f"{numbers.share(int(kinds[kind]['pixels'] or 0), wrong)} {KINDS[kind]}" for kind in ranked
    ]
    yield say(
        "{share} of the pixels are wrong ({wrong} of {counted}); of these {kinds}.",
        share=numbers.share(wrong, counted, 2),
        wrong=numbers.count(wrong),
        counted=numbers.count(counted),
        kinds=join_words(shown),
    )


def _confusion(run: Run) -> Iterator[Prose]:
    """The most frequent confusion as a share of a true object class."""
    matrix = run.results.matrices.sum(axis=0)
    truth = matrix.sum(axis=1)
    rates = matrix / np.maximum(truth, 1)[:, None]
    np.fill_diagonal(rates, 0.0)
    rates[BACKGROUND] = 0.0
    row, column = np.unravel_index(int(rates.argmax()), rates.shape)
    if rates[row, column] > 0:
        yield say(
            "The most frequent confusion: {share} of the pixels of {truth} are taken for {taken}.",
            share=numbers.share(matrix[row, column], truth[row]),
            truth=run.classes[row],
            taken=run.classes[column],
        )


def boundary_share(run: Run) -> Iterator[Prose]:
    """How many of the wrong pixels lie at the true contours."""
    boundary = run.results.boundary
    matrix = run.results.matrices.sum(axis=0)
    wrong = int(matrix.sum() - np.trace(matrix))
    if boundary is None or not wrong:
        return
    errors, band = int(boundary.band_errors.sum()), int(boundary.band_pixels.sum())
    ratio = run.metrics["boundary"]["dilation_ratio"]
    yield say(
        "{share} of the wrong pixels lie in the band along the true contours (up to {ratio} % of "
        "the image's diagonal away), which holds {band} of all pixels: {reading}.",
        share=numbers.share(errors, wrong),
        ratio=numbers.fixed(100.0 * ratio, 1),
        band=numbers.share(band, int(matrix.sum())),
        reading="mostly the outline is wrong"
        if 2 * errors > wrong
        else "mostly whole areas are wrong, not their outline",
    )


def _images(run: Run) -> Iterator[Prose]:
    """How the score is spread over the images."""
    scores = per_image_scores(run.results.matrices)
    scores = scores[np.isfinite(scores)]
    if len(scores) < 2:
        return
    low, middle = np.quantile(scores, [0.25, 0.5])
    yield say(
        "Image by image the median mDice is {middle} %; a quarter of the {images} images are below "
        "{low} %, the worst has {worst} %.",
        middle=numbers.fixed(middle),
        images=numbers.count(len(scores)),
        low=numbers.fixed(low),
        worst=numbers.fixed(scores.min()),
    )


def _training(run: Run) -> Iterator[Prose]:
    """Whether the curve shows over-fitting, or ends too early."""
    signs = signs_of(run)
    if signs is None:
        return
    facts = {
        "metric": signs.metric,
        "best": numbers.with_unit(signs.metric, signs.best),
        "epoch": signs.best_epoch,
        "last_epoch": signs.last_epoch,
        "decline": numbers.fixed(signs.decline),
        "loss": f"{numbers.fixed(100.0 * abs(signs.loss_change), 1)} %",
        "step": numbers.fixed(signs.restlessness),
        "gain": numbers.fixed(signs.late_gain),
    }
    if signs.best_epoch == signs.last_epoch:
        text = "In training {metric} on val was best in the last epoch, {epoch}, with {best}"
    else:
        text = (
            "In training {metric} on val was best in epoch {epoch} of {last_epoch} with {best}, "
            "and worse by {decline} in the last"
        )
    if signs.overfits:
        text += ", while the training loss fell by another {loss}: a sign of over-fitting"
    elif signs.within_chance and not signs.still_rising:
        text += ", which is within what it moves by chance"
    elif signs.still_rising:
        text += "; the last quarter of the epochs still gained {gain}: longer training may gain "
        text += "more"
    if np.isfinite(signs.restlessness):
        text += ". From epoch to epoch it moves by {step} in the median"
    yield say(f"{text}.", **facts)


def confidence_gap(run: Run) -> tuple[float, float] | None:
    """Mean confidence and accuracy of all pixels in percent; None if not measured.

    Not of the object pixels: these are chosen by the truth as well, hold every missed object and
    no background rightly found, so that even true probabilities seem too high there.
    """
    if run.results.calibration is None:
        return None
    pixels, confidence, correct = run.results.calibration.sum(axis=0)[0].sum(axis=0)
    return (100.0 * confidence / pixels, 100.0 * correct / pixels) if pixels else None


def calibration(run: Run) -> Iterator[Prose]:
    """Whether the probabilities can be believed."""
    gap = confidence_gap(run)
    if gap is None:
        return
    confidence, accuracy = gap
    reading = "on average the network is neither over- nor underconfident"
    if abs(confidence - accuracy) > CALIBRATED:
        more = confidence > accuracy
        reading = f"the network is {'over' if more else 'under'}confident"
    yield say(
        "The expected calibration error is {everywhere} over all pixels; their mean confidence is "
        "{confidence} % while {accuracy} % of them are right: {reading}. Where truth or prediction "
        "is an object it is {objects}; as that counts every missed object but no background "
        "rightly found, it is above 0 even for true probabilities.",
        everywhere=with_unit(run, "ECE"),
        objects=with_unit(run, "ECE/objects"),
        confidence=numbers.fixed(confidence),
        accuracy=numbers.fixed(accuracy),
        reading=reading,
    )


def with_unit(run: Run, key: str) -> str:
    """A figure of a run in its unit."""
    return numbers.with_unit(key, run.figures.get(key))
