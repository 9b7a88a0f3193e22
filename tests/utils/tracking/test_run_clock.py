"""When steps happened: from the log, else from the sessions' seconds."""

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from seglab.utils.tracking.run_clock import Anchor, RunClock, run_clock, training_records

NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc).timestamp()
HISTORY = [
    {"epoch": 1, "iter": 10, "seconds": 10.0},
    {"epoch": 2, "iter": 20, "seconds": 30.0},
    {"epoch": 3, "iter": 30, "seconds": 10.0},
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "history.jsonl").write_text("\n".join(map(json.dumps, HISTORY)) + "\n")
    return tmp_path


def session(began: str, seconds: float | None = None) -> dict:
    return {"began": began, **({} if seconds is None else {"seconds": seconds})}


def log(run: Path, stamp: str, steps: list[int], lines: list[str]) -> None:
    """What mmengine leaves of a session: a record for each logged step, and its log."""
    folder = run / stamp / "vis_data"
    folder.mkdir(parents=True)
    records = [{"loss": 1.0, "epoch": 1, "iter": step, "step": step} for step in steps]
    text = "\n".join([*map(json.dumps, records), json.dumps({"val/mDice": 9.0, "step": 1})])
    for name in (f"{stamp}.json", "scalars.json"):
        (folder / name).write_text(text + '\n{"torn": ')
    said = [f"2026/01/02 {line}" for line in lines]
    (run / stamp / f"{stamp}.log").write_text("\n".join(said))


def test_between_anchors_times_are_interpolated() -> None:
    clock = RunClock([Anchor(10, 100.0), Anchor(20, 200.0)])
    assert [clock.at(step) for step in (0, 10, 13, 20, 99)] == [100.0, 100.0, 130.0, 200.0, 200.0]
    assert RunClock([], default=7.0).at(3) == 7.0


def test_steps_that_a_resume_repeats_have_the_later_time() -> None:
    clock = RunClock([Anchor(10, 1.0), Anchor(20, 2.0), Anchor(30, 3.0), Anchor(20, 50.0)])
    assert clock.at(20) == 50.0 and clock.at(30) == 50.0


def test_a_session_is_spread_over_its_epochs(run: Path) -> None:
    # 100 s for 50 s of training: each epoch's validation belongs to it.
    clock = run_clock(run, {"sessions": [session("2026-01-02T12:00:00+0000", 100.0)]}, HISTORY)
    assert [clock.at(step) - NOON for step in (0, 10, 15, 20, 30)] == [0, 20, 50, 80, 100]


def test_a_resumed_run_has_a_gap(run: Path) -> None:
    sessions = [
        session("2026-01-02T12:00:00+0000", 40.0),
        session("2026-01-03T12:00:00+0000", 10.0),
    ]
    clock = run_clock(run, {"sessions": sessions}, HISTORY)
    assert clock.at(20) - NOON == 40
    assert clock.at(30) - NOON == 86400 + 10


def test_a_killed_session_took_what_the_others_leave(run: Path) -> None:
    sessions = [session("2026-01-02T12:00:00+0000"), session("2026-01-03T12:00:00+0000", 10.0)]
    clock = run_clock(run, {"sessions": sessions}, HISTORY)
    assert clock.at(20) - NOON == 40


def test_the_log_knows_better(run: Path) -> None:
    log(
        run,
        "20260102_120000",
        [10, 20],
        [
            "13:00:01 - mmengine - INFO - Config:",
            "13:00:05 - mmengine - INFO - Epoch(train)  [1][10/10]  lr: 1.0e-03  loss: 1.0",
            "13:00:06 - mmengine - INFO - Epoch(val) [1][3/3]  val/mDice: 9.0",
            "13:00:25 - mmengine - INFO - Epoch(train)  [2][10/10]  lr: 1.0e-03  loss: 1.0",
        ],
    )
    # The log has the local time of where it was written: an hour ahead of Greenwich.
    record = {"sessions": [session("2026-01-02T13:00:00+0100", 100.0)]}
    clock = run_clock(run, record, HISTORY)
    assert [clock.at(step) - NOON for step in (10, 15, 20)] == [5, 15, 25]


@pytest.mark.parametrize("line", ["", "99:99:99 - mmengine - INFO - Epoch(train)  [1][1/1]"])
def test_a_log_that_does_not_fit_is_not_used(run: Path, line: str) -> None:
    log(run, "20260102_120000", [10], [line])
    clock = run_clock(run, {"sessions": [session("2026-01-02T12:00:00+0000", 100.0)]}, HISTORY)
    assert clock.at(10) - NOON == 20


def test_records_are_read_once_and_without_the_torn_one(run: Path) -> None:
    log(run, "20260102_120000", [10, 20], [])
    records = training_records(run / "20260102_120000")
    assert [record["step"] for record in records] == [10, 20, 1]


@pytest.mark.parametrize("sessions", [None, [], {}, "x", [7], [{"began": "?"}]])
def test_without_any_time_the_files_is_taken(run: Path, sessions: object) -> None:
    clock = run_clock(run, {"sessions": sessions}, HISTORY)
    assert clock.at(10) == (run / "history.jsonl").stat().st_mtime
