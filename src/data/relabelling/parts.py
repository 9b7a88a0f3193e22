"""The objects of a mask, each kept as the window that it fills.

Masks of many megapixels may hold hundreds of specks: arrays of the mask's size would not fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from seglab.data.detection.geometry import EIGHT_NEIGHBOURS, Box
from seglab.data.detection.interface import BoolArray
from seglab.data.relabelling.candidates import FloatArray

Window = tuple[slice, slice]


@dataclass(frozen=True)
class Part:
    """A connected part of one class.

    Attributes:
        label: Its class.
        window: The rows and columns that it fills.
        inside: (h, w) bool, which pixels of the window are its own.
    """

    label: int
    window: Window
    inside: BoolArray

    @property
    def area(self) -> int:
        """In pixels."""
        return int(self.inside.sum())

    @property
    def box(self) -> Box:
        """x0, y0, x1, y1; x1 and y1 are exclusive."""
        rows, columns = self.window
        return float(columns.start), float(rows.start), float(columns.stop), float(rows.stop)

    def common(self, mask: BoolArray) -> int:
        """Pixels that it shares with a (H, W) mask."""
        return int((mask[self.window] & self.inside).sum())

    def share_in_box(self, box: Box) -> float:
        """The share of it that lies in a box, whose sides are rounded to pixels."""
        top, left = (side.start for side in self.window)
        x0, y0, x1, y1 = (max(0, round(value)) for value in box)
        inside = self.inside[max(0, y0 - top) : max(0, y1 - top), max(0, x0 - left) :]
        return float(inside[:, : max(0, x1 - max(x0, left))].sum() / self.area)

    def mean(self, values: FloatArray) -> float:
        """The mean of (H, W) values over its pixels."""
        return float(values[self.window][self.inside].mean())


def parts_of(mask: BoolArray, label: int) -> list[Part]:
    """The connected parts of a (H, W) mask (pixels touch at corners too), largest first."""
    numbered, _ = ndimage.label(mask, EIGHT_NEIGHBOURS)
    windows = ndimage.find_objects(numbered)
    parts = [
        Part(label, window, np.asarray(numbered[window] == number))
        for number, window in enumerate(windows, start=1)
    ]
    return sorted(parts, key=lambda part: -part.area)
