"""The loss functions against torch and sklearn, and what each option promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from operations import REFUSED_ON_CUDA, OperationNames
from sklearn.metrics import f1_score

from seglab.mmseg_custom.losses import (
    DiceOptions,
    LossInputError,
    combo_loss,
    cross_entropy,
    dice_loss,
    dice_loss_per_class,
)

IGNORE = 255


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("class_weight", [None, [0.0585, 1.0, 2.0]])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("ignore_index", [255, -100, 1])
def test_cross_entropy_equals_torch(reduction, class_weight, smoothing, ignore_index):
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 7, 5, requires_grad=True)
    target = torch.randint(0, 3, (2, 7, 5))
    target[0, :2] = ignore_index
    weight = None if class_weight is None else torch.tensor(class_weight)
    upstream = torch.rand(target.shape if reduction == "none" else ())
    results = []
    for function, names in ((cross_entropy, "class_weight"), (F.cross_entropy, "weight")):
        value = function(
            logits,
            target,
            **{names: weight},
            ignore_index=ignore_index,
            label_smoothing=smoothing,
            reduction=reduction,
        )
        results.append((value, *torch.autograd.grad(value, logits, upstream)))
    torch.testing.assert_close(results[0], results[1])


def test_one_logit_is_the_sigmoid_and_equals_two_logits():
    torch.manual_seed(0)
    z = torch.randn(3, 1, 4, 4, dtype=torch.float64) * 5
    target = torch.randint(0, 2, (3, 4, 4))
    two = torch.cat([torch.zeros_like(z), z], dim=1)
    bce = F.binary_cross_entropy_with_logits(z[:, 0], target.double())
    torch.testing.assert_close(cross_entropy(z, target), bce)
    weight = torch.tensor([0.3, 2.0], dtype=torch.float64)
    torch.testing.assert_close(
        cross_entropy(z, target, class_weight=weight), F.cross_entropy(two, target, weight)
    )
    p, t = z[:, 0].sigmoid(), target.double()
    foreground = 1 - 2 * (p * t).sum() / (p.sum() + t.sum())
    torch.testing.assert_close(dice_loss(z, target), foreground)
    both = DiceOptions(include_background=True)
    torch.testing.assert_close(
        dice_loss(z, target, options=both), dice_loss(two, target, options=both)
    )


@pytest.mark.parametrize("over", ["batch", "image"])
def test_dice_of_a_confident_prediction_is_the_macro_f1_score(over):
    rng = np.random.default_rng(0)
    target, predicted = rng.integers(0, 3, (2, 4, 8, 8))
    logits = torch.tensor(np.eye(3)[predicted].transpose(0, 3, 1, 2) * 60)
    value = dice_loss(logits, torch.tensor(target), options=DiceOptions(over=over)).item()
    if over == "batch":
        expected = f1_score(target.ravel(), predicted.ravel(), average="macro")
    else:
        pairs = zip(target, predicted, strict=True)
        expected = np.mean([f1_score(t.ravel(), p.ravel(), average="macro") for t, p in pairs])
    assert value == pytest.approx(1 - expected, abs=1e-12)


def test_ignoring_equals_cropping():
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 6, 4), torch.randint(0, 3, (2, 6, 4))
    masked = target.clone()
    masked[:, 4:] = IGNORE
    for over in ("batch", "image"):
        options = DiceOptions(over=over)
        kept = combo_loss(logits[:, :, :4], target[:, :4], dice=options)
        torch.testing.assert_close(combo_loss(logits, masked, dice=options), kept)


@pytest.mark.parametrize("over", ["batch", "image"])
def test_nothing_to_learn_from_costs_nothing(over):
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    target = torch.full((2, 4, 4), IGNORE)
    for weight, labels in ((None, target), (torch.zeros(2, 4, 4), target * 0)):
        parts = combo_loss(logits, labels, dice=DiceOptions(over=over), pixel_weight=weight)
        assert [p.item() for p in parts] == [0.0, 0.0, 0.0]
        (gradient,) = torch.autograd.grad(parts.total, logits)
        assert (gradient == 0).all()


def logits_for(prediction: torch.Tensor, classes: int = 3) -> torch.Tensor:
    return F.one_hot(prediction, classes).movedim(-1, 1).float() * 30


def test_false_positives_of_an_absent_class_cost_their_share_of_the_pixels():
    target = torch.zeros(1, 10, 10, dtype=torch.long)
    target[:, :5] = 1
    costs = []
    for wrong in (0, 1, 10, 50):
        prediction = target.clone()
        prediction.flatten()[:wrong] = 2
        loss, counted = dice_loss_per_class(logits_for(prediction), target)
        assert counted.tolist() == [[True, True, True]]
        costs.append(loss[0, 2].item())
    assert costs == pytest.approx([0, 0.01, 0.1, 0.5], abs=1e-6)
    skip = DiceOptions(absent="skip")
    loss, counted = dice_loss_per_class(logits_for(target), target, options=skip)
    assert counted.tolist() == [[True, True, False]]


def test_the_gradient_on_an_absent_class_does_not_vanish():
    target = torch.zeros(1, 8, 8, dtype=torch.long)
    for confidence in (-5.0, 0.0):
        logits = torch.zeros(1, 3, 8, 8)
        logits[:, 2] = confidence
        logits.requires_grad_()
        loss = dice_loss_per_class(logits, target).loss[0, 2]
        (gradient,) = torch.autograd.grad(loss, logits)
        p = logits.detach().softmax(1)[:, 2]
        torch.testing.assert_close(gradient[:, 2], p * (1 - p) / 64)


def test_per_image_an_unlabelled_image_is_left_out():
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 5, 5), torch.randint(0, 3, (2, 5, 5))
    target[1] = IGNORE
    options = DiceOptions(over="image")
    torch.testing.assert_close(
        dice_loss(logits, target, options=options),
        dice_loss(logits[:1], target[:1], options=options),
    )


def test_class_weights_reach_the_part_they_are_meant_for():
    torch.manual_seed(0)
    logits, target = torch.randn(2, 3, 5, 5), torch.randint(0, 3, (2, 5, 5))
    plain = combo_loss(logits, target)
    ce = combo_loss(logits, target, class_weight=[0.1, 1, 1])
    dice = combo_loss(logits, target, dice_class_weight=[0.1, 1, 1])
    assert ce.ce != plain.ce and ce.dice == plain.dice
    assert dice.dice != plain.dice and dice.ce == plain.ce
    per_class = dice_loss_per_class(logits, target).loss[0]
    torch.testing.assert_close(dice_loss(logits, target, class_weight=[0, 1, 0]), per_class[1])


def test_a_pixel_weight_counts_pixels():
    torch.manual_seed(0)
    logits, target = torch.randn(1, 3, 4, 4), torch.randint(0, 3, (1, 4, 4))
    plain = combo_loss(logits, target)
    constant = torch.full((1, 4, 4), 3.0)
    torch.testing.assert_close(combo_loss(logits, target, pixel_weight=constant), plain)
    weight = torch.ones(1, 4, 4)
    weight[:, 0], weight[:, 1] = 2, 0
    rows = [0, 0, 2, 3]
    torch.testing.assert_close(
        combo_loss(logits, target, pixel_weight=weight),
        combo_loss(logits[:, :, rows], target[:, rows]),
    )


def test_avg_factor_replaces_the_divisor():
    logits, target = torch.randn(1, 3, 4, 4), torch.randint(0, 3, (1, 4, 4))
    value = cross_entropy(logits, target, avg_factor=7.0)
    torch.testing.assert_close(value, F.cross_entropy(logits, target, reduction="sum") / 7)


@pytest.mark.parametrize("bad", [-1, -100, 3, 254, 2**40])
@pytest.mark.parametrize("function", [cross_entropy, dice_loss, dice_loss_per_class, combo_loss])
def test_labels_out_of_range_raise(function, bad):
    target = torch.zeros(1, 4, 4, dtype=torch.long)
    target[0, 0, 0], target[0, 1] = bad, IGNORE
    with pytest.raises(LossInputError, match=rf"labels \[{bad}\] are neither a class \(0 to 2\)"):
        function(torch.zeros(1, 3, 4, 4), target)


def test_one_logit_takes_labels_0_and_1_only():
    with pytest.raises(ValueError, match=r"labels \[2\] are neither a class \(0 to 1\)"):
        combo_loss(torch.zeros(1, 1, 2, 2), torch.tensor([[[0, 1], [2, 2]]]))


@pytest.mark.parametrize(
    ("logits", "target", "options", "message"),
    [
        (torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 5).long(), {}, r"pass labels of shape \(1, 4"),
        (torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 4, 4).long(), {}, "labels of shape"),
        (torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4), {}, "pass integer class labels"),
        (torch.zeros(1, 3, 4, 4).long(), torch.zeros(1, 4, 4).long(), {}, "floating-point logits"),
        (
            torch.zeros(1, 3, 4, 4),
            torch.zeros(1, 4, 4).long(),
            {"class_weight": [1.0, 2.0]},
            "2 class weights for 3 classes",
        ),
        (
            torch.zeros(1, 3, 4, 4),
            torch.zeros(1, 4, 4).long(),
            {"pixel_weight": torch.ones(4, 4)},
            "pixel weights of shape",
        ),
    ],
)
def test_input_that_does_not_fit_raises(logits, target, options, message):
    for function in (cross_entropy, dice_loss):
        with pytest.raises(LossInputError, match=message):
            function(logits, target, **options)


@pytest.mark.parametrize("options", [{"over": "pixel"}, {"absent": "zero"}, {"smooth": -1.0}])
def test_unknown_dice_options_raise(options):
    with pytest.raises(LossInputError, match=str(next(iter(options.values())))):
        DiceOptions(**options)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_accumulates_in_float32(dtype):
    torch.manual_seed(0)
    # A sum of 2**18 pixels is far beyond what either half type can hold exactly.
    logits = torch.randn(4, 3, 256, 256).to(dtype)
    target = torch.randint(0, 3, (4, 256, 256))
    exact = combo_loss(logits.double(), target)
    half_logits = logits.clone().requires_grad_()
    with torch.autocast("cpu", dtype):
        parts = combo_loss(half_logits, target)
    assert [p.dtype for p in parts] == [torch.float32] * 3
    for part, reference in zip(parts, exact, strict=True):
        assert part.item() == pytest.approx(reference.item(), rel=1e-6)
    parts.total.backward()
    assert half_logits.grad.dtype == dtype and half_logits.grad.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_any_integer_dtype_of_labels(dtype):
    logits, target = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    target[0, 0] = IGNORE
    torch.testing.assert_close(combo_loss(logits, target.to(dtype)), combo_loss(logits, target))


def test_no_operation_is_nondeterministic_on_cuda_or_low_precision_under_autocast():
    logits, target = torch.randn(2, 3, 4, 4, requires_grad=True), torch.randint(0, 3, (2, 4, 4))
    weight = torch.rand(2, 4, 4)
    with OperationNames() as names:
        combo_loss(logits, target, class_weight=[1, 2, 3], pixel_weight=weight).total.backward()
    assert {"nll_loss_forward", "nll_loss_backward", "_log_softmax"} <= names.seen
    unordered = {"scatter_add", "scatter_add_", "index_add", "index_put", "index_put_"}
    unordered |= REFUSED_ON_CUDA
    autocast_lowers = {"mm", "bmm", "addmm", "baddbmm", "matmul", "einsum", "dot", "mv"}
    assert not names.seen & (unordered | autocast_lowers)
