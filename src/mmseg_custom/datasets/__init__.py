"""Data sets registered with mmseg."""

from seglab.mmseg_custom.datasets.mask_folder import MaskFolderDataset
from seglab.mmseg_custom.datasets.oxford_pet import OxfordPetDataset
from seglab.mmseg_custom.datasets.seeded import SeededDataset, SeededSampler

__all__ = ["MaskFolderDataset", "OxfordPetDataset", "SeededDataset", "SeededSampler"]
