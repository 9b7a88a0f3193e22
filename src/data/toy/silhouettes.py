"""Bodies of cats and dogs in several poses, built from the parts of `shapes`.

Figures face +x, stand on y = 0 and are about one unit long. Both species have the same poses with
the same frequency, so that the pose does not tell the species either.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seglab.data.toy import heads
from seglab.data.toy.shapes import FloatArray, Part, Role, ellipse, f32, outline, similarity, stroke

POSES = ("stand", "walk", "sit", "sit_front", "lie", "portrait")
_FAR = 0.68  # tone of what is on the far side of the body
Point = tuple[float, float]


@dataclass(frozen=True)
class Figure:
    """An animal in figure coordinates.

    Attributes:
        parts: Its parts, back to front.
        head: Centre of its head.
        head_radius: Radius of its skull.
    """

    parts: list[Part]
    head: Point
    head_radius: float


@dataclass(frozen=True)
class _Build:
    """Proportions of one animal; lengths in units of the trunk."""

    dog: bool
    leg: float
    leg_radius: float
    chest: float
    waist: float
    rump: float
    neck: float
    neck_radius: float
    head: float
    tail: float
    tail_radius: float


def _sample_build(rng: np.random.Generator, dog: bool) -> _Build:
    """Proportions of a random individual."""
    usual = (
        (0.52, 0.074, 0.235, 0.165, 0.185, 0.24, 0.135, 0.190, 0.42, 0.058)
        if dog
        else (0.42, 0.052, 0.165, 0.150, 0.170, 0.13, 0.110, 0.215, 0.95, 0.045)
    )
    stout = rng.uniform(0.9, 1.12)
    values = [value * rng.uniform(0.93, 1.07) for value in usual]
    values[1:5] = [value * stout for value in values[1:5]]
    return _Build(dog, *values)


def _head(
    rng: np.random.Generator, build: _Build, at: Point, front: bool, tilt: float = 0.0
) -> list[Part]:
    """The head of the species, moved to `at`."""
    if build.dog:
        parts = heads.dog_front(rng) if front else heads.dog_profile(rng)
    else:
        parts = heads.cat_front(rng) if front else heads.cat_profile(rng)
    matrix = similarity(build.head, tilt + rng.uniform(-0.16, 0.16), at)
    return [part.moved(matrix) for part in parts]


def _tail(rng: np.random.Generator, build: _Build, root: Point, away: float = -1.0) -> Part:
    """A cat's long thin curve, or a dog's short thick one; `away` is -1 to the left."""
    length, radius = build.tail, build.tail_radius
    x, y = root
    if build.dog:
        lift = rng.uniform(0.2, 1.25)
        middle = (x + away * 0.5 * length * np.cos(lift), y + 0.5 * length * np.sin(lift))
        tip = (x + away * 0.72 * length * np.cos(lift), y + length * np.sin(lift) + 0.02)
        return stroke([root, middle, tip], [radius * 1.2, radius * 1.1, radius * 0.6])
    rise = rng.uniform(0.55, 1.0)
    hook = rng.uniform(-0.25, 0.25)
    curve = [
        root,
        (x + away * 0.26 * length, y + 0.05 * rise * length),
        (x + away * 0.36 * length, y + 0.38 * rise * length),
        (x + away * (0.3 + 0.4 * hook) * length, y + 0.68 * rise * length),
        (x + away * (0.3 + hook) * length, y + 0.9 * rise * length),
    ]
    return stroke(curve, np.asarray([1.3, 1.0, 0.95, 0.9, 0.75]) * radius)


def _tail_on_ground(rng: np.random.Generator, build: _Build, root: Point, away: float) -> Part:
    """A tail that lies beside a sitting or lying animal."""
    length, radius, x = build.tail, build.tail_radius, root[0]
    if build.dog or rng.random() < 0.35:
        return _tail(rng, build, root, away)
    curve = [
        root,
        (x + away * 0.25 * length, radius),
        (x + away * 0.5 * length, radius * 1.2),
        (x + away * 0.7 * length, radius + rng.uniform(0.02, 0.25)),
    ]
    return stroke(curve, np.asarray([1.2, 1.0, 1.0, 0.75]) * radius)


def _leg(top: Point, foot_x: float, bend: float, thigh: float, radius: float, tone: float) -> Part:
    """A leg from `top` to the ground with a paw; `bend` moves the joint in x."""
    x, y = top
    points = [
        top,
        ((x + foot_x) / 2 + bend, y * 0.5),
        (foot_x - bend * 0.35, y * 0.2),
        (foot_x, radius),
        (foot_x + radius * 1.3, radius * 0.85),
    ]
    return stroke(points, [thigh, radius * 1.25, radius, radius, radius * 0.85], Role.FUR, tone)


def _neck(build: _Build, shoulder: Point, head: Point) -> Part:
    return stroke(
        [shoulder, ((shoulder[0] + head[0]) / 2, (shoulder[1] + head[1]) / 2 - 0.02), head],
        [build.chest * 0.85, build.neck_radius * 1.1, build.neck_radius],
    )


def _stand(rng: np.random.Generator, build: _Build, stride: float, front: bool) -> Figure:
    b = build
    hip, shoulder = (-0.42, b.leg + b.rump * 0.75), (0.38, b.leg + b.chest * 0.7)
    back = max(hip[1], shoulder[1]) + 0.02
    lift = b.neck * rng.uniform(0.8, 1.3)
    head = (shoulder[0] + 0.16 + b.neck * 0.45, shoulder[1] + b.chest * 0.55 + lift)
    hind, fore, radius = b.rump * 0.72, b.chest * 0.45, b.leg_radius
    hind_top, fore_top = (hip[0] - 0.02, hip[1] - 0.05), (shoulder[0] - 0.02, shoulder[1] - 0.06)
    swing = stride * rng.uniform(0.6, 1.0)
    parts = [
        _leg(hind_top, hip[0] + 0.06 + swing, 0.07, hind * 0.9, radius, _FAR),
        _leg(fore_top, shoulder[0] + 0.06 - swing, -0.02, fore, radius, _FAR),
        _tail(rng, b, (hip[0] - b.rump * 0.75, hip[1] + b.rump * 0.4)),
        stroke([hip, (-0.03, back - 0.03), shoulder], [b.rump, b.waist, b.chest]),
        _leg(hind_top, hip[0] - 0.04 - swing, 0.07, hind, radius, 1.0),
        _leg(fore_top, shoulder[0] - 0.03 + swing, -0.02, fore, radius, 1.0),
        _neck(b, shoulder, head),
        *_head(rng, b, head, front),
    ]
    return Figure(parts, head, b.head)


def _sit(rng: np.random.Generator, build: _Build, front: bool) -> Figure:
    b = build
    height = b.leg + 0.22
    shoulder = (0.2, height)
    head = (0.3 + b.neck * 0.3, height + b.chest * 0.5 + b.neck * rng.uniform(0.9, 1.2))
    radius = b.leg_radius
    parts = [
        _tail_on_ground(rng, b, (-0.42, 0.1), -1.0),
        _leg((0.24, height - 0.05), 0.36, 0.0, b.chest * 0.5, radius, _FAR),
        stroke(
            [(-0.24, 0.22), (-0.06, height * 0.62), shoulder],
            [b.rump * 1.25, b.waist * 1.3, b.chest],
        ),
        ellipse((-0.17, 0.18), (b.rump * 1.15, 0.18)),
        stroke([(-0.1, radius), (0.1, radius)], [radius * 1.1, radius * 0.9]),
        _leg((0.2, height - 0.05), 0.25, 0.0, b.chest * 0.55, radius, 1.0),
        _neck(b, shoulder, head),
        *_head(rng, b, head, front),
    ]
    return Figure(parts, head, b.head)


def _sit_front(rng: np.random.Generator, build: _Build) -> Figure:
    b = build
    height = b.leg + 0.2
    head = (rng.uniform(-0.03, 0.03), height + b.chest * 0.35 + b.head * 0.85)
    radius = b.leg_radius
    side = -1.0 if rng.random() < 0.5 else 1.0
    parts = [
        _tail_on_ground(rng, b, (side * 0.2, 0.1), side),
        stroke([(0, 0.2), (0, height * 0.6), (0, height)], [0.24, b.chest * 1.1, b.chest * 0.9]),
    ]
    for x in (-1.0, 1.0):
        parts.append(ellipse((x * 0.22, 0.17), (b.rump * 0.8, 0.17)))
        parts.append(ellipse((x * 0.25, 0.045), (radius * 1.5, 0.05), Role.ACCENT))
    for x in (-1.0, 1.0):
        leg = [(x * 0.1, height * 0.75), (x * 0.09, height * 0.35), (x * 0.09, radius)]
        parts.append(stroke(leg, [radius * 1.3, radius, radius * 1.1]))
        parts.append(ellipse((x * 0.09, 0.05), (radius * 1.25, 0.055), Role.ACCENT))
    parts.append(stroke([(0, height), head], [b.chest * 0.7, b.neck_radius]))
    return Figure(parts + _head(rng, b, head, True), head, b.head)


def _lie(rng: np.random.Generator, build: _Build, front: bool) -> Figure:
    b = build
    radius = b.leg_radius
    lift = b.neck * rng.uniform(0.7, 1.1)
    head = (0.48 + b.neck * 0.3, b.chest * 1.35 + lift + b.head * 0.35)
    reach = 0.62 + 0.5 * b.leg * rng.uniform(0.6, 1.0)
    paws = f32([(0.3, b.chest * 0.6), (0.5, radius * 1.2), (reach, radius)])
    parts = [
        _tail_on_ground(rng, b, (-0.5, 0.12), -1.0),
        stroke(paws + f32((0.06, 0.03)), [radius * 1.3, radius, radius * 0.9], Role.FUR, _FAR),
        stroke(
            [(-0.4, b.rump * 1.1), (0, b.waist * 1.3), (0.34, b.chest * 1.15)],
            [b.rump * 1.1, b.waist * 1.25, b.chest * 1.1],
        ),
        ellipse((-0.34, b.rump), (b.rump * 1.15, b.rump)),
        stroke([(-0.34, radius), (-0.1, radius)], [radius * 1.1, radius * 0.9]),
        stroke(paws, [radius * 1.4, radius, radius * 0.95]),
        _neck(b, (0.36, b.chest * 1.15), head),
        *_head(rng, b, head, front),
    ]
    return Figure(parts, head, b.head)


def _portrait(rng: np.random.Generator, build: _Build) -> Figure:
    """Head and shoulders, to be cut by the lower edge of the picture."""
    b = build
    radius = 0.4
    wide = radius * max(b.chest / 0.2, 0.95)
    head = (rng.uniform(-0.05, 0.05), 0.62)
    shoulders = [(0, 0.5), (0.28, 0.36), (wide * 1.1, 0.05), (wide * 1.25, -0.5), (0, -0.6)]
    right = np.asarray(shoulders)
    left = right[1:-1][::-1] * (-1, 1)
    large = _Build(**{**b.__dict__, "head": radius})
    parts = [
        outline(np.concatenate([right, left])),
        stroke([(0, 0.2), head], [radius * 0.85, radius * 0.7]),
        *_head(rng, large, head, True),
    ]
    return Figure(parts, head, radius)


def draw_animal(rng: np.random.Generator, species: str, pose: str) -> Figure:
    """A random individual.

    Args:
        rng: Source of its proportions.
        species: cat or dog.
        pose: One of `POSES`.

    Returns:
        The figure, in figure coordinates.
    """
    build = _sample_build(rng, species == "dog")
    front = bool(rng.random() < 0.5)
    if pose == "sit":
        return _sit(rng, build, front)
    if pose == "sit_front":
        return _sit_front(rng, build)
    if pose == "lie":
        return _lie(rng, build, front)
    if pose == "portrait":
        return _portrait(rng, build)
    stride = float(rng.uniform(0.12, 0.24)) if pose == "walk" else 0.02
    return _stand(rng, build, stride, front)


def extent(parts: list[Part], matrix: FloatArray | None = None) -> FloatArray:
    """Left, bottom (or top), right, top (or bottom) of all parts, as (4,) float32."""
    moved = parts if matrix is None else [part.moved(matrix) for part in parts]
    boxes = np.asarray([part.box() for part in moved], np.float32)
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
