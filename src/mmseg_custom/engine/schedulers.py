"""A learning-rate schedule that fits the run, whatever its length."""

from __future__ import annotations

import math
from typing import Any

from mmengine.optim.scheduler.lr_scheduler import LRSchedulerMixin
from mmengine.optim.scheduler.param_scheduler import INF, _ParamScheduler
from mmseg.registry import PARAM_SCHEDULERS


@PARAM_SCHEDULERS.register_module()
class WarmupDecayLR(LRSchedulerMixin, _ParamScheduler):
    """Linear warm-up, then polynomial or cosine decay, both in shares of the run's real length.

    Schedules with absolute lengths go wrong silently when a run is made shorter or longer; this
    one has none. The factor on the base learning rate at step t of T is, with W = warmup_ratio T:

    - t < W: (t + 1) / (W + 1)
    - poly: floor + (1 - floor) (1 - p) ** power, cosine: floor + (1 - floor) (1 + cos(pi p)) / 2,
      where p = (t - W) / (T - W) and floor = eta_min_ratio.

    Args:
        optimizer: The optimizer, or mmengine's wrapper of it.
        warmup_ratio: Share of the run that warms up, 0 to below 1.
        decay: 'poly' or 'cosine'.
        power: Exponent of the polynomial decay.
        eta_min_ratio: Learning rate at the end, as a share of the base one, 0 to below 1.
        begin: First step, normally 0.
        end: Number of steps of the run; the Runner fills it in.
        **kwargs: `by_epoch`, `last_step`, `verbose` of mmengine's schedulers.

    Raises:
        ValueError: A ratio or the decay is out of range.
    """

    def __init__(
        self,
        optimizer: Any,
        warmup_ratio: float = 0.05,
        decay: str = "poly",
        power: float = 0.9,
        eta_min_ratio: float = 0.0,
        begin: int = 0,
        end: int = INF,
        **kwargs: Any,
    ) -> None:
        if not 0 <= warmup_ratio < 1 or not 0 <= eta_min_ratio < 1:
            raise ValueError(
                f"warmup_ratio={warmup_ratio} and eta_min_ratio={eta_min_ratio} must lie in [0, 1)"
            )
        if decay not in {"poly", "cosine"}:
            raise ValueError(f"decay={decay!r} must be 'poly' or 'cosine'")
        self.warmup_ratio = warmup_ratio
        self.decay = decay
        self.power = power
        self.eta_min_ratio = eta_min_ratio
        self.total = end - begin
        super().__init__(optimizer, begin=begin, end=end, **kwargs)

    @classmethod
    def build_iter_from_epoch(
        cls,
        *args: Any,
        begin: int = 0,
        end: int = INF,
        by_epoch: bool = True,
        epoch_length: int | None = None,
        **kwargs: Any,
    ) -> WarmupDecayLR:
        """Build a schedule per iteration from lengths in epochs (mmengine calls this)."""
        if not by_epoch or not epoch_length or end == INF:
            raise ValueError("convert_to_iter_based needs by_epoch=True and a run of known length")
        kwargs |= {"begin": begin * epoch_length, "end": end * epoch_length, "by_epoch": False}
        return cls(*args, **kwargs)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the position, not the length: a run that is made longer decays to its new end."""
        own = {name: getattr(self, name) for name in ("total", "begin", "end")}
        super().load_state_dict({**state_dict, **own})

    def factor(self, step: int) -> float:
        """The factor on the base learning rate at a step counted from `begin`."""
        warmup = self.warmup_ratio * self.total
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = min(1.0, (step - warmup) / max(1.0, self.total - warmup))
        shape = (
            (1 - progress) ** self.power
            if self.decay == "poly"
            else (1 + math.cos(math.pi * progress)) / 2
        )
        return self.eta_min_ratio + (1 - self.eta_min_ratio) * shape

    def _get_value(self) -> list[float]:
        # Not `last_step`: it stands still at the end of a run, which may be made longer.
        factor = self.factor(self._global_step - self.begin)
        return [base * factor for base in self.base_values]
