"""The command that repeats a step whose loss was not finite."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

Run = Callable[..., tuple[int, str, str]]


def test_a_training_names_the_command_that_works(
    run: Run, tiny_config: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "a run"
    code, _, err = run(
        "train", "--config", tiny_config, "--work-dir", folder, "--device", "cpu",
        "--from-scratch", "--cfg-options", "optim_wrapper.optimizer.lr=1e30",
    )  # fmt: skip
    assert code == 2
    assert "became" in err and "seglab replay" in err and "--on-nan skip" in err
    code, out, err = run("replay", folder / "not_finite_step.pth", "--device", "cpu")
    assert code == 0, err
    assert out.startswith("epoch 1, step ")
    assert "first layer with values that are not finite: " in out
    assert out.count("labels 0, ") == 4
    code, _, err = run("replay", folder / "config.py")
    assert code == 2 and "Traceback" not in err


def test_auto_batch_is_told_and_kept(run: Run, tiny_config: Path, tmp_path: Path) -> None:
    code, out, err = run(
        "train", "--config", tiny_config, "--work-dir", tmp_path / "run", "--device", "cpu",
        "--from-scratch", "--auto-batch", "--cfg-options", "train_cfg.max_epochs=1",
    )  # fmt: skip
    assert code == 0, err
    assert "batches of 4 fit" in out


def test_memory_that_runs_out_is_one_message(
    run: Run, tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seglab.mmseg_custom.losses import ComboLoss

    def full(*args: Any, **kwargs: Any) -> Any:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(ComboLoss, "forward", full)
    code, _, err = run(
        "train", "--config", tiny_config, "--work-dir", tmp_path / "run", "--device", "cpu",
        "--from-scratch",
    )  # fmt: skip
    assert code == 2
    assert "out of memory with train_dataloader.batch_size=4" in err
    assert "batch_size=2 +optim_wrapper.accumulative_counts=2" in err
