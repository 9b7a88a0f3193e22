"""When and how a run's state and its best weights are kept."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import EpochBasedTrainLoop
from mmseg.registry import HOOKS
from tqdm import tqdm

from seglab.mmseg_custom.engine.history import stored_history
from seglab.mmseg_custom.engine.weight_facts import weight_facts
from seglab.utils.checkpoint_utils import SAFETENSORS_SUFFIX, facts_path, write_weights
from seglab.utils.io_utils import write_text
from seglab.utils.result_files import LAST_CHECKPOINT
from seglab.utils.resume_files import (
    Place,
    checksum_path,
    fault_of,
    remove,
    resume_files,
    superseded,
    write_checked,
)
from seglab.utils.run_files import best_checkpoint_file


@HOOKS.register_module()
class SafeCheckpointHook(Hook):
    """Keeps the state to resume from, and the best weights.

    `epoch_N.pth` holds everything the run needs to go on as if it had not stopped: it is for
    resuming. `best_METRIC_epoch_N.safetensors` holds weights only, with a JSON file of facts
    beside it: it is for testing and sharing. A new file is written, read back and put in place
    before the one it follows goes, so that there is always one that is whole. A disk that is full
    is reported, and training goes on with what was kept before.

    What is best follows from the history: the same after a resume, and after the folder was moved.

    Args:
        interval: Epochs (iterations, where a run is measured in those) from one state to the next.
        by_epoch: As in mmengine; the training loop decides.
        every_n_steps: Keep the state inside an epoch as well, after so many of the run's steps.
        max_keep_ckpts: How many states to keep; -1 keeps all.
        save_best: The metric, or metrics, whose best weights are kept.
        rule: 'greater' or 'less', for each metric.
        save_last: Keep the state at the end of training in any case.
    """

    # After every hook that changes something a resumed run needs.
    priority = "VERY_LOW"

    def __init__(
        self,
        interval: int = 1,
        by_epoch: bool = True,
        every_n_steps: int | None = None,
        max_keep_ckpts: int = 2,
        save_best: str | list[str] | None = None,
        rule: str | list[str] | None = None,
        save_last: bool = True,
    ) -> None:
        self.interval = interval
        self.by_epoch = by_epoch
        self.every_n_steps = every_n_steps
        self.max_keep_ckpts = max_keep_ckpts
        keys = [save_best] if isinstance(save_best, str) else list(save_best or ())
        rules = [rule] * len(keys) if isinstance(rule, str) or rule is None else list(rule)
        self.best = dict(zip(keys, rules, strict=True))
        self.save_last = save_last

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,  # noqa: ARG002
        outputs: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> None:
        """Keep the state after a step, if it is due."""
        done = runner.iter + 1
        last = done == runner.max_iters
        if isinstance(runner.train_loop, EpochBasedTrainLoop):
            # After the last step of an epoch the epoch's own state follows at once.
            inside = batch_idx + 1 < len(runner.train_loop.dataloader)
            if inside and self.every_n_steps and done % self.every_n_steps == 0:
                self.save_state(runner, Place(runner.epoch, batch_idx + 1))
        elif self._due(done, last):
            self.save_state(runner, Place(0, done, by_epoch=False))

    def after_train_epoch(self, runner: Any) -> None:
        """Keep the state after an epoch, before its validation, if it is due."""
        done = runner.epoch + 1
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        if by_epoch and self._due(done, done == runner.max_epochs):
            self.save_state(runner, Place(done))

    def _due(self, done: int, last: bool) -> bool:
        return (self.interval > 0 and done % self.interval == 0) or (self.save_last and last)

    def save_state(self, runner: Any, place: Place) -> bool:
        """Keep the state at a place; returns whether it is kept."""
        content = runner.resume_state(place)
        return bool(self._write_state(runner, place, content))

    @master_only
    def _write_state(self, runner: Any, place: Place, content: dict[str, Any]) -> bool:
        folder = Path(runner.work_dir)
        path = folder / place.file_name
        try:
            write_checked(path, content)
            write_text(folder / LAST_CHECKPOINT, f"{path}\n")
        except OSError as error:
            _say(f"warning: {_kept(folder)}: cannot write {path}: {error.strerror}")
            return False
        for old in superseded(folder, place, self.max_keep_ckpts):
            remove(old)
        return True

    def after_val_epoch(self, runner: Any, metrics: dict[str, float] | None = None) -> None:
        """Keep the weights if the validation was the best so far."""
        for key, rule in self.best.items():
            value = (metrics or {}).get(key)
            if value is not None and math.isfinite(value):
                self._keep_best(runner, key, rule or "greater", value)

    def _keep_best(self, runner: Any, key: str, rule: str, value: float) -> None:
        """Write the weights that were just validated, unless an earlier validation was as good."""
        now = getattr(runner, _unit(runner))
        earlier = {n: v for n, v in _values(runner, key).items() if n < now}
        best = _best(earlier, rule)
        kept = _kept_best(runner, key)
        # The disk was full when the best weights were to be written: these are the next best. A
        # file of a later place is of a resumed run, which comes there again.
        if best is not None and kept != best and (kept is None or kept < now):
            earlier = {n: v for n, v in earlier.items() if n == kept}
        if _best({**earlier, now: value}, rule) == now:
            self._write_best(runner, self._best_path(runner, key, now), {key: value})

    def _best_path(self, runner: Any, key: str, number: int) -> Path:
        stem = f"best_{key}_{_unit(runner)}_{number}".replace("/", "_")
        return Path(runner.work_dir) / f"{stem}{SAFETENSORS_SUFFIX}"

    @master_only
    def _write_best(self, runner: Any, path: Path, metrics: dict[str, float]) -> None:
        try:
            write_weights(path, runner.deployed_weights(), weight_facts(runner, metrics))
        except OSError as error:
            _say(f"warning: the earlier best weights are kept: cannot write {path}: {error}")
            if not path.exists():
                for beside in (facts_path(path), checksum_path(path)):
                    beside.unlink(missing_ok=True)
            return
        name = re.compile(re.escape(path.stem.rstrip("0123456789")) + r"\d+\.\w+(\.\w+)?")
        for old in path.parent.iterdir():
            if name.fullmatch(old.name) and not old.name.startswith(f"{path.stem}."):
                old.unlink()


def _unit(runner: Any) -> str:
    """What a run is measured in, as its history and its files name it."""
    return "epoch" if isinstance(runner.train_loop, EpochBasedTrainLoop) else "iter"


def _values(runner: Any, key: str) -> dict[int, float]:
    """A metric at each validation, by its epoch or iteration."""
    unit, records = _unit(runner), stored_history(runner.work_dir)
    return {record[unit]: record[key] for record in records if record.get(key) is not None}


def _kept_best(runner: Any, key: str) -> int | None:
    """The epoch or iteration whose weights are kept as the best by a metric; None without such."""
    path = best_checkpoint_file(Path(runner.work_dir), key)
    return None if path is None else int(path.stem.rpartition("_")[2])


def _best(values: Mapping[int, float], rule: str) -> int | None:
    """Where the best value is; of equal ones the first."""
    better = max if rule == "greater" else min
    return better(values, key=lambda number: values[number]) if values else None


def _kept(folder: Path) -> str:
    names = [path.name for path in resume_files(folder) if fault_of(path) is None]
    return f"training goes on, with {names[0]} to resume from" if names else "training goes on"


def _say(line: str) -> None:
    tqdm.write(line)
