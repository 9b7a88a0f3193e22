"""Fixtures for the tests of tracking: a clean environment, and sessions read back."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seglab.utils.tracking.journal import Journal

# Tells of every connection, look-up of a host and process that a child starts.
WATCH = """
import os, sys

def note(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system"):
        if os.environ.get("SEEN_EVENTS"):
            with open(os.environ["SEEN_EVENTS"], "a") as stream:
                stream.write(f"{event} {args}\\n")

sys.addaudithook(note)
"""


@pytest.fixture(scope="session")
def make_environment():
    """Makes the environment of `environment` in a folder."""

    def make(home):
        names = ("PATH", "PYTHONPATH", "LANG", "LC_ALL", "VIRTUAL_ENV")
        (home / "home").mkdir()
        (home / "watch").mkdir()
        (home / "watch" / "sitecustomize.py").write_text(WATCH)
        path = [str(home / "watch"), *filter(None, [os.environ.get("PYTHONPATH")])]
        return {
            **{name: os.environ[name] for name in names if name in os.environ},
            "HOME": str(home / "home"),
            "PYTHONPATH": os.pathsep.join(path),
            "SEEN_EVENTS": str(home / "seen_events"),
            "OMP_NUM_THREADS": "1",
        }

    return make


@pytest.fixture
def environment(tmp_path, make_environment):
    """A child's environment: an empty home folder, no ClearML, and what it connects to noted."""
    return make_environment(tmp_path)


@pytest.fixture
def seen_events(tmp_path):
    """What the children of `environment` connected to and started."""
    path = tmp_path / "seen_events"
    return lambda: path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def folder(tmp_path):
    """A run's tracking folder."""
    return tmp_path / "run" / "tracking"


@pytest.fixture
def start_writer(environment):
    """Starts the real writer on a tracking folder; it is killed at the end of the test."""
    started = []

    def start(folder, *options, **variables):
        command = [sys.executable, "-m", "seglab.utils.tracking.writer", str(folder), *options]
        child = subprocess.Popen(
            command,
            env={**environment, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(child)
        return child

    yield start
    for child in started:
        child.kill()
        child.communicate()


@pytest.fixture
def write(environment):
    """Writes a journal's entries and their session; returns the session."""
    return lambda folder, *entries, **variables: write_session_of(
        folder, entries, {**environment, **variables}
    )


@pytest.fixture(scope="session")
def write_in():
    """As `write`, in an environment that is given: (folder, entries, environment)."""
    return write_session_of


def write_session_of(folder, entries, environment):
    if entries:
        journal = Journal(folder)
        assert journal.add(*entries)
        journal.close()
    child = subprocess.run(
        [sys.executable, "-m", "seglab.utils.tracking.writer", str(folder)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 0, child.stdout
    session = ReadSession(folder / "session.zip")
    session.output = child.stdout
    return session


@pytest.fixture(scope="session")
def described():
    """Reads the `session.json` of a tracking folder."""
    return lambda folder: json.loads((folder / "session.json").read_text())


@pytest.fixture(scope="session")
def save_png():
    """Saves an image of noise; returns its pixels."""

    def save(path, seed=0):
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(seed).integers(0, 256, (24, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        return pixels

    return save


class ReadSession:
    """A session's zip file, read without the SDK."""

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as archive:
            assert archive.testzip() is None
            self.members = {info.filename: archive.read(info) for info in archive.infolist()}
        self.task = json.loads(self.members["task.json"])
        lines = self.members.get("metrics.jsonl", b"").splitlines()
        self.events = [event for line in lines for event in json.loads(line)]
        self.output = ""

    def of(self, kind):
        return [event for event in self.events if event["type"] == kind]

    def scalars(self):
        """(title, series, step, value, milliseconds) of each point."""
        return [
            (event["metric"], event["variant"], event["iter"], event["value"], event["timestamp"])
            for event in self.of("training_stats_scalar")
        ]

    def file_of(self, address):
        """The bytes of an image or artifact, by the address the task or an event has for it."""
        return self.members[address.removeprefix(self.task["offline_folder"] + "/")]
