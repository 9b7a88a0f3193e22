"""`seglab upload-results-to-clearml` as it is run: exit codes, lines, and the server's view."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from seglab.tools import upload_results_to_clearml


@pytest.fixture
def upload(clearml_environment, tmp_path):
    """Runs the tool; returns the exit code and what it printed."""

    def run(*arguments: object, **variables: str) -> tuple[int, str, str]:
        command = [sys.executable, "-m", "seglab.tools.upload_results_to_clearml"]
        done = subprocess.run(
            [*command, *map(str, arguments)],
            env={**clearml_environment, **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout, done.stderr

    return run


@pytest.fixture
def session(foreign_zip, tmp_path) -> Path:
    """A session of somebody's."""
    return Path(shutil.copy(foreign_zip, tmp_path / "theirs.zip"))


@pytest.fixture
def reference(tmp_path, project_root) -> Path:
    """A run that was never tracked, with a test."""
    return Path(
        shutil.copytree(project_root / "experiments" / "reference" / "lite", tmp_path / "lite")
    )


def faults(errors: str) -> list[str]:
    return [line for line in errors.replace("\r", "\n").splitlines() if line.startswith("error:")]


def test_a_run_and_its_test_then_again_nothing(upload, reference, stand_in) -> None:
    code, said, errors = upload("--run", reference)
    assert code == 0, errors
    assert said.count("sent to") == 2
    training, test = stand_in.tasks.values()
    assert (training["type"], training["status"]) == ("training", "completed")
    assert (test["type"], test["status"]) == ("testing", "completed")
    assert f"task {training['id']} (" in said
    assert f"{stand_in.url}/projects/" in said
    history = [json.loads(x) for x in (reference / "history.jsonl").read_text().splitlines()]
    sent = stand_in.scalars(training["id"])
    for record in history:
        assert sent["val", "mDice", record["epoch"]] == pytest.approx(record["val/mDice"])
    before, stand_in.requests[:] = json.dumps(stand_in.contents()), []
    code, said, errors = upload("--run", reference)
    assert code == 0, errors
    assert said.count(f"already on {stand_in.url} as task") == 2
    assert stand_in.requests == ["auth.login", "tasks.get_by_id", "tasks.get_by_id"]
    assert json.dumps(stand_in.contents()) == before


def test_a_broken_upload_goes_on_with_the_same_command(upload, session, stand_in) -> None:
    stand_in.die_after = 8
    code, said, errors = upload(session)
    assert (code, said) == (2, "")
    assert len(faults(errors)) == 1
    assert "it goes on where it stopped" in errors
    stand_in.restart()
    code, said, errors = upload(session)
    assert code == 0, errors
    (task,) = stand_in.tasks
    assert len(stand_in.scalars(task)) == 701
    sent, page = said.splitlines()  # and nothing of the SDK's own
    assert f"sent to {stand_in.url} as task {task} (701 scalars, 2 plots, 3 images" in sent
    assert page.strip().startswith(f"{stand_in.url}/projects/")
    assert (session.parent / "theirs.zip.upload.json").is_file()


def test_a_deleted_task_and_a_new_one(upload, session, stand_in) -> None:
    assert upload("--session", session)[0] == 0
    (old,) = stand_in.tasks
    stand_in.tasks.clear()
    code, _, errors = upload(session)
    assert code == 2
    (line,) = faults(errors)
    assert f"task {old} is not on {stand_in.url} any more" in line
    assert "fix: start a new one with --anew" in errors
    assert upload(session, "--anew", "--project", "another")[0] == 0
    (new,) = stand_in.tasks
    assert new != old
    assert stand_in.tasks[new]["project"] == stand_in.projects["another"]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"CLEARML_API_SECRET_KEY": "wrong"}, "does not accept the credentials"),
        ({"CLEARML_API_HOST": "http://127.0.0.1:9"}, "no server is running there"),
        ({"CLEARML_API_HOST": "localhost:8008"}, "is no address of a server"),
        ({"CLEARML_API_ACCESS_KEY": ""}, "no ClearML credentials"),
    ],
)
def test_a_server_that_cannot_be_used(variables, message, upload, session, stand_in) -> None:
    code, _, errors = upload(session, **variables)
    assert code == 2
    (line,) = faults(errors)
    assert message in line
    assert "fix:" in errors
    assert not stand_in.tasks


def test_passwords_in_addresses_are_not_shown(upload, session, stand_in) -> None:
    away = "http://user:swordfish@127.0.0.1:9"
    code, _, errors = upload(session, CLEARML_FILES_HOST=away)
    assert code == 2
    assert "http://127.0.0.1:9 refuses connections" in errors
    assert "swordfish" not in errors
    web = stand_in.url.replace("//", "//user:swordfish@")
    code, said, errors = upload(session, CLEARML_WEB_HOST=web)
    assert code == 0, errors
    assert f"{stand_in.url}/projects/" in said
    state = session.with_name(f"{session.name}.upload.json").read_text()
    assert "swordfish" not in said + errors + state


def test_no_right_to_write(upload, session, stand_in) -> None:
    stand_in.mode = "forbidden"
    code, _, errors = upload(session)
    assert code == 2
    assert "does not permit this: Forbidden (user has no write permission)" in errors


def test_a_server_that_never_answers(upload, session, stand_in) -> None:
    stand_in.mode = "hang"
    began = time.monotonic()
    code, _, errors = upload(session)
    assert code == 2
    assert "does not answer" in errors
    assert time.monotonic() - began < 30


def test_ctrl_c_ends_both_processes_with_one_line(session, stand_in, clearml_environment) -> None:
    stand_in.mode = "hang"
    command = [sys.executable, "-m", "seglab.tools.upload_results_to_clearml", str(session)]
    child = subprocess.Popen(
        command, env=clearml_environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    limit = time.monotonic() + 20
    while not stand_in._open and time.monotonic() < limit:
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGINT)
    _, errors = child.communicate(timeout=10)
    assert (child.returncode, errors) == (130, "interrupted\n")


def test_bad_input_is_refused_before_the_first_request(upload, session, stand_in) -> None:
    half = session.with_name("half.zip")
    with zipfile.ZipFile(session) as old, zipfile.ZipFile(half, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(name, content[:-40] if name == "metrics.jsonl" else content)
    code, _, errors = upload("nowhere", half, "--session", session)
    assert code == 2
    assert "2 faults; nothing was sent" in errors
    assert "metrics.jsonl breaks off in the middle of line" in errors
    assert not stand_in.requests
    code, said, _ = upload(half, "--partial", "--dry-run")
    assert code == 0
    assert "left out: metrics.jsonl breaks off" in said
    assert not stand_in.requests


def test_nothing_named(capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        upload_results_to_clearml.main([])
    assert caught.value.code == 2
    assert "name what to send" in capsys.readouterr().err
