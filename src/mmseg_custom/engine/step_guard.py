"""No step of the optimizer on a loss or a gradient that is not finite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.dist import broadcast, get_rank, get_world_size, is_main_process
from mmengine.hooks import Hook
from mmseg.registry import HOOKS
from torch import Tensor
from tqdm import tqdm

from seglab.mmseg_custom.engine.captured_step import CAPTURE_NAME, capture_step
from seglab.mmseg_custom.engine.stopping import highest_of_processes
from seglab.utils import random_state
from seglab.utils.errors import UserError
from seglab.utils.io_utils import to_plain
from seglab.utils.resume_files import write_checked

ON_NAN = ("stop", "skip")
#: Steps left out in a row after which it is no accident any more.
PATIENCE = 20
#: As many overflows in a row take float16's scale from 2**16 far below 1: scaling mends nothing.
SCALER_PATIENCE = 40


@HOOKS.register_module()
class StepGuardHook(Hook):
    """Looks at each loss and gradient before the optimizer uses them; logs the gradient's norm.

    What is needed to repeat such a step (its batch, the weights before it, the random numbers) is
    kept in the run's folder, for `seglab replay`. Where float16 scales the loss, a gradient that
    overflows is the scaler's affair, which leaves the step out and lowers the scale; one that
    overflows at any scale is not finite.

    A step that is left out leaves nothing behind: the forward pass has mixed its batch into the
    running means that validation uses, where one NaN would stay for good.

    Args:
        on_nan: 'stop' ends the run; 'skip' leaves the step out, unless that happens 20 times in a
            row.
    """

    # Before everything else that looks at a step.
    priority = "VERY_HIGH"

    def __init__(self, on_nan: str = "stop") -> None:
        if on_nan not in ON_NAN:
            raise ValueError(f"on_nan={on_nan!r}: take one of {', '.join(ON_NAN)}")
        self.on_nan = on_nan
        self.skipped = 0
        self._in_a_row = 0
        self._overflows = 0
        self._kept = False
        self._runner: Any = None
        self._batch: Any = None
        self._random: dict[str, Any] = {}
        self._means: list[tuple[Tensor, Tensor]] = []

    def before_train(self, runner: Any) -> None:
        """Stand between the loss and the optimizer."""
        self._runner = runner
        self._wrapper = runner.optim_wrapper
        self._wrapper.update_params = self.update_params
        buffers = [each for each in runner.bare_model.buffers() if each.is_floating_point()]
        self._means = [(each, each.clone()) for each in buffers]

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:  # noqa: ARG002
        """Note what the step starts from."""
        runner.step_was_skipped = False
        self._batch, self._random = data_batch, random_state.capture()
        for buffer, before in self._means:
            before.copy_(buffer)

    def update_params(
        self,
        loss: Tensor,
        step_kwargs: dict[str, Any] | None = None,
        zero_kwargs: dict[str, Any] | None = None,
    ) -> None:
        """As `OptimWrapper.update_params`, between two looks.

        Args:
            loss: () float, the loss of the step.
            step_kwargs: For the optimizer's `step`.
            zero_kwargs: For its `zero_grad`.

        Raises:
            UserError: The loss or the gradient is not finite, and the run is to stop.
        """
        wrapper = self._wrapper
        # What one process does, all have to.
        if source := _first_process(not torch.isfinite(loss.detach())):
            self._refuse("loss", loss.detach(), source - 1)
            wrapper._inner_count += 1  # as the backward pass does
        else:
            wrapper.backward(wrapper.scale_loss(loss))
        # After each of several batches whose gradients are accumulated, to know the culprit.
        norm = self._finite_norm(zero_kwargs or {})
        if norm is None or not wrapper.should_update():
            return
        if not wrapper.clip_grad_kwargs:  # mmengine logs it where it clips
            scale = float(scaler.get_scale()) if (scaler := self._scaler()) else 1.0
            self._runner.message_hub.update_scalar("train/grad_norm", float(norm) / scale)
        wrapper.step(**(step_kwargs or {}))
        wrapper.zero_grad(**(zero_kwargs or {}))
        if not self._runner.step_was_skipped:
            self._in_a_row = 0

    def _finite_norm(self, zero_kwargs: dict[str, Any]) -> Tensor | None:
        """The norm of the gradient: () float. One that is not finite is refused, and dropped.

        Returns:
            None where no gradient is left; not finite where that is the scaler's affair.
        """
        norm = self._gradient_norm()
        if norm is None:  # every step since the last update was left out
            return None
        source = _first_process(not torch.isfinite(norm))
        if self._scaler() is not None:
            if not self._wrapper.should_update():
                return norm
            self._overflows = self._overflows + 1 if source else 0
            if self._overflows <= SCALER_PATIENCE:
                return norm
        if not source:
            return norm
        self._refuse("gradient norm", norm, source - 1)
        self._wrapper.zero_grad(**zero_kwargs)
        return None

    def _precision(self) -> torch.dtype | None:
        """What autocast turns the forward pass into; None without it."""
        if not hasattr(self._wrapper, "cast_dtype"):
            return None
        return self._wrapper.cast_dtype or torch.float16  # as mmengine's wrapper leaves it

    def _scaler(self) -> Any:
        """What scales the loss, as float16 needs it; None where nothing does."""
        wrapper = self._wrapper
        scaler = getattr(wrapper, "scaler", None) or getattr(wrapper, "loss_scaler", None)
        return scaler if scaler is not None and scaler.is_enabled() else None

    def _gradient_norm(self) -> Tensor | None:
        """The Euclidean norm of all gradients: () float; None where there is none."""
        gradients = [
            parameter.grad
            for group in self._wrapper.optimizer.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        if not gradients:
            return None
        norms = torch.stack([torch.linalg.vector_norm(each.detach()) for each in gradients])
        norm: Tensor = torch.linalg.vector_norm(norms)
        return norm

    def _refuse(self, what: str, value: Tensor, source: int) -> None:
        """Keep the step, then stop or leave it out.

        Args:
            what: What is not finite.
            value: () float, this process's.
            source: The process whose value it is.
        """
        runner = self._runner
        number = _value_of(value, source)
        where = f"epoch {runner.epoch + 1}, step {runner.iter + 1}"
        for buffer, before in self._means:
            buffer.copy_(before)
        self._in_a_row += 1
        stops = self.on_nan == "stop" or self._in_a_row >= PATIENCE
        advice = self._keep(what, number, source, last=stops)
        if self.on_nan == "stop":
            raise UserError(
                f"the {what} became {number} in {where}; training stopped before the weights "
                "changed",
                f"{advice}start a new run with a lower optim_wrapper.optimizer.lr or in float32 "
                "(optim_wrapper.type=OptimWrapper), or --resume with --on-nan skip, which leaves "
                "such steps out",
            )
        if stops:
            raise UserError(
                f"the {what} was not finite {PATIENCE} times in a row, last in {where}",
                f"{advice}start a new run with a lower optim_wrapper.optimizer.lr",
            )
        runner.step_was_skipped = True
        self.skipped += 1
        if is_main_process():
            tqdm.write(f"left out: the {what} became {number} in {where}")

    def _keep(self, what: str, value: float, source: int, last: bool) -> str:
        """Write down the first such step, and that at which the run stops.

        Returns:
            How to repeat the one that is there.
        """
        path = Path(self._runner.work_dir) / CAPTURE_NAME
        if get_rank() == source and (last or not self._kept):
            facts = {"what": what, "value": to_plain(value), "text": str(value)}
            facts |= {"epoch": self._runner.epoch + 1, "step": self._runner.iter + 1}
            model, config = self._runner.bare_model, self._runner.cfg
            content = capture_step(
                model, config, self._batch, self._random, facts, self._precision()
            )
            try:
                write_checked(path, content)
            except OSError as error:
                return f"(the step could not be kept: {error.strerror}) "
        self._kept = True
        return f"see what happens in it with `seglab replay {path}`; "


def _first_process(wrong: Any) -> int:
    """The first process in which something is wrong, counted from 1; 0 where it is in none."""
    world = get_world_size()
    highest = highest_of_processes((world - get_rank()) * int(wrong))
    return world - highest + 1 if highest else 0


def _value_of(value: Tensor, source: int) -> float:
    """A value of one process, in all of them."""
    if get_world_size() > 1:
        value = value.clone()
        broadcast(value, source)
    return float(value)
