"""The files of one split of Oxford-IIIT Pet, as an `OxfordPetDataset` reads them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from seglab.data.preflight.faults import Finding, make_finding
from seglab.data.preflight.split_folder import SplitFolder
from seglab.utils import oxford_pet as pets


@dataclass(frozen=True)
class PetFolder(SplitFolder):
    """One split of Oxford-IIIT Pet: all splits share two folders, lists tell them apart.

    Attributes:
        mode: 'binary', 'species' or 'trimap'.
        border: What the border counts as: 'ignore', 'foreground' or 'background'.
        exclude: Names of images that are left out.
    """

    mode: str = "binary"
    border: str = "ignore"
    exclude: tuple[str, ...] = ()

    value_code: ClassVar[str] = "trimap-value"
    or_make_it: ClassVar[str] = ", or make it with seglab prepare-oxford-pet"

    @property
    def images(self) -> Path:
        """Folder of the images of all splits."""
        return self.root / self.img_dir

    @property
    def masks(self) -> Path:
        """Folder of the trimaps of all splits."""
        return self.root / self.mask_dir

    @property
    def source(self) -> tuple[Path, str]:
        """The folder with the split's name."""
        return self.images, self.subfolder

    @cached_property
    def lists(self) -> pets.PetLists:
        """What the lists say."""
        return pets.read_lists(self.root)

    @cached_property
    def listed(self) -> dict[str, pets.Pet]:
        """The split's images by name, in the data set's order."""
        if self.subfolder not in pets.SPLITS:
            return {}
        return {pet.name: pet for pet in self.lists.split(self.subfolder, self.exclude)}

    def is_there(self) -> bool:
        """Whether there are images, and lists that say which are the split's."""
        return self.images.is_dir() and all((self.root / name).is_file() for name in pets.LISTS)

    def all_images(self) -> list[Path]:
        """The listed images that are there."""
        return _existing(self.images / (name + pets.IMAGE_SUFFIX) for name in self.listed)

    def all_masks(self) -> list[Path]:
        """The trimaps of the listed images, of those that are there."""
        return _existing(map(self.mask_of, self.all_images()))

    def label_of(self, mask: Path, value: int) -> int:
        """The class that a trimap's value stands for; -1 for a value that no trimap has."""
        pet = self.listed[mask.name.removesuffix(self.mask_suffix)]
        return pets.label_map(self.mode, self.border, pet.species).get(value, -1)

    def structure_findings(self) -> list[Finding]:
        """Folders and lists that are missing, and options that cannot be read."""
        if not self.images.is_dir() and (self.root / "img").is_dir():
            return [
                make_finding(
                    "pet-layout",
                    [self.root],
                    root=self.root,
                    layout="folders of masks",
                    wanted="Oxford-IIIT Pet as it officially is",
                    remedy="give the folder that holds images and annotations with --data-root, "
                    "or train a config with MaskFolderDataset",
                )
            ]
        missing = super().structure_findings()
        if self.root.is_dir():
            missing += [
                make_finding("missing-list", [self.root / name], list=self.root / name)
                for name in pets.LISTS
                if not (self.root / name).is_file()
            ]
        faults = pets.option_faults(self.subfolder, self.mode, self.border, self.classes)
        if faults:
            missing.append(make_finding("pet-options", (), faults, split=self.split))
        return missing

    def own_findings(self) -> list[Finding]:
        """Lists that are damaged or disagree, and listed images that are not there."""
        findings = []
        unknown = self.lists.unknown(self.exclude)
        if unknown:
            findings.append(make_finding("pet-options", (), unknown, split=self.split))
        if self.lists.faults:
            paths = [self.root / name for name in pets.LISTS]
            findings.append(make_finding("pet-lists", paths, self.lists.faults, folder=self.root))
        there = set(self.all_images())
        listed = [self.images / (name + pets.IMAGE_SUFFIX) for name in self.listed]
        gone = [path for path in listed if path not in there]
        if gone:
            shown = [self.short(path) for path in gone]
            findings.append(
                make_finding("listed-not-there", gone, shown, split=self.split, folder=self.images)
            )
        return findings


def _existing(paths: Iterable[Path]) -> list[Path]:
    return [path for path in paths if path.is_file()]
