"""One session to one task, however often the connection breaks; through the SDK's own client."""

import json
import re
import subprocess
import sys
import time
import zipfile
from urllib.parse import unquote

import pytest
from clearml_stand_in import ClearMLStandIn, RefusedError
from foreign_session import rewrite

from seglab.utils.errors import UserError
from seglab.utils.tracking.faults import ServerError, TaskGoneError, UnreachableError
from seglab.utils.tracking.locks import locked
from seglab.utils.tracking.sdk_session import SdkSession
from seglab.utils.tracking.session_summary import summarise
from seglab.utils.tracking.settings import child_environment
from seglab.utils.tracking.upload_state import UploadState

ROUNDS = 60  # more than any upload needs


@pytest.fixture
def sdk(clearml_environment, tmp_path, monkeypatch):
    """The SDK in this process, as a child of ours would meet it."""
    settings = child_environment(tmp_path / "sdk", offline=False, environ=clearml_environment)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    from clearml.backend_api import Session
    from clearml.backend_interface.base import InterfaceBase
    from clearml.storage.helper import StorageHelper

    for owner in (Session, InterfaceBase):
        monkeypatch.setattr(owner, "_offline_mode", False)
    monkeypatch.setattr(InterfaceBase, "_default_session", None)
    monkeypatch.setattr(StorageHelper, "_helpers", {})


@pytest.fixture
def state_file(tmp_path):
    return tmp_path / "upload.json"


def send(path, state_file, **options):
    """One attempt; returns the sender."""
    from seglab.utils.tracking.sender import Sender
    from seglab.utils.tracking.server import Limits, Server

    server = Server(Limits(request=1.5, stall=1.5))
    sender = Sender(SdkSession(path), UploadState.load(state_file), server, **options)
    sender.pump()
    sender.finish("completed")
    return sender


def held(stand_in, task, key="task"):
    """Everything that a server holds of a task, links by the content behind them."""
    fields = json.loads(json.dumps(stand_in.tasks[task]))
    for item in fields["execution"]["artifacts"]:
        item["uri"] = len(stand_in.file_of(item["uri"])), item["uri"].rsplit("/", 1)[1]
    chosen = ("name", "type", "tags", "execution", "hyperparams", "configuration", "status")
    events = []
    for event in stand_in.events[task].values():
        event = {**event, "task": ""}
        if "url" in event:
            event["url"] = stand_in.file_of(event["url"])[:100].hex()
            event["key"] = event["key"].replace(task, "")
        # The SDK says in the log which offline task it made.
        events.append(re.sub("offline-[0-9a-f]+", "", json.dumps(event, sort_keys=True)))
    return {name: fields.get(name) for name in chosen}, sorted(events)


@pytest.fixture
def sent_whole(foreign_zip, tmp_path, sdk, stand_in, state_file):
    """What the server holds after an upload that nothing disturbed."""
    state = tmp_path / "whole.json"
    sender = send(foreign_zip, state)
    whole = held(stand_in, sender.state.task)
    stand_in.tasks.clear()
    stand_in.events.clear()
    stand_in.files.clear()
    return whole


def test_the_server_holds_what_the_sdks_own_import_leaves(
    foreign_zip, sdk, stand_in, state_file, clearml_environment
) -> None:
    sender = send(foreign_zip, state_file)
    ours = held(stand_in, sender.state.task)
    with ClearMLStandIn() as other:
        theirs_environment = {**clearml_environment, **other.environment(state_file.parent)}
        code = f"from clearml import Task; Task.import_offline_session({str(foreign_zip)!r})"
        subprocess.run([sys.executable, "-c", code], env=theirs_environment, check=True)
        (task,) = other.tasks
        # The SDK's links are not quoted, so that `#` in a name breaks them; ours are.
        other.files = {unquote(name): content for name, content in other.files.items()}
        theirs = held(other, task)
    assert ours == theirs
    assert len([e for e in ours[1] if '"type": "log"' not in e]) == 700 + 3 + 1 + 1 + 1
    assert len([e for e in ours[1] if "a line of the console" in e]) == 1
    assert stand_in.tasks[sender.state.task]["hyperparams"]["optimizer"]["lr"]["value"] == "0.1"


def test_every_image_and_artifact_can_be_fetched_by_its_link(
    foreign_zip, sdk, stand_in, state_file
) -> None:
    task = send(foreign_zip, state_file).state.task
    with zipfile.ZipFile(foreign_zip) as packed:
        contents = {packed.read(n) for n in packed.namelist() if n.startswith("data/")}
    links = [e["url"] for e in stand_in.of_type(task, "training_debug_image")]
    links += [item["uri"] for item in stand_in.tasks[task]["execution"]["artifacts"]]
    assert {stand_in.file_of(link) for link in links} == contents
    assert len(contents) == len(stand_in.files) == 5
    assert all(re.fullmatch(r"[!-~]+", link) and "#" not in link for link in links)


def test_an_image_inside_a_plot(foreign_zip, sdk, stand_in, state_file, tmp_path) -> None:
    session = SdkSession(foreign_zip)
    folder = session.task["offline_folder"]
    inside = f"{folder}/data/{{}}.{session.id}/metrics/seen/odd 0x230x3f name/"
    with zipfile.ZipFile(foreign_zip) as packed:
        image = next(n for n in packed.namelist() if "/metrics/seen/" in n)
        content = packed.read(image)
    images = [{"source": f"{folder}/{image}"}, {"source": "data:image/png;base64,AAAA"}]
    images += [{"source": inside.format("../../../etc")}, {"source": f"{folder}/data/none"}]
    deep = {"type": "plot", "task": session.id, "iter": 0, "metric": "deep", "variant": "v"}
    deep["plot_str"] = session.id + "[" * 100_000
    deeper = {**deep, "metric": "deeper", "plot_str": "[" * 100_000 + session.id}
    plot = {"type": "plot", "task": session.id, "iter": 0, "metric": "m", "variant": "v"}
    plot["plot_str"] = json.dumps({"data": [], "layout": {"images": images}})

    def more(old: bytes) -> bytes:
        return old + json.dumps([plot, deep, deeper]).encode() + b"\n"

    path = rewrite(foreign_zip, tmp_path / "more.zip", metrics_jsonl=more)
    task = send(path, state_file).state.task
    (found,) = (e for e in stand_in.of_type(task, "plot") if e["metric"] == "m")
    sent = json.loads(found["plot_str"])["layout"]["images"]
    assert stand_in.file_of(sent[0]["source"]) == content
    assert sent[1:] == images[1:]
    assert len(stand_in.of_type(task, "plot")) == 2 + 3


# What goes over the network counts: each letter with an umlaut is sent as six.
@pytest.mark.parametrize("text", ["x" * (13 << 20), "ä" * (3 << 20)], ids=["long", "escaped"])
def test_an_event_that_no_server_takes(
    text, foreign_zip, sdk, stand_in, state_file, tmp_path
) -> None:
    plot = {"type": "plot", "task": SdkSession(foreign_zip).id, "iter": 0, "variant": "v"}
    plot |= {"metric": "huge", "plot_str": text}

    def more(old: bytes) -> bytes:
        return json.dumps([plot]).encode() + b"\n" + old

    path = rewrite(foreign_zip, tmp_path / "more.zip", metrics_jsonl=more)
    said: list[str] = []
    task = send(path, state_file, tell=said.append).state.task
    assert said == ["left out, too large for the server: plot huge/v"]
    assert len(stand_in.scalars(task)) == 701


def test_a_second_upload_sends_nothing(foreign_zip, sdk, stand_in, state_file) -> None:
    send(foreign_zip, state_file)
    before, stand_in.requests[:] = json.dumps(stand_in.contents()), []
    again = send(foreign_zip, state_file)
    assert not again.has_sent
    assert stand_in.requests == ["auth.login", "tasks.get_by_id"]
    assert json.dumps(stand_in.contents()) == before


@pytest.mark.parametrize("lose_answer", [False, True], ids=["not carried out", "answer lost"])
def test_a_connection_that_breaks_at_every_request(
    lose_answer, foreign_zip, sdk, stand_in, state_file, sent_whole
) -> None:
    # The server dies at request 1, at the next attempt at request 2 and so on: each request of
    # an upload is once the one that breaks.
    for requests in range(1, ROUNDS):
        stand_in.restart()
        stand_in.die_after, stand_in.lose_answer = requests, lose_answer
        try:
            send(foreign_zip, state_file)
            break
        except UnreachableError:
            continue
    assert 5 < requests < ROUNDS
    (task,) = stand_in.tasks
    assert held(stand_in, task) == sent_whole
    assert len(stand_in.files) == 5


@pytest.mark.parametrize("requests", [3, 4, 9, 12])
def test_one_break_and_one_more_attempt(
    requests, foreign_zip, sdk, stand_in, state_file, sent_whole
) -> None:
    stand_in.die_after, stand_in.lose_answer = requests, True
    with pytest.raises(UnreachableError):
        send(foreign_zip, state_file)
    stand_in.restart()
    assert send(foreign_zip, state_file).has_sent
    (task,) = stand_in.tasks
    assert held(stand_in, task) == sent_whole


def test_what_was_acknowledged_is_not_sent_again(foreign_zip, sdk, stand_in, state_file) -> None:
    stand_in.die_after = 7  # in the middle of the images, behind a first batch
    with pytest.raises(UnreachableError):
        send(foreign_zip, state_file)
    stand_in.restart()
    sent = json.loads(state_file.read_text())["cursors"]["metrics.jsonl"]["sent"]
    assert sent == 500
    stand_in.requests.clear()
    send(foreign_zip, state_file)
    assert stand_in.requests.count("events.add_batch") == 2
    assert "tasks.create" not in stand_in.requests


@pytest.mark.parametrize("when", ["login", "request", "file"])
def test_a_server_that_hangs(when, foreign_zip, sdk, stand_in, state_file, monkeypatch) -> None:
    if when == "login":
        stand_in.mode = "hang"
    else:
        name = "tasks.create" if when == "request" else "file"
        usual = stand_in.misbehave

        def hang_at(request):
            if request == name:
                stand_in.mode = "hang"
            return usual(request)

        monkeypatch.setattr(stand_in, "misbehave", hang_at)
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="does not answer"):
        send(foreign_zip, state_file)
    assert time.monotonic() - began < 8


def test_a_deadline_ends_a_wait_at_once(foreign_zip, sdk, stand_in, state_file) -> None:
    import threading

    from seglab.utils.tracking.server import Deadline, Limits, Server

    stand_in.mode = "hang"
    deadline = Deadline()
    threading.Timer(0.5, deadline.within, [0.2]).start()
    began = time.monotonic()
    with pytest.raises(UnreachableError):
        Server(Limits(request=30, stall=30), deadline)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    ("mode", "kind", "message"),
    [
        ("unauthorised", ServerError, "does not accept the credentials"),
        ("forbidden", ServerError, "does not permit this: Forbidden"),
        ("error", UnreachableError, r"answers with an error \(500"),
    ],
)
def test_a_server_that_refuses(mode, kind, message, foreign_zip, sdk, stand_in, state_file) -> None:
    stand_in.mode = mode
    with pytest.raises(kind, match=message) as caught:
        send(foreign_zip, state_file)
    assert type(caught.value) is kind
    assert caught.value.fix


@pytest.mark.parametrize("name", ["projects.create", "tasks.create", "events.add_batch"])
@pytest.mark.parametrize("said", [{}, {"id": None}, {"id": 7}, None])
def test_an_answer_that_says_nothing_is_no_acknowledgement(
    name, said, foreign_zip, sdk, stand_in, state_file, monkeypatch
) -> None:
    usual = stand_in.answer
    monkeypatch.setattr(stand_in, "answer", lambda n, c: said if n == name else usual(n, c))
    with pytest.raises(UnreachableError, match="answers what no ClearML server does"):
        send(foreign_zip, state_file)
    monkeypatch.setattr(stand_in, "answer", usual)
    task = send(foreign_zip, state_file).state.task
    assert list(stand_in.tasks) == [task]
    assert len(stand_in.scalars(task)) == 701


@pytest.mark.parametrize("at", [0, 4], ids=["image", "artifact"])
def test_a_file_server_that_fails(
    at, foreign_zip, sdk, stand_in, state_file, sent_whole, monkeypatch
) -> None:
    def full(parts):
        if len(stand_in.files) >= at:
            raise RefusedError(507, "Insufficient Storage")
        usual(parts)

    usual = stand_in.add_files
    with monkeypatch.context() as patch:
        patch.setattr(stand_in, "add_files", full)
        with pytest.raises(UnreachableError, match=r"answers with an error \(507"):
            send(foreign_zip, state_file)
    (task,) = stand_in.tasks.values()
    assert task["status"] == "in_progress"
    assert task["execution"]["artifacts"] == []
    send(foreign_zip, state_file)
    assert held(stand_in, task["id"]) == sent_whole


def test_a_task_that_was_deleted(foreign_zip, sdk, stand_in, state_file) -> None:
    send(foreign_zip, state_file)
    stand_in.tasks.clear()
    with pytest.raises(TaskGoneError, match="was deleted there") as caught:
        send(foreign_zip, state_file)
    assert "--anew" in caught.value.fix


def test_another_server(foreign_zip, sdk, stand_in, state_file) -> None:
    first = send(foreign_zip, state_file)
    content = json.loads(state_file.read_text())
    state_file.write_text(json.dumps({**content, "server": "http://other:8008"}))
    with pytest.raises(ServerError, match=f"task {first.state.task} on http://other:8008"):
        send(foreign_zip, state_file)
    assert len(stand_in.tasks) == 1


def test_a_session_that_was_written_anew_from_more(
    foreign_zip, sdk, stand_in, state_file, tmp_path
) -> None:
    # A resumed run: new id, new folder, the old events and more.
    task = send(foreign_zip, state_file).state.task
    logs = len(stand_in.of_type(task, "log"))
    old = SdkSession(foreign_zip).id
    new = "offline-" + "0" * 32

    def renamed(content: bytes) -> bytes:
        return content.replace(old.encode(), new.encode())

    def more(content: bytes) -> bytes:
        point = {"type": "training_stats_scalar", "task": new, "iter": 700, "timestamp": 9}
        point |= {"metric": "loss", "variant": "train", "value": 0.5}
        return renamed(content) + json.dumps([point]).encode() + b"\n"

    folder = tmp_path / "anew"
    with zipfile.ZipFile(foreign_zip) as packed:
        for name in packed.namelist():
            path = folder / name.replace(old, new)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(packed.read(name))
    for name, change in (("task.json", renamed), ("log.jsonl", renamed), ("metrics.jsonl", more)):
        (folder / name).write_bytes(change((folder / name).read_bytes()))
    stand_in.requests.clear()
    assert send(folder, state_file).state.task == task
    assert stand_in.requests.count("events.add_batch") == 1
    assert not [name for name in stand_in.requests if name.startswith("file")]
    assert len(stand_in.scalars(task)) == 702
    assert len(stand_in.of_type(task, "log")) == logs


def test_a_session_that_begins_otherwise_is_sent_whole(
    foreign_zip, sdk, stand_in, state_file, tmp_path
) -> None:
    task = send(foreign_zip, state_file).state.task
    logs = len(stand_in.of_type(task, "log"))
    other = rewrite(
        foreign_zip, tmp_path / "other.zip", metrics_jsonl=lambda c: c.replace(b"1.0,", b"7.0,", 1)
    )
    send(other, state_file)
    assert stand_in.scalars(task)["loss", "train", 0] == 7.0
    assert len(stand_in.scalars(task)) == 701
    assert len(stand_in.of_type(task, "log")) == logs


def test_a_session_that_grows(foreign_zip, sdk, stand_in, state_file, tmp_path) -> None:
    from seglab.utils.tracking.sender import Sender
    from seglab.utils.tracking.server import Server

    folder = tmp_path / "session"
    with zipfile.ZipFile(foreign_zip) as packed:
        packed.extractall(folder)
    metrics = folder / "metrics.jsonl"
    whole = metrics.read_bytes()
    metrics.write_bytes(whole[:10_000])  # a line is being written
    sender = Sender(SdkSession(folder), UploadState.load(state_file), Server())
    sender.pump()
    task = sender.state.task
    assert stand_in.tasks[task]["status"] == "in_progress"
    few = len(stand_in.scalars(task))
    with metrics.open("ab") as stream:
        stream.write(whole[10_000:])
    with stand_in.away(), pytest.raises(UnreachableError):
        sender.pump()
    assert len(stand_in.scalars(task)) == few
    sender.pump()
    sender.finish("failed", "a test")
    assert len(stand_in.scalars(task)) == 701
    assert stand_in.tasks[task]["status"] == "failed"


def test_the_task_that_an_agent_runs_keeps_what_it_was_queued_with(
    foreign_zip, sdk, stand_in, state_file
) -> None:
    queued = {"name": "queued", "type": "training", "comment": "theirs", "tags": ["a"]}
    queued |= {"script": {"entry_point": "-m x"}, "hyperparams": {"Args": {"a": {"value": "1"}}}}
    stand_in.tasks["agents"] = {"id": "agents", "project": "p", "status": "in_progress", **queued}
    stand_in.events["agents"] = {}
    UploadState(state_file, task="agents", adopted=True).save()
    send(foreign_zip, state_file)
    task = stand_in.tasks["agents"]
    assert list(stand_in.tasks) == ["agents"]
    assert (task["name"], task["comment"], task["status"]) == ("queued", "theirs", "in_progress")
    assert task["script"]["entry_point"] == "-m x"
    assert set(task["hyperparams"]) == {"Args", "optimizer"}
    assert task["tags"] == ["a", "theirs"]
    assert len(task["execution"]["artifacts"]) == 2
    assert len(stand_in.scalars("agents")) == 701


@pytest.mark.parametrize(("kind", "task"), [("training", "agents"), ("testing", "")])
def test_a_test_in_an_agents_environment_is_a_task_of_its_own(
    kind, task, foreign_zip, sdk, stand_in, tmp_path
) -> None:
    from seglab.utils.tracking.live import Live

    folder = tmp_path / "run" / "tracking"
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").touch()
    (folder / "session.json").write_text('{"folder": "session"}')
    with zipfile.ZipFile(foreign_zip) as packed:
        packed.extractall(folder / "session")
    fields = json.loads((folder / "session" / "task.json").read_text())
    (folder / "session" / "task.json").write_text(json.dumps({**fields, "type": kind}))
    live = Live(folder, "agents", 1.0, 0)
    journal, busy = folder / "journal.jsonl", UserError("busy")
    refused = pytest.raises(UnreachableError, match="another process sends this run")
    with locked(journal, 0, busy), refused:
        live._connect()
    sender = live._connect()
    assert (sender.state.task, sender.state.adopted) == (task, bool(task))
    # As long as it sends, nobody else does.
    with pytest.raises(UserError, match="busy"), locked(journal, 0, busy):
        pass


def test_a_folder_that_cannot_be_written(foreign_zip, sdk, stand_in, state_file, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("seglab.utils.tracking.upload_state.write_text", full)
    with pytest.raises(UserError, match="No space left"):
        send(foreign_zip, state_file)
    assert not stand_in.tasks  # nothing is there that nobody remembers


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"schema": 2}',
        '{"schema": 1, "cursors": 3}',
        '{"schema": 1, "cursors": {}, "task": 3}',
        '{"schema": 1, "cursors": {}, "artifacts": {"a": ["one"]}}',
        '{"schema": 1, "cursors": {"log.jsonl": {"sent": "x"}}}',
    ],
)
def test_a_damaged_state(content, state_file) -> None:
    state_file.write_text(content)
    with pytest.raises(UserError, match="upload.json"):
        UploadState.load(state_file)


def test_a_torn_session_can_be_sent_in_part(foreign_zip, sdk, stand_in, state_file, tmp_path):
    path = rewrite(foreign_zip, tmp_path / "half.zip", metrics_jsonl=lambda c: c[:-40])
    summary = summarise(SdkSession(path), partial=True)
    assert "breaks off" in summary.faults[0]
    task = send(path, state_file).state.task
    whole = summarise(SdkSession(foreign_zip))
    assert 500 < len(stand_in.events[task]) == sum(summary.events.values())
    assert sum(summary.events.values()) < sum(whole.events.values())


def test_an_artifact_that_is_nowhere(foreign_zip, sdk, stand_in, state_file, tmp_path) -> None:
    def nowhere(content: bytes) -> bytes:
        task = json.loads(content)
        del task["execution"]["artifacts"][0]["uri"]
        return json.dumps(task).encode()

    path = rewrite(foreign_zip, tmp_path / "half.zip", task_json=nowhere)
    task = send(path, state_file).state.task
    assert len(stand_in.tasks[task]["execution"]["artifacts"]) == 1


def test_a_session_never_sends_a_file_of_elsewhere(
    foreign_zip, tmp_path, sdk, stand_in, state_file
):
    secret = tmp_path / "secret"
    secret.write_text("private")

    def elsewhere(content: bytes) -> bytes:
        task = json.loads(content)
        for item in task["execution"]["artifacts"]:
            item["uri"] = str(secret)
        return json.dumps(task).encode()

    def images(content: bytes) -> bytes:
        return re.sub(rb'"key": "[^"]*"', b'"key": "../../secret"', content)

    path = rewrite(foreign_zip, tmp_path / "evil.zip", task_json=elsewhere, metrics_jsonl=images)
    send(path, state_file)
    assert not any(b"private" in content for content in stand_in.files.values())
    folder = tmp_path / "folder"
    with zipfile.ZipFile(path) as packed:
        packed.extractall(folder)
    (folder / "data" / "linked").symlink_to(secret)
    assert SdkSession(folder).source.size("data/linked") is None
    assert (folder / "data" / "linked").exists()
