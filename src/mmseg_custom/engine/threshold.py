"""The threshold of a model with one logit: how Dice depends on it, and which one val prefers."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mmengine.config import Config
from mmengine.runner import Runner
from torch import nn
from tqdm import tqdm

from seglab.mmseg_custom.engine.inference import load_model, run_batch
from seglab.mmseg_custom.engine.run_setup import select_device
from seglab.mmseg_custom.models.logit_head import DEFAULT_THRESHOLD
from seglab.utils.config_utils import building
from seglab.utils.errors import UserError

#: The thresholds that are tried: 0.01 to 0.99. Finer ones are noise on a few hundred images.
THRESHOLDS: npt.NDArray[np.float32] = (np.arange(1, 100) / 100).astype(np.float32)


@dataclass(frozen=True)
class ThresholdCurve:
    """What a split's summed pixels are worth at each of `THRESHOLDS`.

    Attributes:
        true_positive: (99,) int64, foreground pixels above the threshold.
        false_positive: (99,) int64, background pixels above it.
        foreground: Foreground pixels in all.
        images: Images that were counted.
    """

    true_positive: npt.NDArray[np.int64]
    false_positive: npt.NDArray[np.int64]
    foreground: int
    images: int

    @property
    def dice(self) -> npt.NDArray[np.float64]:
        """(99,) Dice of the foreground, 0 to 1: 2 TP / (TP + FP + foreground)."""
        both = self.true_positive + self.false_positive + self.foreground
        return np.asarray(2 * self.true_positive / np.maximum(both, 1), dtype=np.float64)

    @property
    def iou(self) -> npt.NDArray[np.float64]:
        """(99,) IoU of the foreground, 0 to 1: TP / (FP + foreground)."""
        either = self.false_positive + self.foreground
        return np.asarray(self.true_positive / np.maximum(either, 1), dtype=np.float64)

    @property
    def best(self) -> int:
        """Position of the highest Dice, which is that of the highest IoU as well.

        IoU = Dice / (2 - Dice) rises with Dice. Of equal ones the nearest to 0.5 is taken.
        """
        candidates = np.flatnonzero(self.dice == self.dice.max())
        distance = np.abs(THRESHOLDS[candidates] - DEFAULT_THRESHOLD)
        return int(candidates[distance.argmin()])

    def to_dict(self) -> dict[str, Any]:
        """The choice with its figures and those of 0.5, in percent, for a file."""
        default = int(np.abs(THRESHOLDS - DEFAULT_THRESHOLD).argmin())
        return {
            "threshold": round(float(THRESHOLDS[self.best]), 2),
            "images": self.images,
            "chosen": self._figures(self.best),
            "default": self._figures(default),
            "curve": {f"{t:.2f}": 100 * d for t, d in zip(THRESHOLDS, self.dice, strict=True)},
        }

    def _figures(self, index: int) -> dict[str, float]:
        return {
            "threshold": round(float(THRESHOLDS[index]), 2),
            "Dice": 100 * float(self.dice[index]),
            "IoU": 100 * float(self.iou[index]),
        }


def choose_threshold(
    config: Config, checkpoint: Path, device: str = "auto", trust: bool = False
) -> ThresholdCurve:
    """Score every threshold on val.

    Val is what a threshold may be chosen on: chosen on test, the figures of test would be
    optimistic.

    Args:
        config: The config the checkpoint was trained with.
        checkpoint: The weights.
        device: 'auto', 'cpu' or 'cuda'.
        trust: Unpickle a checkpoint that holds more than weights.

    Raises:
        UserError: The model has no threshold, there is no val split, or nothing to choose by.
    """
    if config.get("val_dataloader") is None:
        raise UserError(f"config {config.filename} has no val_dataloader", "add one")
    model = load_model(copy.deepcopy(config), checkpoint, select_device(device), trust)
    head: Any = model.decode_head
    if head.out_channels != 1:
        raise UserError(
            f"config {config.filename} has a head with {head.out_channels} logits: the largest "
            "decides, there is no threshold",
            "use a model with one logit (decode_head.out_channels=1)",
        )
    with building(config):
        loader = Runner.build_dataloader(config.val_dataloader, seed=0)
    curve = threshold_curve(model, loader)
    if not curve.foreground or not curve.true_positive.any():
        raise UserError(
            "val has no foreground that the model finds at any threshold",
            "check the labels of val, or train longer",
        )
    return curve


def threshold_curve(model: nn.Module, loader: Any) -> ThresholdCurve:
    """Count the right and the wrong foreground pixels above each threshold.

    Args:
        model: From `load_model`, with one logit.
        loader: Yields mmseg batches with labels; what is neither 0 nor 1 is left out.
    """
    above = np.zeros((2, len(THRESHOLDS)), dtype=np.int64)
    foreground = images = 0
    for batch in tqdm(loader, desc="val", unit="batch", leave=False):
        for sample in run_batch(model, batch):
            # mmseg has applied the sigmoid (`BaseSegmentor.postprocess_result`).
            probability = sample.seg_logits.data[0].float().cpu().numpy()
            label = sample.gt_sem_seg.data[0].cpu().numpy()
            for value in (0, 1):
                above[value] += _above(probability[label == value])
            foreground += int((label == 1).sum())
            images += 1
    return ThresholdCurve(above[1], above[0], foreground, images)


def _above(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """How many of (P,) probabilities lie above each of `THRESHOLDS`: (99,)."""
    # How many thresholds each probability exceeds, counted; p > t as mmseg compares.
    exceeded = np.bincount(
        np.searchsorted(THRESHOLDS, probabilities, side="left"), minlength=len(THRESHOLDS) + 1
    )
    return np.asarray(exceeded[::-1].cumsum()[::-1][1:], dtype=np.int64)
