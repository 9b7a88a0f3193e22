"""P-values against all permutations in a naive loop, and under simulated truth."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seglab.analysis import permutation
from seglab.analysis.multiplicity import detectable_difference
from seglab.analysis.permutation import (
    paired_differences,
    permutation_p_values,
    two_level_p_value,
)
from seglab.analysis.resampling import Bootstrap, metric_keys
from seglab.utils.test_utils import aggregate_metrics

from .simulation import CLASSES, World


@pytest.fixture(scope="module")
def pair() -> list[np.ndarray]:
    return [m[0] for m in World((0.0, 0.6)).sample(np.random.default_rng(3), 8)]


def test_p_values_are_those_of_all_permutations(pair: list[np.ndarray]) -> None:
    """With 8 images there are 256 permutations; random ones come near."""
    before, after = pair
    keys = metric_keys(CLASSES)

    def differences(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        metrics = [aggregate_metrics(matrices, CLASSES) for matrices in (one, other)]
        return np.abs([metrics[1][key] - metrics[0][key] for key in keys])

    real = differences(before, after)
    reached = np.zeros(len(keys))
    for swaps in itertools.product([False, True], repeat=8):
        swap = np.array(swaps)[:, None, None]
        chance = differences(np.where(swap, after, before), np.where(swap, before, after))
        reached += ~(chance < real - 1e-9)
    permutations = 40_000
    p_values = permutation_p_values(before, after, CLASSES, permutations=permutations)
    for key, exact in zip(keys, reached / 256, strict=True):
        noise = 4 * np.sqrt(exact * (1 - exact) / permutations) + 1 / permutations
        assert p_values[key] == pytest.approx(exact, abs=noise), key
    assert min(p_values.values()) < 0.2  # the fixture differs in something


def test_the_smallest_p_value_is_not_zero() -> None:
    before, after = (m[0] for m in World((0.0, 4.0)).sample(np.random.default_rng(1), 100))
    p_values = permutation_p_values(before, after, CLASSES, ("mDice",), permutations=999)
    assert p_values == {"mDice": 1 / 1000}


def test_identical_runs_have_p_one(pair: list[np.ndarray]) -> None:
    assert set(permutation_p_values(pair[0], pair[0], CLASSES, permutations=99).values()) == {1.0}


def test_the_order_of_the_runs_does_not_matter(pair: list[np.ndarray]) -> None:
    one = permutation_p_values(pair[0], pair[1], CLASSES, permutations=500)
    assert permutation_p_values(pair[1], pair[0], CLASSES, permutations=500) == one


def test_memory_chunks_change_nothing(
    pair: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = permutation_p_values(*pair, CLASSES, permutations=1003)
    monkeypatch.setattr(permutation, "_CHUNK", 18 * 16)
    assert permutation_p_values(*pair, CLASSES, permutations=1003) == whole


def test_a_class_without_value_has_no_p_value(pair: list[np.ndarray]) -> None:
    no_dogs = [matrices.copy() for matrices in pair]
    for matrices in no_dogs:
        matrices[:, 2], matrices[:, :, 2] = 0, 0
    p_values = permutation_p_values(*no_dogs, CLASSES, permutations=99)
    assert np.isnan(p_values["Dice/dog"])
    assert 0 < p_values["mDice"] <= 1


def test_a_permutation_without_value_counts_as_large() -> None:
    """Dogs predicted on one image each: swapping one of them leaves a run without a dog."""
    matrices = np.zeros((2, 4, 2, 2), dtype=np.int64)
    matrices[:, :, 0, 0] = 10
    matrices[0, 0, 1, 1], matrices[0, 0, 0, 1] = 5, 1
    matrices[1, 1, 1, 1] = 5
    p_value = permutation_p_values(*matrices, ("a", "b"), ("Precision/b",), permutations=20_000)
    # Half of the swaps put both into one run; of the rest all differ as the real ones do.
    assert p_value["Precision/b"] == 1.0


@pytest.mark.parametrize("shape", [(8, 3, 2), (7, 3, 3), (3, 3)])
def test_unlike_matrices_are_refused(pair: list[np.ndarray], shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="alike"):
        permutation_p_values(pair[0], np.zeros(shape, dtype=np.int64), CLASSES)
    with pytest.raises(ValueError, match="HD95/cat"):
        permutation_p_values(*pair, CLASSES, ("HD95/cat",))


@settings(max_examples=40, deadline=None)
@given(arrays(np.int64, (2, 5, 3, 3), elements=st.integers(0, 9)))
def test_p_values_are_above_zero_and_at_most_one(matrices: np.ndarray) -> None:
    for p_value in permutation_p_values(*matrices, CLASSES, permutations=50).values():
        assert np.isnan(p_value) or 1 / 51 <= p_value <= 1


def test_under_no_difference_the_test_rejects_as_often_as_it_should(record_property) -> None:
    rng = np.random.default_rng(0)
    world, rejected = World(), 0
    for number in range(1000):
        (before,), (after,) = world.sample(rng, 120)
        p_values = permutation_p_values(
            before, after, CLASSES, ("mDice",), permutations=1999, seed=number
        )
        rejected += p_values["mDice"] < 0.05
    rate = rejected / 10
    record_property("rejections_percent", rate)
    print(f"no difference: the permutation test rejects in {rate:.1f} % of 1,000 simulations")
    assert 3 <= rate <= 7


# --- several seeds, and everything about a pair


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(-0.6, 0.6))
def test_two_level_p_value_is_below_five_percent_if_the_interval_excludes_zero(
    seed: int, gain: float
) -> None:
    sample = World((0.0, gain), seed_spread=0.2).sample(np.random.default_rng(seed), 15, seeds=3)
    bootstrap = Bootstrap(sample, CLASSES, resamples=200)
    for difference in paired_differences(bootstrap, 0, 1).values():
        if not np.isnan(difference.standard_error):
            assert (difference.p_value < 0.05) == difference.interval.excludes_zero()


def test_two_level_p_value_without_spread() -> None:
    matrices = np.full((2, 4, 2, 2), 5, dtype=np.int64)
    better = matrices.copy()
    better[:, :, 0, 0] = 9
    bootstrap = Bootstrap([matrices, matrices, better], ("a", "b"), ("aAcc",), resamples=50)
    assert two_level_p_value(bootstrap.difference(0, 1, "aAcc")) == 1
    assert two_level_p_value(bootstrap.difference(0, 2, "aAcc")) == 0


def test_a_pair_of_single_seeds_is_tested_by_permutation() -> None:
    sample = World((0.0, 0.5)).sample(np.random.default_rng(3), 30)
    bootstrap = Bootstrap(sample, CLASSES, resamples=400, seed=5)
    differences = paired_differences(bootstrap, 0, 1)
    assert tuple(differences) == bootstrap.keys
    p_values = permutation_p_values(sample[0][0], sample[1][0], CLASSES, permutations=400, seed=5)
    for key, difference in differences.items():
        estimate = bootstrap.difference(0, 1, key)
        assert (difference.value, difference.interval) == (estimate.value, estimate.interval)
        assert difference.p_value == p_values[key]
        assert difference.detectable == detectable_difference(estimate.standard_error, 29)
        assert np.isnan(difference.adjusted_p)
    opposite = paired_differences(bootstrap, 1, 0, ("mDice",))
    assert list(opposite) == ["mDice"]
    assert opposite["mDice"].value == -differences["mDice"].value


def test_a_pair_with_several_seeds_is_not_tested_by_permutation() -> None:
    sample = World(seed_spread=0.3).sample(np.random.default_rng(3), 30, seeds=2)
    bootstrap = Bootstrap([sample[0], sample[1][:1]], CLASSES, ("mDice",), resamples=400)
    for before, after in ((0, 1), (1, 0)):
        difference = paired_differences(bootstrap, before, after)["mDice"]
        assert difference.p_value == two_level_p_value(bootstrap.difference(before, after, "mDice"))
        assert not difference.seeds_covered
