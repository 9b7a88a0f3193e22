"""What all figures share: how they are saved, their neutral colours and their texts.

Figures are drawn through matplotlib's object interface, so nothing touches pyplot's global state
or needs a display. A report shows a figure at 900 pixels wide or its own width, whichever is less:
a text of `p` points in a figure `w` inches wide is then p * 12.5 / w pixels high, and none may be
below 9 (`tests/utils/test_visualization_utils.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from seglab.utils.io_utils import atomic_path
from seglab.utils.masks import ImageArray

DARK = "#222222"
GREY = "#767676"
_DPI = 120


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches, whose parts make room for each other."""
    return Figure(figsize=(width, height), layout="constrained")


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG, atomically; returns the path."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=_DPI, facecolor="white")
    return Path(path)


def unit_color(color: Sequence[int] | ImageArray) -> tuple[float, float, float]:
    """An RGB colour of 0 to 255 as matplotlib wants it, 0 to 1."""
    red, green, blue = (int(channel) / 255 for channel in color)
    return red, green, blue


def plain(text: str) -> str:
    """Text that matplotlib does not read as a formula."""
    return text.replace("$", r"\$")


def shorten(text: str, length: int) -> str:
    """Text of at most `length` characters, cut in its middle.

    Of a long name the end tells more than the beginning: two thirds of what stays are its end.
    """
    if len(text) <= length:
        return text
    head = (length - 1) // 3
    return f"{text[:head]}\N{HORIZONTAL ELLIPSIS}{text[len(text) - (length - 1 - head) :]}"


def metric_unit(key: str) -> str:
    """The unit of a metric by its key: pixels for surface distances, else percent."""
    name = key.removeprefix("image_mean/").partition("/")[0]
    return "pixels" if name in ("HD95", "mHD95") else "%"
