"""Mixed precision on CPU (and on CUDA where there is one)."""

import pytest
import torch
from mmseg.registry import OPTIM_WRAPPERS
from torch import nn

from seglab.mmseg_custom.engine.optim import MixedPrecisionOptimWrapper, autocast_dtype


def make(**options: object) -> tuple[nn.Module, MixedPrecisionOptimWrapper]:
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return model, MixedPrecisionOptimWrapper(optimizer=optimizer, **options)


def test_registered() -> None:
    assert OPTIM_WRAPPERS.get("MixedPrecisionOptimWrapper") is MixedPrecisionOptimWrapper


def test_the_forward_pass_runs_in_bfloat16_and_weights_stay_float32() -> None:
    model, wrapper = make()
    with wrapper.optim_context(model):
        output = model(torch.ones(3, 4))
    assert output.dtype == torch.bfloat16
    before = model.weight.detach().clone()
    wrapper.update_params(output.float().sum())
    assert model.weight.dtype == torch.float32
    assert not torch.equal(before, model.weight)


def test_a_step_equals_plain_torch() -> None:
    model, wrapper = make(clip_grad=dict(max_norm=0.5))
    twin = nn.Linear(4, 2)
    twin.load_state_dict(model.state_dict())
    optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
    inputs = torch.randn(8, 4)
    with wrapper.optim_context(model):
        loss = model(inputs).float().square().mean()
    wrapper.update_params(loss)
    with torch.autocast("cpu", torch.bfloat16):
        loss = twin(inputs).float().square().mean()
    loss.backward()
    nn.utils.clip_grad_norm_(twin.parameters(), 0.5)
    optimizer.step()
    assert torch.equal(model.weight, twin.weight)


def test_accumulated_steps_equal_one_large_batch() -> None:
    model, wrapper = make(accumulative_counts=2)
    twin, whole = make()
    inputs = torch.randn(8, 4)
    for part in inputs.chunk(2):
        with wrapper.optim_context(model):
            loss = model(part).float().square().mean()
        wrapper.update_params(loss)
    with whole.optim_context(twin):
        loss = twin(inputs).float().square().mean()
    whole.update_params(loss)
    torch.testing.assert_close(model.weight, twin.weight, rtol=0, atol=1e-3)
    assert not torch.allclose(model.weight, make()[0].weight, atol=1e-2)


def test_state_survives() -> None:
    model, wrapper = make()
    wrapper.optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    with wrapper.optim_context(model):
        loss = model(torch.ones(3, 4)).float().sum()
    wrapper.update_params(loss)
    wrapper.scaler = RecordingScaler()
    state = wrapper.state_dict()
    other_model, other = make()
    other.optimizer = torch.optim.Adam(other_model.parameters(), lr=0.1)
    other.scaler = RecordingScaler()
    other.load_state_dict(state)
    assert other.scaler.calls == ["load 7.0"]
    moments = [w.optimizer.state_dict()["state"][0]["exp_avg"] for w in (wrapper, other)]
    assert torch.equal(*moments) and moments[0].abs().sum() > 0
    assert "scaler" in state  # the caller's dictionary is left alone


class RecordingScaler:
    """Stands in for a CUDA gradient scaler, which does nothing on a CPU."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def scale(self, loss: torch.Tensor) -> torch.Tensor:
        self.calls.append("scale")
        return loss * 1.0

    def unscale_(self, optimizer: object) -> None:
        self.calls.append("unscale")

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        self.calls.append("step")

    def update(self) -> None:
        self.calls.append("update")

    def state_dict(self) -> dict[str, float]:
        return {"scale": 7.0}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.calls.append(f"load {state['scale']}")


def test_gradients_are_unscaled_before_they_are_clipped(monkeypatch: pytest.MonkeyPatch) -> None:
    model, wrapper = make(clip_grad=dict(max_norm=0.5))
    scaler = wrapper.scaler = RecordingScaler()
    monkeypatch.setattr(wrapper, "_clip_grad", lambda: scaler.calls.append("clip"))
    wrapper.update_params(model(torch.ones(3, 4)).sum())
    assert scaler.calls == ["scale", "unscale", "clip", "step", "update"]


@pytest.mark.parametrize(
    ("device", "asked", "expected"),
    [
        ("cpu", "auto", torch.bfloat16),
        ("cpu", "bfloat16", torch.bfloat16),
        ("cuda", "float16", torch.float16),
    ],
)
def test_choice_of_precision(device: str, asked: str, expected: torch.dtype) -> None:
    assert autocast_dtype(device, asked) == expected


def test_old_cards_get_float16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert autocast_dtype("cuda") == torch.float16
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert autocast_dtype("cuda:0") == torch.bfloat16


@pytest.mark.parametrize(("device", "asked"), [("cpu", "float16"), ("cuda", "fp16")])
def test_precisions_that_cannot_be(device: str, asked: str) -> None:
    with pytest.raises(ValueError, match=asked):
        autocast_dtype(device, asked)
