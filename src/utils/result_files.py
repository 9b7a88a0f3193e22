"""Names of the files that a test leaves; `experiments/README.md` says what is in each."""

from __future__ import annotations

METRICS_FILE = "test_metrics.json"
PER_IMAGE_FILE = "per_image.csv"
RESULTS_FILE = "image_results.npz"
PROVENANCE_FILE = "provenance.json"
