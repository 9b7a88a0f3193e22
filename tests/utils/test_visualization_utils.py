import subprocess
import sys

from seglab.utils import visualization_utils


def test_every_picture_has_its_name_here():
    drawing = {
        name for name in visualization_utils.__all__ if name.startswith(("plot_", "visualize_"))
    }
    assert drawing == {
        "plot_best_worst_predictions",
        "plot_confusion_matrix",
        "plot_differences",
        "plot_metric_distribution",
        "plot_reliability_diagram",
        "plot_run_metrics",
        "plot_training_curves",
        "visualize_segmentation_4panel",
    }
    assert all(hasattr(visualization_utils, name) for name in visualization_utils.__all__)


def test_importing_leaves_pyplot_alone_and_needs_no_torch():
    code = (
        "import sys, seglab.utils.visualization_utils;"
        "print({'matplotlib.pyplot', 'torch', 'mmengine'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"
