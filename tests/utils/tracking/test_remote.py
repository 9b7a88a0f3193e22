"""A training that is put into a queue: what the agent finds there, and what is refused before."""

import subprocess
import sys

import pytest

from seglab.utils.errors import UserError
from seglab.utils.tracking.journal import Start
from seglab.utils.tracking.remote import ENTRY, _arguments_there, _is_pushed, enqueue_training

START = Start("project", "H1 20260102", "training", ("seglab", "H1"), "a comment")


def git(folder, *arguments):
    return subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=x", "-c", "user.email=x@x", *arguments],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    """A checkout with a commit that its remote has."""
    git(tmp_path, "init", "--bare", "-q", "remote")
    root = tmp_path / "checkout"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / "configs").mkdir()
    (root / "configs" / "h1.py").write_text("a = 1\n")
    git(root, "add", ".")
    git(root, "commit", "-qm", "one")
    git(root, "remote", "add", "origin", str(tmp_path / "remote"))
    git(root, "push", "-q", "origin", "main")
    git(root, "fetch", "-q")
    return root


@pytest.fixture
def enqueue(checkout, clearml_environment):
    """Enqueues the training of the checkout's config."""

    def run(queue="default", config=None, arguments=None, **options):
        config = config or checkout / "configs" / "h1.py"
        arguments = arguments or [
            "--config",
            str(config),
            "--queue",
            queue,
            "--cfg-options",
            "a=1 2",
        ]
        options = {"environ": clearml_environment, "root": checkout, **options}
        return enqueue_training(queue, config, arguments, START, **options)

    return run


def test_the_task_waits_with_everything_the_agent_needs(enqueue, stand_in, checkout) -> None:
    (checkout / "configs" / "h1.py").write_text("a = 3\n")
    git(checkout, "commit", "-qam", "not pushed")
    (checkout / "configs" / "h1.py").write_text("a = 2\n")
    said = []
    queued = enqueue(warn=said.append)
    (task,) = stand_in.tasks.values()
    assert stand_in.queues["default"] == [queued.task] == [task["id"]]
    assert (task["status"], task["name"], task["comment"]) == ("queued", START.name, "a comment")
    assert set(task["tags"]) == {"seglab", "H1"}
    script = task["script"]
    assert script["entry_point"] == f"{ENTRY} train --config configs/h1.py --cfg-options 'a=1 2'"
    assert script["working_dir"] == "."
    assert script["version_num"] == git(checkout, "rev-parse", "HEAD")
    assert script["branch"] == "main"
    assert script["repository"].endswith("/remote")
    assert "+a = 2" in script["diff"]
    assert task["id"] in queued.url
    assert "unless you push it" in "".join(said)
    assert not stand_in.scalars(queued.task)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config=/here/h1.py", "--queue=default", "--cfg-options", "a.b=1 2"],
        ["--conf", "/here/h1.py", "--que", "default", "--cfg-options", "a.b=1 2"],
        ["--q=default", "--con=/here/h1.py", "--cfg-options", "a.b=1 2"],
    ],
)
def test_every_way_to_write_an_option(arguments) -> None:
    expected = ["--config", "configs/h1.py", "--cfg-options", "a.b=1 2"]
    assert _arguments_there(arguments, "configs/h1.py") == expected


def test_a_commit_that_the_remote_has(checkout) -> None:
    commit = git(checkout, "rev-parse", "HEAD")
    assert _is_pushed(commit, checkout)
    git(checkout, "commit", "-qm", "more", "--allow-empty")
    assert not _is_pushed(git(checkout, "rev-parse", "HEAD"), checkout)


def test_a_secret_on_the_command_line(enqueue, stand_in, checkout) -> None:
    config = str(checkout / "configs" / "h1.py")
    with pytest.raises(UserError, match="the command line holds what looks like a secret"):
        enqueue(arguments=["--config", config, "--cfg-options", "api_key=abcdefgh"])
    assert not stand_in.requests


def test_an_unknown_queue(enqueue, stand_in) -> None:
    stand_in.queues["gpu"] = []
    with pytest.raises(UserError, match=r"no such queue \(there are: default, gpu\)"):
        enqueue("gpus")
    assert not stand_in.tasks


def test_a_config_outside_the_checkout(enqueue, stand_in, tmp_path) -> None:
    config = tmp_path / "mine.py"
    config.write_text("a = 1\n")
    with pytest.raises(UserError, match="outside the checkout"):
        enqueue(config=config)
    assert not stand_in.requests


def test_all_faults_of_the_code_at_once(enqueue, stand_in, checkout) -> None:
    config = checkout / "configs" / "new.py"
    config.write_text("a = 1\n")
    git(checkout, "remote", "remove", "origin")
    with pytest.raises(UserError) as caught:
        enqueue(config=config)
    assert "configs/new.py is not in git" in str(caught.value)
    assert "no remote" in str(caught.value)
    assert not stand_in.requests


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"CLEARML_API_SECRET_KEY": ""}, "no ClearML credentials"),
        ({"CLEARML_API_HOST": "http://127.0.0.1:9"}, "no server is running there"),
    ],
)
def test_no_connection(change, message, enqueue, clearml_environment) -> None:
    with pytest.raises(UserError, match=message) as caught:
        enqueue(environ={**clearml_environment, **change})
    assert caught.value.fix


def test_the_entry_runs_the_checkout_that_it_lies_in(tmp_path, project_root) -> None:
    package = tmp_path / "src"
    (package / "tools").mkdir(parents=True)
    (package / "from_checkout.py").write_text((project_root / ENTRY).read_text())
    (package / "__init__.py").touch()
    (package / "tools" / "__init__.py").touch()
    (package / "tools" / "main.py").write_text(
        "import subprocess, sys, seglab\n"
        "def main():\n"
        "    print(sys.argv[1:], flush=True)\n"
        "    subprocess.run([sys.executable, '-c', 'import seglab; print(seglab.__path__[0])'])\n"
        "    return 7\n"
    )
    command = [sys.executable, "src/from_checkout.py", "train", "--seed", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    arguments, child = done.stdout.splitlines()
    assert done.returncode == 7
    assert arguments == "['train', '--seed', '1']"
    assert "seglab-checkout-" in child
