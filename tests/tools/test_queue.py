"""`train --queue` from a clone, against the stand-in: what waits there, and that nothing trains."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CONFIG = "configs/toy_fpn_effnetlite0_128x128.py"


@pytest.fixture
def clone(project_root: Path, tmp_path: Path) -> Path:
    """A clone of this checkout, whose remote is this checkout."""
    if not (project_root / ".git").exists():
        pytest.skip("not a git checkout")
    folder = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(project_root), str(folder)], check=True)
    # What is tested is the code as it is, not as it was committed.
    subprocess.run(["rm", "-rf", str(folder / "src")], check=True)
    subprocess.run(["cp", "-r", str(project_root / "src"), str(folder / "src")], check=True)
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "-C", str(folder), "add", "-A"], check=True)
    subprocess.run(
        ["git", "-C", str(folder), *identity, "commit", "-qm", "as it is", "--allow-empty"],
        check=True,
    )
    return folder


def queue(clone: Path, environment: dict[str, str], *arguments: str) -> Any:
    return subprocess.run(
        [sys.executable, str(clone / "src" / "from_checkout.py"), "train", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=clone,
        env=environment,
    )


def test_a_training_waits_in_the_queue(
    clone: Path, stand_in: Any, clearml_environment: dict[str, str]
) -> None:
    done = queue(
        *(clone, clearml_environment, "--config", CONFIG, "--queue", "default", "--seed", "3"),
        *("--work-dir", "/runs/one", "--cfg-options", "train_cfg.max_epochs=5"),
    )
    assert done.returncode == 0, done.stderr
    (task,) = stand_in.tasks
    assert task in done.stdout and "waiting in queue default" in done.stdout
    assert stand_in.queues["default"] == [task]
    fields = stand_in.tasks[task]
    assert fields["script"]["entry_point"] == (
        f"src/from_checkout.py train --config {CONFIG} --seed 3 --work-dir /runs/one "
        "--cfg-options train_cfg.max_epochs=5"
    )
    head = ["git", "-C", str(clone), "rev-parse", "HEAD"]
    commit = subprocess.run(head, capture_output=True, text=True, check=True).stdout.strip()
    assert fields["script"]["version_num"] == commit
    assert "is on no branch" in done.stdout  # it was never pushed
    assert {"seglab", "seed:3"} <= set(fields["tags"])
    assert "epoch" not in done.stdout and not list(clone.glob("experiments/toy*"))


def test_without_a_server_nothing_is_trained_either(
    clone: Path, stand_in: Any, clearml_environment: dict[str, str]
) -> None:
    stand_in.stop()
    done = queue(clone, clearml_environment, "--config", CONFIG, "--queue", "default")
    assert done.returncode == 2
    assert done.stderr.count("error:") == 1 and "--queue default" in done.stderr
    assert "Traceback" not in done.stderr and "epoch" not in done.stdout
