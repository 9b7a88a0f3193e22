"""Backbones registered with mmseg."""

from seglab.mmseg_custom.models.timm_backbone import TimmBackbone

__all__ = ["TimmBackbone"]
