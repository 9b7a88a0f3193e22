"""Every picture seglab draws, under one name.

| module | what it draws |
|---|---|
| `masks` | class colours, coloured masks, overlays, error maps |
| `panels` | the four panels of one prediction; the best and the worst of a split |
| `curves` | training curves from a run's log |
| `charts` | confusion matrix, reliability diagram, distribution of a metric over the images |
| `forest` | figures of several runs, and differences between runs, with their intervals |

A class has the same colour in each of them, and colour is never all that tells two things apart
by which a reader would judge a run.
"""

from seglab.utils.charts import (
    plot_confusion_matrix,
    plot_metric_distribution,
    plot_reliability_diagram,
)
from seglab.utils.curves import plot_training_curves
from seglab.utils.forest import DifferenceRow, MetricRow, plot_differences, plot_run_metrics
from seglab.utils.masks import (
    BACKGROUND,
    IGNORE_COLOR,
    PixelOutcome,
    class_colors,
    colorize_mask,
    error_map,
    overlay_mask,
)
from seglab.utils.panels import (
    SegmentationSample,
    plot_best_worst_predictions,
    safe_name,
    visualize_segmentation_4panel,
)

__all__ = [
    "BACKGROUND",
    "IGNORE_COLOR",
    "DifferenceRow",
    "MetricRow",
    "PixelOutcome",
    "SegmentationSample",
    "class_colors",
    "colorize_mask",
    "error_map",
    "overlay_mask",
    "plot_best_worst_predictions",
    "plot_confusion_matrix",
    "plot_differences",
    "plot_metric_distribution",
    "plot_reliability_diagram",
    "plot_run_metrics",
    "plot_training_curves",
    "safe_name",
    "visualize_segmentation_4panel",
]
