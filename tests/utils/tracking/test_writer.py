"""The session that the real SDK writes of a journal, read back entry by entry, and its process."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from seglab.utils.errors import UserError
from seglab.utils.tracking import session as session_module
from seglab.utils.tracking.journal import (
    Artifact,
    Configuration,
    ConfusionMatrix,
    End,
    Image,
    Journal,
    Parameters,
    Scalar,
    Script,
    SingleValue,
    Start,
    Table,
    Text,
)
from seglab.utils.tracking.writer import write_session

START = Start("p", "n", "training", time=10.0)
NAME = "H1 кошка 100%"
HASH = "abcdef0123" * 4


def save_png(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Pillow.fromarray(pixels).save(path)
    return pixels


def described(folder):
    return json.loads((folder / "session.json").read_text())


def wait_until(condition, seconds=15.0):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "waited in vain"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def whole_journal():
    """Entries of every kind, with times of long ago."""
    return [
        Start("project/sub", NAME, "testing", ("H1", "split:val"), "Why?", time=1000.001),
        Script("https://host/r.git", "main", HASH, "--- a\n+ü\n", "src", "tools/a.py", time=1001),
        Parameters("optimizer", {"lr": 0.1, "a": {"b": [1, 2], "c": None}, "d": {}}, time=1002),
        Parameters("data", {"hash": "0" * 64, "flip": True}, time=1003),
        Configuration("config", "a = 1\nb = 'ü'\n", time=1004),
        Scalar("loss", "loss", 0.1, 1, time=1005.25),
        Scalar("loss", "decode.loss_ce", 1e-9, 1, time=1005.25),
        Scalar("val/Dice", "dog", 81.123456789, 1, time=1006.5),
        SingleValue("mDice", 80.125, time=1007),
        Table(
            "per class", "val", 1, ("class", "Dice"), (("dog", 0.8765), ("cat", None)), time=1008
        ),
        Table("empty", "val", 1, ("class", "Dice"), (), time=1008.5),
        ConfusionMatrix(
            "pixels", "val", 1, ("a", "b"), ((28311553, 1), (float("nan"), 0.5)), time=1009
        ),
        Image("best", "cats/1", 1, "test/best.png", time=1010.125),
        Artifact("model", "best.pth", {"epoch": "3", "val/mDice": "80.1"}, time=1011),
        Artifact("metrics", "metrics.json", time=1012),
        Text("first\nsecond ü", time=1013),
        Text("third", time=1013),
        Text("x" * 1_500_000, time=1014),
        End("finished", time=1015),
    ]


def make_run(base):
    """The files that `whole_journal` names."""
    save_png(base / "test" / "best.png")
    (base / "best.pth").write_bytes(np.random.default_rng(0).bytes(3_000_000))
    (base / "metrics.json").write_text('{"mDice": 80.125}')


@pytest.fixture(scope="module")
def whole(tmp_path_factory, whole_journal, make_environment, write_in):
    """`whole_journal`'s session; also where its run is, and what the writer connected to."""
    home = tmp_path_factory.mktemp("whole")
    environment = make_environment(home)
    make_run(home / "run")
    session = write_in(home / "run" / "tracking", whole_journal, environment)
    seen = Path(environment["SEEN_EVENTS"])
    session.run = home / "run"
    session.seen = seen.read_text() if seen.exists() else ""
    return session


def test_every_entry_is_in_the_session_as_it_was_recorded(whole):
    task = whole.task
    assert (task["project_name"], task["name"], task["type"]) == ("project/sub", NAME, "testing")
    assert (task["tags"], task["comment"]) == (["H1", "split:val"], "Why?")
    assert (task["status"], task["status_reason"]) == ("completed", "the run finished")
    assert task["script"] == {
        "repository": "https://host/r.git", "branch": "main", "version_num": HASH,
        "diff": "--- a\n+ü\n", "working_dir": "src", "entry_point": "tools/a.py",
        "binary": "python",
    }  # fmt: skip
    parameters = {
        section: {key: item["value"] for key, item in items.items()}
        for section, items in task["hyperparams"].items()
    }
    assert parameters == {
        "optimizer": {"lr": "0.1", "a/b": "[1, 2]", "a/c": "", "d": "{}"},
        "data": {"hash": "0" * 64, "flip": "True"},
    }
    assert task["configuration"]["config"]["value"] == "a = 1\nb = 'ü'\n"
    assert whole.scalars() == [
        ("loss", "loss", 1, 0.1, 1005250),
        ("loss", "decode.loss_ce", 1, 1e-9, 1005250),
        ("val/Dice", "dog", 1, 81.123456789, 1006500),
        ("Summary", "mDice", -(2**31), 80.125, 1007000),
    ]


def test_tables_and_matrices_keep_every_cell(whole):
    table, empty, matrix = whole.of("plot")
    assert [plot["timestamp"] for plot in (table, empty, matrix)] == [1008000, 1008500, 1009000]
    names = [(plot["metric"], plot["variant"], plot["iter"]) for plot in (table, empty, matrix)]
    assert names == [("per class", "val", 1), ("empty", "val", 1), ("pixels", "val", 1)]
    (content,) = json.loads(table["plot_str"])["data"]
    assert content["header"]["values"] == ["class", "Dice"]
    assert content["cells"]["values"] == [["a", "b"], [0.8765, ""]]
    (content,) = json.loads(matrix["plot_str"])["data"]
    assert content["x"] == content["y"] == ["a", "b"]
    # Counts of pixels are beyond what float32 holds exactly.
    assert content["z"] == [[28311553, 1], [None, 0.5]]


def test_images_and_artifacts_are_kept_byte_for_byte(whole):
    (image,) = whole.of("training_debug_image")
    assert (image["metric"], image["variant"], image["iter"]) == ("best", "cats/1", 1)
    assert image["timestamp"] == 1010125
    pixels = np.array(Pillow.open(BytesIO(whole.file_of(image["url"]))))
    assert (pixels == np.array(Pillow.open(whole.run / "test" / "best.png"))).all()
    assert whole.members[f"data/{image['key']}"] == (whole.run / "test" / "best.png").read_bytes()
    artifacts = {item["key"]: item for item in whole.task["execution"]["artifacts"]}
    assert set(artifacts) == {"model", "metrics"}
    for name, file in {"model": "best.pth", "metrics": "metrics.json"}.items():
        held = whole.file_of(artifacts[name]["uri"])
        assert held == (whole.run / file).read_bytes()
        assert artifacts[name]["hash"] == hashlib.sha256(held).hexdigest()
        assert artifacts[name]["content_size"] == len(held)
    assert artifacts["model"]["display_data"] == [["epoch", "3"], ["val/mDice", "80.1"]]


def test_the_console_is_what_the_run_said_and_nothing_else(whole):
    events = [
        event for line in whole.members["log.jsonl"].splitlines() for event in json.loads(line)
    ]
    assert [(event["msg"][:14], event["timestamp"]) for event in events] == [
        ("first\nsecond ü", 1013000),
        ("third", 1013001),  # the server sorts by time alone
        ("x" * 14, 1014000),
        ("x" * 14, 1014000),
    ]
    assert "".join(event["msg"] for event in events[2:]) == "x" * 1_500_000
    assert {event["level"] for event in events} == {"info"}


def test_what_is_left_beside_the_session(whole, whole_journal):
    folder, session = whole.run / "tracking", whole
    assert sorted(path.name for path in folder.iterdir()) == [
        "journal.jsonl", "session.json", "session.zip",
    ]  # fmt: skip
    assert described(folder) == {
        "schema": 1,
        "id": session.task["id"],
        "folder": f"session/offline/{session.task['id']}",
        "state": "closed",
        "status": "finished",
        "journal_lines": len(whole_journal),
        "missing": [],
    }


def test_a_second_writing_holds_the_same_events(whole, write):
    def plain(session):
        text = json.dumps(session.events) + session.members["log.jsonl"].decode()
        return text.replace(session.task["id"], "ID")

    assert plain(write(whole.run / "tracking")) == plain(whole)


def test_nothing_is_connected_to_or_started(whole):
    assert whole.seen == ""


def test_the_watch_can_see(environment, seen_events):
    program = "import socket; socket.getaddrinfo('localhost', 80)"
    subprocess.run([sys.executable, "-c", program], env=environment, check=False)
    assert any("getaddrinfo" in event for event in seen_events())


AGENT = {
    "CLEARML_TASK_ID": "f" * 32,
    "TRAINS_TASK_ID": "f" * 32,
    "CLEARML_LOG_ENVIRONMENT": "*",
    "CLEARML_PROC_MASTER_ID": "1:" + "f" * 32,
    "CLEARML_OFFLINE_MODE": "0",
    "RANK": "1",
    "LOCAL_RANK": "1",
    "WORLD_SIZE": "2",
    "TORCHELASTIC_RUN_ID": "x",
}


def test_no_secret_gets_into_the_session(folder, run, write, environment, whole_journal):
    secret = "s3cr3t"
    home = run / "home"
    home.mkdir()
    (home / "clearml.conf").write_text(
        f'api {{ credentials {{ access_key: "{secret}", secret_key: "{secret}" }} }}\n'
        'sdk { apply_environment: true, development { log_os_environments: ["*"] } }\n'
        f'environment {{ PLANTED: "{secret}" }}\n'
    )
    entries = [
        *whole_journal[:-1],
        Script(f"https://me:{secret}@host/r.git", "b", HASH, f"+token = '{secret}'", "", "a.py"),
        Parameters("command", {"line": f"train.py --token={secret}", "password": secret}),
        Configuration("config", f"aws_secret_access_key = {secret}"),
        Text(f"pushed to https://me:{secret}@host"),
        whole_journal[-1],
    ]
    around = {
        **AGENT,
        "HOME": str(home),
        "AWS_SECRET_ACCESS_KEY": secret,
        "CLEARML_API_SECRET_KEY": secret,
        "MY_VARIABLE": secret,
    }
    session = write(folder, *entries, **around)
    for name, content in session.members.items():
        assert secret.encode() not in content, name
    for path in folder.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), path
    assert session.task["id"].startswith("offline-")
    assert "Environment" not in session.task["hyperparams"]


def test_150_series_of_one_title_and_150_images_of_one_series_are_all_kept(folder, write):
    scalars = [Scalar("Dice", f"class {number}", number, 1) for number in range(150)]
    pixels = save_png(folder.parent / "a.png")
    images = [Image("best", "1", step, "a.png") for step in range(150)]
    session = write(folder, START, *scalars, *images, End("finished"))
    assert [point[:4] for point in session.scalars()] == [
        ("Dice", f"class {number}", 1, number) for number in range(150)
    ]
    shown = session.of("training_debug_image")
    assert [event["iter"] for event in shown] == list(range(150))
    assert len({event["key"] for event in shown}) == 150
    assert (np.array(Pillow.open(BytesIO(session.file_of(shown[-1]["url"])))) == pixels).all()


@pytest.mark.parametrize(
    ("end", "status"),
    [([End("failed")], "failed"), ([End("interrupted")], "stopped"), ([], "stopped")],
)
def test_how_the_run_ended_is_recorded(folder, write, end, status):
    session = write(folder, START, *end)
    assert session.task["status"] == status
    assert described(folder)["status"] == (end[0].status if end else None)
    assert described(folder)["state"] == "closed"


def test_files_that_are_gone_are_noted_and_cost_nothing_else(folder, write, tmp_path):
    (tmp_path / "outside.txt").write_text("not of this run")
    folder.parent.mkdir(parents=True)
    (folder.parent / "link.txt").symlink_to(tmp_path / "outside.txt")
    session = write(
        folder,
        START,
        Image("best", "1", 1, "gone.png"),
        Artifact("model", "gone.pth"),
        Artifact("again", "gone.pth"),
        Artifact("link", "link.txt"),
        Scalar("a", "a", 1, 1),
        End("finished"),
    )
    assert described(folder)["missing"] == ["gone.png", "gone.pth", "link.txt"]
    assert "missing: gone.pth" in session.output
    assert len(session.scalars()) == 1
    assert not session.task["execution"]["artifacts"]
    assert not any(b"not of this run" in content for content in session.members.values())


def test_a_resumed_run_holds_steps_that_were_trained_again_once(folder, write):
    save_png(folder.parent / "a.png", seed=1)
    save_png(folder.parent / "b.png", seed=2)
    first = [
        Start("p", "old", "training", ("old",), "old"),
        Parameters("optimizer", {"lr": 1, "gone": 1}),
        *[Scalar("loss", "loss", 1.0, step, time=100 + step) for step in range(1, 7)],
        Image("best", "1", 4, "a.png"),
        SingleValue("mDice", 1.0),
        Text("told twice", time=100),
        End("interrupted"),
    ]
    again = [
        Start("p", "new", "training", ("new",), "new"),
        Parameters("optimizer", {"lr": 2}),
        *[Scalar("loss", "loss", 2.0, step, time=200 + step) for step in range(4, 9)],
        Scalar("lr", "loss", 3.0, 4, time=300),
        Image("best", "1", 4, "b.png"),
        SingleValue("mDice", 2.0),
        Text("told twice", time=200),
        End("finished"),
    ]
    session = write(folder, *first, *again)
    assert session.scalars() == [
        *[("loss", "loss", step, 1.0, (100 + step) * 1000) for step in range(1, 4)],
        *[("loss", "loss", step, 2.0, (200 + step) * 1000) for step in range(4, 9)],
        ("lr", "loss", 4, 3.0, 300000),
        session.scalars()[-1],
    ]
    assert session.scalars()[-1][:4] == ("Summary", "mDice", -(2**31), 2.0)
    (image,) = session.of("training_debug_image")
    assert session.file_of(image["url"]) == (folder.parent / "b.png").read_bytes()
    task = session.task
    assert (task["name"], task["tags"], task["comment"]) == ("new", ["new"], "new")
    assert set(task["hyperparams"]["optimizer"]) == {"lr"}
    assert task["status"] == "completed"
    assert session.members["log.jsonl"].count(b"told twice") == 2


def test_a_long_journal_is_written_whole(folder, write):
    scalars = [Scalar("loss", "loss", step / 7, step, time=step) for step in range(20_000)]
    began = time.perf_counter()
    session = write(folder, START, *scalars, End("finished"))
    assert time.perf_counter() - began < 20  # seconds; 3 on an idle machine
    assert session.scalars() == [
        ("loss", "loss", step, step / 7, step * 1000) for step in range(20_000)
    ]


def test_a_writer_killed_in_the_middle_leaves_the_old_session(folder, write, start_writer):
    scalars = [Scalar("loss", "loss", 1.0, step) for step in range(20_000)]
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
    assert len(session.scalars()) == 20_001
    assert sorted(path.name for path in folder.iterdir()) == [
        "journal.jsonl", "session.json", "session.zip",
    ]  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_meant_for_the_run_do_not_break_the_writing(folder, start_writer, number):
    journal = Journal(folder)
    scalars = [Scalar("loss", "loss", 1.0, step) for step in range(5000)]
    journal.add(START, *scalars, End("interrupted"))
    journal.close()
    child = start_writer(folder)
    # Both before the SDK has taken the signals over, and after.
    wait_until(lambda: [*folder.glob("session/clearml_offline.conf")])
    time.sleep(0.1)
    child.send_signal(number)
    wait_until(lambda: [*folder.glob("session/offline/*/metrics.jsonl")])
    child.send_signal(number)
    assert child.wait(20) == 0
    assert zipfile.ZipFile(folder / "session.zip").testzip() is None
    assert described(folder)["journal_lines"] == 5002


def test_following_shows_entries_within_seconds_and_ends_with_the_run(folder, start_writer, write):
    child = start_writer(folder, "--follow")
    journal = Journal(folder)
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


def test_following_a_resumed_run_does_not_end_at_its_first_end(folder, start_writer):
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


def test_following_stops_when_its_parent_is_gone(folder, environment):
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


def test_following_stops_on_sigterm_with_what_it_has(folder, start_writer):
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


def test_a_second_writer_waits_for_the_first(folder, start_writer):
    journal = Journal(folder)
    journal.add(START)
    follower = start_writer(folder, "--follow")
    wait_until(lambda: (folder / "session.json").is_file())
    other = start_writer(folder)
    time.sleep(1.5)
    assert other.poll() is None
    journal.add(Scalar("a", "a", 1.0, 1), End("finished"))
    assert follower.wait(10) == 0
    assert other.wait(20) == 0
    assert described(folder)["journal_lines"] == 3


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
    with pytest.raises(UserError, match="holds no journal.jsonl"):
        write_session(folder)
    journal = Journal(folder)
    journal.add(Text("no start"))
    with pytest.raises(UserError, match="does not say which run"):
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


def test_a_zip_that_lacks_a_file_is_not_taken_for_a_session(tmp_path):
    folder, packed = tmp_path / "offline-1", tmp_path / "offline-1.zip"
    folder.mkdir()
    (folder / "task.json").write_text("{}")
    (folder / "metrics.jsonl").write_text("[]\n")
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(folder / "task.json", "task.json")
    with pytest.raises(OSError, match=r"not whole, is the disk full\? It lacks metrics.jsonl"):
        session_module._require_whole(packed, folder, set())
    packed.write_bytes(packed.read_bytes()[:-10])
    with pytest.raises(OSError, match="damaged"):
        session_module._require_whole(packed, folder, set())
