"""What a person sees while training, and the history the curves are drawn from."""

from __future__ import annotations

import math
import sys
import time
from collections import defaultdict
from typing import Any

from mmengine.dist import is_main_process, master_only
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop
from mmseg.registry import HOOKS
from tqdm import tqdm

from seglab.mmseg_custom.engine.history import earlier_records, stored_history, write_history
from seglab.mmseg_custom.engine.loops import validation_is_due
from seglab.mmseg_custom.engine.tracking_backend import track_epoch
from seglab.utils.errors import UserError
from seglab.utils.io_utils import to_plain


def _losses_with_parts(model: Any) -> dict[str, Any]:
    """Every loss that keeps its parts (`ComboLoss.parts`), by its owner's name in the log."""
    model = model.module if is_model_wrapper(model) else model  # the same names in every process
    return {
        name.split(".loss_decode")[0].replace("_head", ""): module
        for name, module in model.named_modules()
        if hasattr(module, "parts")
    }


def _number(value: Any) -> float:
    """A logged value as a float; losses still carry their graph."""
    return float(value.detach() if hasattr(value, "detach") else value)


def _counts_epochs(runner: Any) -> bool:
    """Whether the run is measured in epochs, not in iterations."""
    return isinstance(runner.train_loop, EpochBasedTrainLoop)


@HOOKS.register_module()
class HistoryHook(Hook):
    """Writes one record per epoch to `WORK_DIR/history.jsonl`.

    A record holds the epoch, the iteration, the learning rate at its end, the epoch's mean of
    every training loss, its seconds, and the metrics of its validation, unrounded. A run that is
    measured in iterations gets one record per validation, numbered from 1.

    Raises:
        UserError: The loss is not finite; the newest checkpoint is from before.
    """

    # After the hooks that compute, before the checkpoint: a resumed run agrees with its history.
    priority = "NORMAL"

    def __init__(self) -> None:
        self._sums: dict[str, float] = defaultdict(float)
        self._steps = 0
        self._started = 0.0
        self._records: list[dict[str, Any]] = []
        self._losses: dict[str, Any] = {}
        self._under_way: list[Any] | None = None

    def before_train(self, runner: Any) -> None:
        """Keep the records of the epochs before the point of resuming."""
        self._records = earlier_records(runner)
        # Looked up once: walking all modules at every step would cost time.
        self._losses = _losses_with_parts(runner.model)
        self._restart()
        if self._under_way is not None:
            sums, self._steps, seconds = self._under_way
            self._sums.update(sums)
            self._started -= seconds

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:  # noqa: ARG002
        """Keep the records, and the sums of an epoch that is under way."""
        seconds = time.perf_counter() - self._started
        checkpoint["history"] = to_plain(self._records)
        checkpoint["epoch_under_way"] = [dict(self._sums), self._steps, seconds]

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Take them up again."""
        if runner._resume:
            self._under_way = checkpoint.get("epoch_under_way")

    def _restart(self) -> None:
        self._sums.clear()
        self._steps = 0
        self._started = time.perf_counter()

    def before_train_epoch(self, runner: Any) -> None:
        """Start the sums of an epoch."""
        if _counts_epochs(runner) and self._under_way is None:
            self._restart()
        self._under_way = None

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,  # noqa: ARG002
        data_batch: Any = None,  # noqa: ARG002
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Add one step's losses."""
        if getattr(runner, "step_was_skipped", False):
            return
        for key, value in (outputs or {}).items():
            self._sums[key] += _number(value)
        for owner, loss in self._losses.items():
            for part, value in loss.parts.items():
                number = _number(value)
                self._sums[f"{owner}.loss_{part}"] += number
                # For the log and the visualiser, where the step's other losses are already.
                runner.message_hub.update_scalar(f"train/{owner}.loss_{part}", number)
        self._steps += 1
        if not math.isfinite(self._sums["loss"]):
            raise UserError(
                f"the loss became {self._sums['loss']} in epoch {runner.epoch + 1}, step "
                f"{runner.iter + 1}; training stopped",
                "lower optim_wrapper.optimizer.lr, or train in float32 "
                "(optim_wrapper.type=OptimWrapper)",
            )

    def after_train_epoch(self, runner: Any) -> None:
        """Write the record of the epoch's training."""
        if _counts_epochs(runner):
            self._close(runner, runner.epoch + 1)

    def _close(self, runner: Any, number: int) -> None:
        means = {key: total / max(self._steps, 1) for key, total in self._sums.items()}
        rates = runner.optim_wrapper.get_lr()
        self._records.append(
            {
                "epoch": number,
                "iter": runner.iter,
                "lr": max(next(iter(rates.values()))),
                **means,
                "seconds": time.perf_counter() - self._started,
            }
        )
        track_epoch(runner.visualizer, self._records[-1], number)
        self._restart()
        self._write(runner)

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Add the validation's metrics to the epoch's record."""
        if not _counts_epochs(runner):
            self._close(runner, len(self._records) + 1)
        if self._records:
            self._records[-1].update(metrics or {})
            self._write(runner)

    @master_only
    def _write(self, runner: Any) -> None:
        try:
            write_history(runner.work_dir, self._records)
        except OSError as error:  # a full disk: the next record writes this one as well
            tqdm.write(
                f"warning: training goes on: cannot write {error.filename}: {error.strerror}"
            )


@HOOKS.register_module()
class HistoryEarlyStoppingHook(EarlyStoppingHook):
    """mmengine's early stopping, which remembers over a resume what the history says.

    A validation whose metric has no value (the surface distance of a class that is not predicted
    yet) is one without improvement; mmengine would stop at once.
    """

    # Remembers before `CatchUpValidationHook` adds to it, however a config orders the two.
    priority = "LOW"

    def before_train(self, runner: Any) -> None:
        """Replay the monitored metric of the epochs before the point of resuming."""
        for record in earlier_records(runner):
            if self.monitor in record:
                self._check_stop_condition(record[self.monitor])

    def _check_stop_condition(self, current_score: float | None) -> tuple[bool, str]:
        if current_score is not None and math.isfinite(current_score):
            return super()._check_stop_condition(current_score)  # type: ignore[no-any-return]
        self.wait_count += 1
        without = f"{self.monitor} did not improve in the last {self.wait_count} validations"
        return self.wait_count >= self.patience, without


@HOOKS.register_module()
class CatchUpValidationHook(Hook):
    """Validates the last epoch of a run that was stopped between its checkpoint and validation.

    Args:
        monitor: The metric that tells whether an epoch was validated.
    """

    # After every other hook is ready: the validation may choose the best checkpoint.
    priority = "LOWEST"

    def __init__(self, monitor: str = "val/mDice") -> None:
        self.monitor = monitor

    def before_train(self, runner: Any) -> None:
        """Validate before training goes on, if that is due.

        A state is kept before the validation, which schedulers and early stopping may follow: it
        is done again even where the history has its figures.
        """
        if not validation_is_due(runner):
            return
        if runner.kept_history is None:  # a state of an earlier version
            history = stored_history(runner.work_dir) if _counts_epochs(runner) else []
            if not history or history[-1]["epoch"] != runner.epoch or self.monitor in history[-1]:
                return
        runner.val_loop.run()


def _clock(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss."""
    return str(tqdm.format_interval(seconds))


@HOOKS.register_module()
class ProgressHook(Hook):
    """A progress bar with the loss, the validation metric and the time left.

    On a terminal a bar; always one line per epoch with the metric of every class.

    Args:
        monitor: The metric shown, as the validation names it.
        rule: Whether a 'greater' or a 'less' value of it is better.
        per_class: Prefix of the per-class metrics shown after each epoch.
    """

    priority = "VERY_LOW"

    def __init__(
        self,
        monitor: str = "val/mDice",
        rule: str = "greater",
        per_class: str = "val/Dice/",
    ) -> None:
        self.monitor = monitor
        self.rule = rule
        self.per_class = per_class
        self._bar: tqdm[Any] | None = None
        self._best = (float("nan"), 0)
        self._loss = float("nan")
        self._started = 0.0
        self._first_iter = 0
        self._validations = 0

    def before_train(self, runner: Any) -> None:
        """Start the bar where the run starts or resumes."""
        self._started = time.perf_counter()
        self._first_iter = runner.iter
        earlier = earlier_records(runner)
        self._validations = len(earlier)
        for record in earlier:
            self._note(record.get(self.monitor), record["epoch"])
            self._loss = record.get("loss") or self._loss
        self._bar = tqdm(
            total=runner.max_iters,
            initial=runner.iter,
            desc="training",
            unit="step",
            dynamic_ncols=True,
            disable=not (sys.stderr.isatty() and is_main_process()),
        )

    def _note(self, value: float | None, epoch: int) -> None:
        if value is None or math.isnan(value):
            return
        best, number = self._best
        if not number or (value > best if self.rule == "greater" else value < best):
            self._best = (value, epoch)

    def after_train_iter(
        self,
        runner: Any,  # noqa: ARG002
        batch_idx: int,  # noqa: ARG002
        data_batch: Any = None,  # noqa: ARG002
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Move the bar by one step."""
        loss = _number((outputs or {}).get("loss", float("nan")))
        # A slow running mean: single batches of a small set jump.
        self._loss = loss if self._loss != self._loss else 0.9 * self._loss + 0.1 * loss
        if self._bar is not None:
            best = f"{self._best[0]:.2f}" if self._best[1] else "-"
            self._bar.set_postfix_str(f"loss {self._loss:.4f}, best {self.monitor} {best}")
            self._bar.update()

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Print the epoch's line."""
        metrics = metrics or {}
        value = metrics.get(self.monitor, float("nan"))
        self._validations += 1
        self._note(value, runner.epoch if _counts_epochs(runner) else self._validations)
        classes = "  ".join(
            f"{key.removeprefix(self.per_class)} {metric:.2f}"
            for key, metric in metrics.items()
            if key.startswith(self.per_class)
        )
        elapsed = time.perf_counter() - self._started
        done = runner.iter - self._first_iter
        left = elapsed / max(done, 1) * (runner.max_iters - runner.iter)
        if _counts_epochs(runner):
            done_of = f"epoch {runner.epoch:>3}/{runner.max_epochs}"
        else:
            done_of = f"step {runner.iter:>5}/{runner.max_iters}"
        self._say(
            f"{done_of}  loss {self._loss:.4f}  "
            f"{self.monitor} {value:6.2f}  ({classes})  "
            f"best {self._best_text(runner)}  "
            f"elapsed {_clock(elapsed)}, left {_clock(left)}"
        )

    def _best_text(self, runner: Any) -> str:
        value, number = self._best
        unit = "epoch" if _counts_epochs(runner) else "validation"
        return f"{value:.2f} in {unit} {number}" if number else "none yet"

    @master_only
    def _say(self, line: str) -> None:
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()

    def after_train(self, runner: Any) -> None:  # noqa: ARG002
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
