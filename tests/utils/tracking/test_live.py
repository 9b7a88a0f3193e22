"""Sending while a run lasts: through the real SDK, with a server that comes and goes."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from seglab.tools.main import main
from seglab.utils.tracking.journal import (
    Artifact,
    End,
    Journal,
    Parameters,
    Scalar,
    Start,
    Text,
)
from seglab.utils.tracking.live import ALL_SENT, REST_LATER
from seglab.utils.tracking.settings import child_environment

POINTS = 40


class Run:
    """A run that records a point at a time, and its `live`."""

    def __init__(self, folder, environment, *options) -> None:
        self.folder = folder
        self.environment = environment
        self.journal = Journal(folder)
        self.points = 0
        self.journal.add(Start("project", "H1 run", "training", ("H1",)))
        self.journal.add(Parameters("optimizer", {"lr": 0.1}))
        command = [sys.executable, "-m", "seglab.utils.tracking.live", str(folder), *options]
        self.live = subprocess.Popen(
            command,
            env=child_environment(folder, offline=False, environ=environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def record(self, count: int) -> None:
        for _ in range(count):
            self.journal.add(Scalar("val", "mDice", self.points / 100, self.points))
            self.journal.add(Text(f"line {self.points}"))
            self.points += 1

    def end(self) -> tuple[int, str, float]:
        """Exit code, what it said, and how long it took."""
        weights = self.folder.parent / "best.pth"
        weights.write_bytes(b"weights" * 1000)
        began = time.monotonic()
        image = np.zeros((8, 8, 3), np.uint8)
        self.journal.add_image("best", "one", 0, image)
        self.journal.add(Artifact("best checkpoint", "best.pth"), End("finished"))
        self.journal.close()
        output, _ = self.live.communicate(timeout=60)
        return self.live.returncode, output, time.monotonic() - began

    def kill(self) -> None:
        self.live.kill()
        self.live.communicate()


@pytest.fixture
def start(tmp_path, clearml_environment):
    """Starts a run and its `live`."""
    started = []

    def run(*options) -> Run:
        started.append(Run(tmp_path / "run" / "tracking", clearml_environment, *options))
        return started[-1]

    yield run
    for each in started:
        each.kill()


def wait_for(condition, seconds: float = 20.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.05)


def points(stand_in) -> int:
    return max((len(stand_in.scalars(task)) for task in stand_in.tasks), default=0)


def require_whole(stand_in, run, status="completed") -> None:
    """Everything of the run is on the server, exactly once."""
    (task,) = stand_in.tasks
    expected = {("val", "mDice", step): step / 100 for step in range(run.points)}
    assert stand_in.scalars(task) == expected
    lines = "\n".join(event["msg"] for event in stand_in.of_type(task, "log")).splitlines()
    assert [x for x in lines if x.startswith("line")] == [f"line {i}" for i in range(run.points)]
    (image,) = stand_in.of_type(task, "training_debug_image")
    assert stand_in.file_of(image["url"])[1:4] == b"PNG"
    fields = stand_in.tasks[task]
    (artifact,) = fields["execution"]["artifacts"]
    assert stand_in.file_of(artifact["uri"]) == b"weights" * 1000
    assert fields["status"] == status
    assert fields["hyperparams"]["optimizer"]["lr"]["value"] == "0.1"
    assert (fields["name"], fields["tags"]) == ("H1 run", ["H1"])


def upload(run, monkeypatch) -> int:
    for name, value in run.environment.items():
        monkeypatch.setenv(name, value)
    return main(["upload-results-to-clearml", "--run", str(run.folder.parent)])


def make_it_a_run(run) -> None:
    (run.folder.parent / "run.json").write_text("{}")


def test_a_server_that_dies_in_mid_run_and_comes_back(start, stand_in) -> None:
    run = start()
    run.record(10)
    wait_for(lambda: points(stand_in) == 10)
    with stand_in.away():
        run.record(10)
        time.sleep(3)
    run.record(10)
    wait_for(lambda: points(stand_in) == 30)
    (task,) = stand_in.tasks
    assert stand_in.tasks[task]["status"] == "in_progress"
    run.record(5)
    code, said, seconds = run.end()
    assert code == ALL_SENT, said
    assert seconds < 10
    require_whole(stand_in, run)
    assert "trying again" in said
    assert "is there again" in said
    # The session is on disk as well, and what only sending needed is gone.
    with zipfile.ZipFile(run.folder / "session.zip") as packed:
        assert "task.json" in packed.namelist()
    assert not (run.folder / "session").exists()


@pytest.mark.parametrize("how", ["gone", "hang"])
def test_a_server_that_stays_away(how, start, stand_in, monkeypatch, capfd) -> None:
    run = start("--grace", "2")
    run.record(10)
    wait_for(lambda: points(stand_in) == 10)
    if how == "gone":
        stand_in.stop()
    else:
        stand_in.mode = "hang"
    run.record(10)
    code, said, seconds = run.end()
    assert code == REST_LATER, said
    assert seconds < 2 + 4
    advice = f"send the rest later: seglab upload-results-to-clearml --run {run.folder.parent}"
    assert advice in said
    stand_in.restart()
    if how == "gone":
        return
    make_it_a_run(run)
    assert upload(run, monkeypatch) == 0
    require_whole(stand_in, run)
    assert "sent to" in capfd.readouterr().out
    # Another session of the same journal, as after a resume, is not more to send.
    os.utime(run.folder / "journal.jsonl", (time.time() + 5, time.time() + 5))
    stand_in.requests.clear()
    assert upload(run, monkeypatch) == 0
    assert stand_in.requests == ["auth.login", "tasks.get_by_id"]
    assert "already on" in capfd.readouterr().out


PARENT = """
import subprocess, sys, time
folder = sys.argv[1]
child = subprocess.Popen([sys.executable, "-m", "seglab.utils.tracking.live", folder],
                         start_new_session=True)
print(child.pid, flush=True)
time.sleep(100)
"""


def test_it_ends_soon_after_a_run_that_was_killed(clearml_environment, stand_in, tmp_path) -> None:
    folder = tmp_path / "run" / "tracking"
    journal = Journal(folder)
    journal.add(Start("project", "H1 run", "training"), Scalar("val", "mDice", 0.5, 0))
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(folder)],
        env=child_environment(folder, offline=False, environ=clearml_environment),
        stdout=subprocess.PIPE,
        text=True,
    )
    live = int(parent.stdout.readline())
    try:
        wait_for(lambda: points(stand_in) == 1)
        journal.add(Scalar("val", "mDice", 0.6, 1))
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        began = time.monotonic()
        wait_for(lambda: not _runs(live), 15)
        assert time.monotonic() - began < 15
    finally:
        parent.kill()
        parent.stdout.close()
    assert points(stand_in) == 2
    (task,) = stand_in.tasks.values()
    assert task["status"] == "stopped"
    assert not _others(folder)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
        return state.rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _others(folder) -> list[str]:
    """Processes that still work on a folder."""
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if str(folder) in line]


def test_the_task_of_an_agent_is_used_and_ctrl_c_left_to_the_run(start, stand_in) -> None:
    stand_in.tasks["agents"] = {
        **{"id": "agents", "name": "queued", "type": "training", "status": "in_progress"},
        **{"project": "p", "hyperparams": {}, "script": {"entry_point": "-m x"}},
    }
    stand_in.events["agents"] = {}
    run = start("--task", "agents")
    run.record(1)
    wait_for(lambda: points(stand_in) == 1)
    os.kill(run.live.pid, signal.SIGINT)
    run.record(2)
    code, said, _ = run.end()
    assert code == ALL_SENT, said
    assert list(stand_in.tasks) == ["agents"]
    assert len(stand_in.scalars("agents")) == 3
    assert stand_in.tasks["agents"]["script"] == {"entry_point": "-m x"}
    state = json.loads((run.folder / "upload.json").read_text())
    assert (state["task"], state["adopted"]) == ("agents", True)


def test_credentials_that_are_withdrawn(start, stand_in) -> None:
    run = start()
    run.record(2)
    wait_for(lambda: points(stand_in) == 2)
    stand_in.mode = "unauthorised"
    run.record(2)
    code, said, seconds = run.end()
    assert code == REST_LATER
    assert "stopped sending" in said
    assert seconds < 10
    assert (run.folder / "session.zip").exists()
