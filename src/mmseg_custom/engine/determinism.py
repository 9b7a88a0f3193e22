"""Trainings that repeat bit for bit on the machine they ran on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from seglab.utils.errors import UserError

#: torch's own words for an operation that has no deterministic form.
_REFUSAL = " does not have a deterministic implementation"
_CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
#: The sizes with which cuBLAS repeats itself (its documentation, "Results reproducibility").
_REPEATABLE_SIZES = (":4096:8", ":16:8")
#: What to put in the place of such an operation: how torch's names begin, and the remedy.
_REMEDIES = {
    "nll_loss2d": "use loss_decode=dict(type='ComboLoss', ce_weight=1.0, dice_weight=0.0), the "
    "same cross-entropy, in place of CrossEntropyLoss",
    "adaptive_avg_pool2d": "pool to 1 x 1, which is a mean, or by fixed kernels (AvgPool2d)",
    "adaptive_max_pool2d": "use MaxPool2d",
    "upsample_bicubic2d": "interpolate by mode='bilinear', which torch has a repeatable form of",
    "reflection_pad": "pad by zeros or by mode='replicate'",
}


def decide(asked: bool | None, configured: bool | None, device: str) -> bool:
    """Whether a run is deterministic.

    Args:
        asked: What the command line says; None for nothing.
        configured: What the config says, `randomness.deterministic`; None for nothing.
        device: 'cpu', 'cuda' or 'cuda:N'. On the CPU it is the default.
    """
    for choice in (asked, configured):
        if choice is not None:
            return bool(choice)
    return device == "cpu"


def in_words(deterministic: bool, device: str) -> str:
    """A line that says what a run's choice means.

    Args:
        deterministic: The choice.
        device: 'cpu', 'cuda' or 'cuda:N'.
    """
    if deterministic:
        price = "" if device == "cpu" else "; it costs speed and memory on a GPU"
        return f"deterministic: the same machine, versions and threads repeat it exactly{price}"
    return "not deterministic: a repeated run may differ a little (see --deterministic)"


@contextmanager
def repeatable(deterministic: bool, device: str) -> Iterator[None]:
    """Have torch use operations that always give the same result.

    torch's settings hold for the whole process; afterwards they are what they were.

    Args:
        deterministic: Whether to do anything.
        device: 'cpu', 'cuda' or 'cuda:N'.

    Raises:
        UserError: An operation has no such form; or the environment forbids cuBLAS to repeat
            itself.
    """
    if not deterministic:
        yield
        return
    if device != "cpu":
        _set_cublas()
    cudnn = torch.backends.cudnn
    memory: Any = torch.utils.deterministic  # a module with properties
    kept = (
        torch.get_deterministic_debug_mode(),
        memory.fill_uninitialized_memory,
        cudnn.deterministic,
        cudnn.benchmark,
    )
    try:
        torch.use_deterministic_algorithms(True)
        # Costs time, and matters only to code that reads memory it has not written.
        memory.fill_uninitialized_memory = False
        cudnn.deterministic, cudnn.benchmark = True, False
        yield
    except RuntimeError as error:
        if _REFUSAL not in str(error):
            raise
        raise _without_form(str(error).partition(_REFUSAL)[0].strip()) from error
    finally:
        torch.set_deterministic_debug_mode(kept[0])
        memory.fill_uninitialized_memory = kept[1]
        cudnn.deterministic, cudnn.benchmark = kept[2:]


def _set_cublas() -> None:
    """Give cuBLAS a workspace of fixed size; it looks once, when CUDA is first used."""
    size = os.environ.setdefault(_CUBLAS, _REPEATABLE_SIZES[0])
    if size not in _REPEATABLE_SIZES:
        raise UserError(
            f"--deterministic: the environment sets {_CUBLAS}={size}, with which cuBLAS does not "
            "repeat itself",
            f"unset it, or set {' or '.join(_REPEATABLE_SIZES)}",
        )


def _without_form(operation: str) -> UserError:
    remedy = next(
        (text for name, text in _REMEDIES.items() if operation.startswith(name)),
        "leave out the part of the model, or the loss, that uses it",
    )
    return UserError(
        f"--deterministic: torch has no deterministic form of {operation}",
        f"{remedy}; or add --no-deterministic",
    )
