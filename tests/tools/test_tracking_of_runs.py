"""Trainings and tests as they are tracked, through the real SDK: read back from its session."""

import hashlib
import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from seglab.tools.main import main
from seglab.utils.tracking.journal import End, Start, read_journal


class Session:
    """A ClearML offline session as the SDK left it."""

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as packed:
            assert packed.testzip() is None
            self.files = {name: packed.read(name) for name in packed.namelist()}
        self.task = json.loads(self.files["task.json"])
        lines = self.files["metrics.jsonl"].splitlines()
        self.events: list[dict[str, Any]] = [e for line in lines for e in json.loads(line)]

    def scalars(self) -> dict[tuple[str, str, int], float]:
        """(title, series, step) -> value; each once."""
        found = [e for e in self.events if e["type"] == "training_stats_scalar"]
        points = {(e["metric"], e["variant"], e["iter"]): e["value"] for e in found}
        assert len(points) == len(found)
        return points

    def named(self, kind: str) -> set[tuple[str, str]]:
        """Title and series of the events of a kind."""
        return {(e["metric"], e["variant"]) for e in self.events if e["type"] == kind}

    def artifacts(self) -> dict[str, str]:
        """Name -> SHA-256."""
        return {a["key"]: a["hash"] for a in self.task["execution"]["artifacts"]}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def seglab(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run seglab in a process of its own, as a person does."""
    return subprocess.run(
        [sys.executable, "-m", "seglab.tools.main", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
    )


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory, tiny_config_text: str) -> Path:
    """A training and a test of it, both tracked offline."""
    folder = tmp_path_factory.mktemp("tracked")
    config = folder / "tiny.py"
    config.write_text(tiny_config_text)
    run = folder / "run"
    common = ["--tracking", "offline", "--device", "cpu"]
    assert main(["train", "--config", str(config), "--work-dir", str(run), *common]) == 0
    checkpoint = next(run.glob("best_*.safetensors"))
    arguments = ["--config", str(config), "--checkpoint", str(checkpoint), "--split", "val"]
    assert main(["test", *arguments, *common]) == 0
    return run


def test_every_figure_of_the_history_and_the_log_is_in_the_session(tracked: Path) -> None:
    points = Session(tracked / "tracking" / "session.zip").scalars()
    records = [json.loads(line) for line in (tracked / "history.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    checked = 0
    for record in records:
        for key, value in record.items():
            if key in {"epoch", "iter"} or value is None:
                continue
            title, _, series = key.rpartition("/")
            if not title:  # means over the epoch
                title, series = f"epoch/{'loss' if 'loss' in key else key}", key
            assert points[(title, series, record["epoch"])] == pytest.approx(value, rel=1e-12), key
            checked += 1
    assert checked > 40
    logged = next(tracked.glob("*/vis_data/*.json"))
    steps = [json.loads(line) for line in logged.read_text().splitlines()]
    steps = [step for step in steps if "lr" in step]
    assert [step["step"] for step in steps] == [3, 6]
    for step in steps:
        for key in ("loss", "decode.loss_ce", "decode.loss_dice"):
            assert points[("loss", key, step["step"])] == pytest.approx(step[key])
        for key in ("lr", "time", "data_time"):
            assert points[(key, key, step["step"])] == pytest.approx(step[key])


def test_what_a_training_session_says(tracked: Path) -> None:
    session = Session(tracked / "tracking" / "session.zip")
    task, record = session.task, json.loads((tracked / "run.json").read_text())
    assert task["project_name"] == "practicum_segmentation"
    assert task["name"].startswith("tiny ") and task["type"] == "training"
    assert {"seglab", "tiny", "seed:0"} <= set(task["tags"])
    parameters = {
        f"{section}/{name}": item["value"]
        for section, items in task["hyperparams"].items()
        for name, item in items.items()
    }
    assert parameters["Optimizer/optim_wrapper/optimizer/lr"] == "0.01"
    assert parameters["Schedule/train_cfg/max_epochs"] == "2"
    assert parameters["Run/seed"] == "0" and parameters["Run/device"] == "cpu"
    for split in ("train", "val"):
        stored = record["data"][split]
        assert parameters[f"Data hashes/{split}/labels_sha256"] == stored["labels_sha256"]
    assert task["configuration"]["config"]["value"] == (tracked / "config.py").read_text()
    assert task["script"]["version_num"] in (record["environment"]["git_revision"] or "")
    assert "train" in task["script"]["entry_point"]
    assert ("best epoch", "per class") in session.named("plot")
    assert ("training curves", "history") in session.named("training_debug_image")
    best = next(tracked.glob("best_*.safetensors"))
    artifacts = session.artifacts()
    assert artifacts["best checkpoint"] == sha256(best)
    for name in ("run.json", "history.jsonl", "config.py"):
        stored = [content for path, content in session.files.items() if path.endswith(f"/{name}")]
        assert name in artifacts and len(stored) == 1
    assert session.scalars()[("Summary", "best epoch", -(2**31))] == record["best"]["epoch"]


def test_what_a_test_session_says(tracked: Path) -> None:
    folder = tracked / "test_val"
    session = Session(folder / "tracking" / "session.zip")
    metrics = json.loads((folder / "test_metrics.json").read_text())
    assert session.task["type"] == "testing" and session.task["name"].endswith(" test val")
    assert {"split:val", "optimistic"} <= set(session.task["tags"])
    points = {key[:2]: value for key, value in session.scalars().items()}
    figures = {key: value for key, value in metrics["metrics"].items() if value is not None}
    for key in ("mDice", "Dice/cat", "image_mean/mDice", "ECE"):
        title, _, series = key.rpartition("/")
        found = [v for (t, s), v in points.items() if s == series and t.endswith(title)]
        assert any(value == pytest.approx(figures[key]) for value in found), key
    images = {(e["metric"], e["variant"]) for e in session.events if "image" in e["type"]}
    assert len(images) == len(metrics["pictures"])
    plots = " ".join(" ".join(name) for name in session.named("plot"))
    assert "onfusion" in plots and "class" in plots
    artifacts = session.artifacts()
    for name in ("test_metrics.json", "per_image.csv", "image_results.npz", "provenance.json"):
        assert artifacts[name] == sha256(folder / name)


def test_a_second_test_replaces_the_first_ones_session(tracked: Path) -> None:
    checkpoint = next(tracked.glob("best_*.safetensors"))
    arguments = ["--config", str(tracked / "config.py"), "--checkpoint", str(checkpoint)]
    arguments += ["--split", "val", "--tracking", "offline", "--device", "cpu"]
    assert main(["test", *arguments]) == 0
    entries = read_journal(tracked / "test_val" / "tracking")
    assert sum(isinstance(entry, Start) for entry in entries) == 1


def test_ctrl_c_after_the_last_epoch_is_not_told_as_a_lost_run(
    tracked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from seglab.tools.train import _interrupted

    assert _interrupted(tracked, KeyboardInterrupt()) == 130
    said = capsys.readouterr().err
    assert "was finished" in said and "--resume" not in said


def test_off_leaves_nothing(tiny_config: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert main(["train", "--config", str(tiny_config), "--work-dir", str(run)]) == 0
    assert not (run / "tracking").exists()


def test_killed_and_resumed_is_one_whole_session(tiny_config: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = ["train", "--config", tiny_config, "--work-dir", run, "--device", "cpu"]
    arguments += ["--tracking", "offline", "--cfg-options"]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "seglab.tools.main"),
            *(*map(str, arguments), "train_cfg.max_epochs=400"),
        ],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not (run / "last_checkpoint").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert not any(isinstance(entry, End) for entry in read_journal(run / "tracking"))
    # As if the kill had come between the history and the journal, at every epoch.
    journal = run / "tracking" / "journal.jsonl"
    kept = [line for line in journal.read_text().splitlines(True) if '"mDice"' not in line]
    journal.write_text("".join(kept))
    done = len((run / "history.jsonl").read_text().splitlines())
    resumed = seglab(*arguments, f"train_cfg.max_epochs={done + 1}", "--resume")
    assert resumed.returncode == 0, resumed.stderr
    points = Session(run / "tracking" / "session.zip").scalars()
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    tracked = {step: v for (*name, step), v in points.items() if name == ["val", "mDice"]}
    assert tracked == {record["epoch"]: record["val/mDice"] for record in history}
    assert len(history) == done + 1


def test_of_several_processes_the_first_tracks(tiny_config: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", "-m", "seglab.tools.train", "--config", str(tiny_config)),
            *("--work-dir", str(run), "--launcher", "pytorch", "--device", "cpu"),
            *("--tracking", "offline"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("tracking: offline") == 1
    assert done.stdout.count("tracking: session in") == 1
    entries = read_journal(run / "tracking")
    assert sum(isinstance(entry, Start) for entry in entries) == 1
    points = Session(run / "tracking" / "session.zip").scalars()
    assert {step for (title, _, step) in points if title == "val"} == {1, 2}
    losses = {series for (title, series, _) in points if title == "epoch/loss"}
    assert losses == {"loss", *(f"decode.loss_{part}" for part in ("ce", "combo", "dice"))}


def test_training_goes_on_when_tracking_cannot(tiny_config: Path, tmp_path: Path) -> None:
    # A package in the way of the SDK: as if it were not installed, or broken.
    broken = tmp_path / "broken" / "clearml"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise ImportError('broken on purpose')")
    done = seglab(
        *("train", "--config", tiny_config, "--work-dir", tmp_path / "run", "--device", "cpu"),
        *("--tracking", "offline"),
        PYTHONPATH=str(broken.parent),
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "could not be finished" in done.stdout and "worker.log" in done.stdout
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "finished"
    assert "broken on purpose" in (tmp_path / "run" / "tracking" / "worker.log").read_text()
