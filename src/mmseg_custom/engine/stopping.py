"""Ctrl-C and SIGTERM: the step under way is finished, the state is kept, then training ends."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.hooks import EMAHook, Hook
from mmengine.runner import EpochBasedTrainLoop
from mmseg.registry import HOOKS
from torch.utils.data import DataLoader
from tqdm import tqdm

from seglab.utils.resume_files import Place
from seglab.utils.script import Stopped

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StoppedInValidation(Stopped):
    """A signal came while a run validated; its state is still to be kept."""


def highest_of_processes(number: int) -> int:
    """The highest of a number that each of a run's processes gives; all of them have to ask."""
    if get_world_size() == 1:
        return number
    given = torch.tensor(number)
    all_reduce(given, "max")
    return int(given)


class StopRequest:
    """Notes a signal instead of dying of it, inside its `with` block.

    The second signal is not waited for: it raises at once.

    Attributes:
        signal_number: The signal that came; 0 while none has.
    """

    def __init__(self) -> None:
        self.signal_number = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        """Take the signals over; only the main thread of a process can."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the signals back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self.signal_number:
            raise Stopped(number)
        self.signal_number = number

    def agreed(self) -> int:
        """The signal that any of the run's processes received; 0 if none did.

        They have to stop after the same step: keeping the state takes all of them.
        """
        return highest_of_processes(self.signal_number)


def shield_workers(loader: DataLoader[Any]) -> None:
    """Have the processes that load data leave signals to the one that trains.

    A terminal, `timeout`, systemd and schedulers send a signal to every process of a job. Loading
    processes that died of it would take training down before it could keep its state.

    Args:
        loader: A loader whose workers are not started yet.
    """
    if loader.num_workers > 0:
        loader.worker_init_fn = _ShieldedStart(loader.worker_init_fn)


class _ShieldedStart:
    """What a loading process does first; it is sent to the process where that is not forked."""

    def __init__(self, before: Callable[[int], None] | None) -> None:
        self.before = before

    def __call__(self, worker: int) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if hasattr(signal, "sigwaitinfo"):  # not on macOS
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
            threading.Thread(target=_obey_parent, args=(os.getppid(),), daemon=True).start()
        if self.before is not None:
            self.before(worker)


def _obey_parent(parent: int) -> None:
    """End this process at a SIGTERM of its parent's, and at no other."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


@HOOKS.register_module()
class StopHook(Hook):
    """Ends training after the step or the validation batch in which a signal came."""

    # Before the progress line and the checkpoint hook, which it asks to keep the state.
    priority = "LOWEST"

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,  # noqa: ARG002
        outputs: dict[str, Any] | None = None,  # noqa: ARG002
    ) -> None:
        """Keep the state and stop, if a signal came."""
        number = runner.stop_request.agreed()
        if not number:
            return
        _say()
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        done = batch_idx + 1 if by_epoch else runner.iter + 1
        runner.keep_state(Place(runner.epoch if by_epoch else 0, done, by_epoch))
        raise Stopped(number)

    def after_val_iter(
        self,
        runner: Any,
        batch_idx: int,  # noqa: ARG002
        data_batch: Any = None,  # noqa: ARG002
        outputs: Any = None,  # noqa: ARG002
    ) -> None:
        """Stop; `ExactValLoop` keeps the state.

        Several processes may have different numbers of batches to validate, so they wait for the
        next step, after which they can agree.
        """
        number = runner.stop_request.signal_number
        if not number or get_world_size() > 1:
            return
        _say()
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):
                hook.after_val_epoch(runner)  # puts the trained weights back
        raise StoppedInValidation(number)


def _say() -> None:
    if get_rank() == 0:
        tqdm.write("stopping: keeping the state of the run ...")
