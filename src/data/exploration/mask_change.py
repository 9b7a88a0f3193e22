"""How two folders of masks of the same images differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from seglab.data.exploration.listing import raise_all
from seglab.data.preflight.decode import read_mask
from seglab.data.preflight.split_folder import SplitFolder
from seglab.utils.errors import UserError


@dataclass(frozen=True)
class MaskChange:
    """What differs between two mask folders.

    Attributes:
        masks: Number of images, each with a mask in both folders.
        changed: The images, relative to their folder, whose masks differ in at least one pixel.
        pixels: Pixels of all masks.
        changed_pixels: Those whose value differs.
    """

    masks: int
    changed: tuple[str, ...]
    pixels: int
    changed_pixels: int


def mask_change(before: SplitFolder, after: SplitFolder) -> MaskChange:
    """Compare the masks of a split, pixel by pixel; two masks are in memory at a time.

    Args:
        before: The images and their masks.
        after: The same images with the other masks.

    Raises:
        UserError: Masks cannot be read, or two are not of one size; lists all.
    """
    changed, faults = [], []
    pixels = changed_pixels = 0
    images = before.list_images()
    for image in tqdm(images, desc="comparing masks", unit="mask", delay=1.0, leave=False):
        try:
            old, new = (read_mask(folder.mask_of(image)) for folder in (before, after))
        except UserError as error:
            faults.append(error.message)
            continue
        if old.shape != new.shape:
            faults.append(f"{after.mask_of(image)}: another size than {before.mask_of(image)}")
            continue
        different = int(np.count_nonzero(old != new))
        pixels += old.size
        changed_pixels += different
        if different:
            changed.append(image.relative_to(before.images).as_posix())
    raise_all(faults)
    return MaskChange(len(images), tuple(changed), pixels, changed_pixels)
