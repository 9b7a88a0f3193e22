"""Noise, fur and the surfaces behind the animals.

Both species and the distractors of no class draw their coats from the same palette and patterns
here: colour and texture must not tell what is a cat, what is a dog and what is a cushion.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from seglab.data.toy.shapes import FloatArray, Relief, Role, f32

# RGB. One list for cats, dogs, cushions, rugs and part of the walls and floors.
FUR_COLOURS = (
    (44, 40, 42),
    (92, 88, 92),
    (146, 142, 140),
    (190, 184, 176),
    (236, 230, 220),
    (228, 204, 162),
    (212, 132, 62),
    (182, 140, 94),
    (128, 82, 50),
    (84, 56, 42),
)
ROOM_COLOURS = (
    (120, 148, 120),
    (96, 128, 160),
    (172, 196, 204),
    (150, 80, 72),
    (200, 170, 80),
    (96, 84, 120),
    (84, 120, 68),
    (206, 192, 200),
)
_EYE_COLOURS = ((206, 160, 50), (120, 76, 36), (120, 160, 80), (90, 140, 170))
_PATTERNS = ("solid", "patches", "stripes", "bib", "spots")


@dataclass(frozen=True)
class Coat:
    """Colours and pattern of a furry thing.

    Attributes:
        base: RGB of the coat.
        second: RGB of the pattern, muzzle and paws.
        pattern: One of solid, patches, stripes, bib, spots.
        eye: RGB of the iris.
        grain: Strength of the hair texture, 0 for a smooth thing.
    """

    base: tuple[int, int, int]
    second: tuple[int, int, int]
    pattern: str
    eye: tuple[int, int, int]
    grain: float


def jittered(rng: np.random.Generator, colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """The colour, a little lighter or darker and a little off in hue."""
    values = np.asarray(colour) * rng.uniform(0.88, 1.12) + rng.normal(0, 5, 3)
    red, green, blue = np.clip(values, 12, 248).astype(int).tolist()
    return red, green, blue


def sample_coat(rng: np.random.Generator, grain: float = 1.0) -> Coat:
    """Draw a coat; the species has no say in it."""
    first, second = rng.choice(len(FUR_COLOURS), 2, replace=False)
    pattern = _PATTERNS[rng.integers(len(_PATTERNS))]
    return Coat(
        base=jittered(rng, FUR_COLOURS[first]),
        second=jittered(rng, FUR_COLOURS[second]),
        pattern=pattern,
        eye=_EYE_COLOURS[rng.integers(len(_EYE_COLOURS))],
        grain=grain,
    )


def noise(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> FloatArray:
    """Smooth noise (h, w) of unit variance or so, with features of about `cell` pixels."""
    cell = max(cell, 1.0)
    grid = (int(shape[0] / cell) + 3, int(shape[1] / cell) + 3)
    coarse = rng.standard_normal(grid, np.float32)
    height, width = int(grid[0] * cell) + 1, int(grid[1] * cell) + 1
    fine = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray(fine[: shape[0], : shape[1]], np.float32)


def hair(
    rng: np.random.Generator, shape: tuple[int, int], length: float, angle: float
) -> FloatArray:
    """Noise (h, w) drawn out to hairs of `length` pixels lying at `angle` radians."""
    side = int(np.hypot(*shape)) + 4
    coarse = rng.standard_normal((int(side / 1.6) + 2, int(side / length) + 3), np.float32)
    lying = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR)
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), -np.degrees(angle), 1.0)
    turn[:, 2] += (shape[1] / 2 - side / 2, shape[0] / 2 - side / 2)
    return np.asarray(cv2.warpAffine(lying, turn, (shape[1], shape[0])), np.float32)


def _pattern_mask(
    rng: np.random.Generator, coat: Coat, along: FloatArray, up: FloatArray, unit: float
) -> FloatArray:
    """Weight (h, w) in [0, 1] of the second colour; `along` and `up` are figure coordinates."""
    shape = (along.shape[0], along.shape[1])
    if coat.pattern == "solid":
        field = np.full(shape, -1.0, np.float32)
    elif coat.pattern == "patches":
        field = noise(rng, shape, 0.28 * unit) - 0.35
    elif coat.pattern == "spots":
        field = 1.6 * noise(rng, shape, 0.08 * unit) - 1.5
    elif coat.pattern == "stripes":
        wave = along * 36 + up * rng.uniform(-8, 8) + noise(rng, shape, 0.18 * unit) * 1.3
        field = np.sin(wave) * 1.4 - 0.5
    else:
        field = (0.33 - up) * 6 + noise(rng, shape, 0.15 * unit) * 0.8
    return np.asarray(np.clip(field * 3 + 0.5, 0, 1), np.float32)


def coat_colours(
    rng: np.random.Generator, coat: Coat, relief: Relief, matrix: FloatArray
) -> FloatArray:
    """Colour a painted figure.

    Args:
        rng: Source of the pattern.
        coat: Its colours.
        relief: The painted figure, h x w pixels.
        matrix: The 2 x 3 map from figure coordinates to pixels, for patterns that follow the body.

    Returns:
        (h, w, 3) float32 RGB; meaningless where the role is NOTHING.
    """
    shape = (relief.role.shape[0], relief.role.shape[1])
    inverse = np.asarray(cv2.invertAffineTransform(matrix), np.float32)
    x = np.arange(relief.columns.start, relief.columns.stop, dtype=np.float32)[None, :]
    y = np.arange(relief.rows.start, relief.rows.stop, dtype=np.float32)[:, None]
    along, up = (row[0] * x + row[1] * y + row[2] for row in inverse)
    unit = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))

    weight = _pattern_mask(rng, coat, along, up, unit)
    weight = np.where(relief.role == Role.ACCENT, np.maximum(weight, 0.75), weight)[..., None]
    colours = f32(coat.base) * (1 - weight) + f32(coat.second) * weight
    angle = float(np.arctan2(matrix[1, 0], matrix[0, 0])) + rng.uniform(0.2, 0.7)
    strands = hair(rng, shape, max(0.07 * unit, 3.0), angle) * 0.085
    strands += noise(rng, shape, 0.12 * unit) * 0.05
    shade = relief.shade * (1 + coat.grain * strands)
    fixed = {
        Role.DARK: (34, 26, 28),
        Role.PINK: (214, 140, 136),
        Role.IRIS: coat.eye,
        Role.PUPIL: (14, 12, 14),
        Role.GLINT: (250, 250, 250),
    }
    for role, colour in fixed.items():
        colours[relief.role == role] = colour
    # Even black fur reflects: without an additive term its parts would not be told apart.
    return np.asarray(colours * shade[..., None] + (shade[..., None] - 0.6) * 24, np.float32)


def surface(
    rng: np.random.Generator, shape: tuple[int, int], unit: float, kinds: tuple[str, ...]
) -> FloatArray:
    """A textured plane (h, w, 3) in float32 RGB: wall, floor, lawn or fabric.

    Args:
        rng: Source of everything.
        shape: Height and width in pixels.
        unit: Side of the whole picture in pixels.
        kinds: Kinds to choose from: plain, stripes, checks, planks, rug, grass.
    """
    kind = kinds[rng.integers(len(kinds))]
    pool = FUR_COLOURS if rng.random() < 0.6 else ROOM_COLOURS
    first = f32(jittered(rng, pool[rng.integers(len(pool))]))
    second = first * np.float32(rng.uniform(0.72, 0.9) if rng.random() < 0.5 else 1.15)
    y = np.arange(shape[0], dtype=np.float32)[:, None] / unit
    x = np.arange(shape[1], dtype=np.float32)[None, :] / unit
    period = rng.uniform(0.05, 0.16)
    if kind == "stripes":
        turn = rng.uniform(0, np.pi)
        weight = np.sin((x * np.cos(turn) + y * np.sin(turn)) * 2 * np.pi / period) > 0.2
    elif kind == "checks":
        weight = (np.floor(x / period) + np.floor(y / period)) % 2 > 0
    elif kind == "planks":
        seam = (y / period) % 1 < 0.07
        offset = np.floor(y / period) * 0.37
        weight = seam | ((x / (period * 4) + offset) % 1 < 0.02)
    else:
        weight = np.zeros(shape, bool)
    blend = np.broadcast_to(weight, shape).astype(np.float32)[..., None]
    colours = first * (1 - blend) + second * blend
    grain = 0.06 * noise(rng, shape, 0.12 * unit) + 0.03 * noise(rng, shape, 0.01 * unit)
    if kind in ("rug", "grass"):
        angle = np.pi / 2 if kind == "grass" else rng.uniform(0, np.pi)
        grain += 0.13 * hair(rng, shape, 0.045 * unit, angle)
    if kind == "planks":
        grain += 0.05 * hair(rng, shape, 0.2 * unit, 0.0)
    if kind == "grass":
        colours = colours * f32([0.75, 0.95, 0.6])
    return np.asarray(colours * (1 + grain[..., None]), np.float32)
