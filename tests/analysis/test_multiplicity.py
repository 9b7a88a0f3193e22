"""Holm against a naive loop, and the smallest detectable difference against simulated power."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from seglab.analysis.multiplicity import (
    adjust_family,
    detectable_difference,
    holm,
    images_needed,
)
from seglab.analysis.permutation import paired_differences
from seglab.analysis.resampling import Bootstrap

from .simulation import CLASSES, World, compare_often


def rejected_by_holm(p_values: list[float], level: float) -> list[bool]:
    """The procedure as Holm describes it: step down until one is not small enough."""
    rejected = [False] * len(p_values)
    for step, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[index] > level / (len(p_values) - step):
            break
        rejected[index] = True
    return rejected


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=12),
    st.floats(0.001, 0.5),
)
def test_adjusted_p_values_decide_as_the_procedure_does(
    p_values: list[float], level: float
) -> None:
    adjusted = holm(p_values)
    for value, rejected in zip(adjusted, rejected_by_holm(p_values, level), strict=True):
        if not math.isclose(value, level, rel_tol=1e-9):  # equal but for rounding
            assert (value <= level) == rejected
    assert np.all((adjusted >= p_values) & (adjusted <= 1))


def test_known_example() -> None:
    """As R's p.adjust(method = "holm") gives it."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]).shape == (0,)


def test_tests_not_made_do_not_count() -> None:
    adjusted = holm([math.nan, 0.02, math.nan, 0.01])
    assert np.isnan(adjusted[[0, 2]]).all()
    assert adjusted[[1, 3]] == pytest.approx([0.02, 0.02])


def test_holm_keeps_the_error_of_the_family() -> None:
    rng = np.random.default_rng(0)
    families = rng.random((4000, 8))
    assert np.mean(families.min(axis=1) < 0.05) > 0.3
    any_rejected = np.mean([holm(family).min() < 0.05 for family in families])
    assert any_rejected == pytest.approx(0.05, abs=0.01)


def test_a_family_of_differences() -> None:
    sample = World((0.0, 0.5)).sample(np.random.default_rng(0), 20)
    bootstrap = Bootstrap(sample, CLASSES, resamples=200)
    differences = {("a", k): d for k, d in paired_differences(bootstrap, 0, 1).items()}
    adjusted = adjust_family(differences)
    assert list(adjusted) == list(differences)
    expected = holm([difference.p_value for difference in differences.values()])
    for (key, difference), p_value in zip(adjusted.items(), expected, strict=True):
        assert difference == replace(differences[key], adjusted_p=p_value)
    assert adjust_family({}) == {}


def test_detectable_difference_has_the_known_factor() -> None:
    assert detectable_difference(1.0) == pytest.approx(1.959964 + 0.841621, abs=1e-5)
    few = stats.t.ppf(0.975, 4) + stats.t.ppf(0.8, 4)
    assert detectable_difference(2.0, 4) == pytest.approx(2 * few)
    assert math.isnan(detectable_difference(math.nan))
    assert math.isnan(detectable_difference(0.0))  # two runs alike show no power


def test_a_detectable_difference_is_detected_in_80_percent(record_property) -> None:
    """The simulated world's difference is what its test sets call detectable."""
    world = World((0.0, 0.48))
    before, after = world.truth()
    outcomes = compare_often(world)
    power = 100 * outcomes.excludes_zero()
    detectable = float(np.mean(outcomes.detectable))
    record_property("power_percent", power)
    print(
        f"a true {after - before:.2f} (detectable: {detectable:.2f}) is found in {power:.1f} % "
        "of 1,000 simulations"
    )
    assert detectable == pytest.approx(after - before, rel=0.03)
    assert power == pytest.approx(80, abs=6)


def test_images_needed_is_the_inverse_of_the_detectable_difference() -> None:
    detectable = detectable_difference(1.1)
    assert images_needed(1.1, 120, detectable * (1 + 1e-9)) == 120
    assert images_needed(1.1, 120, detectable / 2 * (1 + 1e-9)) == 480
    assert images_needed(1.1, 120, 2 * detectable * (1 + 1e-9)) == 30
    assert math.isnan(images_needed(math.nan, 120, 1.0))
    assert images_needed(0.0, 120, 1.0) == 0


def test_more_images_do_not_take_away_the_variation_of_the_seeds() -> None:
    error, by_seeds = 1.3, 0.5
    wanted = 2.0
    number = images_needed(error, 120, wanted, by_seeds)
    at_that = math.sqrt((error**2 - by_seeds**2) * 120 / number + by_seeds**2)
    assert detectable_difference(at_that) == pytest.approx(wanted, rel=0.01)
    assert images_needed(error, 120, detectable_difference(by_seeds), by_seeds) == math.inf


@pytest.mark.parametrize("wanted", [0.0, -1.0, math.nan])
def test_a_difference_wanted_must_be_one(wanted: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        images_needed(1.0, 120, wanted)


def test_images_needed_holds_on_new_images() -> None:
    """What 120 images say about a larger test set is what the larger test set says."""
    few = compare_often(World(), 100)
    error = float(np.mean(few.detectable)) / detectable_difference(1.0, 119)
    number = int(images_needed(error, 120, 1.8))
    assert 200 < number < 500
    many = compare_often(World(), 100, images=number)
    assert float(np.mean(many.detectable)) == pytest.approx(1.8, rel=0.06)
