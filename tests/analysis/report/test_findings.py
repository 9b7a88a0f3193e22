"""Sentences about a run: each figure in them is recomputed here in another way."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seglab.analysis.report.findings import (
    boundary_share,
    calibration,
    monitor_of,
    run_findings,
    signs_of,
)
from seglab.analysis.run_folder import Run, load_run
from seglab.utils.calibration import calibration_histogram
from seglab.utils.image_results import ImageResults, published_metrics

MakeRun = Callable[..., Path]


@pytest.fixture
def run(make_run: MakeRun, tmp_path: Path) -> Run:
    return load_run(make_run(tmp_path / "a", "H1", images=30, epochs=8), "val")


def with_matrices(run: Run, matrices: Any, **fields: Any) -> Run:
    """The run with other matrices, and the figures that follow from them."""
    results = ImageResults(
        run.results.sample_ids[: len(matrices)],
        run.classes,
        np.asarray(matrices, dtype=np.int64),
        fields.get("boundary"),
        fields.get("calibration"),
    )
    return replace(
        run, results=results, metrics={**run.metrics, "metrics": published_metrics(results)}
    )


def text_of(run: Run) -> str:
    return "\n".join(run_findings(run))


def test_the_weakest_class_and_how_it_errs(run: Run) -> None:
    matrix = [[900, 5, 60], [10, 90, 0], [20, 10, 70]]
    text = text_of(with_matrices(run, [matrix]))
    cat, dog = 200 * 90 / (100 + 105), 200 * 70 / (100 + 130)
    assert f"weakest class is dog: Dice {dog:.2f} %, {cat - dog:.2f} points below cat" in text
    assert (
        f"pixels of dog 70.00 % are found, and of those predicted as dog {7000 / 130:.2f} %" in text
    )
    assert "it is invented more often than missed" in text
    assert "missed more often than invented" in text_of(
        with_matrices(run, [[[960, 5, 0], [10, 90, 0], [30, 10, 60]]])
    )


def test_the_kinds_of_errors(run: Run) -> None:
    text = text_of(with_matrices(run, [[[900, 5, 60], [10, 90, 0], [20, 10, 70]]]))
    assert f"{100 * 105 / 1165:.2f} % of the pixels are wrong (105 of 1,165)" in text
    assert "61.9 % false positives" in text and "28.6 % missed" in text
    assert "9.5 % of the wrong class" in text
    assert text.index("false positives") < text.index("missed (") < text.index("of the wrong class")
    assert "20.0 % of the pixels of dog are taken for background" in text
    perfect = text_of(with_matrices(run, [np.diag([900, 50, 50])]))
    assert "are wrong" not in perfect and "confusion" not in perfect


def test_the_boundary_band(run: Run) -> None:
    table = run.results.boundary
    assert table is not None
    matrix = run.results.matrices.sum(axis=0)
    wrong = matrix.sum() - np.trace(matrix)
    (text,) = boundary_share(run)
    assert text.startswith(f"{100 * table.band_errors.sum() / wrong:.1f} % of the wrong pixels")
    assert f"holds {100 * table.band_pixels.sum() / matrix.sum():.1f} % of all" in text
    assert "(up to 2.0 % of" in text
    image_wrong = run.results.matrices.sum(axis=(1, 2)) - np.trace(
        run.results.matrices, axis1=1, axis2=2
    )
    for errors, words in ((image_wrong, "mostly the outline"), (0, "mostly whole areas")):
        band = np.zeros(len(table.band_errors), dtype=np.int64) + errors
        boundary = replace(table, band_pixels=image_wrong, band_errors=band)
        other = replace(run.results, boundary=boundary)
        assert words in next(iter(boundary_share(replace(run, results=other))))


def test_the_confidence(run: Run) -> None:
    histogram = np.zeros((30, 2, 15, 3))
    for confidence, right, words in ((90, 60, "overconfident"), (50, 80, "underconfident")):
        histogram[0, :, 9] = 100, confidence, right
        results = replace(run.results, calibration=histogram)
        (text,) = calibration(replace(run, results=results))
        assert f"mean confidence is {confidence:.2f} % while {right:.2f} % of" in text
        assert f"the network is {words}" in text
    histogram[0, 0, 9] = 100, 80.5, 80
    (text,) = calibration(replace(run, results=replace(run.results, calibration=histogram)))
    assert "neither over- nor underconfident" in text
    empty = replace(run, results=replace(run.results, calibration=np.zeros((30, 2, 15, 3))))
    assert list(calibration(empty)) == []
    assert list(calibration(replace(run, results=replace(run.results, calibration=None)))) == []


def test_true_probabilities_are_not_called_overconfident(run: Run) -> None:
    luck = np.random.default_rng(0)
    probabilities = luck.dirichlet([3.0, 0.5, 0.5], size=(128, 128)).transpose(2, 0, 1)
    drawn = luck.random((128, 128))
    truth = (drawn > probabilities[0]).astype(int) + (drawn > probabilities[:2].sum(axis=0))
    histogram = np.zeros((30, 2, 15, 3))
    histogram[0] = calibration_histogram(probabilities, truth)
    pixels, confidence, right = histogram[0, 1].sum(axis=0)
    assert confidence - right > 0.05 * pixels  # among the object pixels, although they are true
    changed = replace(run, results=replace(run.results, calibration=histogram))
    (text,) = calibration(changed)
    assert "neither over- nor underconfident" in text


def test_the_spread_over_the_images(run: Run) -> None:
    scores = []
    for matrix in run.results.matrices.astype(float):
        dice = [
            200 * matrix[i, i] / (matrix[i].sum() + matrix[:, i].sum())
            for i in range(3)
            if matrix[i].sum() + matrix[:, i].sum()
        ]
        scores.append(np.mean(dice))
    text = text_of(run)
    assert f"the median mDice is {np.median(scores):.2f} %" in text
    assert f"are below {np.percentile(scores, 25):.2f} %, the worst has {min(scores):.2f} %" in text


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([50, 80, 80.2, 80, 79, 78, 77, 76], "fell by another 62.5 %: a sign of over-fitting"),
        ([10, 20, 30, 40, 50, 60, 70, 90], "still gained 30.00: longer training may gain more"),
        ([50, 80, 70, 80.2, 70, 80, 70, 78], "which is within what it moves by chance"),
        ([90, 10], "worse by 80.00 in the last."),  # two epochs tell nothing of chance
        ([50], "best in the last epoch, 1, with 50.00 %."),
    ],
)
def test_the_training(run: Run, values: list[float], words: str) -> None:
    history = [
        {"epoch": epoch, "loss": 1 / epoch, "val/mDice": value}
        for epoch, value in enumerate(values, start=1)
    ]
    text = text_of(replace(run, history=history))
    assert words in text
    said = [w for w in ("over-fitting", "longer training", "by chance") if w in text]
    assert len(said) == (len(values) > 2)


def test_a_decline_while_the_loss_rises_is_not_put_down_to_chance(run: Run) -> None:
    values = [50, 80, 80.1, 80, 79.9, 80, 79.9, 60]
    history = [{"epoch": n, "loss": n, "val/mDice": v} for n, v in enumerate(values, start=1)]
    text = text_of(replace(run, history=history))
    assert "worse by 20.10 in the last" in text
    assert "by chance" not in text and "over-fitting" not in text


@pytest.mark.parametrize(
    ("named", "logged", "expected"),
    [
        ("val/mDice", "val/mDice", "val/mDice"),
        ("mDice", "val/mDice", "val/mDice"),
        ("Dice/dog", "val/Dice/dog", "val/Dice/dog"),
        (None, "val/mDice", "val/mDice"),
        (["mDice", "mIoU"], "val/mDice", "val/mDice"),
        (["Dice/dog", "mDice"], "val/Dice/dog", "val/Dice/dog"),
    ],
)
def test_the_monitor_is_the_configs(run: Run, named: Any, logged: str, expected: str) -> None:
    config = {"default_hooks": {"checkpoint": {"save_best": named}}}
    changed = replace(run, config=config, history=[{"epoch": 1, logged: 5.0}])
    assert monitor_of(changed) == expected
    signs = signs_of(changed)
    assert signs is not None and signs.best == 5.0


def test_sentences_hold_no_unfilled_place(run: Run) -> None:
    for sentence in run_findings(run):
        assert not re.search(r"[{}]|nan|None", sentence) and sentence.endswith(".")


def test_the_confusion_is_that_of_an_object(run: Run) -> None:
    # Of the background more goes wrong than of any object, but that is another sentence.
    text = text_of(with_matrices(run, [[[50, 50, 0], [10, 90, 0], [0, 0, 100]]]))
    assert "most frequent confusion: 10.0 % of the pixels of cat are taken for background" in text
