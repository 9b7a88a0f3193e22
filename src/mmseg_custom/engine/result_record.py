"""The content of `test_metrics.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from seglab.utils.boundary import DILATION_RATIO, TOLERANCE_PIXELS
from seglab.utils.breakdown import by_classes_present, by_object_size, error_budget
from seglab.utils.image_results import ImageResults
from seglab.utils.test_utils import FloatArray


def metrics_record(
    results: ImageResults,
    metrics: Mapping[str, float],
    facts: Mapping[str, Any],
    pictures: Sequence[str],
) -> dict[str, Any]:
    """What `test_metrics.json` holds; `seglab.utils.schemas` describes it key by key.

    Args:
        results: What the evaluation kept of every image, with boundary and calibration.
        metrics: The published figures of the results.
        facts: `split`, `palette`, `ignore_index` and `selected_on`.
        pictures: Names of the pictures.
    """
    assert results.calibration is not None
    every, objects = results.calibration.sum(axis=0)
    counts = (results.matrices, results.classes)
    return {
        "schema": 2,
        **facts,
        "images": len(results.sample_ids),
        "classes": list(results.classes),
        "absent": "nan",
        "boundary": {"dilation_ratio": DILATION_RATIO, "tolerance_pixels": TOLERANCE_PIXELS},
        "metrics": dict(metrics),
        "breakdown": {
            "object_size": by_object_size(*counts),
            "classes_present": by_classes_present(*counts),
            "error_budget": error_budget(*counts),
        },
        "calibration": {"all": _reliability(every), "objects": _reliability(objects)},
        "pictures": list(pictures),
    }


def _reliability(histogram: FloatArray) -> list[dict[str, float | int]]:
    """Mean confidence and accuracy of each bin; NaN for a bin without pixels."""
    pixels, confidence, correct = np.moveaxis(histogram, -1, 0)
    defined = np.where(pixels > 0, pixels, np.nan)
    return [
        {"confidence": float(mean), "accuracy": float(share), "pixels": int(count)}
        for mean, share, count in zip(confidence / defined, correct / defined, pixels, strict=True)
    ]
