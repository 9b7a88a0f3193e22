"""Which image and mask folders the config's data loaders read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seglab.data.preflight.faults import Finding, make_finding
from seglab.data.preflight.pet_folder import PetFolder
from seglab.data.preflight.split_folder import SplitFolder
from seglab.utils import oxford_pet as pets
from seglab.utils.errors import UserError

#: Settings of a data set that become parts of paths.
_TEXTS = ("img_dir", "mask_dir", "split", "seg_map_suffix")


def find_folders(cfg: Any, split: str) -> tuple[list[SplitFolder], list[Finding]]:
    """The folders behind `cfg.<split>_dataloader`, wrappers such as ConcatDataset opened.

    Args:
        cfg: A resolved mmengine Config.
        split: 'train', 'val' or 'test'.

    Returns:
        The folders, and a finding for each data set that cannot be looked into.

    Raises:
        UserError: A setting is of a kind that cannot be.
    """
    loader = cfg.get(f"{split}_dataloader") or {}
    if not loader.get("dataset"):
        return [], [make_finding("missing-dataloader", split=split)]
    _require(loader, "batch_size", int, f"{split}_dataloader")
    folders: list[SplitFolder] = []
    findings: list[Finding] = []
    for dataset, repeats in _unwrap(loader["dataset"], 1):
        name = type_name(dataset)
        for key in _TEXTS:
            _require(dataset, key, str, f"{split}_dataloader.dataset")
        if name in _READERS:
            folders.append(_READERS[name](dataset, split, repeats))
        else:
            known = ", ".join(_READERS)
            findings.append(make_finding("unchecked-dataset", split=split, type=name, known=known))
    return folders, findings


def _require(node: Mapping[str, Any], key: str, kind: type, where: str) -> None:
    """Refuse a setting of another kind, which would fail later without its name.

    Raises:
        UserError: It is there, and of another kind.
    """
    value = node.get(key, kind())
    if not isinstance(value, kind):
        word = {int: "a whole number", str: "text"}[kind]
        raise UserError(f"{where}.{key} is {value!r}", f"make it {word}, or leave it out")


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


def _common(dataset: Mapping[str, Any], split: str, repeats: int) -> dict[str, Any]:
    """The fields that every data set of mmseg's has."""
    indices = dataset.get("indices")
    return dict(
        split=split,
        root=Path(dataset.get("data_root") or "."),
        subfolder=dataset.get("split", split),
        ignore_index=int(dataset.get("ignore_index", 255)),
        reduce_zero_label=bool(dataset.get("reduce_zero_label", False)),
        repeats=repeats,
        indices=tuple(indices) if isinstance(indices, Sequence) else indices,
    )


def _classes(dataset: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple((dataset.get("metainfo") or {}).get("classes", ()))


def _read_folder(dataset: Mapping[str, Any], split: str, repeats: int) -> SplitFolder:
    suffixes = dataset.get("img_suffix", ".jpg")
    return SplitFolder(
        **_common(dataset, split, repeats),
        img_dir=dataset.get("img_dir", "img"),
        mask_dir=dataset.get("mask_dir", "labels"),
        img_suffixes=(suffixes,) if isinstance(suffixes, str) else tuple(suffixes),
        mask_suffix=dataset.get("seg_map_suffix", ".png"),
        classes=_classes(dataset),
    )


def _read_pet_folder(dataset: Mapping[str, Any], split: str, repeats: int) -> SplitFolder:
    mode = str(dataset.get("mode", "binary"))
    return PetFolder(
        **_common(dataset, split, repeats),
        img_dir=pets.IMAGES,
        mask_dir=pets.TRIMAPS,
        img_suffixes=(pets.IMAGE_SUFFIX,),
        mask_suffix=pets.TRIMAP_SUFFIX,
        classes=_classes(dataset) or pets.MODES.get(mode, ()),
        mode=mode,
        border=str(dataset.get("border", "ignore")),
        exclude=pets.as_names(dataset.get("exclude") or ()),
    )


_READERS = {"MaskFolderDataset": _read_folder, "OxfordPetDataset": _read_pet_folder}
