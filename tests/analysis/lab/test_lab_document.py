"""The lab's report follows the runs: its sentences turn round where the figures do."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from seglab.analysis.lab.build import write_lab_report
from seglab.analysis.lab.story import Story
from seglab.analysis.lab.study import StudyConfig
from seglab.utils.hypothesis import Hypothesis

MakeLabRun = Callable[..., Path]
TextOf = Callable[..., str]


def chapter(text: str, name: str) -> str:
    """What stands below a heading, up to the next of its level."""
    found = re.search(rf"^## \d+\. {re.escape(name)}\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert found is not None, name
    return found[1]


def cells(text: str, first: str) -> list[str]:
    """The cells of the row that begins with a text."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_whole_report_with_its_pictures(
    study: list[Path], story: Callable[..., Story], waiting: StudyConfig, tmp_path: Path
) -> None:
    told = story(study, [waiting])
    files = write_lab_report(told, tmp_path / "out")
    again = write_lab_report(told, tmp_path / "again")
    text = files.markdown.read_text()
    assert text == again.markdown.read_text()
    names = ["scoring.png", "differences.png"]
    assert sorted(path.name for path in files.pictures.iterdir()) == sorted(names)
    page = files.page.read_text()
    assert page.count("<figure>") == 2 and "<script" not in page
    assert str(tmp_path) not in text and str(Path.home()) not in text
    # Every heading of the contents is there.
    for anchor in re.findall(r"\]\(#([^)]+)\)", text):
        assert f'id="{anchor}"' in page


def test_tables_hold_the_runs_own_figures(
    study: list[Path], story: Callable[..., Story], text_of: TextOf
) -> None:
    told, text = story(study), text_of(study)
    for row in told.comparison.rows:
        part = {"U": "Baselines", "U+": "Improved"}.get(row.id, "A network of one's own")
        line = cells(chapter(text, part), row.id)
        estimate = row.estimates["IoU/animal"]
        assert line[1] == f"{estimate.value:.2f}"
        assert line[2] == f"{estimate.interval.low:.2f} to {estimate.interval.high:.2f}"
        for run in row.runs:
            assert f"{run.figures['IoU/animal']:.2f} (seed {run.seed})" in line[3]
        both = cells(chapter(text, "How it is scored"), row.id)
        ladder = told.ladders[row.id]
        assert both[1:3] == [f"{s.figures['IoU']:.2f}" for s in (ladder.ours, ladder.labs)]
    constant = cells(text, "everything is animal")
    assert constant[1] == f"{told.constant.figures['IoU/animal']:.2f}"
    background = cells(text, "everything is background")
    assert background[1:4] == ["0.00", "0.00", f"{told.constant.background['aAcc']:.2f}"]
    assert "By its IoU **CNN** is" in text


def test_an_augmentation_that_is_not_there_is_a_dash(study: list[Path], text_of: TextOf) -> None:
    scoring = chapter(text_of(study), "How it is scored")
    row = cells(scoring, "training's augmentation is on")
    assert row[1] == row[3] == "–" and "(-2.00)" in row[2]  # noqa: RUF001


@pytest.mark.parametrize(
    ("skill", "sentence", "word"),
    [
        (0.9, "The improvements helped **U**", "supported"),
        (0.5, "The improvements harmed **U**", "not supported"),
        (0.802, "Whether the improvements help **U** is undecided", "undecided"),
    ],
)
def test_the_conclusion_on_the_improvements_follows_the_runs(
    make_lab_run: MakeLabRun, text_of: TextOf, skill: float, sentence: str, word: str
) -> None:
    runs = [make_lab_run("U", seed, 0.8) for seed in (0, 1)]
    text = text_of([*runs, *(make_lab_run("U+", seed, skill) for seed in (0, 1))])
    assert sentence in chapter(text, "Conclusions")
    lines = [line for line in chapter(text, "Improved").splitlines() if "| U+ | U |" in line]
    assert lines[0].endswith(f"| {word} |")
    # What decided it stands beside the verdict, its interval too.
    judged = cells(chapter(text, "Hypotheses"), "mIoU")
    assert f"| mIoU {judged[2]} ({judged[3]}), p {judged[4]} |" in lines[0]
    assert ("80 % probability" in chapter(text, "Conclusions")) == (word == "undecided")


def test_improvements_that_were_expected_to_lower_a_figure(
    make_lab_run: MakeLabRun, text_of: TextOf
) -> None:
    worse = make_lab_run("U+", skill=0.5, expects={"mIoU": "-"})
    text = text_of([make_lab_run("U", skill=0.8), worse])
    assert "The improvements of **U** did what **U+** expects of them" in text
    better = make_lab_run("U+", skill=0.9, expects={"mIoU": "-"})
    text = text_of([make_lab_run("U", skill=0.8), better])
    assert "did the contrary of what **U+** expects" in text and "harmed" not in text


@pytest.mark.parametrize(
    ("own", "net", "words"),
    [
        (0.4, 0.85, ["**CNN** is below U", "**CNN** is better than calling everything animal"]),
        (0.85, 0.4, ["**CNN** is above U", "**CNN** is better than calling everything animal"]),
        (0.05, 0.85, ["**CNN** is below U", "**CNN** is worse than calling everything animal"]),
        (0.801, 0.8, ["**CNN** is not shown to differ from U"]),
    ],
)
def test_the_own_network_may_win_lose_or_learn_nothing(
    make_lab_run: MakeLabRun, text_of: TextOf, own: float, net: float, words: list[str]
) -> None:
    text = text_of([make_lab_run("U", skill=net), make_lab_run("CNN", skill=own)])
    assert all(word in chapter(text, "A network of one's own") for word in words)
    assert all(word in chapter(text, "Conclusions") for word in words)
    summary = chapter(text, "Summary")
    figure = cells(chapter(text, "A network of one's own"), "CNN")[1]
    assert f"reaches {figure} % (**CNN**); calling every pixel animal 19.68 % and U" in summary


def test_several_baselines_are_set_beside_each_other(
    make_lab_run: MakeLabRun, text_of: TextOf
) -> None:
    plain = make_lab_run("R34", skill=0.7, stage="baseline", parent=None)
    runs = [make_lab_run("U", skill=0.85), plain, make_lab_run("CNN", skill=0.5)]
    told = chapter(text_of(runs), "Conclusions")
    assert "Of the 2 baselines **U** has the highest figure" in told
    # R34 is the parent of both, and comes first.
    assert "**U** is above R34" in told and "**CNN** is below R34" in told
    worse = [make_lab_run("U", 1, skill=0.5), plain]
    assert "**U** is below R34" in chapter(text_of(worse), "Conclusions")


def test_one_seed_is_called_one_seed(make_lab_run: MakeLabRun, text_of: TextOf) -> None:
    text = text_of([make_lab_run("U", skill=0.8), make_lab_run("U+", skill=0.9)])
    assert "One training run stands for U and U+" in chapter(text, "Conclusions")
    both = text_of([make_lab_run(name, seed) for name in ("U", "U+") for seed in (0, 1)])
    assert "One training run" not in chapter(both, "Conclusions")


def test_without_the_labs_scores(make_lab_run: MakeLabRun, text_of: TextOf) -> None:
    text = text_of([make_lab_run("U", steps=None), make_lab_run("U+")])
    scoring = chapter(text, "How it is scored")
    assert "Not scored the lab's way: U." in scoring and "--reproduce-lab" in scoring
    none = text_of([make_lab_run("U", steps=None), make_lab_run("U+", 5, steps=None)])
    assert "Not scored the lab's way: U and U+." in none
    assert "scoring.png" not in none and "way of scoring is" not in none


def test_both_ways_that_the_labs_scoring_errs_are_said(
    make_lab_run: MakeLabRun, text_of: TextOf
) -> None:
    up, down = {"lab": 2.0}, {"border": -3.0, "lab": 0.0}
    runs = [make_lab_run("U", steps=up), make_lab_run("U+", steps={"lab": 4.0})]
    runs.append(make_lab_run("CNN", steps=down))
    told = chapter(text_of(runs), "Conclusions")
    assert "is above ours for U and U+ (by 2.00 to 4.00 points)" in told
    assert "and below ours for CNN (by 3.00 points)" in told
    same = text_of([make_lab_run("U", 1, steps={"lab": 0.004})])
    assert "gives the same figures as ours" in same


def test_missing_stages_are_said(make_lab_run: MakeLabRun, text_of: TextOf) -> None:
    only = text_of([make_lab_run("CNN")])
    assert "No run here is of a baseline." in chapter(only, "Baselines")
    assert "No run here is of an improved model." in chapter(only, "Improved")
    assert "differences.png" not in only
    base = text_of([make_lab_run("U")])
    assert "No run here is of a network written" in chapter(base, "A network of one's own")
    orphan = text_of([make_lab_run("U+")])
    assert "U+: its parent has no run here." in chapter(orphan, "Improved")


def test_hypotheses_without_a_run_and_why(
    make_lab_run: MakeLabRun, waiting: StudyConfig, text_of: TextOf
) -> None:
    untrained = StudyConfig(
        Path("configs/z.py"), Hypothesis("Z", "U", "z?", "zz", {"mIoU": "-"}, "improved"), None
    )
    text = text_of([make_lab_run("U")], [waiting, untrained])
    part = chapter(text, "Hypotheses")
    assert "a download: ImageNet weights of resnet34" in cells(part, "R34")[5]
    assert "nothing but time" in cells(part, "Z")[5] and cells(part, "Z")[4] == "mIoU falls"
    assert "Anything about R34 and Z" in chapter(text, "Conclusions")


def test_a_checkpoint_chosen_on_this_split_is_warned_of(
    make_lab_run: MakeLabRun, text_of: TextOf
) -> None:
    run = make_lab_run("U", steps=None)
    path = run / "test_test" / "test_metrics.json"
    path.write_text(path.read_text().replace('"selected_on": "val"', '"selected_on": "test"'))
    text = text_of([run])
    assert "were chosen on this split" in chapter(text, "Summary")
    assert "the epoch of some models was chosen on them" in chapter(text, "How it is scored")
    assert "were chosen on test itself" in chapter(text, "Conclusions")


def test_names_that_try_to_be_markup_stay_text(make_lab_run: MakeLabRun, text_of: TextOf) -> None:
    evil = "<script>alert(1)</script> | [x](http://x)"
    run = make_lab_run("U", question=evil, change="**loud**")
    text = text_of([run])
    assert "<script>" not in text and " **loud**" not in text and "[x](http" not in text


def test_an_expectation_that_is_not_resampled_does_not_stop_the_report(
    make_lab_run: MakeLabRun, text_of: TextOf
) -> None:
    child = make_lab_run("U+", skill=0.9, expects={"HD95/animal": "-", "mIoU": "+"})
    text = text_of([make_lab_run("U", skill=0.7), child])
    told = cells(chapter(text, "Hypotheses"), "HD95/animal")
    assert told[1:] == ["falls", "–", "–", "–", "undecided"]  # noqa: RUF001
    assert "this is not tested" in chapter(text, "How to read it")
    assert "HD95" not in chapter(text, "Improved")


def test_what_came_out_both_ways_is_neither_help_nor_harm(
    make_lab_run: MakeLabRun, text_of: TextOf
) -> None:
    # Both figures rise: one was to, one was not.
    mixed = make_lab_run("U+", skill=0.9, expects={"mIoU": "+", "aAcc": "-"})
    told = chapter(text_of([make_lab_run("U", skill=0.6), mixed]), "Conclusions")
    assert "**U** did the contrary of a part of what **U+** expects" in told
    assert "harmed" not in told and "helped" not in told


@pytest.mark.parametrize(
    ("skill", "words"),
    [
        (0.9, "The improvements do what was expected of them in U+."),
        (0.5, "The improvements do the contrary of what was expected in U+."),
        (0.8, "The improvements are not shown to do what was expected in U+."),
    ],
)
def test_the_summary_stands_by_itself(
    make_lab_run: MakeLabRun, text_of: TextOf, skill: float, words: str
) -> None:
    text = text_of([make_lab_run("U", skill=0.8), make_lab_run("U+", skill=skill)])
    assert words in chapter(text, "Summary")


@pytest.mark.parametrize(
    ("skill", "following", "known"), [(0.9, "U", True), (0.803, "U+", False), (0.5, "U+", True)]
)
def test_the_best_is_said_to_lead_only_where_it_is_shown(
    make_lab_run: MakeLabRun, text_of: TextOf, skill: float, following: str, known: bool
) -> None:
    text = chapter(
        text_of([make_lab_run("U", skill=0.8), make_lab_run("U+", skill=skill)]), "Summary"
    )
    assert f"; the next, {following}, has " in text
    assert ("is not shown to differ from it" in text) == (not known)


def test_a_figure_that_is_judged_is_given_once(make_lab_run: MakeLabRun, text_of: TextOf) -> None:
    child = make_lab_run("U+", skill=0.9, expects={"IoU/animal": "+"})
    told = chapter(text_of([make_lab_run("U", skill=0.8), child]), "Conclusions")
    (line,) = [line for line in told.splitlines() if "The improvements helped" in line]
    assert line.count("interval") == 1 and "IoU/animal +" in line and ", p " in line


def test_what_has_looked_at_the_images_is_said_as_far_as_it_is_known(
    make_lab_run: MakeLabRun, text_of: TextOf
) -> None:
    run = make_lab_run("U", steps=None)
    assert "no training and no choice of an epoch has looked at them" in text_of([run])
    path = run / "test_test" / "test_metrics.json"
    path.write_text(path.read_text().replace('"selected_on": "val"', '"selected_on": null'))
    assert "no choice of an epoch is known to have" in text_of([run])
    config = run / "config.json"
    config.write_text(config.read_text().replace('"split": "train"', '"split": "test"'))
    assert "some models were trained on them" in text_of([run])


def test_a_network_that_was_not_trained_on_the_border_is_named(
    make_lab_run: MakeLabRun, text_of: TextOf
) -> None:
    runs = [make_lab_run("U"), make_lab_run("CNN")]
    path = runs[1] / "config.json"
    config = json.loads(path.read_text())
    config["train_dataloader"]["dataset"]["border"] = "background"
    path.write_text(json.dumps(config))
    assert "border as background. U never saw it" in chapter(text_of(runs), "How it is scored")
    config["test_dataloader"]["dataset"]["border"] = "background"
    path.write_text(json.dumps(config))
    assert "never saw it" not in text_of(runs[1:])


def test_only_figures_that_hypotheses_speak_of_are_called_so(
    make_lab_run: MakeLabRun, text_of: TextOf
) -> None:
    spoken = ", which the hypotheses speak of,"
    assert spoken in text_of([make_lab_run("U")])
    assert spoken not in text_of([make_lab_run("U", expects={"mDice": "="})])
