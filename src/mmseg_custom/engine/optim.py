"""Mixed precision that also runs on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from mmseg.registry import OPTIM_WRAPPERS
from torch import Tensor, nn

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def autocast_dtype(device: str, dtype: str = "auto") -> torch.dtype:
    """The lower precision to use on a device.

    bfloat16 wherever it runs: it has float32's range and needs no loss scaling. CUDA cards
    before Ampere lack it and get float16.

    Raises:
        ValueError: The precision is unknown, or float16 is asked for on a CPU.
    """
    if dtype != "auto":
        if dtype not in _DTYPES or (dtype == "float16" and not device.startswith("cuda")):
            raise ValueError(f"dtype={dtype!r} on {device}: take 'auto', or 'bfloat16'")
        return _DTYPES[dtype]
    if device.startswith("cuda") and not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float16
    return torch.bfloat16


@OPTIM_WRAPPERS.register_module()
class MixedPrecisionOptimWrapper(OptimWrapper):
    """Runs the forward pass under autocast, on CUDA and on CPU.

    mmengine's `AmpOptimWrapper` refuses a CPU.

    Args:
        dtype: 'auto', 'bfloat16' or 'float16' (float16 scales the loss, CUDA only).
        **kwargs: As for mmengine's `OptimWrapper`.
    """

    def __init__(self, dtype: str = "auto", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.device_type = get_device().split(":")[0]
        self.cast_dtype = autocast_dtype(self.device_type, dtype)
        needs_scaling = self.cast_dtype == torch.float16
        self.scaler = torch.amp.GradScaler(self.device_type, enabled=needs_scaling)

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Back-propagate the (scaled) loss."""
        self.scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs: Any) -> None:
        """Clip the unscaled gradients if asked to, then step the optimizer."""
        if self.clip_grad_kwargs:
            self.scaler.unscale_(self.optimizer)
            self._clip_grad()
        self.scaler.step(self.optimizer, **kwargs)
        self.scaler.update()

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's state and the loss scale."""
        state: dict[str, Any] = super().state_dict()
        state["scaler"] = self.scaler.state_dict()
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        state_dict = dict(state_dict)
        scaler = state_dict.pop("scaler", None)
        if scaler:  # absent from runs that began in float32; empty where nothing is scaled
            self.scaler.load_state_dict(scaler)
        super().load_state_dict(state_dict)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """The context of one forward and backward pass."""
        with super().optim_context(model), torch.autocast(self.device_type, self.cast_dtype):
            yield
