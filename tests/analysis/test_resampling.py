"""Bootstrap intervals against naive loops, scipy, closed forms and simulated truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from seglab.analysis import resampling
from seglab.analysis.resampling import Bootstrap, Interval, metric_keys
from seglab.utils.test_utils import aggregate_metrics

from .simulation import CLASSES, World, compare_often


@pytest.fixture(scope="module")
def sample() -> list[np.ndarray]:
    """Two hypotheses with one and three seeds on 30 images."""
    rng = np.random.default_rng(5)
    both = World((0.0, 0.4), seed_spread=0.2).sample(rng, 30, seeds=3)
    return [both[0][:1], both[1]]


def accuracy_matrices(right: np.ndarray, pixels: int = 1_000_000) -> np.ndarray:
    """(S, N, 2, 2) matrices whose aAcc is exactly the mean of `right` (S, N) shares."""
    matrices = np.zeros((*right.shape, 2, 2), dtype=np.int64)
    matrices[..., 0, 0] = np.rint(right * pixels)
    matrices[..., 0, 1] = pixels - matrices[..., 0, 0]
    return matrices


def test_resampled_figures_are_those_of_a_naive_loop(sample: list[np.ndarray]) -> None:
    resamples, images = 40, 30
    bootstrap = Bootstrap(sample, CLASSES, resamples=resamples, seed=3)
    drawn = np.random.default_rng(3).integers(images, size=(resamples, images))
    for number, chosen in enumerate(drawn):
        expected = aggregate_metrics(sample[0][0][chosen], CLASSES)
        for key in metric_keys(CLASSES):
            assert bootstrap.resampled(0, key)[number] == pytest.approx(expected[key], abs=1e-10)


def test_values_are_the_published_ones(sample: list[np.ndarray]) -> None:
    bootstrap = Bootstrap(sample, CLASSES, resamples=200)
    published = [[aggregate_metrics(seed, CLASSES) for seed in matrices] for matrices in sample]
    for key in metric_keys(CLASSES):
        one, three = published[0][0][key], np.mean([metrics[key] for metrics in published[1]])
        assert bootstrap.figure(0, key).value == pytest.approx(one, abs=1e-10)
        assert bootstrap.figure(1, key).value == pytest.approx(three, abs=1e-10)
        assert bootstrap.difference(0, 1, key).value == pytest.approx(three - one, abs=1e-10)


def test_the_keys_are_those_of_the_published_metrics(sample: list[np.ndarray]) -> None:
    published = aggregate_metrics(sample[0][0], CLASSES)
    assert set(metric_keys(CLASSES)) == {k for k in published if not k.startswith("classes/")}


def test_standard_error_agrees_with_scipy() -> None:
    one, other = (m[0] for m in World((0.0, 0.5)).sample(np.random.default_rng(2), 60))
    bootstrap = Bootstrap([one[None], other[None]], CLASSES, ("mDice",), resamples=20_000)

    def difference(chosen: np.ndarray) -> float:
        after, before = (aggregate_metrics(m[chosen], CLASSES)["mDice"] for m in (other, one))
        return after - before

    scipy_result = stats.bootstrap(
        (np.arange(60),), difference, vectorized=False, n_resamples=4000, rng=1, method="basic"
    )
    ours = bootstrap.difference(0, 1, "mDice")
    assert ours.standard_error == pytest.approx(scipy_result.standard_error, rel=0.05)
    half = stats.t.ppf(0.975, 59) * ours.standard_error
    assert ours.interval.high - ours.value == pytest.approx(half, rel=1e-9)
    assert ours.value - ours.interval.low == pytest.approx(half, rel=1e-9)


def test_interval_of_a_figure_is_the_t_interval_of_its_logit(sample: list[np.ndarray]) -> None:
    bootstrap = Bootstrap(sample, CLASSES, resamples=5000)
    estimate = bootstrap.figure(0, "Dice/cat")
    without = [
        aggregate_metrics(np.delete(sample[0][0], image, axis=0), CLASSES)["Dice/cat"]
        for image in range(30)
    ]
    kurtosis = stats.kurtosis(without, fisher=False)
    freedom = min(60 / (kurtosis - 27 / 29), 29)
    assert estimate.degrees_of_freedom == pytest.approx(freedom)
    share = estimate.value / 100
    error = bootstrap.resampled(0, "Dice/cat").std(ddof=1) / 100 / (share * (1 - share))
    around = np.log(share / (1 - share)) + stats.t.ppf([0.025, 0.975], freedom) * error
    expected = 100 / (1 + np.exp(-around))
    assert (estimate.interval.low, estimate.interval.high) == pytest.approx(tuple(expected))


def test_light_tails_give_no_more_than_the_usual_degrees_of_freedom() -> None:
    right = np.tile([0.4, 0.6], 10)[None]
    bootstrap = Bootstrap([accuracy_matrices(right)], ("a", "b"), ("aAcc",), resamples=50)
    assert bootstrap.figure(0, "aAcc").degrees_of_freedom == pytest.approx(19)


def test_memory_chunks_change_nothing(
    sample: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Bootstrap(sample, CLASSES, resamples=101)
    monkeypatch.setattr(resampling, "_CHUNK", 7 * 30)
    pieces = Bootstrap(sample, CLASSES, resamples=101)
    for key in metric_keys(CLASSES):
        for index in (0, 1):
            np.testing.assert_array_equal(whole.resampled(index, key), pieces.resampled(index, key))


def test_a_run_has_the_same_interval_beside_any_other(sample: list[np.ndarray]) -> None:
    alone = Bootstrap(sample[:1], CLASSES, resamples=300).figure(0, "mDice")
    beside = Bootstrap([sample[1], sample[0]], CLASSES, ("mDice",), resamples=300)
    assert beside.figure(1, "mDice") == alone
    other_seed = Bootstrap(sample[:1], CLASSES, resamples=300, seed=1).figure(0, "mDice")
    assert other_seed.interval != alone.interval


def test_pairing_takes_out_what_is_hard_for_both() -> None:
    right = np.random.default_rng(0).uniform(0.3, 0.9, (1, 50))
    bootstrap = Bootstrap(
        [accuracy_matrices(right), accuracy_matrices(right + 0.05)], ("a", "b"), ("aAcc",)
    )
    difference = bootstrap.difference(0, 1, "aAcc")
    assert difference.value == pytest.approx(5, abs=1e-3)
    assert difference.standard_error < 1e-4 < 1 < bootstrap.figure(0, "aAcc").standard_error


def test_identical_runs_do_not_differ(sample: list[np.ndarray]) -> None:
    bootstrap = Bootstrap([sample[0], sample[0]], CLASSES, resamples=100)
    for key in metric_keys(CLASSES):
        difference = bootstrap.difference(0, 1, key)
        assert (difference.value, difference.standard_error) == (0, 0)
        assert difference.interval == Interval(0, 0)
        assert not difference.interval.excludes_zero()


def with_class_on(images: int, count: int = 40) -> np.ndarray:
    """(1, N, 3, 3): the third class on the first `images` images, never wrongly predicted."""
    matrices = np.zeros((1, count, 3, 3), dtype=np.int64)
    matrices[0, :, :2, :2] = np.random.default_rng(0).integers(50, 100, (count, 2, 2))
    matrices[0, :images, 2, 2], matrices[0, :images, 2, 0] = 60, np.arange(images) + 1
    return matrices


@pytest.mark.parametrize("images", [1, 2])
def test_a_class_on_too_few_images_has_no_interval(images: int) -> None:
    bootstrap = Bootstrap([with_class_on(images)] * 2, CLASSES, resamples=4000)
    expected = 4000 * (1 - images / 40) ** 40
    for key in ("Dice/dog", "mDice", "mIoU", "mAcc", "Recall/dog", "Precision/dog"):
        for estimate in (bootstrap.figure(0, key), bootstrap.difference(0, 1, key)):
            assert estimate.dropped == pytest.approx(expected, rel=0.1)
            assert not np.isnan(estimate.value)
            assert np.isnan([estimate.standard_error, *vars(estimate.interval).values()]).all()
            assert not estimate.interval.excludes_zero()
    assert bootstrap.figure(0, "Dice/cat").dropped == 0
    assert bootstrap.figure(0, "Dice/cat").standard_error > 0


def test_resamples_without_a_class_do_not_enter_the_mean_over_classes() -> None:
    bootstrap = Bootstrap([with_class_on(5)], CLASSES, resamples=4000)
    estimate = bootstrap.figure(0, "mDice")
    assert 0 < estimate.dropped < 100
    counted = ~np.isnan(bootstrap.resampled(0, "Dice/dog"))
    assert estimate.dropped == 4000 - counted.sum()
    assert estimate.standard_error == pytest.approx(
        bootstrap.resampled(0, "mDice")[counted].std(ddof=1)
    )


def test_a_class_that_is_nowhere_has_no_value_and_spoils_no_mean() -> None:
    bootstrap = Bootstrap([with_class_on(0)] * 2, CLASSES, resamples=100)
    for estimate in (bootstrap.figure(0, "Dice/dog"), bootstrap.difference(0, 1, "Dice/dog")):
        assert np.isnan(estimate.value)
        assert np.isnan(estimate.interval.low)
        assert estimate.dropped == 100
    assert bootstrap.figure(0, "mDice").dropped == 0
    assert bootstrap.figure(0, "mDice").standard_error > 0


def test_all_right_and_all_wrong() -> None:
    right = Bootstrap([accuracy_matrices(np.ones((1, 9)))], ("a", "b"), ("aAcc",), resamples=50)
    assert right.figure(0, "aAcc").interval == Interval(100, 100)
    wrong = Bootstrap([accuracy_matrices(np.zeros((1, 9)))], ("a", "b"), ("aAcc",), resamples=50)
    assert wrong.figure(0, "aAcc").interval == Interval(0, 0)


def test_one_image_has_a_value_but_no_interval(sample: list[np.ndarray]) -> None:
    bootstrap = Bootstrap([matrices[:, :1] for matrices in sample], CLASSES, resamples=50)
    for estimate in (bootstrap.figure(0, "aAcc"), bootstrap.difference(0, 1, "aAcc")):
        assert estimate.value != 0
        assert np.isnan([estimate.standard_error, estimate.interval.low]).all()


# --- several seeds


def test_seeds_alone_give_their_variance_over_their_number() -> None:
    """No image differs from another: what is left is s^2 / S, not (S - 1) / S of it."""
    quality = np.array([0.70, 0.74, 0.81])
    matrices = accuracy_matrices(np.repeat(quality[:, None], 20, axis=1))
    bootstrap = Bootstrap([matrices], ("a", "b"), ("aAcc",))
    expected = (100 * quality).var(ddof=1) / 3
    assert bootstrap.resampled(0, "aAcc").var(ddof=1) == pytest.approx(expected, rel=0.03)
    estimate = bootstrap.figure(0, "aAcc")
    assert estimate.standard_error**2 == pytest.approx(expected, rel=1e-6)
    assert estimate.seed_error == pytest.approx(estimate.standard_error, rel=0.05)
    assert estimate.degrees_of_freedom == pytest.approx(2)
    assert estimate.seeds_covered


def test_standard_error_over_seeds_is_that_of_a_two_way_analysis_of_variance() -> None:
    """The accuracy is a plain mean, so that the components have closed forms."""
    rng = np.random.default_rng(4)
    seeds, images = 3, 100
    hypotheses, degrees = [], []
    for _ in range(2):
        right = 0.6 + 0.03 * rng.normal(size=(seeds, 1)) + 0.15 * rng.uniform(-1, 1, (1, images))
        right = right + 0.2 * rng.uniform(-1, 1, (seeds, images))
        matrices = accuracy_matrices(right)
        hypotheses.append(matrices)
        degrees.append(100 * matrices[..., 0, 0] / 1_000_000)
    by_seeds = [y.mean(axis=1).var(ddof=1) / seeds for y in degrees]
    by_images = (degrees[1] - degrees[0]).mean(axis=0).var(ddof=1) / images
    repeated = 0.0
    for y in degrees:
        residual = y - y.mean(axis=0) - y.mean(axis=1, keepdims=True) + y.mean()
        mean_square = (residual**2).sum() / ((seeds - 1) * (images - 1))
        repeated += mean_square / (seeds * images)
    expected = sum(by_seeds) + by_images - repeated
    estimate = Bootstrap(hypotheses, ("a", "b"), ("aAcc",), resamples=40_000).difference(
        0, 1, "aAcc"
    )
    assert repeated > 0.15 * expected  # or the test would not see whether it is taken off
    assert estimate.standard_error**2 == pytest.approx(expected, rel=0.03)
    assert estimate.seed_error**2 == pytest.approx(sum(by_seeds) - repeated, rel=0.05)
    freedom = expected**2 / (
        sum(part**2 / (seeds - 1) for part in by_seeds) + (by_images - repeated) ** 2 / (images - 1)
    )
    assert estimate.degrees_of_freedom == pytest.approx(freedom, rel=0.05)


def test_one_seed_does_not_cover_seeds(sample: list[np.ndarray]) -> None:
    bootstrap = Bootstrap([*sample, sample[1]], CLASSES, ("mDice",), resamples=200)
    covered = [bootstrap.figure(index, "mDice").seeds_covered for index in range(3)]
    assert covered == [False, True, True]
    assert not bootstrap.difference(0, 1, "mDice").seeds_covered
    assert bootstrap.difference(1, 2, "mDice").seeds_covered
    assert bootstrap.figure(0, "mDice").seed_error == 0


# --- bad input


@pytest.mark.parametrize(
    ("hypotheses", "message"),
    [
        ([], "expected (S, N, 3, 3)"),
        ([np.zeros((5, 3, 3), dtype=int)], "expected (S, N, 3, 3)"),
        ([np.zeros((1, 5, 2, 2), dtype=int)], "expected (S, N, 3, 3)"),
        ([np.zeros((0, 5, 3, 3), dtype=int)], "expected (S, N, 3, 3)"),
        ([np.zeros((1, 0, 3, 3), dtype=int)], "same images"),
        ([np.zeros((1, 5, 3, 3), dtype=int), np.zeros((1, 6, 3, 3), dtype=int)], "same images"),
        ([np.ones((1, 5, 3, 3))], "integers"),
        ([np.full((1, 5, 3, 3), 2**52)], "2^53"),
    ],
)
def test_unfit_matrices_are_refused(hypotheses: list[np.ndarray], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Bootstrap(hypotheses, CLASSES, resamples=10)
    assert message in str(caught.value)


@pytest.mark.parametrize("key", ["classes/mDice", "Dice/bird", "HD95/cat", "dice"])
def test_unknown_keys_are_refused(sample: list[np.ndarray], key: str) -> None:
    with pytest.raises(ValueError, match=key):
        Bootstrap(sample, CLASSES, ("mDice", key), resamples=10)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.int64, (2, 2, 6, 3, 3), elements=st.integers(0, 50)),
    st.integers(0, 1000),
)
def test_whatever_the_matrices_the_answer_is_whole(matrices: np.ndarray, seed: int) -> None:
    bootstrap = Bootstrap(list(matrices), CLASSES, resamples=60, seed=seed)
    for key in bootstrap.keys:
        figure, difference = bootstrap.figure(0, key), bootstrap.difference(0, 1, key)
        for estimate in (figure, difference):
            low, high = estimate.interval.low, estimate.interval.high
            assert 0 <= estimate.dropped <= 60
            if np.isnan(estimate.standard_error) or np.isnan(estimate.value):
                assert np.isnan([low, high]).all()
            else:
                assert low - 1e-9 <= estimate.value <= high + 1e-9
                assert 0 <= estimate.seed_error <= estimate.standard_error + 1e-12
                assert estimate.degrees_of_freedom > 0
        if not np.isnan(figure.interval.low):
            assert -1e-9 <= figure.interval.low <= figure.interval.high <= 100 + 1e-9


# --- simulated truth: what an interval is worth


def test_under_no_difference_the_interval_excludes_zero_as_often_as_it_should(
    record_property,
) -> None:
    rate = 100 * compare_often(World()).excludes_zero()
    record_property("false_alarms_percent", rate)
    print(f"no difference: the 95 % interval excludes zero in {rate:.1f} % of 1,000 simulations")
    assert 3 <= rate <= 7


def test_the_interval_covers_a_true_difference(record_property) -> None:
    world = World((0.0, 0.48))
    before, after = world.truth()
    rate = 100 * compare_often(world).covers(after - before)
    record_property("coverage_percent", rate)
    print(f"the 95 % interval covers a true {after - before:.2f} in {rate:.1f} % of 1,000")
    assert 93 <= rate <= 97


def test_three_seeds_each_cover_the_difference_of_the_methods(record_property) -> None:
    """Seeds spread by 0.6 points; one seed each would cover 84 %."""
    simulations = 300
    outcomes = compare_often(World(seed_spread=0.1), simulations, seeds=3)
    rate = 100 * outcomes.covers(0.0)
    record_property("coverage_three_seeds_percent", rate)
    print(f"three seeds: the 95 % interval covers in {rate:.1f} % of {simulations} simulations")
    assert 92 <= rate <= 98
