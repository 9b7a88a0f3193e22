"""The loss functions against float64 loops in numpy and finite differences, at random."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from seglab.mmseg_custom.losses import DiceOptions, combo_loss, cross_entropy, dice_loss

IGNORE = 255


@dataclass
class Case:
    """A random batch; arrays are numpy, logits (N, C, H, W) in float64."""

    logits: np.ndarray
    target: np.ndarray
    class_weight: list[float] | None
    dice_class_weight: list[float] | None
    pixel_weight: np.ndarray | None
    smoothing: float
    dice: DiceOptions

    def tensors(self, dtype=torch.float64):
        weight = None if self.pixel_weight is None else torch.tensor(self.pixel_weight, dtype=dtype)
        return torch.tensor(self.logits, dtype=dtype), torch.tensor(self.target), weight


def random_case(seed: int) -> Case:
    """Sizes, labels and options drawn by the seed; some classes and images end up empty."""
    rng = np.random.default_rng(seed)
    n, c = int(rng.integers(1, 4)), int(rng.choice([1, 2, 3, 5]))
    height, width = int(rng.integers(1, 6)), int(rng.integers(1, 6))
    classes = max(c, 2)
    used = rng.choice(classes, size=int(rng.integers(1, classes + 1)), replace=False)
    target = rng.choice(used, size=(n, height, width))
    target[rng.random(target.shape) < rng.choice([0.0, 0.2])] = IGNORE
    if rng.random() < 0.2:
        target[0] = IGNORE

    def maybe(value):
        return value if rng.random() < 0.5 else None

    return Case(
        logits=rng.normal(0, 3, (n, c, height, width)),
        target=target,
        class_weight=maybe(rng.uniform(0.1, 2, classes).tolist()),
        dice_class_weight=maybe(rng.uniform(0.1, 2, classes).tolist()),
        pixel_weight=maybe(rng.choice([0.0, 0.5, 1.0, 2.0], target.shape)),
        smoothing=float(rng.choice([0.0, 0.1])),
        dice=DiceOptions(
            over=str(rng.choice(["batch", "image"])),
            absent=str(rng.choice(["penalise", "skip"])),
            smooth=float(rng.choice([0.0, 1.0])),
            include_background=[None, True, False][rng.integers(3)],
        ),
    )


def pixels_of(case: Case, image: int):
    """Yield (probabilities, label, weight) of each pixel that counts, by plain arithmetic."""
    height, width = case.target.shape[1:]
    for i, j in itertools.product(range(height), range(width)):
        if case.target[image, i, j] == IGNORE:
            continue
        z = [float(v) for v in case.logits[image, :, i, j]]
        z = [0.0, *z] if len(z) == 1 else z
        exps = [math.exp(v - max(z)) for v in z]
        weight = 1.0 if case.pixel_weight is None else float(case.pixel_weight[image, i, j])
        yield [e / sum(exps) for e in exps], int(case.target[image, i, j]), weight


def reference_ce(case: Case) -> float:
    classes = max(case.logits.shape[1], 2)
    class_weight = case.class_weight or [1.0] * classes
    loss = total = 0.0
    for image in range(len(case.target)):
        for probs, label, weight in pixels_of(case, image):
            nll = [-math.log(p) * w for p, w in zip(probs, class_weight, strict=True)]
            smooth = case.smoothing * sum(nll) / classes
            loss += weight * ((1 - case.smoothing) * nll[label] + smooth)
            total += weight * class_weight[label]
    return loss / total if total else 0.0


def reference_dice(case: Case) -> float:
    classes = max(case.logits.shape[1], 2)
    background = case.dice.include_background
    background = case.logits.shape[1] > 1 if background is None else background
    images = list(range(len(case.target)))
    scores = []
    for group in [images] if case.dice.over == "batch" else [[i] for i in images]:
        pixels = [pixel for image in group for pixel in pixels_of(case, image)]
        mass = sum(weight for _, _, weight in pixels)
        loss = total = 0.0
        for c in range(0 if background else 1, classes):
            overlap = sum(w * p[c] for p, label, w in pixels if label == c)
            predicted = sum(w * p[c] for p, _, w in pixels)
            true = sum(w for _, label, w in pixels if label == c)
            if mass == 0 or (true == 0 and case.dice.absent == "skip"):
                continue
            s = case.dice.smooth
            value = 1 - (2 * overlap + s) / (predicted + true + s) if true else predicted / mass
            weight = case.dice_class_weight[c] if case.dice_class_weight else 1.0
            loss, total = loss + weight * value, total + weight
        if total:
            scores.append(loss / total)
    return sum(scores) / len(scores) if scores else 0.0


def run_combo(case: Case, logits, target, weight):
    return combo_loss(
        logits,
        target,
        ce_weight=0.7,
        dice_weight=0.4,
        class_weight=case.class_weight,
        dice_class_weight=case.dice_class_weight,
        label_smoothing=case.smoothing,
        dice=case.dice,
        pixel_weight=weight,
    )


@pytest.mark.parametrize("seed", range(200))
def test_random_cases_equal_the_float64_reference(seed):
    case = random_case(seed)
    ce, dice = reference_ce(case), reference_dice(case)
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 2e-6)):
        parts = run_combo(case, *case.tensors(dtype))
        expected = (0.7 * ce + 0.4 * dice, ce, dice)
        assert [p.dtype for p in parts] == [dtype] * 3
        np.testing.assert_allclose([p.item() for p in parts], expected, tolerance, tolerance)
    logits, target, weight = case.tensors()
    alone = (
        cross_entropy(
            logits,
            target,
            class_weight=case.class_weight,
            pixel_weight=weight,
            label_smoothing=case.smoothing,
        ),
        dice_loss(
            logits,
            target,
            options=case.dice,
            class_weight=case.dice_class_weight,
            pixel_weight=weight,
        ),
    )
    np.testing.assert_allclose([p.item() for p in alone], [ce, dice], 1e-12, 1e-12)


def test_the_random_cases_reach_every_option():
    cases = [random_case(seed) for seed in range(200)]
    kinds = {(c.logits.shape[1] == 1, c.dice.over, c.dice.absent) for c in cases}
    assert len(kinds) == 8
    assert {c.dice.include_background for c in cases} == {None, True, False}
    assert any((c.target == IGNORE).all() for c in cases)
    assert any(c.class_weight and c.pixel_weight is not None and c.smoothing for c in cases)


@pytest.mark.parametrize("seed", range(12))
def test_gradients_equal_finite_differences(seed):
    case = random_case(seed)
    logits, target, weight = case.tensors()
    logits = logits[:2, :, :3, :3].clone().requires_grad_()
    target = target[:2, :3, :3]
    weight = None if weight is None else weight[:2, :3, :3]
    assert torch.autograd.gradcheck(lambda z: run_combo(case, z, target, weight), (logits,))


@pytest.mark.parametrize("seed", range(20))
def test_ignored_pixels_leave_value_and_gradient_untouched(seed):
    case = random_case(seed)
    logits, target, weight = case.tensors()
    target[0, 0] = IGNORE
    hidden = (target == IGNORE).unsqueeze(1).expand_as(logits)
    results = []
    for junk in (0.0, 1e4, float("nan"), float("inf")):
        z = logits.masked_fill(hidden, junk).requires_grad_()
        total = run_combo(case, z, target, weight).total
        results.append((total.detach(), *torch.autograd.grad(total, z)))
        assert (results[-1][1][hidden] == 0).all()
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=0, atol=0)
