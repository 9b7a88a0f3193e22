"""A second look: part of an image, enlarged, and perhaps mirrored."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from seglab.data.detection.geometry import Box
from seglab.data.detection.interface import Detection
from seglab.utils.masks import ImageArray

_LOOK_SIZE = 640  # pixels of the longer side; the network scales to its own input from there


class Look(NamedTuple):
    """A part of an image, enlarged.

    Attributes:
        picture: (h, w, 3) uint8 RGB, perhaps mirrored.
        window: x0, y0, x1, y1 of the part in the image.
        mirrored: Whether left and right are exchanged.
    """

    picture: ImageArray
    window: tuple[int, int, int, int]
    mirrored: bool

    @classmethod
    def at(cls, image: ImageArray, box: Box, margin: float, mirrored: bool) -> Look:
        """A square around a box, as far as the image goes.

        Args:
            image: (H, W, 3) uint8 RGB.
            box: x0, y0, x1, y1 in pixels.
            margin: How far the square reaches beyond the box, as a share of its longer side.
            mirrored: Whether to exchange left and right.
        """
        height, width = image.shape[:2]
        x0, y0, x1, y1 = box
        half = max(x1 - x0, y1 - y0) * (0.5 + margin)
        cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
        left, top = max(0, round(cx - half)), max(0, round(cy - half))
        right, bottom = min(width, round(cx + half)), min(height, round(cy + half))
        part = image[top:bottom, left:right]
        scale = _LOOK_SIZE / max(part.shape[:2])
        size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
        picture = cv2.resize(part, size, interpolation=cv2.INTER_CUBIC)
        if mirrored:
            picture = picture[:, ::-1]
        picture = np.ascontiguousarray(picture).astype(np.uint8)
        return cls(picture, (left, top, right, bottom), mirrored)

    def place(self, seen: Detection) -> Box:
        """A detection's box in pixels of the image."""
        left, top, right, bottom = self.window
        height, width = self.picture.shape[:2]
        x0, y0, x1, y1 = seen.box
        if self.mirrored:
            x0, x1 = width - x1, width - x0
        across, down = (right - left) / width, (bottom - top) / height
        return left + x0 * across, top + y0 * down, left + x1 * across, top + y1 * down

    def place_mask(self, seen: Detection, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        """A detection's mask, 0 to 1, in an array of the image's (H, W); zeros without a mask."""
        whole = np.zeros(shape[:2], np.float32)
        if seen.mask is None:
            return whole
        left, top, right, bottom = self.window
        mask = seen.mask[:, ::-1] if self.mirrored else seen.mask
        small = np.ascontiguousarray(mask, dtype=np.float32)
        whole[top:bottom, left:right] = cv2.resize(
            small, (right - left, bottom - top), interpolation=cv2.INTER_AREA
        )
        return whole
