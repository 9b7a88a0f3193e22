"""What is measured of one image and its mask; pixels are dropped as soon as they are counted."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from seglab.data.exploration.listing import Sample
from seglab.data.preflight.decode import FileFacts, decode_pixels
from seglab.utils.image_limits import oversized_words
from seglab.utils.masks import BACKGROUND, ImageArray, MaskArray

VALUES = 256
_HASH_SIDE = 8
_THUMBNAIL = 32
_FLAT = 2.0  # standard deviation of the brightness below which an image has no structure
_COLOURLESS = 2.0  # largest difference between channels, of 255, in an image that is grey


class Component(NamedTuple):
    """A connected region of one class: area in pixels, centre as shares of width and height."""

    label: int
    area: int
    x: float
    y: float
    on_border: bool


@dataclass(frozen=True)
class MaskFacts:
    """What one mask holds.

    Attributes:
        pixels: (256,) int64 pixels of each value.
        components: Every connected region (8 neighbours) of every class but the background.
        holes: Background regions (4 neighbours) that objects enclose: areas in pixels.
        digest: SHA-256 of size and values.
    """

    pixels: npt.NDArray[np.int64]
    components: tuple[Component, ...]
    holes: tuple[int, ...]
    digest: bytes


@dataclass(frozen=True)
class ImageFacts:
    """What one image holds.

    Attributes:
        size: Width and height in pixels, EXIF turned.
        mode: Pillow's mode, as stored.
        mean: (3,) mean of each RGB channel, 0 to 255.
        square: (3,) mean of each channel's squares.
        brightness: Mean luma (ITU-R BT.601), 0 to 255.
        colourless: Whether all channels are equal, compression noise aside.
        digest: SHA-256 of mode, size and pixels.
        perceptual: 64-bit perceptual hash, None for an image without structure.
    """

    size: tuple[int, int]
    mode: str
    mean: npt.NDArray[np.float64]
    square: npt.NDArray[np.float64]
    brightness: float
    colourless: bool
    digest: bytes
    perceptual: int | None


@dataclass(frozen=True)
class SampleFacts:
    """An image and its mask, measured; `faults` says in words what could not be."""

    sample: Sample
    image: ImageFacts | None = None
    mask: MaskFacts | None = None
    faults: tuple[str, ...] = ()


def measure_sample(sample: Sample, ignore_index: int, num_classes: int | None) -> SampleFacts:
    """Decode and measure one sample; what is wrong with its files is returned, not raised.

    Args:
        sample: The files.
        ignore_index: Mask value that belongs to no class.
        num_classes: Number of classes, None when it is not known: then any value is one.
    """
    file, picture = decode_pixels(sample.image)
    problem = _problem(file)
    faults = [f"{sample.image}: cannot be read: {problem}"] if problem else []
    image = measure_image(picture, file) if picture else None
    mask = None
    if sample.mask:
        mask_file, mask_picture = decode_pixels(sample.mask)
        fault = _mask_fault(mask_file, image, ignore_index, num_classes)
        if fault:
            faults.append(f"{sample.mask}: {fault}")
        elif mask_picture:
            mask = measure_mask(np.asarray(mask_picture), ignore_index)
    return SampleFacts(sample, image, mask, tuple(faults))


def measure_image(picture: Image.Image, file: FileFacts) -> ImageFacts:
    """Measure a decoded image."""
    pixels = to_rgb(picture)
    mean, deviation = (values.ravel() for values in cv2.meanStdDev(pixels))
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    brightness, spread = (float(values[0, 0]) for values in cv2.meanStdDev(grey))
    red, green, blue = cv2.split(pixels)
    range_of_channels = cv2.subtract(
        cv2.max(red, cv2.max(green, blue)), cv2.min(red, cv2.min(green, blue))
    )
    return ImageFacts(
        size=file.size,
        mode=file.mode,
        mean=mean,
        square=deviation**2 + mean**2,
        brightness=brightness,
        colourless=float(cv2.mean(range_of_channels)[0]) < _COLOURLESS,
        digest=file.digest,
        perceptual=perceptual_hash(grey) if spread >= _FLAT else None,
    )


def to_rgb(picture: Image.Image) -> ImageArray:
    """(H, W, 3) uint8 RGB of a decoded image, turned upright."""
    upright = ImageOps.exif_transpose(picture)
    if upright.mode.startswith("I;16"):  # Pillow would clip these at 255
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    return np.asarray(upright.convert("RGB"))


def perceptual_hash(grey: npt.NDArray[np.uint8]) -> int:
    """The 64-bit perceptual hash of a picture (pHash; Zauner, 2010, section 3.2.1).

    The picture is shrunk to 32x32; of its cosine transform the 8x8 lowest frequencies give a bit
    each: whether the coefficient is above the median of all but the first (the mean brightness).

    Args:
        grey: (H, W) uint8 brightness.
    """
    side = (_THUMBNAIL, _THUMBNAIL)
    small = cv2.resize(grey, side, interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:_HASH_SIDE, :_HASH_SIDE].ravel()
    bits = low > np.median(low[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def measure_mask(mask: MaskArray, ignore_index: int = 255) -> MaskFacts:
    """Measure an (H, W) uint8 mask of class indices."""
    mask = np.ascontiguousarray(mask)
    pixels = np.bincount(mask.ravel(), minlength=VALUES).astype(np.int64)
    components: list[Component] = []
    # Outside the box around all objects there is background alone, which is no hole.
    left, top, width, height = cv2.boundingRect(mask)
    objects = np.ascontiguousarray(mask[top : top + height, left : left + width])
    for label in np.flatnonzero(pixels):
        if label not in (BACKGROUND, ignore_index):
            components += _components(objects, int(label), (left, top), mask.shape)
    digest = hashlib.sha256(str(mask.shape).encode())
    digest.update(mask.tobytes())
    return MaskFacts(pixels, tuple(components), _holes(objects), digest.digest())


def _components(
    objects: MaskArray, label: int, corner: tuple[int, int], shape: tuple[int, ...]
) -> list[Component]:
    """The regions of a class in the part of a mask of `shape` that begins at `corner` (x, y)."""
    chosen = (objects == label).astype(np.uint8)
    _, _, boxes, centres = cv2.connectedComponentsWithStats(chosen, connectivity=8)
    height, width = shape
    left, top = corner
    found = []
    for box, (x, y) in zip(boxes[1:].tolist(), centres[1:].tolist(), strict=True):
        place = [box[0] + left, box[1] + top, *box[2:]]
        found.append(
            Component(
                label=label,
                area=box[cv2.CC_STAT_AREA],
                x=(x + left + 0.5) / width,
                y=(y + top + 0.5) / height,
                on_border=_touches(place, width, height),
            )
        )
    return found


def _holes(objects: MaskArray) -> tuple[int, ...]:
    if not objects.size:
        return ()
    background = (objects == BACKGROUND).astype(np.uint8)
    _, _, boxes, _ = cv2.connectedComponentsWithStats(background, connectivity=4)
    height, width = objects.shape
    inner = [box for box in boxes[1:].tolist() if not _touches(box, width, height)]
    return tuple(box[cv2.CC_STAT_AREA] for box in inner)


def _touches(box: list[int], width: int, height: int) -> bool:
    """Whether a region's box, (left, top, width, height, area), reaches the image's border."""
    left, top, wide, high = box[:4]
    return left == 0 or top == 0 or left + wide == width or top + high == height


def _problem(file: FileFacts) -> str:
    return oversized_words() if file.oversized else file.problem


def _mask_fault(
    file: FileFacts, image: ImageFacts | None, ignore_index: int, num_classes: int | None
) -> str:
    """What is wrong with a mask, in words; '' if nothing is."""
    if problem := _problem(file):
        return f"cannot be read: {problem}"
    if file.mode != "L":
        return (
            f"is of mode {file.mode}, not a single 8-bit channel of class indices "
            "(map each colour to its class and save it as mode L)"
        )
    faults = []
    if image and file.size != image.size:
        mask_size, size = (f"{width}x{height}" for width, height in (file.size, image.size))
        faults.append(f"is {mask_size}, its image {size}")
    if num_classes is not None:
        wrong = [v for v in file.values if v >= num_classes and v != ignore_index]
        if wrong:
            faults.append(
                f"holds {', '.join(map(str, wrong[:5]))}, classes are 0 to {num_classes - 1}"
            )
    return "; ".join(faults)
