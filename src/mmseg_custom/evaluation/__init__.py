"""Metrics registered with mmseg."""

from seglab.mmseg_custom.evaluation.confusion_metric import ConfusionMetric
from seglab.mmseg_custom.evaluation.keys import did_you_mean, image_keys, published_keys

__all__ = ["ConfusionMetric", "did_you_mean", "image_keys", "published_keys"]
