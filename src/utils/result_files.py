"""Names of the files that a run and its tests leave; `experiments/README.md` describes each."""

from __future__ import annotations

RUN_FILE = "run.json"
CONFIG_FILE = "config.py"
CONFIG_JSON = "config.json"
HISTORY_FILE = "history.jsonl"
LAST_CHECKPOINT = "last_checkpoint"
CURVES_FILE = "training_curves.png"
TRACKING_FOLDER = "tracking"

METRICS_FILE = "test_metrics.json"
PER_IMAGE_FILE = "per_image.csv"
RESULTS_FILE = "image_results.npz"
PROVENANCE_FILE = "provenance.json"
#: Only of tests with `--reproduce-lab`.
LAB_SCORES_FILE = "lab_scores.json"
