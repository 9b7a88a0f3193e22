"""Backbones, heads and segmentors registered with mmseg."""

from seglab.mmseg_custom.models.simple_cnn import SimpleDecoder, SimpleEncoder
from seglab.mmseg_custom.models.smp_segmentor import SMPHead, SMPSegmentor
from seglab.mmseg_custom.models.timm_backbone import TimmBackbone

__all__ = ["SMPHead", "SMPSegmentor", "SimpleDecoder", "SimpleEncoder", "TimmBackbone"]
