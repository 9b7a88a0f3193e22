"""The state of the random number generators."""

import random

import numpy as np
import torch

from seglab.utils.checkpoint_utils import load_checkpoint_file
from seglab.utils.random_state import capture, isolated, restore


def draw() -> tuple[float, float, float, float, float]:
    return (
        random.random(),
        random.gauss(0, 1),  # keeps every second number for later
        float(np.random.rand()),
        float(np.random.randn()),
        float(torch.rand(())),
    )


def test_a_state_comes_back(tmp_path) -> None:
    random.gauss(0, 1), np.random.randn()
    torch.save({"random": capture()}, tmp_path / "state.pth")
    first = [draw() for _ in range(3)]
    assert [draw() for _ in range(3)] != first
    restore(load_checkpoint_file(tmp_path / "state.pth")["random"])  # read as data
    assert [draw() for _ in range(3)] == first


def test_what_is_drawn_inside_does_not_show_outside() -> None:
    state = capture()
    expected = draw()
    restore(state)
    with isolated(7):
        inside = draw()
    assert draw() == expected
    with isolated(7):
        assert draw() == inside
    with isolated(8):
        assert draw() != inside
    restore(state)
    with isolated():
        assert draw() == expected
    assert draw() == expected


def test_the_generators_come_back_after_an_error() -> None:
    state = capture()
    expected = draw()
    restore(state)
    try:
        with isolated(1):
            draw()
            raise ValueError
    except ValueError:
        pass
    assert draw() == expected
