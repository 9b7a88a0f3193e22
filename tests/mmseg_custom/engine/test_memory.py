"""Batches that do not fit."""

from pathlib import Path
from typing import Any

import pytest
import torch
from mmseg.models import EncoderDecoder

from seglab.mmseg_custom.engine import memory
from seglab.mmseg_custom.engine.memory import fit_batch, is_out_of_memory, out_of_memory
from seglab.mmseg_custom.engine.run_setup import (
    TrainOptions,
    apply_options,
    choose_work_dir,
)
from seglab.mmseg_custom.engine.training import train
from seglab.mmseg_custom.losses import ComboLoss
from seglab.utils.config_utils import load_config
from seglab.utils.errors import UserError


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A machine with room for so many images."""

    def limit(images: int) -> None:
        real = ComboLoss.forward

        def forward(self: ComboLoss, logits: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            if len(logits) > images:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            return real(self, logits, *args, **kwargs)

        monkeypatch.setattr(ComboLoss, "forward", forward)

    return limit


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.cuda.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (MemoryError(), True),
        (RuntimeError("shapes differ"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_errors_of_memory(error: BaseException, expected: bool) -> None:
    assert is_out_of_memory(error) is expected


def test_a_real_one() -> None:
    with pytest.raises(Exception) as caught:
        torch.empty(2**50)
    assert is_out_of_memory(caught.value)


def test_the_message_keeps_the_effective_batch(tiny_config: Path) -> None:
    config = load_config(
        tiny_config, ["train_dataloader.batch_size=12", "+optim_wrapper.accumulative_counts=2"]
    )
    error = out_of_memory(config)
    assert "batch_size=12" in error.message
    assert "batch_size=6 optim_wrapper.accumulative_counts=4" in error.fix
    assert "effective batch of 24" in error.fix and "--auto-batch" in error.fix
    config.train_dataloader.batch_size = 1
    assert "smaller images" in out_of_memory(config).fix


@pytest.mark.parametrize(("images", "size", "steps"), [(8, 4, 1), (3, 2, 2), (2, 2, 2)])
def test_the_largest_that_fits(
    tiny_config: Path, room: Any, images: int, size: int, steps: int
) -> None:
    config = load_config(tiny_config)
    room(images)
    words = fit_batch(config, "cpu")
    assert config.train_dataloader.batch_size == size
    assert config.optim_wrapper.accumulative_counts == steps
    assert f"{size}" in words


def test_none_fits(tiny_config: Path, room: Any) -> None:
    room(0)
    # The smallest that was tried: batch normalisation cannot learn from one image.
    with pytest.raises(UserError, match=r"train_dataloader.batch_size=2, and batch norm") as caught:
        fit_batch(load_config(tiny_config), "cpu")
    assert "smaller images" in caught.value.fix and "--auto-batch" not in caught.value.fix
    with pytest.raises(UserError, match=r"out of memory with train_dataloader.batch_size=1\n"):
        fit_batch(load_config(tiny_config, ["train_dataloader.batch_size=1"]), "cpu")


def test_the_validation_is_not_mistaken_for_a_step(
    tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **kwargs: Any) -> Any:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    monkeypatch.setattr(EncoderDecoder, "predict", full)
    config = load_config(tiny_config, ["train_cfg.max_epochs=1"])
    options = TrainOptions(work_dir=tmp_path / "run", device="cpu", from_scratch=True)
    apply_options(config, options, choose_work_dir(config, options))
    with pytest.raises(
        UserError, match=r"in the validation, with val_dataloader.batch_size=4"
    ) as e:
        train(config, options, tmp_path / "run")
    assert "--resume --cfg-options val_dataloader.batch_size=1" in e.value.fix
    config.val_dataloader.batch_size = 1
    assert "windows" in memory.out_of_memory_in_validation(config).fix


def test_other_errors_are_not_hidden(tiny_config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> Any:
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(memory, "_attempt", lambda *_: broken)
    with pytest.raises(RuntimeError, match="shapes differ"):
        fit_batch(load_config(tiny_config), "cpu")
