"""Simulated test sets of cats and dogs, whose true figures are known.

Made after two networks trained on real cats and dogs, tested on 120 images. One animal an image;
its area has a median of a tenth of the image and a long tail. On 10 to 12 % of the images, mostly
those of small animals, a network misses the animal altogether or takes it for the other; two
networks mostly fail on the same ones. Elsewhere the logit of the recall is about 2 +- 1.15. mDice
comes out at 88 with a standard error of 1.1 points as it did there, the difference of two runs with
one of 1.2 (two seeds of one hypothesis had 0.9).
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from seglab.analysis.multiplicity import detectable_difference
from seglab.analysis.resampling import Bootstrap
from seglab.utils.test_utils import score_table

CLASSES = ("background", "cat", "dog")
PIXELS = 256 * 256


@dataclass(frozen=True)
class World:
    """What is true of the hypotheses compared.

    Attributes:
        gains: Quality of each hypothesis (logits of recall); 0.5 is about 3 points of mDice.
        seed_spread: Standard deviation of a trained network's quality around that.
        shared: Part of an image's hardness that is the same for all networks.
        own: Of the rest the part that all seeds of one hypothesis share.
        failures: Share of the images on which a network of gain 0 fails.
    """

    gains: tuple[float, ...] = (0.0, 0.0)
    seed_spread: float = 0.0
    shared: float = 0.8
    own: float = 0.0
    failures: float = 0.11

    def sample(self, rng: np.random.Generator, images: int, seeds: int = 1) -> list[np.ndarray]:
        """Newly trained networks on a new test set: (S, N, 3, 3) for each hypothesis."""
        count = len(self.gains)
        gains = np.array(self.gains)[:, None]
        gains = gains + self.seed_spread * rng.normal(size=(count, seeds))
        animal = rng.integers(1, 3, images)
        size = rng.normal(size=images)
        common = rng.normal(size=(2, images))
        return [self._draw(rng, animal, size, common, gain[:, None]) for gain in gains]

    def _draw(self, rng, animal, size, common, gain):
        """(S, N, 3, 3) of one hypothesis: `animal`, `size` (N,), `common` (2, N), `gain` (S, 1)."""
        shape = (len(gain), len(size))
        area = PIXELS * np.clip(np.exp(math.log(0.095) + 0.78 * size), 0.003, 0.36)
        rest = math.sqrt(self.own) * rng.normal(size=(2, 1, shape[1]))
        rest = rest + math.sqrt(1 - self.own) * rng.normal(size=(2, *shape))
        ease = math.sqrt(self.shared) * common[:, None] + math.sqrt(1 - self.shared) * rest
        failed = 0.8 * ease[0] + 0.6 * size < norm.ppf(self.failures) - 0.35 * gain
        luck = rng.random((3, *shape))
        swapped = luck[0] < np.where(failed, 0.25, 0.05)
        recall = np.where(failed, 0.1 * luck[1], 1 / (1 + np.exp(-(2.0 + 1.15 * ease[1] + gain))))
        confused = 0.9 * swapped * luck[2] * (1 - recall) * area
        spill = rng.lognormal(math.log(0.065), 1.1, shape) * np.exp(-0.3 * gain) * area
        spill = np.minimum(spill, 0.9 * (PIXELS - area))
        spill_other = 0.8 * spill * swapped
        matrices = np.zeros((*shape, 3, 3))
        image = np.arange(len(size))
        matrices[:, image, animal, animal] = recall * area
        matrices[:, image, animal, 3 - animal] = confused
        matrices[:, image, animal, 0] = (1 - recall) * area - confused
        matrices[:, image, 0, animal] = spill - spill_other
        matrices[:, image, 0, 3 - animal] = spill_other
        matrices[:, image, 0, 0] = PIXELS - area - spill
        return np.rint(matrices).astype(np.int64)

    def truth(self, key: str = "mDice", images: int = 200_000) -> tuple[float, ...]:
        """Each hypothesis's figure over all images and seeds there could be, very nearly."""
        # Gauss-Hermite quadrature over the seeds' quality, a huge test set for each node.
        nodes, weights = np.polynomial.hermite_e.hermegauss(7 if self.seed_spread else 1)
        found = []
        for gain in self.gains:
            world = replace(self, gains=(gain,), seed_spread=0.0)
            figures = [
                replace(world, gains=(gain + self.seed_spread * node,)).figure(key, images)
                for node in nodes
            ]
            found.append(float(np.average(figures, weights=weights)))
        return tuple(found)

    def figure(self, key: str, images: int) -> float:
        """The first hypothesis's figure on one test set."""
        totals = self.sample(np.random.default_rng(1), images)[0].sum(axis=1)
        return float(score_table(totals, CLASSES)[key][0])


class Outcomes(NamedTuple):
    """What many simulated comparisons of mDice gave, an array each."""

    values: np.ndarray
    low: np.ndarray
    high: np.ndarray
    detectable: np.ndarray

    def covers(self, truth: float) -> float:
        """Share of intervals that hold the truth."""
        return float(np.mean((self.low <= truth) & (truth <= self.high)))

    def excludes_zero(self) -> float:
        """Share of intervals that do not hold zero."""
        return 1.0 - self.covers(0.0)


@lru_cache
def compare_often(
    world: World, simulations: int = 1000, images: int = 120, seeds: int = 1
) -> Outcomes:
    """Compare two hypotheses on new test sets again and again, with 2,000 resamples each."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(simulations):
        sample = world.sample(rng, images, seeds)
        bootstrap = Bootstrap(sample, CLASSES, ("mDice",), resamples=2000, seed=number)
        estimate = bootstrap.difference(0, 1, "mDice")
        detectable = detectable_difference(estimate.standard_error, estimate.degrees_of_freedom)
        found.append((estimate.value, estimate.interval.low, estimate.interval.high, detectable))
    return Outcomes(*np.array(found).T)
