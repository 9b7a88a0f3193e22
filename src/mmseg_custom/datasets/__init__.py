"""Data sets registered with mmseg."""

from seglab.mmseg_custom.datasets.mask_folder import MaskFolderDataset

__all__ = ["MaskFolderDataset"]
