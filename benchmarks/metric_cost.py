"""What one 256x256 image costs: seglab's ConfusionMetric beside mmseg's IoUMetric.

Both process the same tensors, turn about in one process, so that what else the machine does falls
on both; the ratio is the median of the ratios of neighbours. One thread by default: on a busy
machine more of them make IoUMetric much slower. What boundary figures and calibration add is
shown below; validation during training computes them only where the best checkpoint is chosen by
them. Run `python benchmarks/metric_cost.py`.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from mmseg.evaluation.metrics import IoUMetric
from scipy import ndimage

from seglab.mmseg_custom.evaluation.confusion_metric import ConfusionMetric

CLASSES = ("background", "cat", "dog")


def make_sample(rng: np.random.Generator, size: int, ignored: bool) -> dict[str, Any]:
    """Smooth blobs as truth and blobs a little off as prediction; tensors as a model gives them."""
    noise = rng.normal(size=(2, size, size))
    smooth = [ndimage.gaussian_filter(x, size / 16) for x in (noise[0], noise[0] + noise[1] / 2)]
    truth, prediction = (np.digitize(x / x.std(), (0.5, 1.2)) for x in smooth)
    if ignored:
        truth[rng.random((size, size)) < 0.05] = 255
    logits = rng.normal(size=(len(CLASSES), size, size)) + 3 * np.eye(len(CLASSES))[
        prediction
    ].transpose(2, 0, 1)
    return {
        "sample_id": "x.png",
        "img_path": "x.png",
        "seg_logits": {"data": torch.from_numpy(logits.astype(np.float32))},
        "pred_sem_seg": {"data": torch.from_numpy(prediction[None])},
        "gt_sem_seg": {"data": torch.from_numpy(truth[None])},
    }


def time_in_turns(
    samples: list[dict[str, Any]], metrics: Sequence[BaseMetric], repeats: int
) -> list[np.ndarray]:
    """Milliseconds an image of each metric, measured in turns; arrays of equal length."""
    times: list[list[float]] = [[] for _ in metrics]
    for metric in metrics:
        metric.dataset_meta = {"classes": CLASSES}
        metric.process({}, samples)
    turn = list(zip(metrics, times, strict=True))
    for _ in range(repeats):
        turn.reverse()  # who comes second finds the sample in the cache
        for sample in samples:
            for metric, taken in turn:
                start = time.perf_counter()
                metric.process({}, [sample])
                taken.append(1000 * (time.perf_counter() - start))
    return [np.array(taken) for taken in times]


def main() -> int:
    """Measure with and without ignored pixels and print both side by side."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256, help="side of the images in pixels")
    parser.add_argument("--repeats", type=int, default=40, help="passes over 10 images")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    MMLogger.get_instance("benchmark", log_level=logging.ERROR)
    rng = np.random.default_rng(0)
    print(f"median ms an image, {args.size}x{args.size}, {args.threads} thread(s)")
    print(f"{'':22}{'ConfusionMetric':>16}{'IoUMetric':>12}{'ratio':>9}{'range':>18}")
    for name, ignored in (("no ignored pixels", False), ("5 % ignored pixels", True)):
        samples = [make_sample(rng, args.size, ignored) for _ in range(10)]
        theirs = IoUMetric(iou_metrics=["mIoU", "mDice"], prefix="x")
        ours_ms, theirs_ms = time_in_turns(samples, (ConfusionMetric(), theirs), args.repeats)
        ratios = theirs_ms / ours_ms
        low, middle, high = (f"1/{q:.1f}" for q in np.percentile(ratios, (25, 50, 75)))
        print(
            f"{name:22}{np.median(ours_ms):16.3f}{np.median(theirs_ms):12.3f}{middle:>9}"
            f"{f'{low} to {high}':>18}"
        )
    kinds = {"boundary": dict(boundary=True), "calibration": dict(calibration=True)}
    metrics = [ConfusionMetric(), *(ConfusionMetric(**options) for options in kinds.values())]
    plain, *more = time_in_turns(samples, metrics, max(args.repeats // 4, 1))
    for name, taken in zip(kinds, more, strict=True):
        print(f"{name} adds {np.median(taken - plain):.2f} ms an image")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
