"""The state of every random number generator: taken, put back, and kept out of harm's way."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def capture() -> dict[str, Any]:
    """The state of Python's, numpy's and torch's generators, on the CPU and on every CUDA device.

    Returns:
        Plain values and tensors only, so that a checkpoint with them loads as data.
    """
    version, words, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    numbers = torch.from_numpy(np.asarray(keys, np.int64))
    state: dict[str, Any] = {
        "python": [version, list(words), gauss],
        "numpy": [name, numbers, position, has_gauss, cached],
        "torch": torch.get_rng_state(),
    }
    # Without CUDA in use there is nothing to keep; asking would start it.
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state_all()
    return state


def restore(state: dict[str, Any]) -> None:
    """Put back what `capture` took.

    Raises:
        KeyError, TypeError, ValueError, RuntimeError: It is not such a state.
    """
    version, words, gauss = state["python"]
    name, keys, position, has_gauss, cached = state["numpy"]
    random.setstate((version, tuple(words), gauss))
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        states = [each.cpu() for each in state["cuda"]]
        torch.cuda.set_rng_state_all(states[: torch.cuda.device_count()])


@contextmanager
def isolated(seed: int | None = None) -> Iterator[None]:
    """Leave the generators of the CPU as they were, whatever the block draws from them.

    Args:
        seed: Seed them with this for the block; None lets the block go on with their numbers.
    """
    python, legacy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        if seed is not None:
            random.seed(seed)
            np.random.seed(seed % 2**32)
            # Not `torch.manual_seed`, which seeds CUDA's generators as well.
            torch.default_generator.manual_seed(seed)
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)
        torch.set_rng_state(cpu)
