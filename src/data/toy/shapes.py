"""Smooth shapes and how they become shaded pixels.

A figure is a list of `Part`s painted back to front. Each part is inflated to a soft relief and
lit from one side, so that legs, ears and muzzles stand out from the body in the same colour.
Coordinates of a figure have y up and the ground at y = 0; a 2 x 3 matrix takes them to pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float32]
ByteArray = NDArray[np.uint8]

_SUBPIXEL_BITS = 4
_SAMPLES_PER_SEGMENT = 10


class Role(IntEnum):
    """What a painted pixel is made of; `NOTHING` is transparent."""

    NOTHING = 0
    FUR = 1
    ACCENT = 2  # the second colour of the coat: muzzle, paws
    DARK = 3  # nose, mouth
    PINK = 4  # inner ear, tongue
    IRIS = 5
    PUPIL = 6
    GLINT = 7


def f32(values: ArrayLike) -> FloatArray:
    """The values as a float32 array."""
    return np.asarray(values, np.float32)


@dataclass(frozen=True)
class Part:
    """One shape of a figure.

    Attributes:
        points: (N, 2) control points: the centre line of a stroke, or a closed outline.
        radii: (N,) half widths of a stroke; None for an outline.
        role: What it is made of.
        tone: Brightness factor; limbs on the far side are darker.
        smooth: Whether an outline is a curve through its points or a polygon.
    """

    points: FloatArray
    radii: FloatArray | None = None
    role: Role = Role.FUR
    tone: float = 1.0
    smooth: bool = True

    def moved(self, matrix: FloatArray) -> Part:
        """The part under a 2 x 3 affine map (a similarity: radii grow with its scale)."""
        scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
        radii = None if self.radii is None else self.radii * np.float32(scale)
        return replace(self, points=self.points @ matrix[:, :2].T + matrix[:, 2], radii=radii)

    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of a box that holds the part."""
        reach = self.radii[:, None] if self.radii is not None else np.float32(0)
        low, high = (self.points - reach).min(axis=0), (self.points + reach).max(axis=0)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def stroke(points: ArrayLike, radii: ArrayLike, role: Role = Role.FUR, tone: float = 1.0) -> Part:
    """A thick curve through `points` (N, 2) with half widths `radii` (N,)."""
    return Part(f32(points), f32(radii), role, tone)


def outline(
    points: ArrayLike, role: Role = Role.FUR, tone: float = 1.0, smooth: bool = True
) -> Part:
    """A filled closed curve (or polygon) through `points` (N, 2)."""
    return Part(f32(points), None, role, tone, smooth)


def ellipse(
    centre: tuple[float, float],
    radii: tuple[float, float],
    role: Role = Role.FUR,
    tone: float = 1.0,
) -> Part:
    """A filled axis-parallel ellipse."""
    angle = np.arange(8) * (np.pi / 4)
    return outline(np.c_[np.cos(angle), np.sin(angle)] * radii + centre, role, tone)


def mirrored(points: ArrayLike) -> FloatArray:
    """Close a right half outline, given from top to bottom, by its mirror image in x = 0."""
    right = f32(points)
    inner = right[(right[:, 0] > 0)][::-1] * f32([-1, 1])
    return np.concatenate([right, inner])


def similarity(scale: float, angle: float, shift: tuple[float, float]) -> FloatArray:
    """The 2 x 3 matrix that scales, turns by `angle` (radians) and shifts."""
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    return f32([[cos, -sin, shift[0]], [sin, cos, shift[1]]])


def _curve(values: FloatArray, closed: bool) -> FloatArray:
    """Uniform Catmull-Rom spline through the rows of `values` (N, D): (M, D) samples."""
    if closed:
        padded = np.concatenate([values[-1:], values, values[:2]])
    else:
        first, last = 2 * values[:1] - values[1:2], 2 * values[-1:] - values[-2:-1]
        padded = np.concatenate([first, values, last])
    u = np.linspace(0, 1, _SAMPLES_PER_SEGMENT, endpoint=False, dtype=np.float32)
    basis = 0.5 * np.stack(
        [-u + 2 * u**2 - u**3, 2 - 5 * u**2 + 3 * u**3, u + 4 * u**2 - 3 * u**3, u**3 - u**2]
    )
    count = len(padded) - 3
    windows = np.stack([padded[i : i + count] for i in range(4)])
    samples = np.einsum("ku,knd->nud", basis, windows).reshape(-1, values.shape[1])
    return samples if closed else np.concatenate([samples, values[-1:]])


def fill(part: Part, canvas: ByteArray, value: int = 1) -> None:
    """Draw `part` (pixel coordinates) into the (H, W) uint8 `canvas` without shading."""
    one = 1 << _SUBPIXEL_BITS
    if part.radii is None:
        points = _curve(part.points, closed=True) if part.smooth else part.points
        fixed = np.round(points * one).astype(np.int32)
        cv2.fillPoly(canvas, [fixed], value, cv2.LINE_8, _SUBPIXEL_BITS)
        return
    samples = _curve(np.c_[part.points, part.radii], closed=False)
    samples[:, 2] = np.maximum(samples[:, 2], 0.4)
    for x, y, r in np.round(samples * one).astype(np.int32).tolist():
        cv2.circle(canvas, (x, y), r, value, cv2.FILLED, cv2.LINE_8, _SUBPIXEL_BITS)


@dataclass(frozen=True)
class Relief:
    """A painted figure inside its box of the canvas.

    Attributes:
        rows: Rows of the canvas it covers.
        columns: Columns of the canvas it covers.
        role: (h, w) uint8 `Role` of each pixel.
        shade: (h, w) float32 brightness factor.
    """

    rows: slice
    columns: slice
    role: ByteArray
    shade: FloatArray


def _shading(mask: ByteArray, light: FloatArray) -> FloatArray:
    """Lambert shading of the relief that `mask` (h, w) makes when inflated like a balloon."""
    distance = cv2.distanceTransform(mask, cv2.DIST_L2, 3)
    thickest = float(distance.max())
    if thickest < 2.0:
        return np.ones_like(distance)
    ratio = distance / thickest
    height = np.sqrt(ratio * (2 - ratio)) * (0.9 * thickest)
    width = int(thickest * 0.35) * 2 + 1
    height = cv2.blur(cv2.blur(height, (width, width)), (width, width))
    slope_x = cv2.Sobel(height, cv2.CV_32F, 1, 0, scale=1 / 8)
    slope_y = cv2.Sobel(height, cv2.CV_32F, 0, 1, scale=1 / 8)
    facing = light[2] - slope_x * light[0] - slope_y * light[1]
    facing /= np.sqrt(1 + slope_x**2 + slope_y**2)
    return np.asarray(0.5 + 0.64 * np.clip(facing, 0, 1), np.float32)


def paint(parts: list[Part], size: int, light: FloatArray) -> Relief | None:
    """Paint parts (pixel coordinates, back to front) on a canvas of `size` x `size` pixels.

    Args:
        parts: What to paint.
        size: Side of the canvas in pixels.
        light: (3,) unit vector towards the light, z out of the picture.

    Returns:
        The painted figure, or None if all of it lies outside the canvas.
    """
    boxes = np.asarray([part.box() for part in parts])
    low = np.clip(np.floor(boxes[:, :2]) - 4, 0, size).astype(int)
    high = np.clip(np.ceil(boxes[:, 2:]) + 5, 0, size).astype(int)
    left, top = low.min(axis=0).tolist()
    right, bottom = high.max(axis=0).tolist()
    if right - left < 3 or bottom - top < 3:
        return None
    role = np.zeros((bottom - top, right - left), np.uint8)
    shade = np.ones(role.shape, np.float32)
    for part, (x0, y0), (x1, y1) in zip(parts, low.tolist(), high.tolist(), strict=True):
        if x1 - x0 < 3 or y1 - y0 < 3:
            continue
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        fill(part.moved(similarity(1, 0, (-x0, -y0))), mask)
        window = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
        inside = mask > 0
        np.copyto(role[window], np.uint8(part.role), where=inside)
        np.copyto(shade[window], _shading(mask, light) * np.float32(part.tone), where=inside)
    return Relief(slice(top, bottom), slice(left, right), role, shade)
