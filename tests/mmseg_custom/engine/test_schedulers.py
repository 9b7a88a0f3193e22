"""The schedule in shares of the run's length, against its formula."""

import math

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmseg.registry import PARAM_SCHEDULERS

from seglab.mmseg_custom.engine.schedulers import WarmupDecayLR


def rates(steps: int, base: float = 0.1, **options: object) -> list[float]:
    parameter = torch.nn.Parameter(torch.zeros(1))
    wrapper = OptimWrapper(torch.optim.SGD([parameter], lr=base))
    scheduler = WarmupDecayLR(wrapper, end=steps, by_epoch=False, **options)
    found = []
    for _ in range(steps):
        found.append(wrapper.get_lr()["lr"][0])
        wrapper.step()
        scheduler.step()
    return found


def reference(
    steps: int, base: float, warmup_ratio: float, decay: str, floor: float
) -> list[float]:
    """The formula of the docstring with power 0.9, spelled out."""
    warmup, values = warmup_ratio * steps, []
    for t in range(steps):
        if t < warmup:
            values.append(base * (t + 1) / (warmup + 1))
            continue
        p = (t - warmup) / (steps - warmup)
        shape = (1 - p) ** 0.9 if decay == "poly" else 0.5 * (1 + math.cos(math.pi * p))
        values.append(base * (floor + (1 - floor) * shape))
    return values


@pytest.mark.parametrize("steps", [1, 2, 24, 1600])
@pytest.mark.parametrize("decay", ["poly", "cosine"])
@pytest.mark.parametrize("warmup, floor", [(0.0, 0.0), (0.05, 0.0), (0.3, 0.1)])
def test_formula(steps: int, decay: str, warmup: float, floor: float) -> None:
    found = rates(steps, warmup_ratio=warmup, decay=decay, eta_min_ratio=floor)
    assert found == pytest.approx(reference(steps, 0.1, warmup, decay, floor))


def test_it_fits_any_length_and_never_stops_learning_early() -> None:
    for steps in (10, 48, 1920):
        found = rates(steps)
        peak = found.index(max(found))
        assert peak <= 0.06 * steps + 1  # warms up in the first twentieth
        assert found[peak] == pytest.approx(0.1, rel=0.1)
        assert 0 < found[-1] < 0.2 * max(found)


def test_lengths_in_epochs_become_iterations() -> None:
    wrapper = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1))
    scheduler = PARAM_SCHEDULERS.build(
        dict(type="WarmupDecayLR", convert_to_iter_based=True, by_epoch=True, end=4),
        default_args=dict(optimizer=wrapper, epoch_length=25),
    )
    assert scheduler.total == 100 and not scheduler.by_epoch


def test_state_survives() -> None:
    wrapper = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1))
    scheduler = WarmupDecayLR(wrapper, end=10, by_epoch=False)
    for _ in range(4):
        wrapper.step()
        scheduler.step()
    expected = wrapper.get_lr()["lr"]
    other = OptimWrapper(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1))
    resumed = WarmupDecayLR(other, end=10, by_epoch=False)
    other.optimizer.load_state_dict(wrapper.optimizer.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    for each, one in ((wrapper, scheduler), (other, resumed)):
        each.step()
        one.step()
    assert wrapper.get_lr()["lr"] == other.get_lr()["lr"] != expected


@pytest.mark.parametrize(
    "options",
    [dict(warmup_ratio=1.0), dict(warmup_ratio=-0.1), dict(eta_min_ratio=1.0), dict(decay="step")],
)
def test_bad_options(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must"):
        rates(5, **options)
