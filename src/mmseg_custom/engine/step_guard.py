"""No step of the optimizer on a loss or a gradient that is not finite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from mmengine.dist import is_main_process
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


@HOOKS.register_module()
class StepGuardHook(Hook):
    """Looks at each loss and gradient before the optimizer uses them; logs the gradient's norm.

    What is needed to repeat such a step (its batch, the weights before it, the random numbers) is
    kept in the run's folder, for `seglab replay`. Where float16 scales the loss, a gradient that
    overflows is the scaler's affair, which leaves the step out and lowers the scale.

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
        self._runner: Any = None
        self._batch: Any = None
        self._random: dict[str, Any] = {}

    def before_train(self, runner: Any) -> None:
        """Stand between the loss and the optimizer."""
        self._runner = runner
        self._wrapper = runner.optim_wrapper
        self._wrapper.update_params = self.update_params

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:  # noqa: ARG002
        """Note what the step starts from."""
        runner.step_was_skipped = False
        self._batch, self._random = data_batch, random_state.capture()

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
        if highest_of_processes(int(not torch.isfinite(loss.detach()))):
            self._refuse("loss", float(loss.detach()))
            wrapper._inner_count += 1  # as the backward pass does
        else:
            wrapper.backward(wrapper.scale_loss(loss))
        if not wrapper.should_update():
            return
        norm = self._gradient_norm()
        if norm is None:  # every step since the last update was left out
            return
        if not bool(torch.isfinite(norm)) and not self._scales():
            self._refuse("gradient norm", float(norm))
            wrapper.zero_grad(**(zero_kwargs or {}))
            return
        if not wrapper.clip_grad_kwargs:  # mmengine logs it where it clips
            self._runner.message_hub.update_scalar("train/grad_norm", float(norm))
        wrapper.step(**(step_kwargs or {}))
        wrapper.zero_grad(**(zero_kwargs or {}))
        if not self._runner.step_was_skipped:
            self._in_a_row = 0

    def _scales(self) -> bool:
        scaler = getattr(self._wrapper, "scaler", None) or getattr(
            self._wrapper, "loss_scaler", None
        )
        return bool(scaler is not None and scaler.is_enabled())

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

    def _refuse(self, what: str, value: float) -> None:
        """Keep the step, then stop or leave it out."""
        runner = self._runner
        where = f"epoch {runner.epoch + 1}, step {runner.iter + 1}"
        advice = self._keep(what, value)
        if self.on_nan == "stop":
            raise UserError(
                f"the {what} became {value} in {where}; training stopped before the weights "
                "changed",
                f"{advice}lower optim_wrapper.optimizer.lr, train in float32 "
                "(optim_wrapper.type=OptimWrapper), or leave such steps out with --on-nan skip",
            )
        runner.step_was_skipped = True
        self.skipped += 1
        self._in_a_row += 1
        if self._in_a_row >= PATIENCE:
            raise UserError(
                f"the {what} was not finite {PATIENCE} times in a row, last in {where}",
                f"{advice}lower optim_wrapper.optimizer.lr",
            )
        if is_main_process():
            tqdm.write(f"left out: the {what} became {value} in {where}")

    def _keep(self, what: str, value: float) -> str:
        """Write the step down, the first time only; returns how to repeat it."""
        path = Path(self._runner.work_dir) / CAPTURE_NAME
        if is_main_process() and not path.exists():
            facts = {"what": what, "value": to_plain(value), "text": str(value)}
            facts |= {"epoch": self._runner.epoch + 1, "step": self._runner.iter + 1}
            content = capture_step(
                self._runner.bare_model, self._runner.cfg, self._batch, self._random, facts
            )
            try:
                write_checked(path, content)
            except OSError as error:
                return f"(the step could not be kept: {error.strerror}) "
        return f"see what happens in it with `seglab replay {path}`; "
