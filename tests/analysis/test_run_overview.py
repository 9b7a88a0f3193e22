"""The overview of runs: what each row says, and that no damage stops it."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seglab.analysis.run_overview import RunRow, list_runs, read_row, run_folders
from seglab.analysis.tracked_where import Tracked, tracked_where
from seglab.utils.errors import UserError
from seglab.utils.tracking.upload_state import UploadState

MakeRun = Callable[..., Path]


@pytest.fixture
def experiments(make_run: MakeRun, tmp_path: Path) -> Path:
    root = tmp_path / "experiments"
    make_run(root / "h1" / "old", "H1", skill=0.7, began="2026-01-01T00:00:00+0000")
    make_run(root / "h1" / "new", "H1", skill=0.6, seed=1, began="2026-01-03T00:00:00+0000")
    make_run(root / "deep" / "er" / "h2", {"id": "H2", "parent": "H1"}, skill=0.8, tested=False,
             began="2026-01-02T00:00:00+0000")  # fmt: skip
    return root


def change(path: Path, edit: Callable[[dict], Any]) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def names(rows: list[RunRow]) -> list[str]:
    return [row.folder.name for row in rows]


def test_a_row_says_what_the_record_says(experiments: Path) -> None:
    row = read_row(experiments / "h1" / "new")
    record = json.loads((row.folder / "run.json").read_text())
    metrics = json.loads((row.folder / "test_val" / "test_metrics.json").read_text())
    assert (row.id, row.seed, row.status, row.seconds) == ("H1", 1, "finished", 12.5)
    assert row.config == record["hypothesis"]
    assert (row.monitor, row.best) == ("val/mDice", record["best"]["val/mDice"])
    assert (row.best_epoch, row.epochs) == (record["best"]["epoch"], record["epochs"])
    (test,) = row.tests
    assert (test.name, test.figure, test.optimistic) == ("val", metrics["metrics"]["mDice"], True)
    assert (row.tracked, row.faults) == (Tracked("off"), ())


def test_order_filter_and_limit(experiments: Path) -> None:
    assert names(list_runs(experiments)) == ["new", "h2", "old"]
    assert names(list_runs(experiments, sort="best")) == ["h2", "old", "new"]
    assert names(list_runs(experiments, sort="id")) == ["new", "old", "h2"]
    assert names(list_runs(experiments, ["H2"])) == ["h2"]
    assert names(list_runs(experiments, limit=1)) == ["new"]
    config = read_row(experiments / "h1" / "old").config
    assert names(list_runs(experiments, [config, "H2"], sort="best")) == ["h2", "old", "new"]


def test_of_a_distance_the_smallest_is_the_best(experiments: Path) -> None:
    for name, value in (("old", 9.0), ("new", 4.0)):
        folder = experiments / "h1" / name
        best = {"epoch": 2, "val/HD95/dog": value}
        change(folder / "run.json", lambda r, b=best: r.update(monitor="val/HD95/dog", best=b))
    assert names(list_runs(experiments, ["H1"], sort="best")) == ["new", "old"]
    # Figures of other kinds are not compared; a run without a value is behind those with one.
    change(experiments / "h1/old/run.json", lambda r: r.update(best={}))
    rows = list_runs(experiments, sort="best")
    assert names(rows) == ["new", "old", "h2"] and rows[1].best is None


def test_unknown_hypotheses_and_folders(experiments: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run of H3, Lite") as caught:
        list_runs(experiments, ["H3", "H1", "Lite"])
    assert "there are: H1, H2" in str(caught.value) and "did you mean" in str(caught.value)
    with pytest.raises(UserError, match="no folder"):
        list_runs(tmp_path / "absent")
    (tmp_path / "empty").mkdir()
    assert list_runs(tmp_path / "empty") == []


def test_folders_below_a_run_and_hidden_ones_are_no_runs(experiments: Path) -> None:
    inside = experiments / "h1" / "old"
    for folder in (inside / "copy", experiments / ".unfinished" / "x"):
        folder.mkdir(parents=True)
        (folder / "run.json").write_text("{}")
    assert [path.name for path in run_folders(experiments)] == ["h2", "new", "old"]
    assert [path.name for path in run_folders(inside)] == ["old"]


@pytest.fixture
def running(experiments: Path) -> Path:
    folder = experiments / "h1" / "new"

    def edit(record: dict) -> None:
        for key in ("best", "epochs", "seconds"):
            del record[key]
        record["sessions"][-1]["began"] = time.strftime(
            "%Y-%m-%dT%H:%M:%S%z", time.localtime(time.time() - 100)
        )
        del record["sessions"][-1]["seconds"]
        record["sessions"].insert(0, {"seconds": 40.0})
        record["status"] = "running"

    change(folder / "run.json", edit)
    return folder


def test_a_running_run_has_the_best_of_its_history_so_far(running: Path) -> None:
    row = read_row(running)
    history = [json.loads(line) for line in (running / "history.jsonl").read_text().splitlines()]
    best = max(history, key=lambda epoch: epoch["val/mDice"])
    assert row.status == "running" and row.epochs == len(history)
    assert (row.best, row.best_epoch) == (best["val/mDice"], best["epoch"])
    assert row.seconds == pytest.approx(140, abs=5)


def test_a_running_run_that_writes_nothing_any_more_is_silent(running: Path) -> None:
    for path in running.iterdir():
        os.utime(path, (time.time() - 3000,) * 2)
    written = max(path.stat().st_mtime for path in running.iterdir())
    row = read_row(running)
    assert row.status == "silent"
    assert row.seconds == 40.0  # its files are older than the last session's beginning
    row = read_row(running, now=written + 60)
    assert row.status == "running"


def test_before_its_first_epoch_a_run_has_no_figure(running: Path) -> None:
    (running / "history.jsonl").unlink()
    row = read_row(running)
    assert (row.status, row.best, row.best_epoch, row.epochs) == ("running", None, None, 0)


@pytest.mark.parametrize("name", ["run.json", "config.json", "test_val/test_metrics.json"])
@pytest.mark.parametrize("content", [b"", b"[]", b"\xff\xfe", b"[" * 50_000, None])
def test_a_damaged_run_is_listed_with_its_fault(
    name: str, content: bytes | None, experiments: Path
) -> None:
    path = experiments / "h1" / "new" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    rows = {row.folder.name: row for row in list_runs(experiments)}
    assert len(rows) == 3 and rows["old"].faults == ()
    if content is None and name.endswith("test_metrics.json"):
        assert rows["new"].tests == () and rows["new"].status == "finished"
        return
    (fault,) = rows["new"].faults
    assert name in fault and rows["new"].status == "damaged"


def test_a_run_that_does_not_say_when_it_began_stands_first(experiments: Path) -> None:
    (experiments / "h1" / "old" / "run.json").write_text("{")
    assert names(list_runs(experiments))[0] == "old"


@pytest.mark.parametrize(
    "odd",
    [
        {"best": 7, "epochs": "x", "seconds": "y", "seed": [], "monitor": 3, "sessions": {}},
        {"best": {"val/mDice": "high", "epoch": 1.5}, "status": ["x"], "sessions": [None]},
        {"best": None, "hypothesis_id": None, "sessions": [{"began": 4}], "seconds": True},
        {"status": "running", "sessions": "never"},
        {"seconds": 10**400, "epochs": 10**400},
    ],
)
def test_values_of_wrong_types_are_no_figures(odd: dict, experiments: Path) -> None:
    change(experiments / "h1" / "new" / "run.json", lambda record: record.update(odd))
    row = read_row(experiments / "h1" / "new")
    assert row.id == "H1" and (row.best is None or row.best > 50)
    assert len(list_runs(experiments, sort="best")) == 3


def test_two_hundred_runs_take_about_a_second(make_run: MakeRun, tmp_path: Path) -> None:
    make_run(tmp_path / "one", "H1", epochs=40)
    files = [path for path in (tmp_path / "one").rglob("*") if path.is_file()]
    contents = [(path.relative_to(tmp_path / "one"), path.read_bytes()) for path in files]
    for number in range(200):
        for name, content in contents:
            target = tmp_path / "many" / str(number) / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
    seconds = []
    for _ in range(3):
        began = time.perf_counter()
        assert len(list_runs(tmp_path / "many")) == 200
        seconds.append(time.perf_counter() - began)
    assert min(seconds) < 1.5


def test_where_a_run_is_tracked(tmp_path: Path) -> None:
    assert tracked_where(tmp_path) == Tracked("off")
    (tmp_path / "journal.jsonl").write_text("")
    os.utime(tmp_path / "journal.jsonl", (1e9, 1e9))
    assert str(tracked_where(tmp_path)) == "offline, not sent"
    upload = tmp_path / "upload.json"
    state = UploadState(upload, server="https://api.clear.ml:8008")
    state.save()
    assert tracked_where(tmp_path).state == "offline"  # it was tried
    state.task = "abc"
    state.save()
    assert str(tracked_where(tmp_path)) == "partly sent to api.clear.ml as abc"
    state.status = "in_progress"
    state.save()
    assert tracked_where(tmp_path).state == "partly sent"
    for status in ("completed", "failed", "stopped"):
        state.status = status
        state.save()
        assert tracked_where(tmp_path) == Tracked("sent", "api.clear.ml", "abc")
    # Resumed since: the journal has grown.
    os.utime(tmp_path / "journal.jsonl", (time.time() + 10,) * 2)
    assert tracked_where(tmp_path).state == "partly sent"


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "7", '{"schema": 99, "cursors": {}}', '{"schema": 1, "cursors": {"a": 1}}'],
)
def test_a_damaged_upload_json(content: str, tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text("")
    (tmp_path / "upload.json").write_text(content)
    assert tracked_where(tmp_path) == Tracked("damaged")


@pytest.mark.parametrize("server", ["", "http://[", "localhost"])
def test_a_server_by_whatever_name(server: str, tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text("")
    UploadState(tmp_path / "upload.json", server=server, task="t").save()
    assert tracked_where(tmp_path).host == server
