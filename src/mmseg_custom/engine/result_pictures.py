"""The pictures of a test: confusion, calibration, distribution, best and worst images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from seglab.utils.image_results import ImageResults, image_figures
from seglab.utils.test_utils import RankedSample, find_best_worst_samples, higher_is_better
from seglab.utils.visualization_utils import (
    BACKGROUND,
    SegmentationSample,
    plot_best_worst_predictions,
    plot_confusion_matrix,
    plot_metric_distribution,
    plot_reliability_diagram,
)


def draw_pictures(
    results: ImageResults,
    load_sample: Callable[[str], SegmentationSample],
    folder: Path,
    facts: Mapping[str, Any],
    metric: str = "mDice",
    number: int = 5,
) -> list[Path]:
    """Draw everything a test shows.

    Args:
        results: What the evaluation kept.
        load_sample: Gives image, truth and prediction of a sample id.
        folder: Where the pictures go.
        facts: `split` (for the file names), `palette` (RGB colours, or None), `ignore_index`.
        metric: Key of `image_figures` by which images are ranked, and whose distribution is drawn.
        number: How many of the best and of the worst images to draw.

    Returns:
        The pictures' paths; the overview of the best and worst last.
    """
    matrices, names = results.matrices, results.classes
    split, palette = facts["split"], facts["palette"]
    path = folder / f"{split}_confusion_matrix.png"
    paths = [plot_confusion_matrix(matrices.sum(axis=0), names, path)]
    if results.calibration is not None:
        path = folder / f"{split}_reliability.png"
        paths.append(plot_reliability_diagram(results.calibration.sum(axis=0), path))
    objects = list(enumerate(names))[BACKGROUND + 1 :]
    groups = {name: matrices[:, index].sum(axis=1) > 0 for index, name in objects}
    path = folder / f"{split}_distribution.png"
    scores = image_figures(results)[metric]
    paths.append(plot_metric_distribution(scores, path, metric, groups, names, palette))
    best, worst = rank_images(results, metric, number)
    if worst:
        look = (names, palette, folder, split, metric, facts["ignore_index"])
        paths += plot_best_worst_predictions(best, worst, load_sample, *look)
    return paths


def rank_images(
    results: ImageResults, metric: str, number: int
) -> tuple[list[RankedSample], list[RankedSample]]:
    """The best and the worst images that show an object, in truth or prediction.

    Args:
        results: What the evaluation kept.
        metric: Key of `image_figures`.
        number: Length of each list.

    Returns:
        Best first; worst first.
    """
    # Where neither truth nor prediction has an object there is nothing to see.
    counted = results.matrices.sum(axis=(1, 2))
    shown = np.flatnonzero(counted > results.matrices[:, BACKGROUND, BACKGROUND])
    scores = image_figures(results)[metric][shown]
    ids = [results.sample_ids[index] for index in shown]
    return find_best_worst_samples(scores, ids, number, higher_is_better(metric))
