"""Samples that carry their own seeds."""

import pickle
from typing import Any, ClassVar

import numpy as np
import pytest

from seglab.mmseg_custom.datasets.seeded import SampleIndex, SeededDataset, SeededSampler


class Noise:
    """A data set that gives a random number for each index."""

    metainfo: ClassVar[dict[str, Any]] = {"classes": ("a", "b")}

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> tuple[int, int]:
        return index, int(np.random.randint(2**31))


def sampler(**options: Any) -> SeededSampler:
    return SeededSampler(Noise(), dict(type="DefaultSampler", **options), seed=3)


def test_an_index_keeps_its_seed_on_its_way_to_a_worker() -> None:
    index = pickle.loads(pickle.dumps(SampleIndex(4, 77)))
    assert (index, index.seed, type(index)) == (4, 77, SampleIndex)


def test_a_sample_depends_on_its_seed_alone() -> None:
    data = SeededDataset(Noise())
    assert data[SampleIndex(1, 5)] == data[SampleIndex(1, 5)]
    assert data[SampleIndex(1, 5)] != data[SampleIndex(1, 6)]
    assert data[2] != data[2]  # without a seed: the global numbers


def test_it_is_the_inner_data_set_in_all_else() -> None:
    data = pickle.loads(pickle.dumps(SeededDataset(Noise())))
    assert (len(data), data.metainfo) == (10, Noise.metainfo)
    with pytest.raises(AttributeError, match="colour"):
        _ = data.colour


def test_seeds_differ_by_place_epoch_and_run() -> None:
    ours = sampler()
    seeds = [[index.seed for index in ours]]
    ours.set_epoch(1)
    seeds.append([index.seed for index in ours])
    seeds.append([i.seed for i in SeededSampler(Noise(), dict(type="DefaultSampler"), seed=4)])
    assert len({seed for each in seeds for seed in each}) == 30


def test_the_order_is_the_inner_samplers_and_can_start_anywhere() -> None:
    ours = sampler(shuffle=True)
    ours.set_epoch(2)
    whole = [(int(index), index.seed) for index in ours]
    assert sorted(index for index, _ in whole) == list(range(10))
    ours.start_at(7)
    assert [(int(index), index.seed) for index in ours] == whole[7:]
    assert [(int(index), index.seed) for index in ours] == whole  # for one pass only
