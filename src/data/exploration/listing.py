"""Which images and masks a look at the data reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from seglab.data.preflight.split_folder import SplitFolder, list_files
from seglab.utils import oxford_pet as pets
from seglab.utils.errors import UserError
from seglab.utils.paths import IMAGE_SUFFIXES

ALL = "all"
_SHOWN = 20


@dataclass(frozen=True)
class Sample:
    """An image and its mask, None where there is none.

    `name` is the image's path from its split's folder on, with the split before it.
    """

    name: str
    image: Path
    mask: Path | None


@dataclass(frozen=True)
class Split:
    """The images of a split, and the names of masks that belong to no image."""

    name: str
    samples: tuple[Sample, ...]
    orphans: tuple[str, ...]


def list_splits(root: Path, wanted: str, img_dir: str, mask_dir: str) -> list[Split]:
    """List the samples of the splits that are asked for.

    Args:
        root: The data root; images lie in `root/img_dir/SPLIT`, masks in `root/mask_dir/SPLIT`.
        wanted: A split, several with commas between them, or 'all'.
        img_dir: Image folder in the root.
        mask_dir: Mask folder in the root.

    Raises:
        UserError: Folders are missing or empty, or a split is unknown: all faults at once.
    """
    if not (root / img_dir).is_dir():
        raise UserError(
            f"--data-root {root}: there is no folder {img_dir} in it",
            pets.folders_hint(root)
            or "give the folder that holds img/SPLIT and labels/SPLIT; --img-dir names others",
        )
    known = sorted(path.name for path in (root / img_dir).iterdir() if path.is_dir())
    names = known if wanted == ALL else list(dict.fromkeys(wanted.replace(",", " ").split()))
    faults = [] if names else [f"--split {wanted!r} names no split"]
    splits = []
    for name in names:
        if name not in known:
            faults.append(f"unknown split {name!r} (there are: {', '.join(known) or 'none'})")
            continue
        split = _list_split(split_folder(root, name, img_dir, mask_dir))
        if not split.samples:
            faults.append(f"split {name!r} is empty: no image in {root / img_dir / name}")
        elif not any(sample.mask for sample in split.samples):
            faults.append(f"split {name!r} has no labels: no mask in {root / mask_dir / name}")
        splits.append(split)
    raise_all(faults)
    return splits


def raise_all(
    faults: Sequence[str],
    what: str = "the data cannot be read",
    fix: str = "mend or remove these; nothing was written",
) -> None:
    """Raise one UserError that names every fault, the first 20; nothing where there is none."""
    if not faults:
        return
    shown = list(faults[:_SHOWN])
    if len(faults) > _SHOWN:
        shown.append(f"and {len(faults) - _SHOWN} more")
    raise UserError(
        f"{what} ({len(faults)} fault{'s' * (len(faults) > 1)}):\n  - " + "\n  - ".join(shown),
        fix,
    )


def split_folder(root: Path, name: str, img_dir: str, mask_dir: str) -> SplitFolder:
    """The pair of folders as a data set without a config's options reads it."""
    return SplitFolder(
        split=name,
        root=root,
        img_dir=img_dir,
        mask_dir=mask_dir,
        subfolder=name,
        img_suffixes=IMAGE_SUFFIXES,
        mask_suffix=".png",
        classes=(),
        ignore_index=255,
        reduce_zero_label=False,
        repeats=1,
        indices=None,
    )


def _list_split(folder: SplitFolder) -> Split:
    masks = set(list_files(folder.masks, (folder.mask_suffix,)) if folder.masks.is_dir() else ())
    samples = tuple(_samples(folder, masks))
    used = {sample.mask for sample in samples}
    orphans = tuple(folder.short(mask) for mask in sorted(masks - used))
    return Split(folder.split, samples, orphans)


def _samples(folder: SplitFolder, masks: set[Path]) -> Iterator[Sample]:
    for image in folder.list_images():
        mask = folder.mask_of(image)
        name = f"{folder.split}/{image.relative_to(folder.images).as_posix()}"
        yield Sample(name, image, mask if mask in masks else None)
