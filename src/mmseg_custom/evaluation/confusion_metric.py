"""The metric of every seglab run: one confusion matrix an image, kept and summed exactly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS

from seglab.utils.errors import UserError
from seglab.utils.test_utils import IntArray, aggregate_metrics, confusion_matrix


@METRICS.register_module()
class ConfusionMetric(BaseMetric):
    """Metrics from per-image confusion matrices; takes the place of mmseg's `IoUMetric`.

    Against `IoUMetric` the sums are int64 instead of float32, the figures are not rounded before
    the best checkpoint is chosen by them, those of each class are returned instead of printed
    only, and the matrix of every image is kept.

    After an evaluation, on the main process, `matrices` holds the (N, C, C) int64 matrices and
    `sample_ids` the N ids they belong to, sorted by id.

    Args:
        ignore_index: Label of the pixels to leave out.
        prefix: Put before every key: with `prefix="val"` the mean Dice is `val/mDice`, and
            `save_best="val/mDice"` writes `best_val_mDice_epoch_N.pth`.
        collect_device: Where results of several processes are gathered, `"cpu"` or `"gpu"`.
        collect_dir: The folder they are exchanged through on the CPU.
    """

    # Not None, or mmengine warns that there is no prefix.
    default_prefix = ""

    def __init__(
        self,
        ignore_index: int = 255,
        prefix: str | None = None,
        collect_device: str = "cpu",
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.ignore_index = ignore_index
        self.matrices: IntArray = np.zeros((0, 0, 0), dtype=np.int64)
        self.sample_ids: list[str] = []

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class names of the data set under evaluation."""
        return tuple((self.dataset_meta or {})["classes"])

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:  # noqa: ARG002
        """Count the confusion matrix of each sample of a batch.

        Args:
            data_batch: Not used.
            data_samples: Each with `pred_sem_seg` and `gt_sem_seg`, whose `data` is (1, H, W)
                class indices, and with `sample_id` (path relative to the split) or `img_path`.

        Raises:
            UserError: A sample has no label, or its label does not fit the prediction.
        """
        num_classes = len(self.class_names)
        for sample in data_samples:
            sample_id = str(sample.get("sample_id") or sample["img_path"])
            if "gt_sem_seg" not in sample:
                raise UserError(f"{sample_id} has no label", "evaluate on a split with labels")
            # mmseg gives the classes of a one-logit model as floats.
            prediction = sample["pred_sem_seg"]["data"].squeeze(0).long().cpu().numpy()
            truth = sample["gt_sem_seg"]["data"].squeeze(0).cpu().numpy()
            try:
                matrix = confusion_matrix(prediction, truth, num_classes, self.ignore_index)
            except ValueError as error:
                raise UserError(
                    f"{sample_id}: {error}", "mend the mask, or the classes in the config"
                ) from error
            self.results.append((sample_id, matrix))

    def compute_metrics(self, results: list[tuple[str, IntArray]]) -> dict[str, float]:
        """Sum the matrices and compute the figures of the split.

        A sample that came twice (samplers repeat some to give every process as many) counts once.

        Args:
            results: What `process` kept, gathered from all processes.

        Returns:
            See `seglab.utils.test_utils.aggregate_metrics`.

        Raises:
            UserError: There is nothing to evaluate.
        """
        by_id: dict[str, IntArray] = {}
        for sample_id, matrix in results:
            by_id.setdefault(sample_id, matrix)
        if not any(matrix.any() for matrix in by_id.values()):
            what = "no labelled pixels" if by_id else "no samples"
            raise UserError(f"there are {what} to evaluate", "check the split's images and labels")
        self.sample_ids = sorted(by_id)
        self.matrices = np.stack([by_id[sample_id] for sample_id in self.sample_ids])
        return aggregate_metrics(self.matrices, self.class_names)
