"""The tracker never fails its run, never holds it up, and leaves a session."""

import json
import logging
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from seglab.utils.tracking import tracker as tracker_module
from seglab.utils.tracking.journal import End, Scalar, Start, read_journal
from seglab.utils.tracking.mode import OFF, Mode
from seglab.utils.tracking.tracker import Tracker

OFFLINE = Mode("offline", "a test")
START = Start("project", "H1 1", "training", ("seglab",))


def test_offline_leaves_the_sdks_session(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, OFFLINE)
    said: list[str] = []
    tracker.begin(lambda: [START])
    tracker.add(lambda: [Scalar("loss", "loss", 0.5, 1)])
    began = time.monotonic()
    tracker.end("finished", said.append)
    assert time.monotonic() - began < 15
    assert len(said) == 1 and str(tmp_path / "tracking" / "session.zip") in said[0]
    with zipfile.ZipFile(tmp_path / "tracking" / "session.zip") as session:
        events = [
            e for line in session.read("metrics.jsonl").splitlines() for e in json.loads(line)
        ]
        assert json.loads(session.read("task.json"))["name"] == "H1 1"
    assert [(e["metric"], e["variant"], e["iter"], e["value"]) for e in events] == [
        ("loss", "loss", 1, 0.5)
    ]


def test_off_touches_nothing(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, OFF)
    tracker.begin(lambda: pytest.fail("asked for entries"))
    tracker.add(lambda: pytest.fail("asked for entries"))
    tracker.end("finished", pytest.fail)
    assert not tracker.is_on and list(tmp_path.iterdir()) == []


def test_a_run_that_was_refused_leaves_nothing(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, OFFLINE)
    tracker.add(lambda: pytest.fail("asked for entries before the run began"))
    tracker.end("failed", pytest.fail)
    assert list(tmp_path.iterdir()) == []


def test_errors_become_warnings(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> list:
        raise RuntimeError("config.json is gone")

    tracker = Tracker(tmp_path, OFFLINE)
    with caplog.at_level(logging.WARNING):
        tracker.begin(lambda: [START])
        tracker.add(broken)
    assert "config.json is gone" in caplog.text and "the run goes on" in caplog.text
    tracker.end("finished", lambda line: None)
    assert [type(entry) for entry in read_journal(tmp_path / "tracking")] == [Start, End]


def test_a_folder_that_cannot_be_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "tracking").write_text("a file is in the way")
    tracker = Tracker(tmp_path, OFFLINE)
    with caplog.at_level(logging.WARNING):
        tracker.begin(lambda: [START])
        tracker.add(lambda: [Scalar("loss", "loss", 0.5, 1)])
        tracker.end("finished", lambda line: None)
    assert "tracking" in caplog.text
    assert (tmp_path / "tracking").read_text() == "a file is in the way"


def test_a_worker_that_fails_is_told_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker_module.sys, "executable", _script(tmp_path, "sys.exit(3)"))
    said: list[str] = []
    tracker = Tracker(tmp_path / "run", OFFLINE)
    tracker.begin(lambda: [START])
    tracker.end("finished", said.append)
    assert "worker.log" in said[0] and "upload-results-to-clearml" in said[0]
    assert (tmp_path / "run" / "tracking" / "journal.jsonl").is_file()


def test_a_worker_that_hangs_is_left_behind_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker_module.sys, "executable", _script(tmp_path, "time.sleep(8)"))
    monkeypatch.setattr(tracker_module, "WAIT_SECONDS", 0.5)
    said: list[str] = []
    tracker = Tracker(tmp_path / "run", OFFLINE)
    tracker.begin(lambda: [START])
    began = time.monotonic()
    tracker.end("finished", said.append)
    assert time.monotonic() - began < 5
    assert "goes on by itself" in said[0]


def test_the_sdk_is_never_imported_by_the_run(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from seglab.utils.tracking.tracker import Tracker\n"
        "from seglab.utils.tracking.mode import decide_mode\n"
        "from seglab.utils.tracking.journal import Start, Scalar\n"
        f"tracker = Tracker(Path({str(tmp_path)!r}), decide_mode('offline'))\n"
        "tracker.begin(lambda: [Start('p', 'n', 'training', ())])\n"
        "tracker.add(lambda: [Scalar('a', 'a', 1.0, 1)])\n"
        "tracker.end('finished')\n"
        "print([m for m in sys.modules if m.split('.')[0] == 'clearml'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def _script(folder: Path, body: str) -> str:
    """A program that does `body` in place of Python."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\nimport sys, time\n{body}\n")
    path.chmod(0o755)
    assert os.access(path, os.X_OK)
    return str(path)


def test_ctrl_c_while_waiting_says_that_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(tracker_module.sys, "executable", _script(tmp_path, "sys.exit(0)"))
    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    said: list[str] = []
    tracker = Tracker(tmp_path / "run", OFFLINE)
    tracker.begin(lambda: [START])
    with pytest.raises(KeyboardInterrupt):
        tracker.end("finished", said.append)
    assert "goes on by itself" in said[0]


def test_the_command_it_names_can_be_pasted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracker_module.sys, "executable", _script(tmp_path, "sys.exit(3)"))
    said: list[str] = []
    tracker = Tracker(tmp_path / "my run", OFFLINE)
    tracker.begin(lambda: [START])
    tracker.end("finished", said.append)
    assert said[0].endswith(f"--run '{tmp_path / 'my run'}'")


def test_a_reader_that_went_away_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def gone(line: str) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(tracker_module.sys, "executable", _script(tmp_path, "sys.exit(0)"))
    tracker = Tracker(tmp_path / "run", OFFLINE)
    tracker.begin(lambda: [START])
    tracker.end("finished", gone)
    assert caplog.text == ""
