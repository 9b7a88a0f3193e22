"""The session that the real SDK writes of a journal, read back entry by entry."""

import hashlib
import json
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

START = Start("p", "n", "training", time=10.0)
NAME = "H1 кошка 100%"
HASH = "abcdef0123" * 4


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
        Table("per class", "val", 1, ("class", "Dice"), (("a", 0.8765), ("b", None)), time=1008),
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


def make_run(base, save_png):
    """The files that `whole_journal` names."""
    save_png(base / "test" / "best.png")
    (base / "best.pth").write_bytes(np.random.default_rng(0).bytes(3_000_000))
    (base / "metrics.json").write_text('{"mDice": 80.125}')


@pytest.fixture(scope="module")
def whole(tmp_path_factory, whole_journal, make_environment, write_in, save_png):
    """`whole_journal`'s session; also where its run is, and what the writer connected to."""
    home = tmp_path_factory.mktemp("whole")
    environment = make_environment(home)
    make_run(home / "run", save_png)
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


def test_what_is_left_beside_the_session(whole, whole_journal, described):
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


def test_no_secret_gets_into_the_session(folder, write, tmp_path, whole_journal, save_png):
    secret = "s3cr3t"
    make_run(folder.parent, save_png)
    home = tmp_path / "home"
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


def test_150_series_of_one_title_and_150_images_of_one_series_are_all_kept(folder, write, save_png):
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
def test_how_the_run_ended_is_recorded(folder, write, end, status, described):
    session = write(folder, START, *end)
    assert session.task["status"] == status
    assert described(folder)["status"] == (end[0].status if end else None)
    assert described(folder)["state"] == "closed"


def test_files_that_are_gone_are_noted_and_cost_nothing_else(folder, write, tmp_path, described):
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


def test_a_resumed_run_holds_steps_that_were_trained_again_once(folder, write, save_png):
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


def test_a_zip_that_lacks_a_file_is_not_taken_for_a_session(tmp_path):
    folder, packed = tmp_path / "offline-1", tmp_path / "offline-1.zip"
    folder.mkdir()
    (folder / "task.json").write_text("{}")
    (folder / "metrics.jsonl").write_text("[]\n")
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(folder / "task.json", "task.json")
    with pytest.raises(UserError, match="lacks metrics.jsonl"):
        session_module._require_files(packed, folder, set())
    packed.write_bytes(packed.read_bytes()[:-10])
    with pytest.raises(UserError, match="damaged"):
        session_module._require_files(packed, folder, set())


def test_a_full_disk_never_makes_half_a_session(folder, write, environment):
    scalars = [Scalar("loss", "loss", 1.0, step) for step in range(1000)]
    write(folder, START, Scalar("a", "a", 1.0, 1))
    old = (folder / "session.zip").read_bytes()
    journal = Journal(folder)
    journal.add(*scalars, End("finished"))
    # The SDK swallows what the system then says: no file may grow beyond 50 kB.
    command = 'ulimit -f 50; exec "$0" -m seglab.utils.tracking.writer "$1"'
    child = subprocess.run(
        ["bash", "-c", command, sys.executable, str(folder)],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert child.returncode == 2, child.stdout + child.stderr
    assert "metrics.jsonl lacks" in child.stderr
    assert "Traceback" not in child.stderr.partition("error:")[2]
    assert (folder / "session.zip").read_bytes() == old
    assert len(write(folder).scalars()) == 1001
