"""Runs put into stages, and what a network has to beat, against independent figures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from seglab.analysis.lab.story import Story, all_of, tell_story
from seglab.analysis.lab.study import StudyConfig
from seglab.analysis.run_folder import load_run
from seglab.utils.errors import UserError
from seglab.utils.hypothesis import Hypothesis

MakeLabRun = Callable[..., Path]
Tell = Callable[..., Story]


def config_of(name: str, stage: str, parent: str | None = None) -> StudyConfig:
    return StudyConfig(Path(f"configs/{name}.py"), Hypothesis(name, parent, stage=stage), None)


def test_stages_order_and_pairs(study: list[Path], story: Tell) -> None:
    told = story(study[::-1])
    assert [row.id for row in told.comparison.rows] == ["U", "U+", "CNN", "CNN+"]
    assert [len(row.runs) for row in told.comparison.rows] == [2] * 4
    assert told.comparison.reference == "U" and told.key == "IoU/animal"
    pairs = {(pair.before, pair.after) for pair in told.comparison.pairs}
    assert pairs == {("U", "U+"), ("U", "CNN"), ("CNN", "CNN+")}
    assert [(pair.before, pair.after) for pair in told.beside] == [("U+", "CNN+")]
    # U's parent has no run: U only stands as the reference.
    assert told.pair_of("CNN") is None and told.pair_of("CNN+") is not None


def test_figures_are_the_means_of_the_runs_own(study: list[Path], story: Tell) -> None:
    told = story(study)
    for row in told.comparison.rows:
        by_hand = []
        for run in row.runs:
            total = run.results.matrices.astype(np.float64).sum(axis=0)
            by_hand.append(100 * total[1, 1] / (total[1].sum() + total[0, 1]))
        assert row.estimates["IoU/animal"].value == pytest.approx(np.mean(by_hand), abs=1e-9)


def test_everything_is_the_object_by_hand(study: list[Path], story: Tell) -> None:
    told = story(study)
    matrices = told.comparison.rows[0].runs[0].results.matrices.astype(np.float64)
    truth = matrices.sum(axis=2)
    share = truth[:, 1].sum() / truth.sum()
    figures = told.constant.figures
    assert figures["IoU/animal"] == pytest.approx(100 * share, abs=1e-9)
    assert figures["aAcc"] == pytest.approx(100 * share, abs=1e-9)
    by_image = np.mean(truth[:, 1] / truth.sum(axis=1))
    assert figures["image_mean/IoU/animal"] == pytest.approx(100 * by_image, abs=1e-9)
    background = told.constant.background
    assert background["IoU/animal"] == 0 == background["image_mean/IoU/animal"]
    assert background["aAcc"] == pytest.approx(100 * (1 - share), abs=1e-9)
    for name, lead in told.constant.leads.items():
        value = told.comparison.row(name).estimates["IoU/animal"].value
        assert lead.value == pytest.approx(value - 100 * share, abs=1e-9)
        assert lead.interval.low < lead.value < lead.interval.high
    assert set(told.constant.leads) == {"CNN", "CNN+"}


@pytest.mark.parametrize("label", [0, 1])
def test_everything_as_one_class_keeps_the_truth(label: int) -> None:
    matrices = np.random.default_rng(0).integers(0, 9, (2, 3, 2, 2))
    predicted = all_of(matrices, label)
    assert (predicted.sum(axis=-1) == matrices.sum(axis=-1)).all()
    assert not predicted[..., 1 - label].any()


def test_a_run_that_names_no_stage_has_that_of_the_studys_config(
    make_lab_run: MakeLabRun, story: Tell
) -> None:
    old = make_lab_run("U", stage=None, folder=None)
    told = story([old], [config_of("U", "baseline"), config_of("Z", "improved", "U")])
    assert told.stages == {"U": "baseline"}
    assert [config.hypothesis.id for config in told.without_run()] == ["Z"]


def test_runs_of_no_stage_are_refused_all_at_once(make_lab_run: MakeLabRun, story: Tell) -> None:
    folders = [make_lab_run(name, stage=None) for name in ("A", "B")]
    with pytest.raises(UserError, match="2 faults") as error:
        story([*folders, make_lab_run("U")])
    assert "names no stage" in str(error.value) and "fix:" in str(error.value)


def test_runs_of_three_classes_are_refused(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = load_run(make_run(tmp_path / "h1", "H1"), "val")
    with pytest.raises(UserError, match="3 classes"):
        tell_story([run], resamples=400)


def test_stages_may_be_missing(make_lab_run: MakeLabRun, story: Tell) -> None:
    alone = story([make_lab_run("CNN"), make_lab_run("CNN+")])
    assert alone.beside == () and alone.rows("baseline") == [] == alone.rows("improved")
    unimproved = story([make_lab_run("U", 7), make_lab_run("CNN", 7), make_lab_run("CNN+", 7)])
    assert unimproved.beside == ()
    single = story([make_lab_run("U", 3)])
    assert single.comparison.pairs == () and single.constant.leads == {}
