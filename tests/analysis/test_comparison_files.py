"""The files of a comparison say what the comparison says, and say it again the same way."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seglab.analysis.comparison import Comparison, compare
from seglab.analysis.comparison_files import (
    comparison_content,
    comparison_markdown,
    write_comparison,
)
from seglab.analysis.comparison_tables import (
    cautions,
    detectable_sentences,
    facts,
    figures_table,
    pair_table,
    shown_path,
)
from seglab.analysis.run_folder import load_run
from seglab.utils.errors import UserError
from seglab.utils.hypothesis import Hypothesis
from seglab.utils.paths import PROJECT_ROOT

MakeRun = Callable[..., Path]


def compared(folders: list[Path], **options: Any) -> Comparison:
    runs = [load_run(folder, "val") for folder in folders]
    return compare(runs, resamples=1000, **options)


@pytest.fixture
def comparison(family: list[Path]) -> Comparison:
    return compared(family)


@pytest.fixture
def forced(make_run: MakeRun, tmp_path: Path) -> Comparison:
    folders = [make_run(tmp_path / "a", "H1"), make_run(tmp_path / "b", "H2", images=9)]
    return compared(folders, force=True)


def test_the_files_are_written_and_replaced_the_same(
    comparison: Comparison, family: list[Path], tmp_path: Path
) -> None:
    paths = write_comparison(comparison, tmp_path / "out")
    assert [path.name for path in paths] == ["comparison.json", "comparison.md", "comparison.png"]
    contents = [path.read_bytes() for path in paths]
    write_comparison(compared(family), tmp_path / "out")
    assert [path.read_bytes() for path in paths] == contents
    assert len(list((tmp_path / "out").iterdir())) == 3
    with Image.open(paths[2]) as picture:
        assert picture.width > 800 and np.asarray(picture).std() > 10


def test_the_json_holds_every_figure_unrounded(comparison: Comparison, tmp_path: Path) -> None:
    path, _, _ = write_comparison(comparison, tmp_path / "out")
    content = json.loads(path.read_text())
    assert content["schema"] == 1 and content["forced"] is False
    assert content["images"] == 24 and len(content["sample_ids"]) == 24
    assert [item["hypothesis"]["id"] for item in content["hypotheses"]] == ["H1", "H2", "H3"]
    value = comparison.row("H2").estimates["Dice/cat"]
    stored = content["hypotheses"][1]["figures"]["Dice/cat"]
    assert stored["value"] == value.value and stored["interval"]["low"] == value.interval.low
    pair = content["pairs"][0]
    difference = comparison.pairs[0].differences["mDice"]
    assert pair["differences"]["mDice"]["adjusted_p"] == difference.adjusted_p
    assert pair["differences"]["mDice"]["family"] == "confirmatory"
    assert pair["differences"]["mIoU"]["family"] is None
    assert pair["verdict"]["outcome"] == "supported"
    assert pair["verdict"]["judgements"][0]["key"] == "mDice"
    assert content["best"]["mDice"] == ["H2"]
    assert content["hypotheses"][0]["runs"][0]["folder"] == "h1/a"
    assert "/tmp" not in path.read_text() and str(tmp_path) not in path.read_text()


def test_the_markdown_shows_the_same_figures(comparison: Comparison) -> None:
    text = comparison_markdown(comparison)
    row = comparison.row("H2").estimates["mDice"]
    assert f"**{row.value:.2f} \\[{row.interval.low:.2f} to {row.interval.high:.2f}\\]**" in text
    assert f"{comparison.row('H1').estimates['mDice'].value:.2f}" in text
    assert "**verdict: supported**" in text and "**verdict: undecided**" in text
    assert "nothing but the seed" in text
    assert "H2 against H1 (its parent)" in text
    assert "were chosen on this split" in text and "How to read this" in text
    assert "FORCED" not in text
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) == 3
    for table in tables:
        cells = {line.count(" |") for line in table.splitlines()}
        assert len(cells) == 1  # every line has as many columns as the header


def test_a_change_of_the_config_is_shown(make_run: MakeRun, tmp_path: Path) -> None:
    hooks = [{"type": "HistoryHook"}, {"type": "ProgressHook"}, {"type": "EMAHook", "momentum": 2}]
    folders = [
        make_run(tmp_path / "a", "H1"),
        make_run(tmp_path / "b", {"id": "H2", "parent": "H1"}, config={"custom_hooks": hooks}),
    ]
    result = compared(folders)
    assert "+ custom_hooks[EMAHook]: EMAHook(momentum=2)" in comparison_markdown(result)
    (change,) = comparison_content(result)["pairs"][0]["config_changes"]
    assert change == {"key": "custom_hooks[EMAHook]", "after": hooks[2]}


def test_names_cannot_break_the_document(make_run: MakeRun, tmp_path: Path) -> None:
    name = "a|b <script>"
    stated = {"id": name, "parent": "H1", "change": "x\n\n# y", "expects": {"mDice": "+"}}
    text = comparison_markdown(
        compared([make_run(tmp_path / "a", "H1"), make_run(tmp_path / "b", stated)])
    )
    assert "<script>" not in text and "\n# y" not in text and r"a\|b" in text


def test_a_forced_comparison_is_marked_everywhere(forced: Comparison, tmp_path: Path) -> None:
    paths = write_comparison(forced, tmp_path / "out")
    content = json.loads(paths[0].read_text())
    assert content["forced"] is True and "only in H1" in content["not_comparable_because"][0]
    assert content["images"] == 9
    text = paths[1].read_text()
    assert text.splitlines()[0].count("FORCED") == 1 and text.count("not comparable") >= 3
    assert "WARNING" in facts(forced) and "FORCED" in cautions(forced)[0]
    plain = compared([forced.rows[0].runs[0].folder])
    assert "WARNING" not in facts(plain)


def test_one_run_alone_is_drawn_too(family: list[Path], tmp_path: Path) -> None:
    result = compared(family[:1])
    _, text, picture = write_comparison(result, tmp_path / "out")
    assert picture.stat().st_size > 5000 and "best of each column" not in text.read_text()
    assert detectable_sentences(result) == []


def test_the_best_of_each_column_is_marked(comparison: Comparison) -> None:
    table = figures_table(comparison)
    assert table.header[1] == "mDice" and len(table.rows) == 3
    marked = [[cell.best for cell in row] for row in table.rows]
    assert marked[1] == [False, *[True] * 6, False] and not any(marked[0] + marked[2])
    assert table.rows[1][-1].text.endswith(" to H1")


def test_a_pair_shows_its_own_figures_only(make_run: MakeRun, tmp_path: Path) -> None:
    stated = {"id": "H2", "parent": "H1", "expects": {"Recall/cat": "+"}}
    folders = [
        make_run(tmp_path / "a", "H1"),
        make_run(tmp_path / "b", stated),
        make_run(tmp_path / "c", {"id": "H3", "parent": "H1"}),
    ]
    result = compared(folders)
    names = [[row[0].text for row in pair_table(result, pair).rows] for pair in result.pairs]
    assert names[0] == [*result.keys, "Recall/cat"] and names[1] == [*result.keys]
    # What no family tests has no p-value to be misread.
    accuracy = pair_table(result, result.pairs[0]).rows[2]
    assert [cell.text for cell in accuracy[5:8]] == ["–"] * 3  # noqa: RUF001


def test_what_the_images_can_show_is_said(comparison: Comparison) -> None:
    sentences = detectable_sentences(comparison)
    detectable = comparison.pairs[0].differences["mDice"].detectable
    assert len(sentences) == 2 and f"{detectable:.2f} points" in sentences[0]
    assert "24 images" in sentences[0]


def test_too_few_images_show_nothing(make_run: MakeRun, tmp_path: Path) -> None:
    folders = [
        make_run(tmp_path / "a", "H1", images=1),
        make_run(tmp_path / "b", {"id": "H2", "parent": "H1"}, images=1),
    ]
    (sentence,) = detectable_sentences(compared(folders))
    assert ": this image cannot show any difference" in sentence


def test_runs_alike_say_nothing_of_what_could_be_seen(comparison: Comparison) -> None:
    first = comparison.rows[0].runs[0]
    twin = dataclasses.replace(first, hypothesis=Hypothesis("Twin", "H1"))
    result = compare([first, twin], resamples=1000)
    (sentence,) = detectable_sentences(result)
    assert "do not differ in mDice on these 24 images" in sentence and "0.00" not in sentence


def test_paths_are_shown_without_the_machine() -> None:
    assert shown_path(PROJECT_ROOT / "experiments" / "a") == "experiments/a"
    assert shown_path(Path("/home/alice/runs/h1/7")) == "h1/7"


def test_a_folder_that_cannot_be_written_is_named(comparison: Comparison, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file is a file"):
        write_comparison(comparison, tmp_path / "file")
