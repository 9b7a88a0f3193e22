"""The summary: three sentences that claim what was shown and no more."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MakeRun = Callable[..., Path]
Report = Callable[..., Any]
Edit = Callable[..., None]


def summary_of(report: Report, folders: list[Path], **options: Any) -> str:
    text = report(folders, **options).text
    return str(text.split("## 1. Summary\n\n")[1].split("\n\n")[0])


def test_a_clear_winner(report: Report, family: list[Path], compared: Callable[..., Any]) -> None:
    text = summary_of(report, family)
    assert "Of the 3 hypotheses compared **H2** scores highest: mDice **" in text
    assert "on the 24 images of the split val" in text
    assert "Of the 2 hypotheses judged against a parent, 1 is supported (H2) and 1 is" in text
    assert "H2 is shown to be better than every other" in text
    assert "not shown" not in text and "cheapest" not in text
    pairs = compared(family).pairs
    detectable = max(pair.differences["mDice"].detectable for pair in pairs)
    assert f"in mDice of {detectable:.2f} points or more" in text
    assert "with 80 % probability" in text and "chosen on this very split" in text


def test_an_open_race_is_called_open(
    report: Report, make_run: MakeRun, tmp_path: Path, edit: Edit
) -> None:
    folders = [
        make_run(tmp_path / name, {"id": name, "parent": parent}, skill=0.8, images=12)
        for name, parent in (("A", None), ("B", "A"), ("C", "A"))
    ]
    for folder, parameters in zip(folders, (10, 20, 30), strict=True):
        edit(folder / "run.json", lambda c, p=parameters: c.update(parameters=p))
        edit(folder / "test_val" / "test_metrics.json", lambda c: c.update(selected_on=None))
    text = summary_of(report, folders)
    best = text.split("**")[1]
    others = [name for name in "ABC" if name != best]
    assert f"{best} is not shown to be better than {others[0]} or {others[1]}" in text
    assert ("of which **A** is the cheapest and may serve as well" in text) is (best != "A")
    assert "every other" not in text and "chosen on" not in text


@pytest.mark.parametrize("count", [1, 2])
def test_sentences_are_whole(report: Report, family: list[Path], count: int) -> None:
    text = summary_of(report, family[:count])
    assert text.endswith(".") and "  " not in text and "{" not in text
    assert all(part[0].isupper() or part[0] == "*" for part in text.split(". "))


def test_only_the_checkpoints_that_were_chosen_here_flatter(
    report: Report, family: list[Path], edit: Edit
) -> None:
    edit(family[2] / "test_val" / "test_metrics.json", lambda c: c.update(selected_on=None))
    text = report(family).text
    assert "the checkpoints of H1 and H2 were chosen on this very split" in text
    assert "Its epoch was chosen on this split too, and that of H3 was not" in text
    assert "for every hypothesis alike" not in text
    edit(family[2] / "test_val" / "test_metrics.json", lambda c: c.update(selected_on="val"))
    assert "for every hypothesis alike" in report(family).text
