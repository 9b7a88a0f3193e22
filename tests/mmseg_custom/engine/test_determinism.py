"""Runs that repeat bit for bit: what is chosen, what refuses, what is left behind."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.hooks import Hook
from mmseg.registry import HOOKS

from seglab.mmseg_custom.engine.determinism import decide, in_words, repeatable
from seglab.mmseg_custom.engine.run_setup import (
    TrainOptions,
    apply_options,
    choose_work_dir,
)
from seglab.mmseg_custom.engine.training import (
    TrainResult,
    train,
)
from seglab.utils.checkpoint_utils import load_checkpoint_file
from seglab.utils.config_utils import load_config
from seglab.utils.errors import UserError
from seglab.utils.result_files import CONFIG_JSON

_memory: Any = torch.utils.deterministic


def settings() -> tuple[Any, ...]:
    cudnn = torch.backends.cudnn
    return (
        torch.get_deterministic_debug_mode(),
        _memory.fill_uninitialized_memory,
        cudnn.deterministic,
        cudnn.benchmark,
    )


@HOOKS.register_module()
class PutHook(Hook):
    """Uses an operation that has no deterministic form on any device."""

    def before_train_iter(self, *_: Any, **__: Any) -> None:
        """Use it."""
        torch.zeros(3).put_(torch.tensor([0]), torch.tensor([1.0]))


@pytest.fixture
def putting(tiny_config: Path) -> Iterator[Path]:
    """A config with a hook that uses such an operation."""
    path = tiny_config.with_name("putting.py")
    path.write_text(
        f"_base_ = [{str(tiny_config)!r}]\n"
        "custom_hooks = [*_base_.custom_hooks, dict(type='PutHook')]\n"
    )
    yield path


def run(path: Path, folder: Path, device: str = "cpu", **more: Any) -> TrainResult:
    options = TrainOptions(work_dir=folder, device=device, from_scratch=True, **more)
    config = load_config(path, ["train_cfg.max_epochs=1"])
    apply_options(config, options, choose_work_dir(config, options))
    return train(config, options, folder)


@pytest.mark.parametrize(
    ("asked", "configured", "device", "expected"),
    [
        (None, None, "cpu", True),
        (None, None, "cuda", False),
        (None, None, "cuda:1", False),
        (None, True, "cuda", True),
        (None, False, "cpu", False),
        (True, False, "cuda", True),
        (False, True, "cpu", False),
    ],
)
def test_the_command_line_then_the_config_then_the_device(
    asked: bool | None, configured: bool | None, device: str, expected: bool
) -> None:
    assert decide(asked, configured, device) is expected


def test_only_a_gpu_is_said_to_pay() -> None:
    assert "costs" in in_words(True, "cuda:0") and "costs" not in in_words(True, "cpu")
    assert in_words(False, "cpu").startswith("not deterministic")


def test_settings_are_what_they_were_afterwards() -> None:
    before = settings()
    with repeatable(True, "cpu"):
        assert settings() == (2, False, True, False)
    assert settings() == before
    with pytest.raises(ZeroDivisionError), repeatable(True, "cpu"):
        raise ZeroDivisionError
    with pytest.raises(RuntimeError, match="of its own"), repeatable(True, "cpu"):
        raise RuntimeError("of its own")
    assert settings() == before
    with repeatable(False, "cuda"):
        assert settings() == before


def test_cublas_gets_a_workspace_of_fixed_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with repeatable(True, "cpu"):
        assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    with repeatable(True, "cuda"):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    with repeatable(True, "cuda"):
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":0:0")
    before = settings()
    with pytest.raises(UserError, match="CUBLAS_WORKSPACE_CONFIG=:0:0"), repeatable(True, "cuda"):
        raise AssertionError("not reached")
    assert settings() == before


@pytest.mark.parametrize(
    ("operation", "remedy"),
    [
        ("nll_loss2d_forward_out_cuda_template", "ComboLoss"),
        ("adaptive_avg_pool2d_backward_cuda", "1 x 1"),
        ("upsample_bicubic2d_backward_out_cuda", "bilinear"),
        ("grid_sampler_2d_backward_cuda", "leave out"),
    ],
)
def test_operations_of_cuda_that_refuse_come_with_their_remedy(operation: str, remedy: str) -> None:
    text = (
        f"{operation} does not have a deterministic implementation, but you set "
        "'torch.use_deterministic_algorithms(True)'. You can turn off determinism just for this "
        "operation, or you can use the 'warn_only=True' option"
    )  # torch's own words; no GPU is needed to know them
    with pytest.raises(UserError, match=f"form of {operation}") as caught, repeatable(True, "cpu"):
        raise RuntimeError(text)
    assert remedy in str(caught.value) and "--no-deterministic" in str(caught.value)


def test_a_training_names_the_operation_that_refuses(putting: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no deterministic form of put_"):
        run(putting, tmp_path / "stopped")
    assert json.loads((tmp_path / "stopped" / "run.json").read_text())["status"] == "failed"
    assert run(putting, tmp_path / "run", deterministic=False).epochs == 1


def test_the_choice_is_stored_and_holds_over_a_resume(tiny_config: Path, tmp_path: Path) -> None:
    run(tiny_config, tmp_path / "run", deterministic=False)
    stored = load_config(tmp_path / "run" / CONFIG_JSON)
    assert stored.randomness.deterministic is False
    for asked, expected in ((None, False), (False, False)):
        options = TrainOptions(
            work_dir=tmp_path / "run", device="cpu", resume=True, deterministic=asked
        )
        config = load_config(tmp_path / "run" / CONFIG_JSON)
        apply_options(config, options, tmp_path / "run")
        assert config.randomness.deterministic is expected
    options = TrainOptions(work_dir=tmp_path / "run", device="cpu", resume=True, deterministic=True)
    with pytest.raises(UserError, match="--deterministic: the run in .* began otherwise"):
        apply_options(load_config(tmp_path / "run" / CONFIG_JSON), options, tmp_path / "run")
    run(tiny_config, tmp_path / "other")
    assert load_config(tmp_path / "other" / CONFIG_JSON).randomness.deterministic is True


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_repeats_itself(tiny_config: Path, tmp_path: Path) -> None:
    states = []
    for name in "ab":
        run(tiny_config, tmp_path / name, device="cuda", deterministic=True)
        states.append(load_checkpoint_file(tmp_path / name / "epoch_1.pth")["state_dict"])
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_a_resume_tells_what_is_not_as_it_was(
    tiny_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tiny_config, tmp_path / "run")
    path = tmp_path / "run" / "run.json"
    record = json.loads(path.read_text())
    record["environment"]["torch_threads"] = 97
    record["environment"]["packages"]["torch"] = "1.0"
    path.write_text(json.dumps(record))
    options = TrainOptions(work_dir=tmp_path / "run", device="cpu", resume=True)
    config = load_config(tmp_path / "run" / CONFIG_JSON)
    apply_options(config, options, tmp_path / "run")
    capsys.readouterr()
    train(config, options, tmp_path / "run")
    said = capsys.readouterr().out
    changes = [
        f"packages.torch: 1.0 -> {torch.__version__}",
        f"torch_threads: 97 -> {torch.get_num_threads()}",
    ]
    assert all(change in said for change in changes)
    sessions = json.loads(path.read_text())["sessions"]
    assert [session["changes"] for session in sessions] == [[], changes]


def test_any_number_of_processes_validates_alike(
    tiny_config: Path, tiny_data: Path, tmp_path: Path, project_root: Path
) -> None:
    """Five images: batches of 4 and 1; in two processes padded to 3 and 3, in three to 2 each."""
    config = tmp_path / "counted.py"
    config.write_text(
        f"_base_ = [{str(tiny_config)!r}]\n"
        "train_cfg = dict(max_epochs=1)\n"
        "train_dataloader = dict(batch_size=12)\n"
        "val_evaluator = dict(boundary=True, calibration=True)\n"
        "custom_hooks = [*_base_.custom_hooks, dict(type='CountedHook')]\n"
    )
    done = subprocess.run(
        [sys.executable, project_root / "tests" / "validating_processes.py", config, tmp_path],
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"codes')]
    assert [line["codes"] for line in lines] == [[0], [0, 0], [0, 0, 0]]
    names = sorted(path.name for path in (tiny_data / "img" / "val").iterdir())
    assert len(names) == 5
    expected = dict(lines[0]["metrics"])
    for line in lines:
        assert line["counted"] == [[name, 64 * 64] for name in names]
        # A batch of another size rounds the logits otherwise, in the last bits.
        for key in ("val/ECE", "val/ECE/objects"):
            assert line["metrics"].pop(key) == pytest.approx(expected[key], rel=1e-6)
        assert line["metrics"] == {key: expected[key] for key in line["metrics"]}
    assert {"val/mDice", "val/HD95/cat", "val/NSD/dog"} <= lines[2]["metrics"].keys()
