"""Losses: pure functions in `functional`, registered with mmseg in `combo_loss`."""

from seglab.mmseg_custom.losses.combo_loss import ComboLoss
from seglab.mmseg_custom.losses.functional import (
    ClassDice,
    ComboLossParts,
    DiceOptions,
    LossInputError,
    combo_loss,
    cross_entropy,
    dice_loss,
    dice_loss_per_class,
)

__all__ = [
    "ClassDice",
    "ComboLoss",
    "ComboLossParts",
    "DiceOptions",
    "LossInputError",
    "combo_loss",
    "cross_entropy",
    "dice_loss",
    "dice_loss_per_class",
]
