"""A decode head that computes its logits itself, and what one logit means to it."""

from __future__ import annotations

from typing import Any

import torch
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from torch import Tensor

from seglab.utils.errors import UserError

#: Probability above which a pixel is foreground. mmseg's own default for one logit is 0.3.
DEFAULT_THRESHOLD = 0.5


class LogitHead(BaseDecodeHead):
    """mmseg's head contract without its last convolution: `forward` returns the logits.

    With `out_channels=1` the two classes share one logit. The sigmoid is applied to it once: in
    training by the loss, in prediction by mmseg (`BaseSegmentor.postprocess_result`), which then
    compares the probability with `threshold`.

    Args:
        in_channels: Channels of the feature map at `in_index`.
        num_classes: Number of classes C.
        out_channels: Number of logits: C, or 1 for two classes. None is C.
        threshold: Probability above which a pixel is foreground, for one logit. None is 0.5.
        **kwargs: As for mmseg's `BaseDecodeHead`.

    Raises:
        UserError: The threshold is no probability.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        out_channels: int | None = None,
        threshold: float | None = None,
        **kwargs: Any,
    ) -> None:
        threshold = DEFAULT_THRESHOLD if threshold is None else threshold
        if not 0 < threshold < 1:
            raise UserError(
                f"decode_head.threshold is {threshold}, expected a probability between 0 and 1",
                f"set it to {DEFAULT_THRESHOLD}, or to what is best on val",
            )
        super().__init__(
            in_channels,
            channels=1,
            num_classes=num_classes,
            # Said by name: mmseg warns where it has to guess.
            out_channels=num_classes if out_channels is None else out_channels,
            threshold=threshold if out_channels == 1 else None,
            dropout_ratio=0,
            init_cfg=None,
            **kwargs,
        )
        del self.conv_seg  # `forward` ends in logits

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: Any) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            seg_logits: (N, out_channels, h, w) float, from `forward`.
            batch_data_samples: mmseg's samples with their labels.

        Returns:
            mmseg's dict of losses. For one logit its `acc_seg` counts right pixels; mmseg would
            take the largest of one logit, and log the share of the background.
        """
        losses: dict[str, Tensor] = super().loss_by_feat(seg_logits, batch_data_samples)
        if self.out_channels == 1:
            labels = self._stack_batch_gt(batch_data_samples)
            logits = resize(
                seg_logits, labels.shape[2:], mode="bilinear", align_corners=self.align_corners
            )
            losses["acc_seg"] = one_logit_accuracy(
                logits.detach(), labels, self.threshold, self.ignore_index
            )
        return losses


def one_logit_accuracy(
    logits: Tensor, labels: Tensor, threshold: float, ignore_index: int
) -> Tensor:
    """Percent of the labelled pixels whose thresholded probability is their label.

    Args:
        logits: (N, 1, H, W) float.
        labels: (N, 1, H, W) integers, 0 or 1 or `ignore_index`.
        threshold: Probability above which a pixel is foreground.
        ignore_index: Label of the pixels that do not count.

    Returns:
        A float32 scalar; 0 where no pixel is labelled.
    """
    labelled = labels != ignore_index
    right = ((logits.sigmoid() > threshold) == (labels == 1)) & labelled
    return 100 * right.sum() / torch.clamp(labelled.sum(), min=1)
