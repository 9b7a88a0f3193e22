"""Losses and gradients that are not finite."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmseg.registry import OPTIM_WRAPPERS
from resuming import make_starts_quick
from yapf.yapflib import yapf_api

from seglab.mmseg_custom.engine import step_guard
from seglab.mmseg_custom.engine.captured_step import CAPTURE_NAME, replay_step
from seglab.mmseg_custom.engine.history import read_history
from seglab.mmseg_custom.engine.optim import MixedPrecisionOptimWrapper
from seglab.mmseg_custom.engine.run_setup import (
    TrainOptions,
    apply_options,
    choose_work_dir,
)
from seglab.mmseg_custom.engine.step_guard import StepGuardHook
from seglab.mmseg_custom.engine.training import (
    TrainResult,
    train,
)
from seglab.mmseg_custom.losses import ComboLoss
from seglab.mmseg_custom.models.timm_backbone import TimmBackbone
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


@pytest.fixture(autouse=True)
def quick_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """See `make_starts_quick`."""
    monkeypatch.setattr(yapf_api, "FormatCode", yapf_api.FormatCode)
    make_starts_quick()


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


@pytest.mark.parametrize("on_nan", ["skip", "stop"])
def test_a_refused_step_leaves_the_running_means_alone(
    tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_nan: str
) -> None:
    """Where the network itself overflows, the forward pass has spoiled its normalisation."""
    real, counter = TimmBackbone.forward, [0]

    def forward(self: TimmBackbone, x: torch.Tensor) -> Any:
        counter[0] += self.training
        return real(self, x * float("inf") if self.training and counter[0] == 2 else x)

    monkeypatch.setattr(TimmBackbone, "forward", forward)
    if on_nan == "stop":
        with pytest.raises(UserError, match="epoch 1, step 2"):
            run(tiny_config, tmp_path / "run")
        kept = load_checkpoint_file(tmp_path / "run" / CAPTURE_NAME)["state_dict"]
    else:
        run(tiny_config, tmp_path / "run", on_nan="skip")
        kept = weights(tmp_path / "run", 2)
    assert any("running_mean" in name for name in kept)
    assert all(bool(torch.isfinite(each).all()) for each in kept.values())


def test_of_accumulated_gradients_the_culprit_is_kept(
    tiny_config: Path, tmp_path: Path, spoil: Callable[..., None]
) -> None:
    spoil({1}, gradient=True)
    with pytest.raises(UserError, match="the gradient norm became nan in epoch 1, step 1"):
        run(tiny_config, tmp_path / "run", ["+optim_wrapper.accumulative_counts=2"])


def test_the_file_is_of_the_step_that_the_message_names(
    tiny_config: Path, tmp_path: Path, spoil: Callable[..., None]
) -> None:
    spoil({5, 8})  # of the resumed run the last step
    for step, resume in ((5, False), (6, True)):
        with pytest.raises(UserError, match=f"step {step}; training stopped"):
            run(tiny_config, tmp_path / "run", resume=resume)
        assert load_checkpoint_file(tmp_path / "run" / CAPTURE_NAME)["facts"]["step"] == step


def test_a_gradient_that_no_scale_mends_is_not_finite(
    tiny_config: Path, tmp_path: Path, spoil: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Scaled(MixedPrecisionOptimWrapper):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.scaler = torch.amp.GradScaler("cpu")  # as float16 would have it

    monkeypatch.setattr(step_guard, "SCALER_PATIENCE", 3)
    monkeypatch.setitem(OPTIM_WRAPPERS.module_dict, "MixedPrecisionOptimWrapper", Scaled)
    spoil({1, 2, *range(4, 100)}, gradient=True)
    more = ["optim_wrapper.type=MixedPrecisionOptimWrapper", "train_cfg.max_epochs=4"]
    with pytest.raises(UserError, match="the gradient norm became nan in epoch 3, step 7"):
        run(tiny_config, tmp_path / "run", more)
    assert all(bool(torch.isfinite(each).all()) for each in weights(tmp_path / "run", 2).values())


@pytest.mark.parametrize("bad", [[], [0], [1, 2], [2], [0, 2]])
def test_the_first_process_with_a_fault_is_the_one_told(
    monkeypatch: pytest.MonkeyPatch, bad: list[int]
) -> None:
    given: list[int] = []

    def exchange(own: int) -> int:
        given.append(own)
        return max(given)

    monkeypatch.setattr(step_guard, "get_world_size", lambda: 3)
    monkeypatch.setattr(step_guard, "highest_of_processes", exchange)
    for rank in range(3):
        monkeypatch.setattr(step_guard, "get_rank", lambda rank=rank: rank)
        found = step_guard._first_process(rank in bad)
    assert found == (bad[0] + 1 if bad else 0)


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


def test_the_step_is_repeated_in_its_precision(
    tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = ComboLoss.forward

    def forward(self: ComboLoss, *args: Any, **kwargs: Any) -> Any:
        return real(self, *args, **kwargs) * (
            float("inf") if torch.is_autocast_enabled("cpu") else 1.0
        )

    monkeypatch.setattr(ComboLoss, "forward", forward)
    with pytest.raises(UserError, match="the loss became inf"):
        run(tiny_config, tmp_path / "run", ["optim_wrapper.type=MixedPrecisionOptimWrapper"])
    assert replay_step(tmp_path / "run" / CAPTURE_NAME).losses["loss"] == float("inf")


def test_what_is_no_step_is_refused(
    tiny_config: Path, tmp_path: Path, spoil: Callable[..., None]
) -> None:
    torch.save({"state_dict": {}}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="holds no training step"):
        replay_step(tmp_path / "other.pth")
    spoil({1})
    with pytest.raises(UserError):
        run(tiny_config, tmp_path / "run")
    whole = torch.load(tmp_path / "run" / CAPTURE_NAME)
    for key, value in {
        "config": "[" * 100_000, "facts": {"what": "loss"}, "inputs": [torch.zeros(2)],
        "samples": 5, "random": {}, "autocast": "float8", "state_dict": 3,
    }.items():  # fmt: skip
        torch.save({**whole, key: value}, tmp_path / "damaged.pth")
        with pytest.raises(UserError, match=r"damaged\.pth"):
            replay_step(tmp_path / "damaged.pth")
        torch.save({k: v for k, v in whole.items() if k != key}, tmp_path / "less.pth")
        if key != "autocast":  # files of earlier versions have none
            with pytest.raises(UserError, match=r"less\.pth"):
                replay_step(tmp_path / "less.pth")


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
