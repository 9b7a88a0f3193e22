"""What a data folder holds: images, and the classes of every version of its masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from seglab.utils.errors import UserError
from seglab.utils.image_limits import open_image

IMAGES = "img"
_SPLIT_ORDER = ("train", "val", "test")
_BYTES = 256


@dataclass(frozen=True)
class MaskFolder:
    """The masks of one split in one version.

    Attributes:
        split: Name of the split's folder.
        version: Name of the folder of masks, such as `labels`.
        images: Images of the split.
        masks: Masks in the folder.
        pixels: (C,) int64, pixels of each class.
        containing: (C,) int64, masks in which the class occurs.
        ignored: Pixels that are ignored.
        unknown: Pixels whose value is neither a class nor the ignored one.
    """

    split: str
    version: str
    images: int
    masks: int
    pixels: npt.NDArray[np.int64]
    containing: npt.NDArray[np.int64]
    ignored: int
    unknown: int


def read_data_folder(
    root: Path, num_classes: int, ignore_index: int = 255
) -> tuple[MaskFolder, ...]:
    """Count images, masks and classes in a folder laid out as `img/SPLIT`, `VERSION/SPLIT`.

    Args:
        root: The data root. Every folder beside `img` with a split's name in it is a version of
            the masks.
        num_classes: Number of classes C.
        ignore_index: Value of the pixels that are not counted.

    Returns:
        One entry per version and split that has masks, in the order train, val, test, others.

    Raises:
        UserError: The folder has no `img`, or a mask cannot be read.
    """
    if not (root / IMAGES).is_dir():
        raise UserError(
            f"the data folder {root} has no folder {IMAGES}",
            f"give the folder that holds {IMAGES}/SPLIT and labels/SPLIT as --data-root",
        )
    splits = sorted(
        (path.name for path in (root / IMAGES).iterdir() if path.is_dir()),
        key=lambda name: (
            _SPLIT_ORDER.index(name) if name in _SPLIT_ORDER else len(_SPLIT_ORDER),
            name,
        ),
    )
    versions = sorted(path.name for path in root.iterdir() if path.is_dir() and path.name != IMAGES)
    found = []
    for split in splits:
        images = sum(path.is_file() for path in (root / IMAGES / split).rglob("*"))
        for version in versions:
            masks = sorted((root / version / split).rglob("*.png"))
            if masks:
                label = f"{version}/{split}"
                counts = _count_values(masks, label)
                found.append(_summarise(split, version, images, counts, num_classes, ignore_index))
    return tuple(found)


def _count_values(masks: Sequence[Path], label: str) -> npt.NDArray[np.int64]:
    """(N, 256) pixels of each value in each mask."""
    counts = np.zeros((len(masks), _BYTES), dtype=np.int64)
    for row, path in zip(
        counts, tqdm(masks, desc=f"reading {label}", leave=False, delay=1.0), strict=True
    ):
        try:
            with open_image(path) as image:
                values = np.asarray(image)
        except (OSError, SyntaxError, ValueError) as error:  # Pillow's, for a damaged PNG
            raise UserError(f"the mask {path} cannot be read: {error}", "restore it") from error
        if values.ndim != 2 or values.dtype != np.uint8:
            raise UserError(
                f"the mask {path} is not one 8-bit channel ({image.mode})",
                "save it as an 8-bit single-channel PNG; `seglab check` lists all such masks",
            )
        row += np.bincount(values.ravel(), minlength=_BYTES)
    return counts


def _summarise(
    split: str,
    version: str,
    images: int,
    counts: npt.NDArray[np.int64],
    num_classes: int,
    ignore_index: int,
) -> MaskFolder:
    ignored = int(counts[:, ignore_index].sum())
    classes = counts[:, :num_classes]
    return MaskFolder(
        split=split,
        version=version,
        images=images,
        masks=len(counts),
        pixels=classes.sum(axis=0),
        containing=(classes > 0).sum(axis=0),
        ignored=ignored,
        unknown=int(counts.sum()) - int(classes.sum()) - ignored,
    )
