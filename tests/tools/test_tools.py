"""The tools as a person meets them: what they print, how they fail, what they leave."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from seglab.tools import check, predict, test, train
from seglab.tools.main import main
from seglab.utils.errors import UserError
from seglab.utils.script import run_tool

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def trained(run: Run, tiny_config: Path, tmp_path: Path) -> tuple[Path, str]:
    """A finished tiny run: its folder and what training printed."""
    work_dir = tmp_path / "run"
    code, out, err = run(
        "train", "--config", tiny_config, "--work-dir", work_dir, "--device", "cpu"
    )
    assert code == 0, err
    return work_dir, out


def one_message(code: int, err: str) -> str:
    """A user's mistake: exit code 2, one `error:`, a fix, no traceback."""
    assert code == 2, err
    assert err.count("error:") == 1 and "fix:" in err
    assert "Traceback" not in err
    return err


def test_train_then_the_command_it_prints_then_predict(
    run: Run, trained: tuple[Path, str], tiny_config: Path, tiny_data: Path, tmp_path: Path
) -> None:
    work_dir, out = trained
    assert "random (from scratch)" in out
    assert out.count("epoch ") >= 2 and "val/mDice" in out and "left" in out
    assert "best epoch" in out and (work_dir / "training_curves.png").is_file()
    command = shlex.split(out.strip().splitlines()[-1])
    assert command[0] == "python" and command[1].endswith("src/tools/test.py")
    code, out, err = run("test", *command[2:])
    assert code == 0, err
    metrics = json.loads((work_dir / "test_val" / "test_metrics.json").read_text())["metrics"]
    assert f"{metrics['mDice']:.2f}" in out
    checkpoint = next(work_dir.glob("best_*.safetensors"))
    code, out, _ = run(
        "predict", "--config", work_dir / "config.py", "--checkpoint", checkpoint,
        "--input", tiny_data / "img" / "test", "--output-dir", tmp_path / "masks",
    )  # fmt: skip
    assert code == 0 and "4 masks" in out
    assert len(list((tmp_path / "masks").rglob("*.png"))) == 8


def test_a_second_run_never_overwrites(
    run: Run, trained: tuple[Path, str], tiny_config: Path
) -> None:
    work_dir, _ = trained
    before = {path: path.stat().st_mtime_ns for path in work_dir.rglob("*")}
    code, _, err = run("train", "--config", tiny_config, "--work-dir", work_dir)
    assert "never overwrites" in one_message(code, err) and "--resume" in err
    assert before == {path: path.stat().st_mtime_ns for path in work_dir.rglob("*")}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--config", "configs/nothing.py"], "config not found"),
        (["--cfg-options", "train_cfg.max_epoch=3"], "did you mean train_cfg.max_epochs"),
        (["--data-root", "/does/not/exist"], "/does/not/exist"),
        (["--work-dir", "/proc/nowhere"], "cannot be written"),
        (["--pretrained", "no_such_file.pth"], "pretrained weights not found"),
        (["--resume"], "nothing to resume"),
        (["--cfg-options", "train_cfg.max_epochs=1", "train_dataloader.batch_size=11",
          "train_dataloader.drop_last=False", "model.decode_head.num_classes=4"], "num_classes"),
    ],
)  # fmt: skip
def test_mistakes_in_training(
    run: Run, tiny_config: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    base = ["--config", tiny_config, "--device", "cpu"]
    if "--work-dir" not in arguments:
        base += ["--work-dir", tmp_path / "run"]
    code, _, err = run("train", *base, *arguments)
    assert words in one_message(code, err)
    assert not (tmp_path / "run" / "run.json").exists()


def test_offline_weights_fail_before_training_within_ten_seconds(
    run: Run, tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("SEGLAB_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(
        "urllib.request.urlopen", lambda *_, **__: (_ for _ in ()).throw(OSError("offline"))
    )
    start = time.perf_counter()
    code, _, err = run(
        "train", "--config", "configs/exp2_segformer_b2_256x256.py",
        "--data-root", tiny_data, "--work-dir", tmp_path / "run",
    )  # fmt: skip
    assert time.perf_counter() - start < 10
    message = one_message(code, err)
    assert "mit_b2_20220624-66e8bf70.pth" in message and "--from-scratch" in message


@pytest.mark.parametrize("tool", ["test", "predict"])
def test_mistakes_with_checkpoints(
    run: Run,
    tiny_config: Path,
    trained: tuple[Path, str],
    tiny_data: Path,
    tmp_path: Path,
    tool: str,
) -> None:
    work_dir, _ = trained
    good = next(work_dir.glob("best_*.safetensors"))
    torn, cut = tmp_path / "torn.pth", tmp_path / "cut.safetensors"
    torn.write_bytes(next(work_dir.glob("epoch_*.pth")).read_bytes()[:5000])
    cut.write_bytes(good.read_bytes()[:5000])
    more = (
        ["--split", "val", "--output-dir", tmp_path / "out"]
        if tool == "test"
        else ["--input", tiny_data / "img" / "test", "--output-dir", tmp_path / "out"]
    )
    cases = {
        "checkpoint not found": ["--checkpoint", tmp_path / "none.pth"],
        "cannot be read": ["--checkpoint", torn],
        "damaged or not a checkpoint": ["--checkpoint", cut],
        "another number of classes": [
            "--checkpoint", good, "--cfg-options", "model.decode_head.num_classes=5",
        ],
        "does not belong to this model": [
            "--checkpoint", good, "--cfg-options", "model.backbone.model_name=test_resnet",
        ],
    }  # fmt: skip
    for words, arguments in cases.items():
        extra = ["--skip-preflight"] if tool == "test" else []
        code, _, err = run(tool, "--config", tiny_config, *more, *arguments, *extra)
        assert words in one_message(code, err)
    assert not (tmp_path / "out").exists()


def test_check_reports_and_lists(run: Run, tiny_config: Path, tmp_path: Path) -> None:
    code, _, _ = run("check", "--config", tiny_config)
    assert code == 0
    with pytest.raises(SystemExit) as left:
        main(["check", "--list"])
    assert left.value.code == 0
    code, _, err = run("check", "--config", tiny_config, "--data-root", tmp_path)
    assert code == 2 and str(tmp_path) in err
    # Of many faulty files the first are named, or all of them.
    for folder, suffix in (("img", "jpg"), ("labels", "png")):
        for split in ("train", "val"):
            (tmp_path / folder / split).mkdir(parents=True)
            for index in range(7):
                (tmp_path / folder / split / f"torn{index}.{suffix}").write_bytes(b"")
    torn = ["check", "--config", tiny_config, "--data-root", tmp_path]
    assert "torn6.jpg" not in run(*torn)[2]
    assert run(*torn, "--all-files")[2].count("torn6.jpg") == 2


def test_preflight_can_be_skipped(run: Run, tiny_config: Path, tmp_path: Path) -> None:
    # A last batch of one under BatchNorm, which this small network happens to survive.
    overrides = ["--cfg-options", "train_cfg.max_epochs=1",
                 "train_dataloader.batch_size=11", "train_dataloader.drop_last=False"]  # fmt: skip
    base = ["--config", tiny_config, "--work-dir", tmp_path / "run", "--device", "cpu"]
    code, _, err = run("train", *base, *overrides)
    assert code == 2 and "batch" in err
    code, _, err = run("train", *base, *overrides, "--skip-preflight")
    assert code == 0, err
    assert (tmp_path / "run" / "run.json").is_file()


def test_defects_are_told_from_mistakes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(_: Sequence[str] | None) -> int:
        raise ZeroDivisionError("oops")

    def mistaken(_: Sequence[str] | None) -> int:
        raise UserError("bad value", "give a good one")

    def interrupted(_: Sequence[str] | None) -> int:
        raise KeyboardInterrupt

    assert run_tool(broken, []) == 1
    assert "--debug" in capsys.readouterr().err
    with pytest.raises(ZeroDivisionError):
        run_tool(broken, ["--debug"])
    assert run_tool(mistaken, []) == 2
    assert capsys.readouterr().err == "error: bad value\n  fix: give a good one\n"
    assert run_tool(mistaken, ["--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err
    assert run_tool(interrupted, []) == 130


@pytest.mark.parametrize("module", [train, test, predict, check])
def test_help_teaches(module: object) -> None:
    text = module.build_parser().format_help()  # type: ignore[attr-defined]
    assert "examples:" in text and "--config" in text and "--debug" in text
    for action in module.build_parser()._actions:  # type: ignore[attr-defined]
        assert action.help, f"{action.dest} says nothing of itself"


def start_training(config: Path, work_dir: Path, *overrides: str) -> subprocess.Popen[str]:
    arguments = ["--config", str(config), "--work-dir", str(work_dir), "--device", "cpu"]
    return subprocess.Popen(
        [sys.executable, "-m", "seglab.tools.train", *arguments, "--cfg-options", *overrides],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def test_ctrl_c_in_mid_epoch_keeps_what_was_finished(
    run: Run, tiny_config: Path, tmp_path: Path
) -> None:
    work_dir = tmp_path / "run"
    process = start_training(tiny_config, work_dir, "train_cfg.max_epochs=400")
    deadline = time.monotonic() + 120
    while not (work_dir / "last_checkpoint").is_file() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "what was done is kept" in err and "--resume" in err
    assert json.loads((work_dir / "run.json").read_text())["status"] == "interrupted"
    done = len((work_dir / "history.jsonl").read_text().splitlines())
    code, out, err = run(
        "train", "--config", tiny_config, "--work-dir", work_dir, "--resume", "--device", "cpu",
        "--cfg-options", f"train_cfg.max_epochs={done + 1}",
    )  # fmt: skip
    assert code == 0, err
    assert f"epoch {done + 1:>3}/{done + 1}" in out


def test_several_processes_train_one_run(tiny_config: Path, tmp_path: Path) -> None:
    work_dir = tmp_path / "run"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", "-m", "seglab.tools.train", "--config", str(tiny_config)),
            *("--work-dir", str(work_dir), "--launcher", "pytorch", "--device", "cpu"),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("test it next") == 1
    records = [json.loads(line) for line in (work_dir / "history.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    assert json.loads((work_dir / "run.json").read_text())["status"] == "finished"
    assert list(tmp_path.glob(".dist*")) == []


def test_several_processes_do_not_try_what_fits(run: Run, tiny_config: Path) -> None:
    options = ("--launcher", "pytorch", "--auto-batch")
    code, _, err = run("train", "--config", tiny_config, *options)
    assert "--auto-batch" in one_message(code, err)


def test_several_processes_need_a_named_folder(run: Run, tiny_config: Path) -> None:
    code, _, err = run("train", "--config", tiny_config, "--launcher", "pytorch")
    assert "--work-dir" in one_message(code, err)
