"""Which image and mask folders the config's data loaders read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seglab.data.preflight.faults import Finding, make_finding

_CHECKED_TYPES = ("MaskFolderDataset",)


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

    @property
    def images(self) -> Path:
        """Folder of this split's images."""
        return self.root / self.img_dir / self.subfolder

    @property
    def masks(self) -> Path:
        """Folder of this split's masks."""
        return self.root / self.mask_dir / self.subfolder

    def list_images(self) -> list[Path]:
        """The images that the data set uses, in its order."""
        found = list_files(self.images, self.img_suffixes)
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


def list_files(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """All files under `folder` with one of `suffixes`, sorted, as `MaskFolderDataset` lists them.

    Suffixes are compared without regard to case.
    """
    wanted = {suffix.lower() for suffix in suffixes}
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in wanted)


def find_folders(cfg: Any, split: str) -> tuple[list[SplitFolder], list[Finding]]:
    """The folders behind `cfg.<split>_dataloader`, wrappers such as ConcatDataset opened.

    Args:
        cfg: A resolved mmengine Config.
        split: 'train', 'val' or 'test'.

    Returns:
        The folders, and a finding for each data set that cannot be looked into.
    """
    loader = cfg.get(f"{split}_dataloader") or {}
    if not loader.get("dataset"):
        return [], [make_finding("missing-dataloader", split=split)]
    folders: list[SplitFolder] = []
    findings: list[Finding] = []
    for dataset, repeats in _unwrap(loader["dataset"], 1):
        name = type_name(dataset)
        if name in _CHECKED_TYPES:
            folders.append(_read_folder(dataset, split, repeats))
        else:
            known = ", ".join(_CHECKED_TYPES)
            findings.append(make_finding("unchecked-dataset", split=split, type=name, known=known))
    return folders, findings


def type_name(spec: Mapping[str, Any]) -> str:
    """The class name in a config dict's `type`, without the registry scope ('mmseg.X' -> 'X')."""
    kind = spec.get("type", "")
    name = kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
    return name.rpartition(".")[2]


def _unwrap(dataset: Mapping[str, Any], repeats: int) -> Iterator[tuple[Mapping[str, Any], int]]:
    if "datasets" in dataset:
        for inner in dataset["datasets"]:
            yield from _unwrap(inner, repeats)
    elif type_name(dataset) == "RepeatDataset":
        yield from _unwrap(dataset["dataset"], repeats * int(dataset.get("times", 1)))
    elif "dataset" in dataset:
        yield from _unwrap(dataset["dataset"], repeats)
    else:
        yield dataset, repeats


def _read_folder(dataset: Mapping[str, Any], split: str, repeats: int) -> SplitFolder:
    suffixes = dataset.get("img_suffix", ".jpg")
    indices = dataset.get("indices")
    return SplitFolder(
        split=split,
        root=Path(dataset.get("data_root") or "."),
        img_dir=dataset.get("img_dir", "img"),
        mask_dir=dataset.get("mask_dir", "labels"),
        subfolder=dataset.get("split", split),
        img_suffixes=(suffixes,) if isinstance(suffixes, str) else tuple(suffixes),
        mask_suffix=dataset.get("seg_map_suffix", ".png"),
        classes=tuple((dataset.get("metainfo") or {}).get("classes", ())),
        ignore_index=int(dataset.get("ignore_index", 255)),
        reduce_zero_label=bool(dataset.get("reduce_zero_label", False)),
        repeats=repeats,
        indices=tuple(indices) if isinstance(indices, Sequence) else indices,
    )
