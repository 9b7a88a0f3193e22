"""The metric of every seglab run: what each image says, kept exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from mmengine.evaluator import BaseMetric
from mmseg.registry import METRICS

from seglab.utils.boundary import BoundaryScores, boundary_scores
from seglab.utils.calibration import calibration_histogram
from seglab.utils.errors import UserError
from seglab.utils.image_results import BoundaryTable, ImageResults, published_metrics
from seglab.utils.test_utils import FloatArray, IntArray, confusion_matrix


@dataclass(frozen=True)
class ImageRecord:
    """What is kept of one image: a few hundred numbers, whatever its size.

    Not a tuple: mmengine rebuilds every tuple it gathers as a plain one.
    """

    sample_id: str
    matrix: IntArray
    boundary: BoundaryScores | None
    calibration: FloatArray | None


@METRICS.register_module()
class ConfusionMetric(BaseMetric):
    """Metrics from per-image confusion matrices; takes the place of mmseg's `IoUMetric`.

    Against `IoUMetric` the sums are int64 instead of float32, the figures are not rounded before
    the best checkpoint is chosen by them, those of each class are returned instead of printed
    only, and the matrix of every image is kept. Boundary quality and calibration are added where
    they are asked for: they cost more than the matrix (`benchmarks/metric_cost.py`).

    After an evaluation, on the main process, `image_results` holds what was kept of every image,
    sorted by id.

    Args:
        ignore_index: Label of the pixels to leave out.
        boundary: Also compute Boundary IoU, HD95 and NSD.
        calibration: Also compute the calibration error, from the model's `seg_logits`.
        prefix: Put before every key: with `prefix="val"` the mean Dice is `val/mDice`, and
            `save_best="val/mDice"` writes `best_val_mDice_epoch_N.safetensors`.
        collect_device: Where results of several processes are gathered, `"cpu"` or `"gpu"`.
        collect_dir: The folder they are exchanged through on the CPU.
    """

    # Not None, or mmengine warns that there is no prefix.
    default_prefix = ""

    def __init__(
        self,
        ignore_index: int = 255,
        boundary: bool = False,
        calibration: bool = False,
        prefix: str | None = None,
        collect_device: str = "cpu",
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix, collect_dir=collect_dir)
        self.ignore_index = ignore_index
        self.boundary = boundary
        self.calibration = calibration
        self.image_results: ImageResults | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class names of the data set under evaluation."""
        return tuple((self.dataset_meta or {})["classes"])

    def process(self, data_batch: Any, data_samples: Sequence[dict[str, Any]]) -> None:  # noqa: ARG002
        """Keep what each sample of a batch says.

        Args:
            data_batch: Not used.
            data_samples: Each with `pred_sem_seg` and `gt_sem_seg`, whose `data` is (1, H, W)
                class indices, and with `sample_id` (path relative to the split) or `img_path`.
                For the calibration also `seg_logits`, (C, H, W).

        Raises:
            UserError: A sample has no label or no logits, or they do not fit the prediction.
        """
        for sample in data_samples:
            try:
                self.results.append(self._record(sample))
            except ValueError as error:
                label = sample.get("seg_map_path")
                raise UserError(
                    f"{_sample_id(sample)}: {error}" + (f" (label: {label})" if label else ""),
                    "mend the mask, or the classes in the config",
                ) from error

    def _record(self, sample: dict[str, Any]) -> ImageRecord:
        sample_id = _sample_id(sample)
        if "gt_sem_seg" not in sample:
            raise UserError(f"{sample_id} has no label", "evaluate on a split with labels")
        prediction, truth = (
            _labels(sample[name]["data"]) for name in ("pred_sem_seg", "gt_sem_seg")
        )
        num_classes = len(self.class_names)
        matrix = confusion_matrix(prediction, truth, num_classes, self.ignore_index)
        boundary = histogram = None
        if self.boundary:
            boundary = boundary_scores(prediction, truth, num_classes, self.ignore_index)
        if self.calibration:
            if "seg_logits" not in sample:
                raise UserError(
                    f"{sample_id}: the model gives no logits, which the calibration is judged by",
                    "set calibration=False in the evaluator, and choose the best checkpoint by "
                    "another figure than ECE",
                )
            probabilities = class_probabilities(sample["seg_logits"]["data"], num_classes)
            histogram = calibration_histogram(probabilities, truth, self.ignore_index)
        return ImageRecord(sample_id, matrix, boundary, histogram)

    def compute_metrics(self, results: list[ImageRecord]) -> dict[str, float]:
        """Compute the figures of the split from what was kept of its images.

        A sample that came twice (samplers repeat some to give every process as many) counts once.

        Args:
            results: What `process` kept, gathered from all processes.

        Returns:
            See `seglab.utils.image_results.published_metrics`.

        Raises:
            UserError: There is nothing to evaluate.
        """
        by_id: dict[str, ImageRecord] = {}
        for record in results:
            by_id.setdefault(record.sample_id, record)
        if not any(record.matrix.any() for record in by_id.values()):
            what = "no labelled pixels" if by_id else "no samples"
            raise UserError(f"there are {what} to evaluate", "check the split's images and labels")
        self.image_results = stack_records([by_id[key] for key in sorted(by_id)], self.class_names)
        return published_metrics(self.image_results)


def class_probabilities(logits: torch.Tensor, num_classes: int) -> npt.NDArray[np.float32]:
    """The probability of each class at each pixel, from a sample's `seg_logits`.

    Args:
        logits: (C, H, W); or (1, H, W) of a model with one logit for two classes, to which mmseg
            has applied the sigmoid already (`BaseSegmentor.postprocess_result`).
        num_classes: Number of classes C.

    Returns:
        (C, H, W) float32; they add up to 1 at each pixel.

    Raises:
        ValueError: The logits are of another number of classes.
    """
    values = logits.detach().float()  # half precision would blur the confidences
    if len(values) == 1 and num_classes == 2:
        probabilities = torch.cat([1 - values, values])
    elif len(values) == num_classes:
        probabilities = values.softmax(dim=0)
    else:
        raise ValueError(f"the model gives {len(values)} logits for {num_classes} classes")
    return np.asarray(probabilities.cpu().numpy(), dtype=np.float32)


def _labels(data: torch.Tensor) -> npt.NDArray[np.integer]:
    """The classes of (1, H, W) labels as (H, W) integers."""
    # mmseg gives the classes of a one-logit model as floats.
    labels = data[0].long() if data.is_floating_point() else data[0]
    return np.asarray(labels.cpu().numpy())


def _sample_id(sample: dict[str, Any]) -> str:
    return str(sample.get("sample_id") or sample["img_path"])


def stack_records(records: Sequence[ImageRecord], class_names: tuple[str, ...]) -> ImageResults:
    """What was kept of N images, as arrays over the images; the records are sorted by id."""
    boundaries = [record.boundary for record in records if record.boundary is not None]
    histograms = [record.calibration for record in records if record.calibration is not None]
    return ImageResults(
        sample_ids=tuple(record.sample_id for record in records),
        classes=class_names,
        matrices=np.stack([record.matrix for record in records]),
        # The same fields in the same order, those of all images stacked.
        boundary=BoundaryTable(*map(np.stack, zip(*boundaries, strict=True)))
        if boundaries
        else None,
        calibration=np.stack(histograms) if histograms else None,
    )
