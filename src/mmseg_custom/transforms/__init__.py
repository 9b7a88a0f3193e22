"""Transforms registered with mmseg."""

from seglab.mmseg_custom.transforms.albumentations_pipeline import Albumentations

__all__ = ["Albumentations"]
