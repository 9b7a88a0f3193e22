"""Trainings with a server: the real SDK against a stand-in for it, which may die or hang."""

import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_SPEC = importlib.util.spec_from_file_location(
    "clearml_stand_in", Path(__file__).parents[1] / "clearml_stand_in.py"
)
assert _SPEC is not None and _SPEC.loader is not None
_STAND_IN = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_STAND_IN)
ClearMLStandIn = _STAND_IN.ClearMLStandIn


@pytest.fixture
def server() -> Iterator[Any]:
    with ClearMLStandIn() as stand_in:
        yield stand_in


def start(server: Any, home: Path, *arguments: object) -> subprocess.Popen[str]:
    """Start seglab with credentials for the stand-in."""
    home.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "seglab.tools.main", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", **server.environment(home)},
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def train_arguments(config: Path, run: Path, epochs: int) -> list[object]:
    return [
        *("train", "--config", config, "--work-dir", run, "--device", "cpu"),
        *("--cfg-options", f"train_cfg.max_epochs={epochs}", "custom_hooks.2.patience=1000"),
    ]


def mdice(points: dict[tuple[str, str, int], float]) -> dict[int, float]:
    return {step: value for (*name, step), value in points.items() if name == ["val", "mDice"]}


def history(run: Path) -> dict[int, float]:
    lines = (run / "history.jsonl").read_text().splitlines()
    return {record["epoch"]: record["val/mDice"] for record in map(json.loads, lines)}


def test_a_run_is_live_and_its_upload_has_nothing_to_add(
    server: Any, tiny_config: Path, tmp_path: Path
) -> None:
    run, home = tmp_path / "run", tmp_path / "home"
    training = start(server, home, *train_arguments(tiny_config, run, 40))
    wait_for(lambda: any(mdice(server.scalars(task)) for task in list(server.tasks)))
    assert training.poll() is None, "the first figures came while it went on"
    code, out, err = finish(training)
    assert code == 0, err
    assert f"tracking: online ({server.url})" in out
    (task,) = server.tasks
    assert server.tasks[task]["status"] == "completed"
    assert mdice(server.scalars(task)) == history(run)
    checkpoint = next(run.glob("best_*.safetensors"))
    assert any(content == checkpoint.read_bytes() for content in server.files.values())
    before = json.dumps(server.contents(), sort_keys=True)
    code, out, err = finish(start(server, home, "upload-results-to-clearml", "--run", run))
    assert code == 0 and "already on" in out, err
    assert json.dumps(server.contents(), sort_keys=True) == before


def test_a_server_that_dies_in_mid_run_costs_nothing(
    server: Any, tiny_config: Path, tmp_path: Path
) -> None:
    run, home = tmp_path / "run", tmp_path / "home"
    training = start(server, home, *train_arguments(tiny_config, run, 40))
    wait_for(lambda: any(mdice(server.scalars(task)) for task in list(server.tasks)))
    server.stop()
    seen = mdice(server.scalars(next(iter(server.tasks))))
    code, out, err = finish(training)
    assert code == 0 and "Traceback" not in err, err
    assert json.loads((run / "run.json").read_text())["status"] == "finished"
    assert len(seen) < len(history(run)) == 40
    assert "did not take everything" in out and "upload-results-to-clearml" in out
    code, out, err = finish(start(server, home, "upload-results-to-clearml", "--run", run))
    assert code == 2 and err.count("error:") == 1 and "Traceback" not in err
    server.restart()
    code, out, err = finish(start(server, home, "upload-results-to-clearml", "--run", run))
    assert code == 0, err
    (task,) = server.tasks
    assert server.tasks[task]["status"] == "completed"
    assert mdice(server.scalars(task)) == history(run)
    before = json.dumps(server.contents(), sort_keys=True)
    code, out, err = finish(start(server, home, "upload-results-to-clearml", "--run", run))
    assert code == 0 and "already on" in out, err
    assert json.dumps(server.contents(), sort_keys=True) == before


def test_a_test_is_a_task_of_its_own(server: Any, tiny_config: Path, tmp_path: Path) -> None:
    run, home = tmp_path / "run", tmp_path / "home"
    trained = finish(start(server, home, *train_arguments(tiny_config, run, 1)))
    assert trained[0] == 0, trained[2]
    checkpoint = next(run.glob("best_*.safetensors"))
    arguments = ["--config", tiny_config, "--checkpoint", checkpoint, "--split", "val"]
    code, out, err = finish(start(server, home, "test", *arguments, "--device", "cpu"))
    assert code == 0, err
    assert "tracking: on http" in out
    kinds = {task["type"]: key for key, task in server.tasks.items()}
    assert set(kinds) == {"training", "testing"}
    metrics = json.loads((run / "test_val" / "test_metrics.json").read_text())["metrics"]
    assert metrics["mDice"] in server.scalars(kinds["testing"]).values()
    pictures = server.of_type(kinds["testing"], "training_debug_image")
    for picture in pictures:
        name = Path(picture["url"]).suffix
        assert name in {".png", ".jpg", ".jpeg"} and server.file_of(picture["url"])
    assert len(pictures) == len(list((run / "test_val").glob("*.png")))


@pytest.mark.parametrize("mode", ["hang", "unauthorised"])
def test_a_server_that_cannot_be_used_leaves_the_run_offline(
    server: Any, tiny_config: Path, tmp_path: Path, mode: str
) -> None:
    server.mode, server.check_seconds = mode, "5"
    run, home = tmp_path / "run", tmp_path / "home"
    code, out, err = finish(start(server, home, *train_arguments(tiny_config, run, 1)))
    assert code == 0, err
    assert out.count("tracking: offline (") == 1
    assert (run / "tracking" / "session.zip").is_file()
