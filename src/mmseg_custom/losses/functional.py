"""Cross-entropy, soft Dice and their weighted sum, as pure functions of logits and labels.

Common to all of them:

* `logits` are `(N, C, *spatial)`, any float dtype; half precision is computed and summed in
  float32, so autocast changes nothing but the rounding of the logits themselves.
* One logit (`C = 1`) means two classes, background and foreground, with the logits `[0, z]`:
  softmax over these is the sigmoid of z. Class weights then have two entries.
* `target` is `(N, *spatial)` of any integer dtype. Pixels equal to `ignore_index` leave value
  and gradient untouched, whatever their logits hold.
* `pixel_weight` is `(N, *spatial)`, non-negative: a weight of 2 counts a pixel twice, a weight
  of 0 ignores it.
* No CUDA operation without a deterministic form is used (the negative log-likelihood is taken
  over a flat list of pixels; the 2-D one of torch adds atomically).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from seglab.utils.errors import UserError

ClassWeight: TypeAlias = "Tensor | Sequence[float] | None"
DiceOver = Literal["batch", "image"]
AbsentPolicy = Literal["penalise", "skip"]
Reduction = Literal["mean", "sum", "none"]


class LossInputError(UserError, ValueError):
    """Labels, weights or options that a loss cannot take."""


@dataclass(frozen=True)
class DiceOptions:
    """What the Dice part averages over. See `dice_loss_per_class` for the formulas.

    Args:
        over: `"batch"` sums the pixels of all images before a class is scored once;
            `"image"` scores each class in each image and averages the images.
        absent: What a class without a single true pixel contributes. `"penalise"`: its mean
            predicted probability, so 0 if nothing is predicted and 1 if every pixel is, with
            a gradient that never vanishes. `"skip"`: the class is left out of the mean, and
            false positives of it cost nothing.
        smooth: Pixels added to numerator and denominator of a present class's Dice.
        include_background: Whether class 0 counts. None: it does, except for one logit, where
            Dice is by convention that of the foreground.

    Raises:
        LossInputError: A value outside the ones above.
    """

    over: DiceOver = "batch"
    absent: AbsentPolicy = "penalise"
    smooth: float = 0.0
    include_background: bool | None = None

    def __post_init__(self) -> None:
        if self.over not in ("batch", "image"):
            raise LossInputError(
                f"Dice cannot be taken over {self.over!r}", "use 'batch' or 'image'"
            )
        if self.absent not in ("penalise", "skip"):
            raise LossInputError(
                f"unknown policy for absent classes {self.absent!r}", "use 'penalise' or 'skip'"
            )
        if not 0 <= self.smooth < float("inf"):
            raise LossInputError(f"smooth is {self.smooth}", "use a number of pixels, 0 or more")


class ClassDice(NamedTuple):
    """Dice loss of each class; R is 1 over the batch and N per image.

    Attributes:
        loss: (R, C) in [0, 1], float32 (float64 for float64 logits).
        counted: (R, C) bool, whether the entry takes part in the mean.
    """

    loss: Tensor
    counted: Tensor


class ComboLossParts(NamedTuple):
    """Scalars: the weighted sum, and its two parts before weighting."""

    total: Tensor
    ce: Tensor
    dice: Tensor


class _Pixels(NamedTuple):
    """A batch made uniform: two or more classes, one spatial axis, ignored pixels neutral."""

    log_probs: Tensor  # (N, C, P)
    target: Tensor  # (N, P) int64, 0 where ignored
    weight: Tensor  # (N, P), 0 where ignored


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    class_weight: ClassWeight = None,
    pixel_weight: Tensor | None = None,
    ignore_index: int = 255,
    label_smoothing: float = 0.0,
    reduction: Reduction = "mean",
    avg_factor: float | None = None,
    validate_labels: bool = True,
) -> Tensor:
    """Cross-entropy, equal to `torch.nn.functional.cross_entropy` in every mode.

    The mean divides by the summed weights of the pixels that count, class weight times pixel
    weight, as torch does for class weights. One deliberate difference: if no pixel counts the
    mean is 0 with a zero gradient, where torch returns NaN.

    Args:
        logits: (N, C, *spatial).
        target: (N, *spatial), integers.
        class_weight: C non-negative weights.
        pixel_weight: (N, *spatial) or None for equal weights.
        ignore_index: Label of the pixels that do not count.
        label_smoothing: Share of the target spread evenly over the classes, in [0, 1].
        reduction: `"mean"`, `"sum"` or `"none"`.
        avg_factor: Divides the sum in place of the summed weights; for `"mean"` only.
        validate_labels: Check that labels are classes; costs one device synchronisation.

    Returns:
        A scalar, or (N, *spatial) for `reduction="none"`.

    Raises:
        LossInputError: Labels outside the classes, or shapes, dtypes or weights that do not fit.
    """
    pixels = _prepare(logits, target, pixel_weight, ignore_index, validate_labels)
    loss, weight = _pixel_cross_entropy(pixels, class_weight, label_smoothing)
    if reduction == "none":
        return loss.reshape(target.shape)
    if reduction == "sum":
        return loss.sum()
    return _mean(loss, weight, avg_factor)


def dice_loss_per_class(
    logits: Tensor,
    target: Tensor,
    *,
    options: DiceOptions | None = None,
    pixel_weight: Tensor | None = None,
    ignore_index: int = 255,
    validate_labels: bool = True,
) -> ClassDice:
    """Soft Dice loss of every class.

    With p the probability and t the 0/1 truth of class c at a pixel of weight w, the sums being
    over the pixels of the batch or of one image::

        present (sum w t > 0):  1 - (2 sum(w p t) + smooth) / (sum(w p) + sum(w t) + smooth)
        absent:                 sum(w p) / sum(w)

    The first is the soft Dice of Sudre et al., "Generalised Dice overlap as a deep learning loss
    function" (2017), eq. 2 for one class. The second replaces it where it is useless as a loss:
    with no true pixel it is 1 for any prediction at all, its gradient 0. A false positive of an
    absent class then weighs as much as one of a class that fills half the pixels and is
    predicted well.

    Args:
        logits: (N, C, *spatial).
        target: (N, *spatial), integers.
        options: Over what, policy for absent classes, smoothing, background.
        pixel_weight: (N, *spatial) or None for equal weights.
        ignore_index: Label of the pixels that do not count.
        validate_labels: Check that labels are classes; costs one device synchronisation.

    Returns:
        Loss and whether it counts, (1, C) over the batch or (N, C) per image; two classes for
        one logit.

    Raises:
        LossInputError: Labels outside the classes, or shapes or dtypes that do not fit.
    """
    pixels = _prepare(logits, target, pixel_weight, ignore_index, validate_labels)
    return _class_dice(pixels, _resolved(options, logits))


def dice_loss(
    logits: Tensor,
    target: Tensor,
    *,
    options: DiceOptions | None = None,
    class_weight: ClassWeight = None,
    pixel_weight: Tensor | None = None,
    ignore_index: int = 255,
    validate_labels: bool = True,
) -> Tensor:
    """Macro-averaged soft Dice loss: the weighted mean over the classes that count.

    Per image, images in which nothing counts are left out of the mean over images. If nothing
    counts at all the loss is 0 with a zero gradient.

    Args:
        logits: (N, C, *spatial).
        target: (N, *spatial), integers.
        options: Over what, policy for absent classes, smoothing, background.
        class_weight: C non-negative weights of the classes in the mean.
        pixel_weight: (N, *spatial) or None for equal weights.
        ignore_index: Label of the pixels that do not count.
        validate_labels: Check that labels are classes; costs one device synchronisation.

    Returns:
        A scalar in [0, 1].

    Raises:
        LossInputError: Labels outside the classes, or shapes, dtypes or weights that do not fit.
    """
    pixels = _prepare(logits, target, pixel_weight, ignore_index, validate_labels)
    return _macro_average(_class_dice(pixels, _resolved(options, logits)), class_weight)


def combo_loss(
    logits: Tensor,
    target: Tensor,
    *,
    ce_weight: float = 0.5,
    dice_weight: float = 0.5,
    class_weight: ClassWeight = None,
    dice_class_weight: ClassWeight = None,
    label_smoothing: float = 0.0,
    dice: DiceOptions | None = None,
    pixel_weight: Tensor | None = None,
    ignore_index: int = 255,
    avg_factor: float | None = None,
    validate_labels: bool = True,
) -> ComboLossParts:
    """`ce_weight * cross_entropy + dice_weight * dice_loss`, sharing one softmax.

    Args:
        logits: (N, C, *spatial).
        target: (N, *spatial), integers.
        ce_weight: Weight of the cross-entropy.
        dice_weight: Weight of the Dice loss.
        class_weight: C weights, for the cross-entropy alone.
        dice_class_weight: C weights, for the Dice mean over classes alone.
        label_smoothing: For the cross-entropy alone.
        dice: Options of the Dice part.
        pixel_weight: (N, *spatial), for both parts.
        ignore_index: Label of the pixels that do not count.
        avg_factor: Divides the summed cross-entropy in place of the summed weights.
        validate_labels: Check that labels are classes; costs one device synchronisation.

    Returns:
        The total and its two parts, scalars that carry gradients.

    Raises:
        LossInputError: Labels outside the classes, or shapes, dtypes or weights that do not fit.
    """
    pixels = _prepare(logits, target, pixel_weight, ignore_index, validate_labels)
    ce = _mean(*_pixel_cross_entropy(pixels, class_weight, label_smoothing), avg_factor)
    dice_part = _macro_average(_class_dice(pixels, _resolved(dice, logits)), dice_class_weight)
    return ComboLossParts(ce_weight * ce + dice_weight * dice_part, ce, dice_part)


def _prepare(
    logits: Tensor,
    target: Tensor,
    pixel_weight: Tensor | None,
    ignore_index: int,
    validate_labels: bool,
) -> _Pixels:
    """Check the input and bring it into the form all losses share."""
    _check_shapes(logits, target, pixel_weight)
    if logits.dtype in (torch.float16, torch.bfloat16):
        logits = logits.float()
    logits = logits.flatten(2)
    if logits.shape[1] == 1:
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    target = target.flatten(1).long()
    valid = target != ignore_index
    if validate_labels:
        _check_labels(target, valid, logits.shape[1], ignore_index)
    # Zeroing the logits and not only the weights: 0 times NaN would still be NaN.
    log_probs = logits.masked_fill(~valid.unsqueeze(1), 0.0).log_softmax(dim=1)
    weight = valid.to(log_probs.dtype)
    if pixel_weight is not None:
        weight = pixel_weight.flatten(1).to(log_probs.dtype).masked_fill(~valid, 0.0)
    return _Pixels(log_probs, target.masked_fill(~valid, 0), weight)


def _check_shapes(logits: Tensor, target: Tensor, pixel_weight: Tensor | None) -> None:
    if not logits.is_floating_point() or logits.ndim < 3:
        raise LossInputError(
            f"logits of shape {tuple(logits.shape)} and dtype {logits.dtype}",
            "pass floating-point logits of shape (N, C, H, W)",
        )
    if target.is_floating_point():
        raise LossInputError(f"labels of dtype {target.dtype}", "pass integer class labels")
    expected = (logits.shape[0], *logits.shape[2:])
    for name, tensor in (("labels", target), ("pixel weights", pixel_weight)):
        if tensor is not None and tuple(tensor.shape) != expected:
            raise LossInputError(
                f"{name} of shape {tuple(tensor.shape)} for logits of {tuple(logits.shape)}",
                f"pass {name} of shape {expected}",
            )


def _check_labels(target: Tensor, valid: Tensor, num_classes: int, ignore_index: int) -> None:
    outside = valid & ((target < 0) | (target >= num_classes))
    if outside.any():
        found = torch.unique(target[outside]).tolist()
        raise LossInputError(
            f"labels {found} are neither a class (0 to {num_classes - 1}) nor the ignored value "
            f"{ignore_index}",
            "correct the masks, the number of classes or ignore_index",
        )


def _pixel_cross_entropy(
    pixels: _Pixels, class_weight: ClassWeight, label_smoothing: float
) -> tuple[Tensor, Tensor]:
    """Weighted loss and weight of each pixel, both (N * P,)."""
    log_probs, target, weight = pixels
    num_classes = log_probs.shape[1]
    class_weights = _class_weights(class_weight, log_probs)
    flat_target, flat_weight = target.flatten(), weight.flatten()
    # Flat, because the 2-D negative log-likelihood of torch is not deterministic on CUDA.
    flat = log_probs.transpose(1, 2).reshape(-1, num_classes)
    loss = F.nll_loss(flat, flat_target, weight=class_weights, reduction="none")
    if label_smoothing:
        # As torch does: the smoothed share is weighted by every class's own weight.
        smoothed = -(log_probs * class_weights[:, None]).mean(dim=1).flatten()
        loss = (1 - label_smoothing) * loss + label_smoothing * smoothed
    return loss * flat_weight, class_weights[flat_target] * flat_weight


def _mean(loss: Tensor, weight: Tensor, avg_factor: float | None) -> Tensor:
    """Sum of the losses over the sum of the weights, 0 if no pixel counts."""
    if avg_factor is not None:
        return loss.sum() / avg_factor
    total = weight.sum()
    return loss.sum() / torch.where(total > 0, total, 1.0)


def _resolved(options: DiceOptions | None, logits: Tensor) -> DiceOptions:
    """The options with `include_background` decided."""
    options = options or DiceOptions()
    if options.include_background is not None:
        return options
    return DiceOptions(options.over, options.absent, options.smooth, logits.shape[1] > 1)


def _class_dice(pixels: _Pixels, options: DiceOptions) -> ClassDice:
    log_probs, target, weight = pixels
    classes = torch.arange(log_probs.shape[1], device=target.device)
    # Products and sums only: autocast would run a matrix product in half precision.
    truth = (target.unsqueeze(1) == classes[:, None]) * weight.unsqueeze(1)
    probs = log_probs.exp()
    overlap = (probs * truth).sum(dim=2)
    predicted = (probs * weight.unsqueeze(1)).sum(dim=2)
    true = truth.sum(dim=2)
    total = weight.sum(dim=1, keepdim=True)
    if options.over == "batch":
        overlap, predicted, true, total = (
            part.sum(dim=0, keepdim=True) for part in (overlap, predicted, true, total)
        )
    present = true > 0
    union = torch.where(present, predicted + true + options.smooth, 1.0)
    loss = torch.where(
        present,
        1 - (2 * overlap + options.smooth) / union,
        predicted / torch.where(total > 0, total, 1.0),
    )
    counted = (total > 0) & (present | (options.absent == "penalise"))
    if not options.include_background:
        counted = counted & (classes > 0)
    return ClassDice(loss, counted)


def _macro_average(per_class: ClassDice, class_weight: ClassWeight) -> Tensor:
    weight = per_class.counted * _class_weights(class_weight, per_class.loss)
    row_weight = weight.sum(dim=1)
    rows = (per_class.loss * weight).sum(dim=1) / torch.where(row_weight > 0, row_weight, 1.0)
    return rows.sum() / (row_weight > 0).sum().clamp(min=1)


def _class_weights(class_weight: ClassWeight, like: Tensor) -> Tensor:
    """Class weights (C,) with the dtype and device of `like`, whose axis 1 has C entries."""
    num_classes = like.shape[1]
    if class_weight is None:
        return like.new_ones(num_classes)
    weight = torch.as_tensor(class_weight, dtype=like.dtype, device=like.device)
    if weight.shape != (num_classes,):
        raise LossInputError(
            f"{weight.numel()} class weights for {num_classes} classes",
            f"give {num_classes} class weights, one for each class in order",
        )
    return weight
