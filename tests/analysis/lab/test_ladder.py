"""The steps between two ways of scoring, averaged over the seeds; files that do not fit."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seglab.analysis.lab.ladder import read_ladders
from seglab.analysis.lab.ladder_chart import plot_ladders
from seglab.analysis.lab.scoring_section import ladder_sentence, step_words
from seglab.analysis.run_folder import Run, load_run
from seglab.utils.errors import UserError

from .conftest import STEPS

Edit = Callable[[dict[str, Any]], Any]


def edit(folder: Path, change: Edit) -> None:
    path = folder / "test_test" / "lab_scores.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.fixture
def seeds(make_lab_run: Callable[..., Path]) -> list[Path]:
    return [make_lab_run("U+", seed, skill=0.7) for seed in (0, 1)]


def load(folders: list[Path]) -> dict[str, list[Run]]:
    return {"U+": [load_run(folder, "test") for folder in folders]}


def test_every_step_is_the_mean_of_the_seeds(seeds: list[Path]) -> None:
    edit(seeds[1], lambda content: content["rows"][-1].update(IoU=10.0))
    runs = load(seeds)["U+"]
    ladder = read_ladders({"U+": runs})["U+"]
    assert [step.id for step in ladder.steps] == ["ours", *STEPS]
    figures = [run.figures["IoU/animal"] for run in runs]
    assert ladder.ours.figures["IoU"] == pytest.approx(np.mean(figures), abs=1e-12)
    lab = (figures[0] + sum(STEPS.values()) + 10.0) / 2
    assert ladder.labs.figures["IoU"] == pytest.approx(lab, abs=1e-9)
    assert ladder.changes()["border"] == pytest.approx(STEPS["border"])
    assert ladder.batch_size == 8 and ladder.augmentation == ("HorizontalFlip",)
    step = ladder.step("train_images")
    assert step is not None and step.facts["images"] == 40
    assert ladder.step("nothing") is None


def test_a_model_of_which_a_seed_was_not_scored_has_no_ladder(seeds: list[Path]) -> None:
    (seeds[1] / "test_test" / "lab_scores.json").unlink()
    assert read_ladders(load(seeds)) == {}


def test_a_figure_without_a_value_stays_without(seeds: list[Path]) -> None:
    edit(seeds[0], lambda content: content["rows"][-1].update(IoU=None))
    ladder = read_ladders(load(seeds))["U+"]
    assert np.isnan(ladder.labs.figures["IoU"])
    assert "no value" in ladder_sentence("U+", ladder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(checkpoint_sha256="0" * 64), "another checkpoint"),
        (lambda c: c["rows"][0].update(IoU=1.0), "another test"),
        (lambda c: c.update({"class": "dog"}), "seed_1"),
        (lambda c: c.update(batch_size=4), "different ways"),
        (lambda c: c["rows"][1].update(border="foreground"), "different ways"),
        (lambda c: c.pop("rows"), "rows"),
        (lambda c: c["rows"].pop(), "lab_scores.json"),
    ],
)
def test_what_does_not_fit_is_refused(seeds: list[Path], change: Edit, message: str) -> None:
    edit(seeds[1], change)
    with pytest.raises(UserError) as error:
        read_ladders(load(seeds))
    assert message in str(error.value) and "fix:" in str(error.value)


def test_all_faults_at_once(seeds: list[Path]) -> None:
    for folder in seeds:
        edit(folder, lambda content: content.update(checkpoint_sha256="0" * 64))
    with pytest.raises(UserError, match="2 faults") as error:
        read_ladders(load(seeds))
    assert all(folder.name in str(error.value) for folder in seeds)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ({"border": -5.0, "lab": 1.0}, "4.00 points less than ours"),
        ({"border": 1.0, "lab": 2.0}, "3.00 points more than ours"),
        ({"border": 1.0, "lab": -1.0}, "as much as ours"),
    ],
)
def test_the_sentence_follows_the_sign(
    make_lab_run: Callable[..., Path], steps: dict[str, float], words: str
) -> None:
    ladders = read_ladders({"U": [load_run(make_lab_run("U", steps=steps), "test")]})
    assert words in ladder_sentence("U", ladders["U"])


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ({"border": -1.0, "train_images": 9.0, "lab": 2.0}, "40 images of train take the place"),
        (
            {"border": -9.0, "train_images": 4.0, "lab": 2.0},
            "the border is background (-9.00",
        ),
    ],
)
def test_the_step_named_is_the_one_that_moves_most(
    make_lab_run: Callable[..., Path], steps: dict[str, float], words: str
) -> None:
    run = load_run(make_lab_run("U", steps=steps), "test")
    sentence = ladder_sentence("U", read_ladders({"U": [run]})["U"])
    assert words in sentence and "9.00)" in sentence


def test_the_picture_takes_ladders_of_different_steps(
    make_lab_run: Callable[..., Path], tmp_path: Path
) -> None:
    runs = {
        "U $x$": [load_run(make_lab_run("U", steps={"border": -1.0, "lab": 2.0}), "test")],
        "U+": [load_run(make_lab_run("U+"), "test")],
    }
    path = plot_ladders(read_ladders(runs), "animal", tmp_path / "p.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_no_step_is_named_where_none_is_seen_to_move_the_score(
    make_lab_run: Callable[..., Path],
) -> None:
    still = load_run(make_lab_run("U", steps={"border": 0.001, "lab": 0.0}), "test")
    assert "moves it most" not in ladder_sentence("U", read_ladders({"U": [still]})["U"])
    # Neither where every step leads to or from a row without a value.
    torn = make_lab_run("U", 1, steps={"border": -1.0, "lab": 3.0})
    edit(torn, lambda content: content["rows"][1].update(IoU=None))
    sentence = ladder_sentence("U", read_ladders({"U": [load_run(torn, "test")]})["U"])
    assert "2.00 points more than ours" in sentence and "moves it most" not in sentence


def test_a_step_is_told_for_all_models_that_take_it(make_lab_run: Callable[..., Path]) -> None:
    larger = make_lab_run("U+")
    edit(
        larger,
        lambda content: [
            row.update(split="trainval", images=1250)
            for row in content["rows"]
            if row["split"] == "train"
        ],
    )
    ladders = read_ladders(
        {"U": [load_run(make_lab_run("U"), "test")], "U+": [load_run(larger, "test")]}
    )
    step = ladders["U"].step("train_images")
    assert step is not None
    words = step_words(step, ladders)
    assert words.startswith("the 40 or 1,250 images of train or trainval take the place of")
    assert "the 40 images of train take" in step_words(step, {"U": ladders["U"]})
