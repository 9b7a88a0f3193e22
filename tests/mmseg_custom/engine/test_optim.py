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
    before = model.weight.detach().clone()
    for part in torch.ones(4, 4).chunk(2):
        with wrapper.optim_context(model):
            loss = model(part).float().mean()
        wrapper.update_params(loss)
        if part is not None and wrapper._inner_count == 1:
            assert torch.equal(before, model.weight)
    assert not torch.equal(before, model.weight)


def test_state_survives() -> None:
    _, wrapper = make()
    state = wrapper.state_dict()
    assert "scaler" in state
    _, other = make()
    other.load_state_dict(state)
    assert "scaler" in state  # the caller's dictionary is left alone


@pytest.mark.parametrize(
    ("device", "asked", "expected"),
    [("cpu", "auto", torch.bfloat16), ("cpu", "float16", torch.float16)],
)
def test_choice_of_precision(device: str, asked: str, expected: torch.dtype) -> None:
    assert autocast_dtype(device, asked) == expected


def test_old_cards_get_float16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    assert autocast_dtype("cuda") == torch.float16
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: True)
    assert autocast_dtype("cuda:0") == torch.bfloat16
