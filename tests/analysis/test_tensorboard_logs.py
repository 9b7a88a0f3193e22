"""Runs as TensorBoard's files, read back by TensorBoard itself."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from seglab.analysis import tensorboard_logs
from seglab.analysis.run_overview import list_runs
from seglab.analysis.tensorboard_logs import serve, write_logs
from seglab.tools import runs as runs_tool
from seglab.utils.errors import UserError
from seglab.utils.tracking.journal import Journal, Scalar

pytest.importorskip("tensorboard")


@pytest.fixture
def experiments(project_root: Path, tmp_path: Path) -> Path:
    for name in ("lite", "lite_flip_only"):
        source = project_root / "experiments" / "reference" / name
        shutil.copytree(source, tmp_path / "experiments" / "group" / name)
    return tmp_path / "experiments"


def read(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    return accumulator.Reload()


def files(logdir: Path) -> dict[str, int]:
    return {
        path.relative_to(logdir).as_posix(): path.stat().st_mtime_ns
        for path in logdir.rglob("events*")
    }


def test_every_figure_of_the_history_comes_back(experiments: Path, tmp_path: Path) -> None:
    logdir = tmp_path / "logs"
    folders = write_logs(list_runs(experiments), experiments, logdir)
    assert sorted(path.relative_to(logdir).as_posix() for path in folders) == [
        "group/lite",
        "group/lite/test_val",
        "group/lite_flip_only",
        "group/lite_flip_only/test_val",
    ]
    run = experiments / "group" / "lite"
    events = read(logdir / "group" / "lite")
    expected: dict[str, list[tuple[int, float]]] = {}
    for line in (run / "history.jsonl").read_text().splitlines():
        record = json.loads(line)
        for key, value in record.items():
            if key in {"epoch", "iter"} or value is None:
                continue
            tag = key
            if "/" not in key:
                tag = f"epoch/loss/{key}" if "loss" in key else f"epoch/{key}/{key}"
            expected.setdefault(tag, []).append((record["epoch"], float(np.float32(value))))
    assert set(events.Tags()["scalars"]) == expected.keys()
    for tag, points in expected.items():
        assert [(event.step, event.value) for event in events.Scalars(tag)] == points, tag
    times = [event.wall_time for event in events.Scalars("val/mDice")]
    seconds = json.loads((run / "run.json").read_text())["seconds"]
    assert 0.8 * seconds < times[-1] - times[0] < seconds


def test_a_test_has_its_figures_and_pictures(experiments: Path, tmp_path: Path) -> None:
    write_logs(list_runs(experiments), experiments, tmp_path / "logs")
    folder = experiments / "group" / "lite" / "test_val"
    events = read(tmp_path / "logs" / "group" / "lite" / "test_val")
    metrics = json.loads((folder / "test_metrics.json").read_text())["metrics"]
    tags = events.Tags()
    assert len(tags["scalars"]) == sum(value is not None for value in metrics.values())
    assert events.Scalars("val/HD95/dog")[0].value == np.float32(metrics["HD95/dog"])
    assert sorted(tags["images"]) == [
        "charts/confusion matrix",
        "charts/distribution",
        "charts/reliability",
    ]
    (image,) = events.Images("charts/reliability")
    assert image.encoded_image_string == (folder / "val_reliability.png").read_bytes()
    assert image.width > 100


def test_what_only_the_journal_holds_is_shown_with_its_own_time(
    experiments: Path, tmp_path: Path
) -> None:
    journal = Journal(experiments / "group" / "lite" / "tracking")
    journal.add(Scalar("loss", "loss", 0.5, 10, time=123.0))
    journal.close()
    write_logs(list_runs(experiments), experiments, tmp_path / "logs")
    (event,) = read(tmp_path / "logs" / "group" / "lite").Scalars("loss")
    assert (event.step, event.value, event.wall_time) == (10, 0.5, 123.0)


def test_files_are_written_again_only_for_what_changed(experiments: Path, tmp_path: Path) -> None:
    logdir = tmp_path / "logs"
    write_logs(list_runs(experiments), experiments, logdir)
    before = files(logdir)
    write_logs(list_runs(experiments), experiments, logdir)
    assert files(logdir) == before
    history = experiments / "group" / "lite" / "history.jsonl"
    lines = history.read_text().splitlines()
    history.write_text("\n".join(lines[:3]) + "\n")
    write_logs(list_runs(experiments), experiments, logdir)
    after = files(logdir)
    changed = {
        name.rpartition("/")[0] for name in before.items() ^ after.items() for name in name[:1]
    }
    assert changed == {"group/lite"} and len(after) == len(before)
    assert len(read(logdir / "group" / "lite").Scalars("val/mDice")) == 3


def test_only_the_listed_runs_are_shown_and_other_files_stay(
    experiments: Path, tmp_path: Path
) -> None:
    logdir = tmp_path / "logs"
    (logdir / "mine").mkdir(parents=True)
    (logdir / "mine" / "events.out.tfevents.1.x").write_text("of another program")
    write_logs(list_runs(experiments), experiments, logdir)
    write_logs(list_runs(experiments, ["Lite"]), experiments, logdir)
    assert {name.rpartition("/")[0] for name in files(logdir)} == {
        "mine",
        "group/lite",
        "group/lite/test_val",
    }
    assert not (logdir / "group" / "lite_flip_only").exists()


def test_a_damaged_run_is_left_out_and_said(
    experiments: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (experiments / "group" / "lite" / "history.jsonl").write_text("{")
    folders = write_logs(list_runs(experiments), experiments, tmp_path / "logs")
    assert len(folders) == 3
    assert "left out" in capsys.readouterr().err
    assert not (tmp_path / "logs" / "group" / "lite" / "seglab.json").exists()


def test_without_the_extra_the_message_names_it(
    experiments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorboard_logs.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match="not installed") as caught:
        write_logs([], experiments, tmp_path / "logs")
    assert "requirements-tensorboard.txt" in caught.value.fix
    assert not (tmp_path / "logs").exists()


@pytest.mark.parametrize("port", [0, -1, 70000])
def test_an_impossible_port(port: int, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"--port {port}"):
        serve(tmp_path, port)


def test_the_server_answers_until_ctrl_c(experiments: Path, tmp_path: Path) -> None:
    command = [sys.executable, runs_tool.__file__, "--experiments", str(experiments)]
    command += ["--tensorboard", "--logdir", str(tmp_path / "logs")]
    home = tmp_path / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "TMPDIR": str(home)}
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # A shell starts background jobs deaf to Ctrl-C, and the tests may run in one.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:(\d+)/", said)
        assert address, said
        with urllib.request.urlopen(address[0], timeout=20) as answer:
            assert b"TensorBoard" in answer.read()
        shown: list[str] = []
        deadline = time.monotonic() + 30
        while len(shown) < 4 and time.monotonic() < deadline:  # it loads in the background
            with urllib.request.urlopen(address[0] + "data/runs", timeout=20) as answer:
                shown = json.loads(answer.read())
            time.sleep(0.1)
        # The port is taken now: whoever asks for it is told.
        taken = subprocess.run(
            [*command, "--port", address[1]], capture_output=True, text=True, env=environment
        )
        assert taken.returncode == 2 and "TensorBoard does not start" in taken.stderr
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, err
    assert "closed" in out and "Traceback" not in err
    assert sorted(shown) == [
        "group/lite",
        "group/lite/test_val",
        "group/lite_flip_only",
        "group/lite_flip_only/test_val",
    ]


def test_logs_of_another_program_and_damaged_pictures_stop_only_their_own(
    experiments: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logdir = tmp_path / "logs"
    foreign = logdir / "group" / "lite" / "events.out.tfevents.1.x"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("of another program")
    picture = experiments / "group" / "lite_flip_only" / "test_val" / "val_reliability.png"
    picture.write_text("no picture")
    folders = write_logs(list_runs(experiments), experiments, logdir)
    assert {path.relative_to(logdir).as_posix() for path in folders} == {
        "group/lite/test_val",
        "group/lite_flip_only",
    }
    assert foreign.read_text() == "of another program"
    said = capsys.readouterr().err
    assert "another program" in said and "val_reliability.png is no picture" in said


def test_what_a_kill_or_another_process_left_is_not_shown(
    experiments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logdir = tmp_path / "logs"

    def killed(*_: Any) -> None:
        assert files(logdir) == {}, "TensorBoard would show what is not finished"
        raise KeyboardInterrupt

    rows = list_runs(experiments, ["Lite"])
    monkeypatch.setattr(tensorboard_logs.shutil, "copyfile", killed)
    with pytest.raises(KeyboardInterrupt):
        write_logs(rows, experiments, logdir)
    monkeypatch.undo()
    # As if a second process had written the same run at the same time.
    (logdir / "group" / "lite" / "events.out.tfevents.1.other").touch()
    write_logs(rows, experiments, logdir)
    assert len(list((logdir / "group" / "lite").glob("events*"))) == 1
