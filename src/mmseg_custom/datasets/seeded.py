"""Training samples whose random numbers depend on what they are, not on who loads them.

mmengine seeds each worker process once: a sample's augmentation depends on the number of workers
and on everything that worker loaded before, every epoch begins with the same numbers, and no run
can go on from the middle of an epoch as if it had not stopped. Here the sampler hands each sample
a seed made of the run's seed, the epoch and the sample's place in it, and the data set draws from
that. Any number of workers gives the same batches, and a run can start at any step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from mmengine.dist import get_rank
from mmseg.registry import DATA_SAMPLERS, DATASETS
from torch.utils.data import Dataset, Sampler

from seglab.utils.random_state import isolated


class SampleIndex(int):
    """A position in a data set that carries the seed of its sample's random numbers."""

    seed: int

    def __new__(cls, index: int, seed: int) -> SampleIndex:
        """Make an int that knows its seed."""
        self = super().__new__(cls, index)
        self.seed = seed
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Worker processes receive it pickled."""
        return type(self), (int(self), self.seed)


@DATASETS.register_module()
class SeededDataset(Dataset[Any]):
    """A data set that seeds the random numbers of each sample.

    Everything but `__getitem__` is the inner data set's.

    Args:
        dataset: The config of the inner data set, or the data set itself.
    """

    def __init__(self, dataset: Any) -> None:
        self.dataset = DATASETS.build(dataset) if isinstance(dataset, dict) else dataset

    def __getitem__(self, index: int) -> Any:
        """Load a sample; one asked for without a seed draws from the global generators."""
        if not isinstance(index, SampleIndex):
            return self.dataset[index]
        with isolated(index.seed):
            return self.dataset[int(index)]

    def __len__(self) -> int:
        """The number of samples."""
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        """What the inner data set has."""
        if name == "dataset" or name.startswith("__"):  # not there yet while it is unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)


@DATA_SAMPLERS.register_module()
class SeededSampler(Sampler[int]):
    """Another sampler's order, each index with a seed; it can start anywhere.

    Args:
        dataset: What is sampled.
        sampler: The config of the sampler whose order it is.
        seed: The run's seed.
    """

    def __init__(self, dataset: Any, sampler: dict[str, Any], seed: int | None = None) -> None:
        self.sampler = DATA_SAMPLERS.build(
            dict(sampler), default_args=dict(dataset=dataset, seed=seed)
        )
        # Without a seed of the run the order has one, the same in every process.
        self.seed = int(getattr(self.sampler, "seed", 0) if seed is None else seed)
        self.epoch = 0
        #: Whether a pass has no end, as of mmengine's `InfiniteSampler`.
        self.endless = hasattr(self.sampler, "skip")
        self._start = 0

    def __iter__(self) -> Iterator[SampleIndex]:
        """Yield the indices from `start_at` on, which holds for one pass only."""
        start, self._start = self._start, 0
        rank = get_rank()
        for position, index in enumerate(self.sampler):
            if position >= start:
                yield SampleIndex(index, self._seed_of(rank, position))

    def _seed_of(self, rank: int, position: int) -> int:
        """A seed of 64 bits; `SeedSequence` spreads neighbouring numbers far apart."""
        entropy = [self.seed, self.epoch, rank, position]
        return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)

    def __len__(self) -> int:
        """The number of samples of a whole pass in this process."""
        return len(self.sampler)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order and seeds the next pass has."""
        self.epoch = epoch
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def start_at(self, position: int) -> None:
        """Have the next pass begin at its `position`-th sample."""
        self._start = position


def seeded_loader(loader: dict[str, Any]) -> dict[str, Any]:
    """The config of a training loader with seeded samples.

    A loader with a batch sampler of its own is left as it is but for the seeds.

    Args:
        loader: The config, which stays as it is.
    """
    return {
        **loader,
        "dataset": dict(type="SeededDataset", dataset=loader["dataset"]),
        "sampler": dict(type="SeededSampler", sampler=loader["sampler"]),
    }
