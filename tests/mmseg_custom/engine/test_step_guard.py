"""Losses and gradients that are not finite."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seglab.mmseg_custom.engine.captured_step import CAPTURE_NAME, replay_step
from seglab.mmseg_custom.engine.history import read_history
from seglab.mmseg_custom.engine.step_guard import StepGuardHook
from seglab.mmseg_custom.engine.training import (
    TrainOptions,
    TrainResult,
    apply_options,
    choose_work_dir,
    train,
)
from seglab.mmseg_custom.losses import ComboLoss
from seglab.utils.checkpoint_utils import load_checkpoint_file
from seglab.utils.config_utils import load_config
from seglab.utils.errors import UserError


def run(config: Path, folder: Path, overrides: Sequence[str] = (), **more: Any) -> TrainResult:
    loaded = load_config(config, overrides)
    options = TrainOptions(work_dir=folder, device="cpu", from_scratch=True, **more)
    apply_options(loaded, options, choose_work_dir(loaded, options))
    return train(loaded, options, folder)


def weights(folder: Path, epoch: int) -> dict[str, torch.Tensor]:
    return load_checkpoint_file(folder / f"epoch_{epoch}.pth")["state_dict"]


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Spoil the loss, or its gradient only, at some of its calls."""

    def spoil_calls(calls: set[int], gradient: bool = False) -> None:
        real, counter = ComboLoss.forward, [0]

        def forward(self: ComboLoss, logits: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            loss = real(self, logits, *args, **kwargs)
            counter[0] += 1
            if counter[0] not in calls:
                return loss
            zero = (logits - logits.detach()).sum()
            # The square root's slope at zero has no end.
            return loss + (torch.sqrt(zero) if gradient else float("nan") * (1 + zero))

        monkeypatch.setattr(ComboLoss, "forward", forward)

    return spoil_calls


@pytest.mark.parametrize(("gradient", "what"), [(False, "loss"), (True, "gradient norm")])
def test_a_run_stops_before_the_weights_change(
    tiny_config: Path, tmp_path: Path, spoil: Callable[..., None], gradient: bool, what: str
) -> None:
    spoil({5}, gradient)
    with pytest.raises(UserError, match=rf"the {what} became nan in epoch 2, step 5") as caught:
        run(tiny_config, tmp_path / "run")
    assert f"seglab replay {tmp_path / 'run' / CAPTURE_NAME}" in caught.value.fix
    kept = load_checkpoint_file(tmp_path / "run" / CAPTURE_NAME)
    assert all(bool(torch.isfinite(each).all()) for each in kept["state_dict"].values())
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "failed"


@pytest.mark.parametrize("gradient", [False, True])
@pytest.mark.parametrize("accumulated", [1, 2])
def test_a_step_is_left_out_and_training_goes_on(
    tiny_config: Path,
    tmp_path: Path,
    spoil: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
    gradient: bool,
    accumulated: int,
) -> None:
    spoil({2, 5}, gradient)
    more = [f"+optim_wrapper.accumulative_counts={accumulated}"]
    run(tiny_config, tmp_path / "run", more, on_nan="skip")
    assert capsys.readouterr().out.count("left out: the ") == 2
    assert all(bool(torch.isfinite(each).all()) for each in weights(tmp_path / "run", 2).values())
    assert all(np.isfinite(record["loss"]) for record in read_history(tmp_path / "run"))


def test_leaving_out_everything_is_no_training(
    tiny_config: Path, tmp_path: Path, spoil: Callable[..., None]
) -> None:
    spoil(set(range(100)))
    with pytest.raises(UserError, match="not finite 20 times in a row"):
        run(tiny_config, tmp_path / "run", ["train_cfg.max_epochs=9"], on_nan="skip")


def test_the_step_is_repeated_from_its_file(tiny_config: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="became"):
        run(tiny_config, tmp_path / "run", ["optim_wrapper.optimizer.lr=1e30"])
    path = tmp_path / "run" / CAPTURE_NAME
    before = torch.get_rng_state()
    first, second = replay_step(path), replay_step(path)
    assert torch.equal(torch.get_rng_state(), before)
    assert repr(first) == repr(second)
    assert not np.isfinite(first.losses["loss"])
    assert str(first.losses["loss"]) == first.facts["text"]
    assert first.first_module is not None
    assert len(first.images) == len(first.labels) == 4
    assert all(set(labels) <= {0, 1, 2} for labels in first.labels)


def test_what_is_no_step_is_refused(tiny_config: Path, tmp_path: Path) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="holds no training step"):
        replay_step(tmp_path / "other.pth")


def test_the_gradients_norm_is_logged(tiny_config: Path, tmp_path: Path) -> None:
    plain, clipped = tmp_path / "plain", tmp_path / "clipped"
    run(tiny_config, plain, ["train_cfg.max_epochs=1"])
    # mmengine's own measurement, which a limit that is never reached leaves as it is.
    run(tiny_config, clipped, ["train_cfg.max_epochs=1", "+optim_wrapper.clip_grad.max_norm=1e9"])
    norms = [
        load_checkpoint_file(folder / "epoch_1.pth")["message_hub"]["log_scalars"][
            "train/grad_norm"
        ].data[0]
        for folder in (plain, clipped)
    ]
    assert len(norms[0]) == 3
    np.testing.assert_allclose(*norms, rtol=1e-5)


def test_looking_changes_nothing(
    tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tiny_config, tmp_path / "watched")
    monkeypatch.setattr(StepGuardHook, "before_train", lambda self, runner: None)
    run(tiny_config, tmp_path / "alone")
    first, second = weights(tmp_path / "watched", 2), weights(tmp_path / "alone", 2)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_unknown_choice() -> None:
    with pytest.raises(ValueError, match="stop, skip"):
        StepGuardHook("ignore")
