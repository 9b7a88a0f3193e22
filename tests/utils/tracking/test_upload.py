"""Runs and sessions on disk: what is prepared and refused before anything is sent."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from foreign_session import rewrite

from seglab.utils.errors import UserError
from seglab.utils.tracking import upload as upload_module
from seglab.utils.tracking.journal import End, Journal, Scalar, Start, Text
from seglab.utils.tracking.locks import locked
from seglab.utils.tracking.upload import Job, Options, upload


@pytest.fixture(autouse=True)
def no_server(monkeypatch, tmp_path):
    """Credentials there are; nothing may be sent."""
    monkeypatch.setenv("CLEARML_API_ACCESS_KEY", "key")
    monkeypatch.setenv("CLEARML_API_SECRET_KEY", "secret")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CLEARML_CONFIG_FILE", str(tmp_path / "clearml.conf"))

    def refuse(jobs, handles):
        raise AssertionError("something was sent")

    monkeypatch.setattr(upload_module, "_send", refuse)


@pytest.fixture
def jobs(monkeypatch):
    """The jobs that would be sent."""
    taken: list[Job] = []
    monkeypatch.setattr(upload_module, "_send", lambda found, _: taken.extend(found) or 0)
    return taken


@pytest.fixture
def run(tmp_path):
    """A finished run that was tracked, with its session."""
    folder = tmp_path / "run"
    record(folder, End("failed"))
    return folder


def record(folder, *more):
    journal = Journal(folder / "tracking")
    journal.add(Start("project", "H1", "training"), Scalar("val", "mDice", 0.5, 1), *more)
    journal.close()
    (folder / "run.json").write_text("{}")
    return folder


def test_the_session_is_written_when_it_is_missing_or_old(run, jobs) -> None:
    packed = run / "tracking" / "session.zip"
    assert upload([run], [], Options()) == 0
    first = packed.stat()
    assert upload([run], [], Options()) == 0
    assert packed.stat().st_ino == first.st_ino
    os.utime(run / "tracking" / "journal.jsonl", (time.time() + 5, time.time() + 5))
    assert upload([run], [], Options()) == 0
    assert packed.stat().st_ino != first.st_ino
    assert [(job.label, job.status) for job in jobs] == [(str(run), "failed")] * 3
    assert jobs[0].state == str(run / "tracking" / "upload.json")


def test_a_run_that_has_not_ended(tmp_path, jobs) -> None:
    run = record(tmp_path / "run")
    with pytest.raises(UserError, match="has no end: the run was killed, or still goes on") as e:
        upload([run], [], Options())
    assert "--partial" in e.value.fix
    assert upload([run], [], Options(partial=True)) == 0
    assert jobs[0].status == "stopped"


def test_a_run_without_metrics(tmp_path) -> None:
    run = tmp_path / "run"
    journal = Journal(run / "tracking")
    journal.add(Start("project", "H1", "training"), Text("hello"), End("failed"))
    journal.close()
    (run / "run.json").write_text("{}")
    with pytest.raises(UserError, match="holds no metrics: nothing was recorded"):
        upload([run], [], Options())


def test_everything_wrong_at_once(tmp_path, run, foreign_zip) -> None:
    (tmp_path / "not_a_run").mkdir()
    cut = tmp_path / "cut.zip"
    cut.write_bytes(foreign_zip.read_bytes()[:5000])
    (run / "tracking" / "journal.jsonl").write_text("nonsense\n")
    with pytest.raises(UserError) as caught:
        upload([tmp_path / "nowhere", tmp_path / "not_a_run", run], [cut], Options())
    message = str(caught.value)
    assert "4 faults; nothing was sent" in message
    assert "run folder not found" in message
    assert "not_a_run is no run" in message
    assert "journal.jsonl, line 1: not JSON" in message
    assert "cut.zip is no whole zip" in message
    assert message.count("fix:") == 4


def test_no_credentials_at_all(monkeypatch, run) -> None:
    monkeypatch.delenv("CLEARML_API_SECRET_KEY")
    with pytest.raises(UserError, match="no ClearML credentials") as caught:
        upload([run], [], Options())
    assert "clearml-init" in caught.value.fix
    assert "CLEARML_API_SECRET_KEY" in caught.value.fix
    assert not (run / "tracking" / "session.zip").exists()


def test_a_dry_run_needs_no_server(monkeypatch, run, foreign_zip) -> None:
    monkeypatch.delenv("CLEARML_API_SECRET_KEY")
    lines: list[str] = []
    options = Options(project="mine")
    assert upload([run], [foreign_zip], options, dry_run=True, show=lines.append) == 0
    ours, theirs = lines
    assert "training task 'H1', failed" in ours
    assert "1 scalar" in ours
    for part in ("project: mine", "tags: theirs", "701 scalars, 2 plots, 3 images", "2 artifacts"):
        assert part in theirs
    assert "204.8 KB  artifact weights" in theirs
    assert "hyper-parameters: 2 (sections: 1)" in theirs


def test_names_that_would_steer_a_terminal(foreign_zip, tmp_path) -> None:
    def steering(content: bytes) -> bytes:
        task = {**json.loads(content), "tags": ["\x1b[2J", "\ud800"], "project_name": "a\nb"}
        task["execution"]["artifacts"][0].update(key="\x1b[31m", uri="/gone")
        return json.dumps(task).encode()

    path = rewrite(foreign_zip, tmp_path / "theirs.zip", task_json=steering)
    with pytest.raises(UserError) as caught:
        upload([], [path], Options())
    assert r"artifact \x1b[31m is missing" in str(caught.value)
    lines: list[str] = []
    assert upload([], [path], Options(partial=True), dry_run=True, show=lines.append) == 0
    assert r"tags: \x1b[2J, \ud800" in lines[0]
    assert r"project: a\nb" in lines[0]
    assert r"left out: the file of the artifact \x1b[31m is missing" in lines[0]


def test_what_is_named_twice_is_sent_once(run, foreign_zip, tmp_path, jobs, monkeypatch) -> None:
    path = Path(shutil.copy(foreign_zip, tmp_path / "theirs.zip"))
    (tmp_path / "link").symlink_to(run)
    monkeypatch.chdir(tmp_path)
    assert upload([run, tmp_path / "link", Path("run")], [path, Path("theirs.zip")], Options()) == 0
    assert [job.label for job in jobs] == [str(run), str(path)]


def test_what_another_process_sends(run, foreign_zip, tmp_path) -> None:
    path = Path(shutil.copy(foreign_zip, tmp_path / "theirs.zip"))
    busy = UserError("held")
    with (
        locked(run / "tracking" / "journal.jsonl", 0, busy),
        locked(path, 0, busy),
        pytest.raises(UserError) as caught,
    ):
        upload([run], [path], Options(partial=True))
    assert str(caught.value).count("another process sends it") == 2
    assert not (run / "tracking" / "session.zip").exists()


def test_a_damaged_state_is_told_before_anything_is_sent(run, foreign_zip, tmp_path, jobs) -> None:
    path = Path(shutil.copy(foreign_zip, tmp_path / "theirs.zip"))
    (run / "tracking" / "upload.json").write_text("{")
    (tmp_path / "theirs.zip.upload.json").write_text("[]")
    with pytest.raises(UserError, match="2 faults; nothing was sent"):
        upload([run], [path], Options())
    assert upload([run], [path], Options(anew=True)) == 0
    assert len(jobs) == 2


def test_a_session_keeps_its_state_beside_it(tmp_path, foreign_zip, jobs) -> None:
    path = shutil.copy(foreign_zip, tmp_path / "theirs.zip")
    assert upload([], [path], Options(anew=True)) == 0
    assert jobs[0].state == str(tmp_path / "theirs.zip.upload.json")
    assert (jobs[0].status, jobs[0].anew) == ("completed", True)


def test_a_folder_that_may_not_be_written(tmp_path, foreign_zip, monkeypatch) -> None:
    def denied(*args, **kwargs):
        raise PermissionError(13, "Permission denied", "somewhere")

    path = shutil.copy(foreign_zip, tmp_path / "theirs.zip")
    monkeypatch.setattr("seglab.utils.io_utils.tempfile.TemporaryFile", denied)
    with pytest.raises(UserError, match="cannot be written: Permission denied"):
        upload([], [path], Options())
    assert upload([], [path], Options(), dry_run=True, show=lambda _: None) == 0
    monkeypatch.setattr("seglab.utils.tracking.upload.journal_of_run", denied)
    (tmp_path / "run").mkdir()
    with pytest.raises(UserError, match="somewhere cannot be written: Permission denied"):
        upload([tmp_path / "run"], [], Options())


def test_runs_that_nobody_tracked_are_sent_with_their_tests(tmp_path, project_root, jobs) -> None:
    run = tmp_path / "lite"
    shutil.copytree(project_root / "experiments" / "reference" / "lite", run)
    assert upload([run], [], Options()) == 0
    assert [job.label for job in jobs] == [str(run), str(run / "test_val")]
    assert "scalars" in jobs[0].counts
    assert "plots" in jobs[1].counts
