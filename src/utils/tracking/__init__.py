"""Experiment tracking: a journal on disk, the ClearML session made from it, and its upload."""
