"""Data sets registered with mmseg."""

from seglab.mmseg_custom.datasets.mask_folder import MaskFolderDataset
from seglab.mmseg_custom.datasets.oxford_pet import OxfordPetDataset

__all__ = ["MaskFolderDataset", "OxfordPetDataset"]
