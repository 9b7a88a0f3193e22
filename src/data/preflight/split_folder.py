"""One pair of folders of images and masks, as a `MaskFolderDataset` reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from seglab.data.preflight.faults import Finding, make_finding
from seglab.utils import oxford_pet as pets


@dataclass(frozen=True)
class SplitFolder:
    """One pair of folders, as a `MaskFolderDataset` reads it.

    Attributes:
        split: The data loader it belongs to: 'train', 'val' or 'test'.
        root: `data_root`.
        img_dir: Image folder inside `root`.
        mask_dir: Mask folder inside `root`.
        subfolder: Name of the split's folder inside both.
        img_suffixes: Endings of image files.
        mask_suffix: Ending of mask files.
        classes: Class names, empty if the config gives none.
        ignore_index: Mask value that is left out of loss and metrics.
        reduce_zero_label: Whether value 0 is ignored and all others move down by one.
        repeats: How often an epoch goes through the folder.
        indices: mmengine's subset option: the first (or, negative, last) n images or a list.
    """

    split: str
    root: Path
    img_dir: str
    mask_dir: str
    subfolder: str
    img_suffixes: tuple[str, ...]
    mask_suffix: str
    classes: tuple[str, ...]
    ignore_index: int
    reduce_zero_label: bool
    repeats: int
    indices: int | tuple[int, ...] | None

    #: The kind of finding for a mask value that stands for nothing.
    value_code: ClassVar[str] = "label-out-of-range"
    #: What else can be done where the data root is missing.
    or_make_it: ClassVar[str] = ""

    @property
    def images(self) -> Path:
        """Folder of this split's images."""
        return self.root / self.img_dir / self.subfolder

    @property
    def masks(self) -> Path:
        """Folder of this split's masks."""
        return self.root / self.mask_dir / self.subfolder

    @property
    def source(self) -> tuple[Path, str]:
        """What two folders share when they hold the same images."""
        return self.images, ""

    def is_there(self) -> bool:
        """Whether the split has images, be it without masks."""
        return self.images.is_dir()

    def all_images(self) -> list[Path]:
        """The split's images that are there, `indices` left aside."""
        return list_files(self.images, self.img_suffixes)

    def all_masks(self) -> list[Path]:
        """The masks that are there and belong to the split."""
        return [path for path in self.masks.rglob("*") if path.name.endswith(self.mask_suffix)]

    def list_images(self) -> list[Path]:
        """The images that the data set uses, in its order."""
        found = self.all_images()
        if self.indices is None:
            return found
        if isinstance(self.indices, int):
            return found[: self.indices] if self.indices >= 0 else found[self.indices :]
        return [found[index] for index in self.indices if index < len(found)]

    def mask_of(self, image: Path) -> Path:
        """Where the mask of `image` has to be."""
        relative = image.relative_to(self.images)
        return self.masks / relative.parent / (relative.stem + self.mask_suffix)

    def short(self, path: Path) -> str:
        """`path` from the data root on, where it is inside."""
        inside = path.is_relative_to(self.root)
        return path.relative_to(self.root).as_posix() if inside else str(path)

    def sibling(self, subfolder: str) -> SplitFolder:
        """The same data set's folders of another split."""
        return replace(self, split=subfolder, subfolder=subfolder, indices=None)

    def label_of(self, mask: Path, value: int) -> int:  # noqa: ARG002 - other layouts need it
        """The class that a value of a mask stands for, `ignore_index` where it is ignored.

        A value that stands for nothing gives a number that is no class either.
        """
        if not self.reduce_zero_label or value == self.ignore_index:
            return value
        return value - 1 if value else self.ignore_index

    def structure_findings(self) -> list[Finding]:
        """What is missing altogether, so that no file can be looked at."""
        if not self.root.is_dir():
            return [
                make_finding(
                    "missing-root",
                    [self.root],
                    root=self.root,
                    img_dir=self.img_dir,
                    mask_dir=self.mask_dir,
                    or_make_it=self.or_make_it,
                )
            ]
        if not self.images.is_dir() and pets.is_official(self.root):
            return [
                make_finding(
                    "pet-layout",
                    [self.root],
                    root=self.root,
                    layout="Oxford-IIIT Pet officially is",
                    wanted="folders of masks",
                    remedy="write them with "
                    f"{pets.folders_command(self.root, pets.mode_of(self.classes))} and give DIR "
                    "with --data-root, or train a config with OxfordPetDataset",
                )
            ]
        return self.missing_folders()

    def missing_folders(self) -> list[Finding]:
        """Which of the two folders is not there."""
        return [
            make_finding("missing-folder", [path], split=self.split, folder=path, key=key)
            for path, key in ((self.images, "img_dir"), (self.masks, "mask_dir"))
            if not path.is_dir()
        ]

    def own_findings(self) -> list[Finding]:
        """What can be said of this layout alone, before any file is decoded."""
        found = pets.other_masks(self.root, self.classes) if self.classes else ()
        if not found:
            return []
        # By their values alone the masks of cats and dogs may be those of animals and borders.
        return [
            make_finding(
                "pet-layout",
                [self.root / pets.FOLDERS_RECORD],
                root=self.root,
                layout=f"masks of {', '.join(found)}",
                wanted=f"masks of {', '.join(self.classes)}",
                remedy="write folders with prepare-oxford-pet --mask-folders DIR --mode "
                f"{pets.mode_of(self.classes)}, or train a config with these classes",
            )
        ]


def list_files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """All files under `folder` with one of `suffixes`, sorted, as `MaskFolderDataset` lists them.

    Suffixes are compared without regard to case.
    """
    wanted = {suffix.lower() for suffix in suffixes}
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in wanted)
