"""The names of the figures an evaluation gives, asked of the evaluation itself."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

import torch

from seglab.mmseg_custom.evaluation.confusion_metric import ConfusionMetric, stack_records
from seglab.utils.image_results import ImageResults, image_figures, published_metrics

OPTIONAL = ("boundary", "calibration")


def published_keys(
    class_names: Sequence[str], optional: Sequence[str] = OPTIONAL
) -> tuple[str, ...]:
    """The names of all figures of a split, without prefix.

    Args:
        class_names: The C class names.
        optional: Which of `boundary` and `calibration` are switched on.
    """
    return tuple(published_metrics(_smallest_results(class_names, optional)))


def image_keys(class_names: Sequence[str]) -> tuple[str, ...]:
    """The names of all figures of one image."""
    return tuple(image_figures(_smallest_results(class_names, OPTIONAL)))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The known names that are nearest to one that is not: '; did you mean Dice/dog?' or ''."""
    by_lower = {key.lower(): key for key in sorted(known)}
    near = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(by_lower[key] for key in near)}?" if near else ""


def _smallest_results(class_names: Sequence[str], optional: Sequence[str]) -> ImageResults:
    """The results of one image of one pixel: nobody has to keep a list of the keys."""
    metric = ConfusionMetric(boundary="boundary" in optional, calibration="calibration" in optional)
    metric.dataset_meta = {"classes": tuple(class_names)}
    pixel = {"data": torch.zeros((1, 1, 1), dtype=torch.long)}
    logits = {"data": torch.zeros((len(class_names), 1, 1))}
    sample = {"sample_id": "x", "pred_sem_seg": pixel, "gt_sem_seg": pixel, "seg_logits": logits}
    metric.process({}, [sample])
    return stack_records(metric.results, metric.class_names)
