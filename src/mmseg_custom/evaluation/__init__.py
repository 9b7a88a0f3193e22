"""Metrics registered with mmseg."""

from seglab.mmseg_custom.evaluation.confusion_metric import ConfusionMetric

__all__ = ["ConfusionMetric"]
