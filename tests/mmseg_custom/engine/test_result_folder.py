"""Results arrive whole or not at all, and not over another's."""

import json
from pathlib import Path

import pytest

from seglab.mmseg_custom.engine.result_folder import (
    default_output_dir,
    require_free,
    staged_results,
)
from seglab.utils.errors import UserError


def put(folder: Path) -> None:
    """Results of a.pth on val."""
    folder.mkdir(parents=True)
    (folder / "test_metrics.json").write_text(json.dumps({"schema": 2, "split": "val"}))
    facts = {"checkpoint": "/runs/a.pth", "checkpoint_sha256": "1" * 64}
    (folder / "provenance.json").write_text(json.dumps(facts))


def test_each_checkpoint_has_a_folder_of_its_own(tmp_path: Path) -> None:
    assert default_output_dir(tmp_path / "a.pth", "val") == tmp_path / "test_val"
    put(tmp_path / "test_val")
    assert default_output_dir(tmp_path / "a.pth", "val") == tmp_path / "test_val"
    assert default_output_dir(tmp_path / "b.pth", "val") == tmp_path / "test_val_b"
    assert default_output_dir(tmp_path / "b.pth", "test") == tmp_path / "test_test"


def test_results_of_earlier_versions_are_recognised(tmp_path: Path) -> None:
    (tmp_path / "test_val").mkdir()
    old = {"schema": 1, "split": "val", "checkpoint": "/x/a.pth", "checkpoint_sha256": "1" * 64}
    (tmp_path / "test_val" / "test_metrics.json").write_text(json.dumps(old))
    assert default_output_dir(tmp_path / "b.pth", "val") == tmp_path / "test_val_b"
    require_free(tmp_path / "test_val", "val", "1" * 64)
    with pytest.raises(UserError, match=r"another test \(a.pth on val\)"):
        require_free(tmp_path / "test_val", "val", "2" * 64)


def test_only_the_same_test_may_be_replaced(tmp_path: Path) -> None:
    require_free(tmp_path / "new", "val", "1" * 64)
    put(tmp_path / "out")
    require_free(tmp_path / "out", "val", "1" * 64)
    for split, digest in (("test", "1" * 64), ("val", "2" * 64)):
        with pytest.raises(UserError, match=r"another test \(a.pth on val\)"):
            require_free(tmp_path / "out", split, digest)
    (tmp_path / "out" / "test_metrics.json").write_text("{")
    with pytest.raises(UserError, match="another test"):
        require_free(tmp_path / "out", "val", "1" * 64)


def test_new_files_take_the_place_of_old_ones(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    put(folder)
    listed = {"pictures": ["old.png", "both.png", "../outside.png", 3]}
    (folder / "test_metrics.json").write_text(json.dumps(listed))
    for path in (folder / name for name in ("old.png", "both.png", "mine.png", "lab_scores.json")):
        path.write_text("old")
    (tmp_path / "outside.png").touch()
    with staged_results(folder) as stage:
        (stage / "both.png").write_text("new")
        (stage / "test_metrics.json").write_text("{}")
        assert (folder / "both.png").read_text() == "old"
    assert sorted(path.name for path in folder.iterdir()) == [
        "both.png",
        "mine.png",
        "provenance.json",
        "test_metrics.json",
    ]
    assert (folder / "both.png").read_text() == "new"
    assert (tmp_path / "outside.png").exists()


def test_test_metrics_json_comes_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = []
    replace = Path.replace
    monkeypatch.setattr(
        Path, "replace", lambda self, target: order.append(self.name) or replace(self, target)
    )
    with staged_results(tmp_path / "out") as stage:
        for name in ("z.png", "test_metrics.json", "a.csv", "val.png"):
            (stage / name).touch()
    assert order[-1] == "test_metrics.json" and len(order) == 4


def test_failing_leaves_what_was_there(tmp_path: Path) -> None:
    put(tmp_path / "out")
    before = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    for folder in (tmp_path / "out", tmp_path / "new"):
        with pytest.raises(RuntimeError), staged_results(folder) as stage:
            (stage / "test_metrics.json").write_text("half")
            raise RuntimeError
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == before
    assert not (tmp_path / "new").exists()


def test_what_was_tracked_of_earlier_results_goes_with_them(tmp_path: Path) -> None:
    for name in ("out", "run"):
        put(tmp_path / name)
        (tmp_path / name / "tracking").mkdir()
    (tmp_path / "run" / "run.json").touch()  # the tracking is the training's there
    for name in ("out", "run"):
        with staged_results(tmp_path / name) as stage:
            (stage / "test_metrics.json").write_text("{}")
    assert not (tmp_path / "out" / "tracking").exists()
    assert (tmp_path / "run" / "tracking").is_dir()


def test_results_do_not_follow_a_link_out_of_the_run(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "test_val").symlink_to(tmp_path / "outside")
    with pytest.raises(UserError, match="test_val is a link that leads out"):
        default_output_dir(tmp_path / "run" / "a.pth", "val")
    (tmp_path / "there").symlink_to(tmp_path / "run")  # the run itself may lie anywhere
    checkpoint = tmp_path / "there" / "a.pth"
    assert default_output_dir(checkpoint, "test") == tmp_path / "there" / "test_test"
