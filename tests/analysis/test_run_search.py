"""Runs are found by folder, by the folder of a config, and by the hypothesis they test."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from seglab.analysis.run_search import find_runs
from seglab.utils.errors import UserError

MakeRun = Callable[..., Path]


@pytest.fixture
def experiments(make_run: MakeRun, tmp_path: Path) -> Path:
    """H1: seed 0 three times (the newest is neither first nor last by name), seed 1; H2."""
    root = tmp_path / "experiments"
    make_run(root / "h1" / "z", "H1", skill=0.5, began="2026-01-01T00:00:00+0000")
    make_run(root / "h1" / "a", "H1", skill=0.6, began="2026-01-02T12:00:00+0000")
    make_run(root / "h1" / "m", "H1", skill=0.7, began="2026-01-03T00:00:00+0000")
    make_run(root / "h1" / "s1", "H1", seed=1, began="2026-01-02T00:00:00+0000")
    make_run(root / "h1" / "untested", "H1", seed=2, tested=False, began="2026-02-01T00:00:00+0000")
    make_run(root / "reference" / "deep" / "h2", {"id": "H2", "parent": "H1"})
    make_run(root / "new", "New", tested=False)
    return root


def found(names: list[str | Path], root: Path, every_seed: bool = False) -> list[str]:
    runs = find_runs(names, "val", root, every_seed)
    return [run.folder.relative_to(root.resolve()).as_posix() for run in runs]


def test_an_id_is_its_newest_tested_run(experiments: Path) -> None:
    assert found(["H1", "H2"], experiments) == ["h1/m", "reference/deep/h2"]


def test_the_hour_of_another_time_zone_is_understood(make_run: MakeRun, tmp_path: Path) -> None:
    make_run(tmp_path / "a", "H1", began="2026-01-01T12:00:00+0000")
    make_run(tmp_path / "b", "H1", began="2026-01-01T13:00:00+0300")  # two hours before
    assert found(["H1"], tmp_path) == ["a"]


def test_every_seed_is_the_newest_of_each(experiments: Path) -> None:
    assert found(["H1"], experiments, every_seed=True) == ["h1/m", "h1/s1"]


def test_folders_and_folders_of_runs(experiments: Path) -> None:
    assert found([experiments / "h1" / "z"], experiments) == ["h1/z"]
    assert found([experiments / "h1"], experiments) == ["h1/m"]
    assert found([experiments / "h1"], experiments, every_seed=True) == ["h1/m", "h1/s1"]


def test_a_run_named_twice_is_one_run(experiments: Path) -> None:
    assert found(["H1", experiments / "h1" / "m"], experiments) == ["h1/m"]


def test_a_folder_of_several_hypotheses_is_refused(experiments: Path) -> None:
    with pytest.raises(UserError, match="several hypotheses: H1, H2, New"):
        find_runs([experiments], "val", experiments)


def test_an_unknown_id_lists_those_there_are(experiments: Path) -> None:
    with pytest.raises(UserError) as caught:
        find_runs(["H22", "H1"], "val", experiments)
    assert "did you mean H2?" in caught.value.fix and "H1, H2, New" in caught.value.fix
    with pytest.raises(UserError, match="no run under"):
        find_runs(["H1"], "val", experiments / "none")


def test_an_id_that_was_not_tested_names_the_command(experiments: Path) -> None:
    with pytest.raises(UserError) as caught:
        find_runs(["New", "unknown"], "val", experiments)
    assert "2 faults" in str(caught.value)
    assert "no run of New was tested on val" in str(caught.value)
    assert "seglab test --config" in str(caught.value)
    with pytest.raises(UserError, match="no run of H1 was tested on test"):
        find_runs(["H1"], "test", experiments)


def test_a_damaged_record_is_not_passed_over_for_an_older_run(experiments: Path) -> None:
    (experiments / "h1" / "m" / "run.json").write_text("{")
    with pytest.raises(UserError, match="m/run.json is not valid JSON"):
        find_runs(["H1"], "val", experiments)


def test_what_is_no_run_does_not_disturb(experiments: Path) -> None:
    (experiments / "notes").mkdir()
    (experiments / "notes" / "config.json").write_text("[1]")
    (experiments / "other").mkdir()
    (experiments / "other" / "config.json").write_text(json.dumps({"hypothesis": {"id": 1}}))
    (experiments / "other" / "run.json").write_text("{}")
    assert found(["H2"], experiments) == ["reference/deep/h2"]


def test_an_id_that_is_also_an_empty_folder(
    experiments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "H1").mkdir()
    monkeypatch.chdir(tmp_path)
    assert found(["H1"], experiments) == ["h1/m"]


def test_a_file_is_no_run(experiments: Path) -> None:
    """`experiments/*` finds the README, and completion ends on a file."""
    readme = experiments / "README.md"
    readme.write_text("x")
    with pytest.raises(UserError, match="2 faults") as caught:
        find_runs(
            [experiments / "h1", readme, experiments / "h1/z/config.json"], "val", experiments
        )
    assert str(caught.value).count("is a file, not a run's folder") == 2
