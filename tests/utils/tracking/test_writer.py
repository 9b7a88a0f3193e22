"""The process that writes sessions: kills, signals, following a run, what is left on disk."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from seglab.utils.errors import UserError
from seglab.utils.tracking import writer
from seglab.utils.tracking.journal import (
    End,
    Image,
    Journal,
    Scalar,
    Start,
    Text,
)
from seglab.utils.tracking.locks import locked
from seglab.utils.tracking.writer import write_session

START = Start("p", "n", "training", time=10.0)
NAME = "H1 кошка 100%"
HASH = "abcdef0123" * 4


def wait_until(condition, seconds=15.0):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.05)


def test_a_writer_killed_in_the_middle_leaves_the_old_session(folder, write, start_writer):
    scalars = [Scalar("loss", "loss", 1.0, step) for step in range(10_000)]
    write(folder, START, Scalar("a", "a", 1, 1))
    old = (folder / "session.zip").read_bytes()
    journal = Journal(folder)
    journal.add(*scalars, End("finished"))
    journal.close()
    child = start_writer(folder)
    wait_until(lambda: [*folder.glob("session/offline/*/metrics.jsonl")])
    child.kill()
    child.wait()
    assert (folder / "session.zip").read_bytes() == old
    assert [*folder.glob("session/offline/*/metrics.jsonl")]
    session = write(folder)
    assert len(session.scalars()) == 10_001
    assert sorted(path.name for path in folder.iterdir()) == [
        "journal.jsonl", "session.json", "session.zip",
    ]  # fmt: skip


def test_signals_meant_for_the_run_do_not_break_the_writing(folder, start_writer, described):
    journal = Journal(folder)
    scalars = [Scalar("loss", "loss", 1.0, step) for step in range(5000)]
    journal.add(START, *scalars, End("interrupted"))
    journal.close()
    child = start_writer(folder)
    # Both before the SDK takes the signals over, and after.
    for sign in ("session/clearml_offline.conf", "session/offline/*/metrics.jsonl"):
        wait_until(lambda pattern=sign: [*folder.glob(pattern)])
        time.sleep(0.1)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            child.send_signal(number)
    assert child.wait(20) == 0
    assert zipfile.ZipFile(folder / "session.zip").testzip() is None
    assert described(folder)["journal_lines"] == 5002


def test_following_shows_entries_within_seconds_and_ends_with_the_run(
    folder, start_writer, write, described, save_png
):
    child = start_writer(folder, "--follow")
    journal = Journal(folder)
    time.sleep(0.5)  # an empty journal is no mistake
    journal.add(START)
    save_png(folder.parent / "a.png")

    def written():
        files = [*folder.glob("session/offline/*/metrics.jsonl")]
        return files[0].read_text().count("training_stats_scalar") if files else 0

    wait_until(lambda: (folder / "session.json").is_file())
    for step in range(3):
        journal.add(Scalar("loss", "loss", 1.0, step), Image("a", "b", step, "a.png"))
        wait_until(lambda count=step + 1: written() == count, seconds=3.0)
        wait_until(lambda lines=3 + 2 * step: described(folder)["journal_lines"] == lines)
        assert described(folder)["state"] == "open"
    assert len([*folder.glob("session/offline/*/data/**/*.png")]) == 3
    journal.add(Scalar("loss", "loss", 1.0, 3), Text("last"), End("finished"))
    assert child.wait(10) == 0
    assert described(folder)["state"] == "closed"
    # Whoever sends it reads on in the folder.
    assert written() == 4
    assert (folder / described(folder)["folder"] / "task.json").is_file()
    with zipfile.ZipFile(folder / "session.zip") as archive:
        assert archive.read("metrics.jsonl").count(b"training_stats_scalar") == 4
        assert archive.read("log.jsonl").count(b"last") == 1


def test_following_a_resumed_run_does_not_end_at_its_first_end(folder, start_writer, described):
    journal = Journal(folder)
    journal.add(START, Scalar("a", "a", 1.0, 1), End("interrupted"), START)
    child = start_writer(folder, "--follow")
    wait_until(lambda: (folder / "session.json").is_file())
    assert described(folder)["state"] == "open"
    journal.add(Scalar("a", "a", 2.0, 1), End("finished"))
    assert child.wait(10) == 0
    with zipfile.ZipFile(folder / "session.zip") as archive:
        events = [
            e for line in archive.read("metrics.jsonl").splitlines() for e in json.loads(line)
        ]
    assert [event["value"] for event in events] == [2.0]


def test_following_stops_when_its_parent_is_gone(folder, environment, described):
    journal = Journal(folder)
    journal.add(START, Scalar("a", "a", 1.0, 1))
    program = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'seglab.utils.tracking.writer',"
        " sys.argv[1], '--follow'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    writer = int(parent.stdout.readline())
    wait_until(lambda: (folder / "session.json").is_file())
    journal.add(Scalar("a", "a", 1.0, 2))
    parent.kill()
    parent.wait()
    wait_until(lambda: not is_running(writer))
    assert described(folder)["state"] == "open"
    assert described(folder)["journal_lines"] == 3
    (metrics,) = folder.glob("session/offline/*/metrics.jsonl")
    assert metrics.read_text().count("training_stats_scalar") == 2
    assert not (folder / "session.zip").exists()


def is_running(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def test_following_stops_on_sigterm_with_what_it_has(folder, start_writer, described):
    journal = Journal(folder)
    journal.add(START, Scalar("a", "a", 1.0, 1))
    child = start_writer(folder, "--follow")
    wait_until(lambda: (folder / "session.json").is_file())
    child.send_signal(signal.SIGINT)
    journal.add(Scalar("a", "a", 1.0, 2))
    child.send_signal(signal.SIGTERM)
    assert child.wait(10) == 0
    assert described(folder)["state"] == "open"
    assert described(folder)["journal_lines"] == 3


@pytest.mark.parametrize("option", [[], ["--follow"]], ids=["once", "follow"])
def test_a_second_writer_waits_for_the_first(option, folder, monkeypatch):
    Journal(folder).add(START, Scalar("a", "a", 1.0, 1), End("finished"))
    (folder / "session" / "offline").mkdir(parents=True)
    monkeypatch.setattr(writer, "_LOCK_SECONDS", 0.3)
    monkeypatch.setattr(writer.signal, "signal", lambda *_: None)  # this process keeps its own
    work = writer.follow if option else writer.write_once
    with (
        locked(folder, 0, UserError("busy")),
        pytest.raises(UserError, match="another process writes the session"),
    ):
        work(folder)
    assert (folder / "session" / "offline").is_dir()


def test_write_session_starts_the_writer(folder, monkeypatch, environment):
    for name in [name for name in os.environ if name.startswith(("CLEARML", "TRAINS"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", environment["HOME"])
    journal = Journal(folder)
    journal.add(START, Scalar("a", "a", 1.0, 1), End("finished"))
    path = write_session(folder)
    assert path == folder / "session.zip"
    with zipfile.ZipFile(path) as archive:
        assert b'"iter": 1' in archive.read("metrics.jsonl")


def test_write_session_tells_what_is_wrong(folder):
    with pytest.raises(UserError, match="say of which run it is, or is not there"):
        write_session(folder)
    journal = Journal(folder)
    journal.add(Text("no start"))
    with pytest.raises(UserError, match="does not say of which run"):
        write_session(folder)
    with (folder / "journal.jsonl").open("a") as stream:
        stream.write("{}\n")
    with pytest.raises(UserError, match="line 2"):
        write_session(folder)


def test_a_damaged_journal_is_one_line_in_the_log(folder, start_writer):
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_text("damage\n")
    child = start_writer(folder)
    output, _ = child.communicate(timeout=20)
    assert child.returncode == 2
    assert "journal.jsonl, line 1: not JSON" in output
    assert "Traceback" not in output
