"""What an image file may ask for, so that a crafted one cannot take the memory.

The pixels stand in a file's header, where a few kilobytes can claim billions. Every image is
opened here, or counted by the preflight before OpenCV decodes it; OpenCV gets the same limit
(`seglab.utils.environment`).
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from seglab.utils.environment import DEFAULT_MEGAPIXELS, MEGAPIXELS_VARIABLE
from seglab.utils.errors import UserError

BYTES_VARIABLE = "SEGLAB_MAX_IMAGE_MB"
_DEFAULT_MEGABYTES = 512.0
#: What images come as, whatever their names end in. Pillow knows more, and would start Ghostscript
#: for a file that is PostScript inside.
_FORMATS = ("JPEG", "PNG", "BMP", "DIB", "GIF", "PPM", "TIFF", "WEBP")


class TooLargeError(UserError):
    """An image asks for more than the limits allow."""


def max_megapixels() -> float:
    """The most megapixels of an image: `SEGLAB_MAX_MEGAPIXELS`, or 100."""
    return _limit(MEGAPIXELS_VARIABLE, DEFAULT_MEGAPIXELS)


def max_megabytes() -> float:
    """The most megabytes of an image file: `SEGLAB_MAX_IMAGE_MB`, or 512."""
    return _limit(BYTES_VARIABLE, _DEFAULT_MEGABYTES)


def oversized_words() -> str:
    """What a file is that the limits refuse."""
    return f"more than {max_megapixels():g} megapixels or {max_megabytes():g} MB"


def _limit(variable: str, default: float) -> float:
    text = os.environ.get(variable)
    try:
        value = default if text is None else float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UserError(f"{variable}={text} is no limit", "give a number above 0, or unset it")
    return value


def require_modest_file(path: Path) -> None:
    """Refuse an image file that is too large to read, or that never ends.

    Raises:
        TooLargeError: It has more bytes than `max_megabytes`.
        OSError: It is no file, or cannot be looked at.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        kind = "a directory" if stat.S_ISDIR(status.st_mode) else "no ordinary file"
        raise OSError(f"it is {kind}")
    if status.st_size > 1e6 * max_megabytes():
        raise TooLargeError(
            f"{path} has {status.st_size / 1e6:,.0f} MB, more than {max_megabytes():g}",
            f"shrink it, or raise {BYTES_VARIABLE}",
        )


@contextmanager
def open_image(path: Path, content: bytes | None = None) -> Iterator[Image.Image]:
    """Open an image within the limits; its pixels are not decoded yet.

    Args:
        path: The file.
        content: What is in it, where it has been read already.

    Yields:
        Pillow's image.

    Raises:
        TooLargeError: It has too many bytes or pixels.
        OSError: It cannot be read, or is no image.
    """
    require_modest_file(path)
    try:
        source = path if content is None else io.BytesIO(content)
        image = Image.open(source, formats=_FORMATS)
    except Image.DecompressionBombError as error:  # at the latest at twice the limit
        raise _too_many_pixels(path, str(error)) from error
    with image:
        _require_few_pixels(path, image.size)
        yield image


def require_modest_content(content: bytes) -> None:
    """Refuse what has been read of an image file, by its header.

    Raises:
        TooLargeError: It asks for too many pixels.
        OSError: It is no image of the formats that are read.
    """
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            size = image.size
    except Image.DecompressionBombError as error:
        raise _too_many_pixels("it", str(error)) from error
    _require_few_pixels("it", size)


def _require_few_pixels(name: str | Path, size: tuple[int, int]) -> None:
    if size[0] * size[1] > 1e6 * max_megapixels():
        raise _too_many_pixels(name, f"{size[0]}x{size[1]} pixels")


def _too_many_pixels(path: str | Path, claimed: str) -> TooLargeError:
    return TooLargeError(
        f"{path} asks for more than {max_megapixels():g} megapixels ({claimed})",
        f"shrink it, or raise {MEGAPIXELS_VARIABLE}",
    )


# Pillow warns at its own limit and refuses at twice that: not below ours, which comes first.
Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS or 0, int(1e6 * max_megapixels()))
