"""Confidence intervals of a split's figures and of their differences, from per-image matrices.

**Images.** The paired bootstrap (Efron and Tibshirani, 1993): images are drawn with replacement,
the same ones for every run, the drawn matrices are summed and the figures computed from the sums
by `seglab.utils.test_utils`. What makes an image hard for all runs cancels out of a difference.

**Seeds.** A hypothesis trained with several seeds has the mean of their figures. Its seeds are
resampled as well, independently of the images and of other hypotheses' seeds. Drawing S of S seeds
would understate their variance by the factor (S - 1) / S, with three seeds by a third, so S - 1
are drawn (McCarthy and Snowden, 1985; Rao and Wu, 1988). Resampling both ways counts what is
particular to one seed on one image three times (Owen, 2007, the pigeonhole bootstrap). With the
variances V2 of that bootstrap, VI of one over images alone and VS = sum of s^2 / S of the seeds'
figures, what is counted too often is VX = V2 - VI - VS, and the squared standard error is

    VS + max(VI - VX, 0)

with VS^2 and (VI - VX)^2 over their degrees of freedom added by Satterthwaite's rule (Hillis, 2007,
for the same design in radiology: readers are our seeds, cases our images). With one seed this is
VI, and the interval does not cover what another seed would have given (`seeds_covered`).

**Intervals.** Chosen by their coverage over 1,000 to 3,000 simulated test sets of 120 images, a
tenth of them failures, in four variants (`tests/analysis/simulation.py`; percent, 95 is right):

| interval | difference: mDice | difference: Dice/cat | run: mDice | run: Dice/cat |
|---|---|---|---|---|
| percentile | 93.5 - 94.8 | 93.7 - 94.6 | 93.9 - 95.1 | 92.3 - 93.2 |
| basic | 95.1 - 95.8 | 95.5 - 95.8 | 93.3 - 93.9 | 90.9 - 91.9 |
| BCa | 91.3 - 93.0 | 90.4 - 92.0 | 93.5 - 94.8 | 91.7 - 92.9 |
| t, bootstrap standard error | **94.6 - 95.6** | **95.0 - 95.5** | 93.9 - 94.9 | 92.4 - 93.4 |
| t on the logit scale | - | - | **94.9 - 95.7** | **93.9 - 94.9** |

So a difference has value +- t * SE with N - 1 degrees of freedom, and a figure the interval of its
logit, SE / (p (1 - p)) by the delta method, with 2 N / (K - (N - 3) / (N - 1)) degrees of freedom
(O'Neill, 2014), K the kurtosis of the images' jackknife influence: where few images make most of
the error, its size is known less well. Where networks fail on large objects too, differences
covered 95 to 97 and figures 91 to 94. With three seeds differences covered 93.5 to 97.7 (two-level
percentiles: 91.0 to 99.8), figures 91 to 94. With one seed, where seeds spread by 0.6 points of
mDice, differences covered 84: the interval is about these two networks, not about their methods.

**Classes that are not there.** A resample without any pixel of a class has no Dice of it, and its
mDice would be over fewer classes: another quantity. Such resamples do not count for the figure;
their number is `dropped`. Above 5 %, that is with a class on one or two images only, there is no
interval (NaN).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit, stdtrit

from seglab.utils.test_utils import IntArray, score_table

FloatArray = npt.NDArray[np.float64]

#: Resamples of the bootstrap, and permutations of the test.
RESAMPLES = 10_000
CONFIDENCE = 0.95
#: With a larger share of resamples in which a figure has no value it gets no interval.
MAX_DROPPED = 0.05
#: Numbers held at once (32 MB): bounds the memory however many images there are.
_CHUNK = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A 95 % confidence interval; both ends NaN where there is none."""

    low: float
    high: float

    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class FigureEstimate:
    """A figure, or the difference of two, with its uncertainty.

    Attributes:
        key: The metric.
        value: Percent; points for a difference. NaN if a seed has no value.
        interval: 95 %.
        standard_error: Points.
        seed_error: The part of the standard error that more images would not take away; 0 for
            one seed, where it is not known.
        degrees_of_freedom: Of the standard error.
        dropped: Resamples in which the figure had no value; they do not count.
        seeds_covered: The interval includes the variation from training seed to training seed.
    """

    key: str
    value: float
    interval: Interval
    standard_error: float
    seed_error: float
    degrees_of_freedom: float
    dropped: int
    seeds_covered: bool


@dataclass(frozen=True)
class Difference(FigureEstimate):
    """One hypothesis's figure minus another's, tested (`permutation.paired_differences`).

    Attributes:
        p_value: Two-sided, of this test alone.
        detectable: The smallest true difference found with 80 % power at the 5 % level, points.
        adjusted_p: After Holm; NaN until `multiplicity.adjust_family`.
    """

    p_value: float
    detectable: float
    adjusted_p: float = math.nan


def metric_keys(class_names: Sequence[str]) -> tuple[str, ...]:
    """The figures that can be resampled: all of `score_table` but the numbers of classes."""
    size = len(class_names)
    table = score_table(np.zeros((size, size), dtype=np.int64), class_names)
    return tuple(key for key in table if not key.startswith("classes/"))


def require_keys(keys: Sequence[str], class_names: Sequence[str]) -> None:
    """ValueError unless every key is a figure that can be resampled."""
    known = metric_keys(class_names)
    unknown = [key for key in keys if key not in known]
    if unknown:
        raise ValueError(f"no such figures: {', '.join(unknown)}; use {', '.join(known)}")


class Bootstrap:
    """The resampled figures of several hypotheses on the same images.

    The same `seed` draws the same images whatever hypotheses stand beside each other.

    Args:
        hypotheses: For each an (S, N, C, C) integer array, the confusion matrices of its S >= 1
            seeds; the N images and their order are the same for all.
        class_names: The C names.
        keys: The figures wanted, of `metric_keys` (default: all).
        resamples: Number of resamples B.
        seed: Of the random numbers.

    Raises:
        ValueError: The arrays do not fit together, there are no images, a key is unknown, or the
            pixels are so many that sums would not be exact.
    """

    def __init__(
        self,
        hypotheses: Sequence[npt.NDArray[np.integer]],
        class_names: Sequence[str],
        keys: Sequence[str] | None = None,
        *,
        resamples: int = RESAMPLES,
        seed: int = 0,
    ) -> None:
        self.class_names = tuple(class_names)
        self.keys = metric_keys(class_names) if keys is None else tuple(keys)
        self.resamples = resamples
        self.seed = seed
        self.hypotheses = tuple(np.asarray(matrices) for matrices in hypotheses)
        require_keys(self.keys, self.class_names)
        _require_alike(self.hypotheses, len(self.class_names))
        self.num_images = self.hypotheses[0].shape[1]
        self._splits = [
            _Split(matrices, self.class_names, self.keys) for matrices in self.hypotheses
        ]
        shape = (len(self.hypotheses), resamples)
        self._by_images = {key: np.empty(shape) for key in self.keys}
        self._by_both = {key: np.empty(shape) for key in self.keys}
        self._resample()

    def resampled(self, index: int, key: str) -> FloatArray:
        """The (B,) figures of a hypothesis under resampled images and seeds; NaN: no value."""
        figures: FloatArray = self._by_both[key][index]
        return figures

    def figure(self, index: int, key: str) -> FigureEstimate:
        """The figure of a hypothesis, the mean over its seeds, in percent."""
        freedom = _freedom_by_kurtosis(self._splits[index].jackknife(key))
        by_images, by_both = self._by_images[key][index], self.resampled(index, key)
        return self._estimate(key, (index,), by_images, by_both, freedom)

    def difference(self, before: int, after: int, key: str) -> FigureEstimate:
        """The figure of hypothesis `after` minus that of `before`, in points."""
        by_images = self._by_images[key][after] - self._by_images[key][before]
        by_both = self.resampled(after, key) - self.resampled(before, key)
        freedom = max(self.num_images - 1.0, 1.0)
        return self._estimate(key, (before, after), by_images, by_both, freedom)

    def _estimate(
        self,
        key: str,
        members: tuple[int, ...],
        by_images: FloatArray,
        by_both: FloatArray,
        freedom: float,
    ) -> FigureEstimate:
        """One member's figure, or the second's minus the first's."""
        seeds = [self._splits[index].table[key] for index in members]
        means = [float(figures.mean()) for figures in seeds]
        value = means[0] if len(means) == 1 else means[1] - means[0]
        counted = ~np.isnan(by_both)
        dropped = int(counted.size - counted.sum())
        error = seed_error = math.nan
        if self.num_images > 1 and dropped <= MAX_DROPPED * counted.size:
            error, seed_error, freedom = _standard_error(
                float(by_images[counted].var(ddof=1)),
                float(by_both[counted].var(ddof=1)),
                seeds,
                freedom,
            )
        interval = (_logit_interval if len(means) == 1 else _t_interval)(value, error, freedom)
        covered = all(figures.size > 1 for figures in seeds)
        return FigureEstimate(
            key, value, interval, error, seed_error, freedom, dropped, seeds_covered=covered
        )

    def _resample(self) -> None:
        """Fill the figures of every resample, some resamples at a time."""
        # The images last: every sum over a few classes then runs along many resamples at once.
        flat = [
            np.moveaxis(matrices, 1, -1).reshape(-1, self.num_images).astype(np.float64)
            for matrices in self.hypotheses
        ]
        seed_weights = [
            _draw_seeds(len(split.totals), self.resamples, [self.seed, index])
            for index, split in enumerate(self._splits)
        ]
        widest = max(self.num_images, *map(len, flat))
        step = max(_CHUNK // widest, 1)
        rng = np.random.default_rng(self.seed)
        for start in range(0, self.resamples, step):
            rows = slice(start, min(start + step, self.resamples))
            weights = _draw_images(self.num_images, rows.stop - rows.start, rng).T
            for index, split in enumerate(self._splits):
                # Whole numbers below 2^53: the product in float64 is exact, and BLAS is quick.
                sums = (flat[index] @ weights).astype(np.int64)
                totals = np.moveaxis(sums.reshape(*split.totals.shape, -1), -1, 1)
                for key, values in split.figures(totals).items():
                    self._by_images[key][index, rows] = values.mean(axis=0)
                    drawn = values * seed_weights[index][:, rows]
                    self._by_both[key][index, rows] = drawn.sum(axis=0)


class _Split:
    """One hypothesis's figures on the real images.

    Attributes:
        matrices: (S, N, C, C).
        totals: (S, C, C) their sums.
        table: `score_table` of the totals, each figure (S,).
    """

    def __init__(
        self,
        matrices: npt.NDArray[np.integer],
        class_names: tuple[str, ...],
        keys: tuple[str, ...],
    ) -> None:
        self.matrices = matrices
        self.class_names = class_names
        self.keys = keys
        self.totals: IntArray = matrices.sum(axis=1, dtype=np.int64)
        self.table = score_table(self.totals, class_names)
        self._without: dict[str, FloatArray] = {}

    def figures(self, totals: IntArray) -> dict[str, FloatArray]:
        """Figures of (S, n, C, C) sums over some of the images, each (S, n).

        A mean over classes has a value only where as many classes have one as on all images.
        """
        table = score_table(totals, self.class_names)
        figures = {}
        for key in self.keys:
            number = f"classes/{key}"
            complete = number not in table or table[number] == self.table[number][:, None]
            figures[key] = np.where(complete, table[key], np.nan)
        return figures

    def jackknife(self, key: str) -> FloatArray:
        """(N,) the figure without each image in turn, mean over the seeds."""
        if not self._without:
            figures = self.figures(self.totals[:, None] - self.matrices)
            self._without = {name: values.mean(axis=0) for name, values in figures.items()}
        return self._without[key]


def _require_alike(hypotheses: Sequence[npt.NDArray[np.integer]], num_classes: int) -> None:
    """ValueError unless these are (S, N, C, C) matrices on the same number of images."""
    shapes = [matrices.shape for matrices in hypotheses]
    tail = (num_classes, num_classes)
    if not shapes or any(len(shape) != 4 or shape[2:] != tail or not shape[0] for shape in shapes):
        raise ValueError(f"expected (S, N, {num_classes}, {num_classes}) matrices, got {shapes}")
    if len({shape[1] for shape in shapes}) > 1 or not shapes[0][1]:
        raise ValueError(f"the hypotheses need the same images, at least one; got {shapes}")
    if any(matrices.dtype.kind not in "iu" for matrices in hypotheses):
        raise ValueError("expected matrices of integers")
    if max(int(matrices.sum(axis=(2, 3)).max()) for matrices in hypotheses) * shapes[0][1] > 2**53:
        raise ValueError("more than 2^53 pixels: their sums would not be exact")


def _draw_images(number: int, resamples: int, rng: np.random.Generator) -> FloatArray:
    """(resamples, number) how often each image was drawn; each row sums to `number`."""
    drawn = rng.integers(number, size=(resamples, number))
    drawn += number * np.arange(resamples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=resamples * number)
    return counts.reshape(resamples, number).astype(np.float64)


def _draw_seeds(number: int, resamples: int, entropy: list[int]) -> FloatArray:
    """(number, resamples) weights of the seeds, of S - 1 drawn; all 1 for a single seed."""
    if number == 1:
        return np.ones((1, resamples))
    rng = np.random.default_rng(entropy)
    return rng.multinomial(number - 1, np.full(number, 1 / number), resamples).T / (number - 1)


def _standard_error(
    by_images: float, by_both: float, seeds: Sequence[FloatArray], freedom: float
) -> tuple[float, float, float]:
    """Standard error, the seeds' part of it, and its degrees of freedom (see the module).

    Args:
        by_images: Variance over resampled images.
        by_both: Variance over resampled images and seeds.
        seeds: For each hypothesis its seeds' figures.
        freedom: Degrees of freedom of `by_images`.
    """
    parts = [
        (figures.var(ddof=1) / figures.size, figures.size - 1)
        for figures in seeds
        if figures.size > 1
    ]
    by_seeds = float(sum(variance for variance, _ in parts))
    repeated = max(by_both - by_images - by_seeds, 0.0)
    rest = max(by_images - repeated, 0.0)
    variance = by_seeds + rest
    spread = rest**2 / freedom + sum(part**2 / degrees for part, degrees in parts)
    if spread > 0:
        freedom = float(variance**2 / spread)
    return math.sqrt(variance), math.sqrt(max(by_seeds - repeated, 0.0)), freedom


def _freedom_by_kurtosis(jackknife: FloatArray) -> float:
    """Degrees of freedom of a variance over N images, at most N - 1 (O'Neill, 2014)."""
    number = jackknife.size
    influence = jackknife - jackknife.mean()
    squares = float((influence**2).mean())
    if number < 2 or not squares > 0:  # no spread, or NaN
        return max(number - 1.0, 1.0)
    kurtosis = float((influence**4).mean()) / squares**2
    return min(2 * number / (kurtosis - (number - 3) / (number - 1)), number - 1.0)


def _t_interval(value: float, error: float, freedom: float) -> Interval:
    half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error
    return Interval(value - half, value + half)


def _logit_interval(value: float, error: float, freedom: float) -> Interval:
    """The t interval of the logit of a percentage, back in percent; it stays within 0 to 100."""
    share = value / 100
    if not 0 < share < 1:  # all right or all wrong, without spread; or NaN
        return _t_interval(value, error, freedom)
    around = _t_interval(float(logit(share)), error / 100 / (share * (1 - share)), freedom)
    return Interval(100 * float(expit(around.low)), 100 * float(expit(around.high)))
