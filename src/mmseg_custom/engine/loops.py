"""Training loops that can start at any step of an epoch as if they had never stopped."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from mmengine.dist import broadcast, get_world_size
from mmengine.hooks import EMAHook
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, ValLoop
from mmengine.runner.loops import _InfiniteDataloaderIterator
from mmseg.registry import LOOPS
from torch.utils.data import BatchSampler, DataLoader

from seglab.mmseg_custom.datasets.seeded import SeededSampler
from seglab.mmseg_custom.engine.stopping import StoppedInValidation
from seglab.utils.random_state import isolated
from seglab.utils.resume_files import Place


@LOOPS.register_module()
class ExactEpochTrainLoop(EpochBasedTrainLoop):
    """mmengine's loop over epochs, which knows how far it is inside an epoch.

    Attributes:
        steps_done: Finished steps of the epoch that is under way; a checkpoint keeps it.
    """

    steps_done = 0

    def run_epoch(self) -> None:
        """Train the rest of an epoch."""
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        for index, batch in self._batches(self.steps_done):
            self.run_iter(index, batch)
            self.steps_done = index + 1
        self.steps_done = 0
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1

    def _batches(self, start: int) -> Iterator[tuple[int, Any]]:
        """The epoch's batches from one on, with their numbers."""
        loader = self.dataloader
        skipped = start
        if _plain_batches(loader):
            loader.sampler.start_at(start * loader.batch_size)
            skipped = 0
        with isolated():  # the iterator draws a number for its workers
            batches = iter(loader)
        yield from enumerate(islice(batches, skipped, None), start)


@LOOPS.register_module()
class ExactIterTrainLoop(IterBasedTrainLoop):
    """mmengine's loop over iterations; where it starts, the data are where they were."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.dataloader_iterator = _ExactIterator(self.dataloader)


@LOOPS.register_module()
class ExactValLoop(ValLoop):
    """mmengine's validation, which leaves training's random numbers alone.

    Whether a resumed run validates an epoch again makes no difference then.
    """

    def run(self) -> Any:
        """Validate; returns the metrics."""
        _share_buffers(self.runner)
        try:
            with isolated():
                return super().run()
        except StoppedInValidation:
            # Out here training's random numbers are back.
            by_epoch = isinstance(self.runner.train_loop, EpochBasedTrainLoop)
            done = Place(self.runner.epoch) if by_epoch else Place(0, self.runner.iter, False)
            self.runner.keep_state(done)
            raise


def validation_is_due(runner: Any) -> bool:
    """Whether a run validates at the place where it is, before any further step."""
    loop = runner.train_loop
    if runner.val_loop is None or (hasattr(loop, "steps_done") and loop.steps_done):
        return False
    by_epoch = isinstance(loop, EpochBasedTrainLoop)
    done, last = (loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters)
    if hasattr(loop, "_decide_current_val_interval"):
        loop._decide_current_val_interval()
    begun = done > 0 and done >= loop.val_begin
    return bool(begun and (done % loop.val_interval == 0 or done == last))


def _share_buffers(runner: Any) -> None:
    """Give every process the first one's running means, which are those that are kept."""
    if get_world_size() == 1:
        return
    averaged = [hook.ema_model for hook in runner.hooks if isinstance(hook, EMAHook)]
    for model in (runner.bare_model, *averaged):
        for buffer in model.buffers():
            broadcast(buffer, 0)


class _ExactIterator(_InfiniteDataloaderIterator):
    """Passes without end over a loader; going to a step loads nothing."""

    def skip_iter(self, num_iters: int) -> None:
        loader = self._dataloader
        if not _plain_batches(loader):
            super().skip_iter(num_iters)
            return
        steps = num_iters
        if not loader.sampler.endless:
            self._epoch, steps = divmod(num_iters, len(loader))
            loader.sampler.set_epoch(self._epoch)
        loader.sampler.start_at(steps * loader.batch_size)

    def _ensure_iterator(self) -> None:
        with isolated():
            super()._ensure_iterator()

    def _reset_iterator(self) -> None:
        self._epoch += 1
        self._dataloader.sampler.set_epoch(self._epoch)
        with isolated():
            self._iterator = iter(self._dataloader)


def _plain_batches(loader: DataLoader[Any]) -> bool:
    """Whether batches are so many samples of our sampler in a row."""
    return isinstance(loader.sampler, SeededSampler) and type(loader.batch_sampler) is BatchSampler


_EXACT = {
    "EpochBasedTrainLoop": "ExactEpochTrainLoop",
    "IterBasedTrainLoop": "ExactIterTrainLoop",
    "ValLoop": "ExactValLoop",
}


def exact_loop(config: dict[str, Any], validation: bool = False) -> dict[str, Any]:
    """The config of a loop with our loop in place of mmengine's.

    Args:
        config: `train_cfg` or `val_cfg`, which stays as it is; other people's loops stay theirs.
        validation: Whether it is `val_cfg`.
    """
    default = "EpochBasedTrainLoop" if config.get("by_epoch", True) else "IterBasedTrainLoop"
    default = "ValLoop" if validation else default
    kind = str(config.get("type", default)).rpartition(".")[2]
    plain = {key: value for key, value in config.items() if key != "by_epoch"}
    return {**plain, "type": _EXACT.get(kind, config.get("type", default))}
