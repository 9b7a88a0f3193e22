"""ComboLoss: cross-entropy plus Dice as one loss of an mmsegmentation head."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from mmseg.registry import MODELS
from torch import Tensor, nn

from seglab.mmseg_custom.losses.functional import (
    AbsentPolicy,
    ComboLossParts,
    DiceOptions,
    DiceOver,
    LossInputError,
    combo_loss,
    cross_entropy,
)


@MODELS.register_module()
class ComboLoss(nn.Module):
    """`ce_weight` * cross-entropy + `dice_weight` * Dice, for one logit or for C logits.

    The activation follows from the number of logits: sigmoid for one, softmax for more. For the
    formulas see `seglab.mmseg_custom.losses.functional`.

    After each call `parts` holds the two parts before weighting, detached, under `ce` and
    `dice`, for logging; mmengine logs only the total.

    Example::

        loss_decode = dict(type="ComboLoss", class_weight=[0.0585, 1.0, 1.0])

    Args:
        ce_weight: Weight of the cross-entropy, 0 or more.
        dice_weight: Weight of the Dice loss, 0 or more.
        class_weight: C weights for the cross-entropy alone (two for one logit).
        dice_class_weight: C weights for the mean over classes of the Dice loss alone.
        label_smoothing: For the cross-entropy alone, in [0, 1].
        dice_over: `"batch"` scores each class once over the batch, `"image"` in each image.
        absent_policy: What a class without a true pixel adds to the Dice mean: `"penalise"`, its
            mean predicted probability; `"skip"`, nothing.
        smooth: Pixels added to numerator and denominator of Dice.
        include_background: Whether class 0 counts in Dice. None: yes for C logits, no for one.
        validate_labels: Raise for labels outside the classes; costs one device synchronisation
            a step.
        legacy_mmseg_dice: Use mmseg's own `DiceLoss(use_sigmoid=False)`, with its faults, in
            place of the Dice above: classes and pixels flattened together, squared denominator,
            `eps=1e-3`, mean over images, ignored pixels counted. Reproduces runs that were
            trained so; takes none of the other Dice options, no pixel weights and no single
            logit.
        loss_weight: Factor of the whole loss, such as 0.4 for an auxiliary head.
        loss_name: Key in the log. mmengine trains only on names that start with `loss_`.

    Raises:
        LossInputError: Options that make no sense, all of them named at once.
    """

    class_weight: Tensor | None
    dice_class_weight: Tensor | None

    def __init__(
        self,
        ce_weight: float = 0.5,
        dice_weight: float = 0.5,
        class_weight: Sequence[float] | None = None,
        dice_class_weight: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        dice_over: DiceOver = "batch",
        absent_policy: AbsentPolicy = "penalise",
        smooth: float = 0.0,
        include_background: bool | None = None,
        validate_labels: bool = True,
        legacy_mmseg_dice: bool = False,
        loss_weight: float = 1.0,
        loss_name: str = "loss_combo",
    ) -> None:
        super().__init__()
        self.dice_options = DiceOptions(dice_over, absent_policy, smooth, include_background)
        faults = [
            *_weight_faults("ce_weight, dice_weight", (ce_weight, dice_weight)),
            *_weight_faults("loss_weight", (loss_weight,)),
            *_weight_faults("class_weight", class_weight),
            *_weight_faults("dice_class_weight", dice_class_weight),
        ]
        if not 0 <= label_smoothing <= 1:
            faults.append(f"label_smoothing is {label_smoothing}, not in [0, 1]")
        if not loss_name.startswith("loss_"):
            faults.append(f"loss_name {loss_name!r} does not start with 'loss_': not trained on")
        if legacy_mmseg_dice and (self.dice_options != DiceOptions() or dice_class_weight):
            faults.append("legacy_mmseg_dice takes none of the other Dice options")
        if faults:
            raise LossInputError("ComboLoss: " + "; ".join(faults), "correct loss_decode")
        self.ce_weight = ce_weight
        self.dice_weight = dice_weight
        self.label_smoothing = label_smoothing
        self.validate_labels = validate_labels
        self.loss_weight = loss_weight
        self.parts: dict[str, Tensor] = {}
        self._loss_name = loss_name
        # Buffers, so that they follow the model to its device; not part of its checkpoints.
        self.register_buffer("class_weight", _as_buffer(class_weight), persistent=False)
        self.register_buffer("dice_class_weight", _as_buffer(dice_class_weight), persistent=False)
        self.mmseg_dice: nn.Module | None = None
        if legacy_mmseg_dice:
            self.mmseg_dice = MODELS.build({"type": "mmseg.DiceLoss", "use_sigmoid": False})

    @property
    def loss_name(self) -> str:
        """Key of this loss in mmseg's loss dictionary; equal keys are summed."""
        return self._loss_name

    def extra_repr(self) -> str:
        """The weights and the Dice options."""
        return (
            f"ce_weight={self.ce_weight}, dice_weight={self.dice_weight}, "
            f"loss_weight={self.loss_weight}, {self.dice_options}"
        )

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        ignore_index: int = 255,
        **_kwargs: Any,
    ) -> Tensor:
        """Loss of a batch, with the signature mmseg's heads call.

        Args:
            cls_score: Logits (N, C, H, W), C = 1 for a binary head.
            label: (N, H, W), integers.
            weight: Pixel weights (N, H, W), as from mmseg's `OHEMPixelSampler`.
            avg_factor: Divides the summed cross-entropy in place of the summed weights.
            reduction_override: None or `"mean"`: the scalar loss. `"none"`: the weighted
                cross-entropy of each pixel, by which mmseg's OHEM sampler ranks them (Dice has
                no value at a pixel).
            ignore_index: Label of the pixels that do not count; mmseg's heads pass their own.
            **_kwargs: Unused; heads may pass more.

        Returns:
            A float32 scalar, or (N, H, W) for `"none"`.

        Raises:
            LossInputError: Labels outside the classes, or shapes or weights that do not fit.
        """
        common: dict[str, Any] = {
            "class_weight": self.class_weight,
            "label_smoothing": self.label_smoothing,
            "pixel_weight": weight,
            "ignore_index": ignore_index,
            "validate_labels": self.validate_labels,
        }
        if reduction_override == "none":
            pixel_loss = cross_entropy(cls_score, label, reduction="none", **common)
            return self.loss_weight * self.ce_weight * pixel_loss
        if reduction_override not in (None, "mean"):
            raise LossInputError(
                f"ComboLoss has no reduction {reduction_override!r}", "use 'mean' or 'none'"
            )
        total, ce, dice = self._total_and_parts(cls_score, label, avg_factor, common)
        self.parts = {"ce": ce.detach(), "dice": dice.detach()}
        return self.loss_weight * total

    def _total_and_parts(
        self, logits: Tensor, label: Tensor, avg_factor: float | None, common: dict[str, Any]
    ) -> ComboLossParts:
        if self.mmseg_dice is None:
            return combo_loss(
                logits,
                label,
                ce_weight=self.ce_weight,
                dice_weight=self.dice_weight,
                dice_class_weight=self.dice_class_weight,
                dice=self.dice_options,
                avg_factor=avg_factor,
                **common,
            )
        if logits.shape[1] == 1 or common["pixel_weight"] is not None:
            # mmseg's Dice takes the background for the truth of a single logit, and fails on a
            # pixel-weight map.
            raise LossInputError(
                "legacy_mmseg_dice takes neither a single logit nor pixel weights",
                "leave legacy_mmseg_dice out",
            )
        ce = cross_entropy(logits, label, avg_factor=avg_factor, **common)
        dice = self.mmseg_dice(logits.float(), label.long())
        return ComboLossParts(self.ce_weight * ce + self.dice_weight * dice, ce, dice)


def _weight_faults(name: str, weights: Sequence[float] | None) -> list[str]:
    if weights is None:
        return []
    if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not any(weights):
        return [f"{name} is {list(weights)}: give numbers of 0 or more, not all 0"]
    return []


def _as_buffer(weights: Sequence[float] | None) -> Tensor | None:
    return None if weights is None else torch.tensor(weights, dtype=torch.float32)
