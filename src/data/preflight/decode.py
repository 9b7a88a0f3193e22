"""Decode every file once, in threads, and keep the few facts the checks need."""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, UnidentifiedImageError
from tqdm import tqdm

from seglab.utils.errors import UserError
from seglab.utils.image_limits import (
    TooLargeError,
    open_image,
    oversized_words,
    require_modest_file,
)

_EXIF_ORIENTATION = 0x0112


@dataclass(frozen=True)
class FileFacts:
    """What is known of one image or mask file.

    Attributes:
        problem: Why the file cannot be decoded in full, '' if it can.
        oversized: Whether it asks for more than `image_limits` allow, and was not decoded.
        size: Width and height in pixels as a training pipeline sees them, EXIF turned.
        mode: Pillow's mode, such as 'RGB' or 'L'.
        orientation: EXIF orientation, 1 when upright.
        digest: SHA-256 of mode, size and pixels: equal for equal pixels.
        values: The distinct pixel values of a mode L file, ascending.
    """

    problem: str = ""
    oversized: bool = False
    size: tuple[int, int] = (0, 0)
    mode: str = ""
    orientation: int = 1
    digest: bytes = b""
    values: tuple[int, ...] = ()

    @property
    def readable(self) -> bool:
        """Whether the pixels were decoded."""
        return not self.problem and not self.oversized


def decode_files(paths: Collection[Path]) -> dict[Path, FileFacts]:
    """Decode all files in full; a progress bar appears when it takes longer than a second.

    Args:
        paths: Image and mask files.

    Returns:
        The facts of each file. A file that cannot be read has its `problem` set.
    """
    unique = list(dict.fromkeys(paths))
    # Pillow releases the GIL while it decodes; more threads than cores hide slow disks.
    workers = min(16, 2 * (os.cpu_count() or 1))
    tolerant = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings(), ThreadPoolExecutor(workers) as pool:
            # Large files are reported by their size, not by Pillow's warning.
            warnings.simplefilter("ignore")
            decoded = tqdm(
                pool.map(decode_file, unique),
                total=len(unique),
                desc="preflight",
                unit="file",
                delay=1,
                leave=False,
            )
            return dict(zip(unique, decoded, strict=True))
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = tolerant


def decode_file(path: Path) -> FileFacts:
    """Decode one file in full, see `decode_files`."""
    return decode_pixels(path)[0]


def decode_pixels(path: Path) -> tuple[FileFacts, Image.Image | None]:
    """Decode one file in full: its facts and, where it is readable, its picture as stored."""
    try:
        require_modest_file(path)
        data = path.read_bytes()
        if not data:
            return FileFacts(problem="0 bytes"), None
        with open_image(path, data) as image:
            _verify(image.format, data)
            image.load()
            return _facts_of(image), image
    except TooLargeError:
        return FileFacts(oversized=True), None
    except UnidentifiedImageError:
        return FileFacts(problem="not an image, or its header is damaged"), None
    except Exception as error:  # Pillow's decoders raise almost anything on damaged files
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return FileFacts(problem=reason or type(error).__name__), None


def read_mask(path: Path) -> npt.NDArray[np.uint8]:
    """A mask's class indices: (H, W) uint8.

    Raises:
        UserError: It cannot be decoded in full, or is not one 8-bit grey channel.
    """
    facts, picture = decode_pixels(path)
    if picture is None:
        problem = facts.problem or oversized_words()
        raise UserError(f"cannot read mask {path}: {problem}", "save or fetch it again")
    if facts.mode != "L":
        raise UserError(
            f"mask {path} is of mode {facts.mode}, not one 8-bit grey channel",
            "save the class indices as single-channel 8-bit PNG (Pillow mode L)",
        )
    return np.asarray(picture)


def _verify(image_format: str | None, data: bytes) -> None:
    """Find damage that decoding lets pass.

    Raises:
        SyntaxError: A checksum of a PNG file is wrong; its pixels would be, silently.
        EOFError: A file ends before it should: a JPEG whose tail was never written decodes
            to grey.
    """
    if image_format == "PNG":
        with Image.open(io.BytesIO(data)) as image:
            image.verify()
    elif image_format == "JPEG" and data.find(b"\xff\xd9", data.find(b"\xff\xda")) < 0:
        raise EOFError("image file is truncated (no end-of-image marker)")


def _facts_of(image: Image.Image) -> FileFacts:
    orientation = int(image.getexif().get(_EXIF_ORIENTATION, 1))
    if orientation not in range(2, 9):  # some cameras write 0: nobody turns such an image
        orientation = 1
    width, height = image.size
    turned = orientation in (5, 6, 7, 8)
    digest = hashlib.sha256(f"{image.mode} {image.size} ".encode())
    digest.update(image.tobytes())
    values: tuple[int, ...] = ()
    if image.mode == "L":
        values = tuple(value for value, count in enumerate(image.histogram()) if count)
    return FileFacts(
        size=(height, width) if turned else (width, height),
        mode=image.mode,
        orientation=orientation,
        digest=digest.digest(),
        values=values,
    )
