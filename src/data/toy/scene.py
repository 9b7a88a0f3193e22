"""One picture: background, distractors, animals, occluders, light and camera."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import cv2
import numpy as np

from seglab.data.toy.clutter import Thing, sample_distractor, sample_occluder
from seglab.data.toy.options import CLASSES
from seglab.data.toy.shapes import ByteArray, FloatArray, Part, Relief, f32, paint, similarity
from seglab.data.toy.silhouettes import POSES, Figure, draw_animal, extent
from seglab.data.toy.textures import Coat, coat_colours, hair, noise, sample_coat, surface

# Chance of each of POSES; portraits fill the frame, so they are rarer.
_POSE_CHANCES = (0.2, 0.2, 0.2, 0.16, 0.14, 0.1)
_DISTRACTOR_ID = 10  # first value of the distractors in `Scene.things`


@dataclass(frozen=True)
class AnimalFacts:
    """What the data set's JSON says of one animal.

    Attributes:
        species: cat or dog.
        pose: One of `silhouettes.POSES`.
        scale: Longer side of its box over the side of the picture (before any cut).
        rotation: Degrees, positive anticlockwise.
        facing: left or right.
        visible: Visible share of its pixels inside and outside the frame, 0 to 1.
        cut: Whether the frame cuts it.
        occluded: Whether something stands before it.
        pixels: Visible pixels in the mask.
    """

    species: str
    pose: str
    scale: float
    rotation: float
    facing: str
    visible: float
    cut: bool
    occluded: bool
    pixels: int


@dataclass(frozen=True)
class Scene:
    """A drawn picture and its truth.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        mask: (H, W) uint8, 0 background, 1 cat, 2 dog.
        instances: (H, W) uint8, 0 background, i for the i-th animal (from 1).
        things: (H, W) uint8, 0 or the number of the distractor seen there.
        animals: Facts of each animal; `instances` value i is `animals[i - 1]`.
    """

    image: ByteArray
    mask: ByteArray
    instances: ByteArray
    things: ByteArray
    animals: list[dict[str, Any]]


@dataclass
class _Canvas:
    """The picture while it is painted, several times as large as the result."""

    size: int
    light: FloatArray
    rgb: FloatArray
    owner: ByteArray = field(init=False)

    def __post_init__(self) -> None:
        self.owner = np.zeros((self.size, self.size), np.uint8)

    def put(
        self,
        rng: np.random.Generator,
        parts: list[Part],
        coat: Coat,
        matrix: FloatArray,
        owner: int,
    ) -> ByteArray:
        """Paint a figure and its shadow; returns its (h, w) uint8 silhouette on the canvas."""
        silhouette = np.zeros((self.size, self.size), np.uint8)
        relief = paint([part.moved(matrix) for part in parts], self.size, self.light)
        if relief is None:
            return silhouette
        colours = coat_colours(rng, coat, relief, matrix)
        role, colours = self._ruffled(rng, relief, colours, coat.grain)
        inside = role > 0
        silhouette[relief.rows, relief.columns] = inside
        self._cast_shadow(silhouette)
        np.copyto(self.rgb[relief.rows, relief.columns], colours, where=inside[..., None])
        np.copyto(self.owner[relief.rows, relief.columns], np.uint8(owner), where=inside)
        return silhouette

    def _ruffled(
        self, rng: np.random.Generator, relief: Relief, colours: FloatArray, grain: float
    ) -> tuple[ByteArray, FloatArray]:
        """Push pixels about by a hair's width, so that edges are furry."""
        shape = (relief.role.shape[0], relief.role.shape[1])
        push = hair(rng, shape, 0.03 * self.size, 1.1) * np.float32(0.0035 * self.size * grain)
        x = np.arange(shape[1], dtype=np.float32)[None, :] + push
        y = np.arange(shape[0], dtype=np.float32)[:, None] - push
        role = cv2.remap(relief.role, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        moved = cv2.remap(colours, x, y, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(role, np.uint8), np.asarray(moved, np.float32)

    def _cast_shadow(self, silhouette: ByteArray) -> None:
        """Darken what lies behind a figure, on the side away from the light."""
        quarter = max(self.size // 4, 1)
        small = cv2.resize(silhouette, (quarter, quarter), interpolation=cv2.INTER_AREA)
        shift = f32(
            [[1, 0, -self.light[0] * 0.05 * quarter], [0, 1, -self.light[1] * 0.035 * quarter]]
        )
        moved = cv2.warpAffine(small.astype(np.float32), shift, (quarter, quarter))
        soft = cv2.GaussianBlur(moved, (0, 0), 0.016 * quarter)
        full = cv2.resize(soft, (self.size, self.size), interpolation=cv2.INTER_LINEAR)
        self.rgb *= (1 - 0.42 * full)[..., None]


def _placement(
    parts: list[Part], scale: float, angle: float, left: bool, foot: tuple[float, float]
) -> FloatArray:
    """Matrix that makes the longer side of the box `scale` pixels and stands it on `foot`."""
    upright = np.diag(f32([-1 if left else 1, -1, 1]))
    turned = similarity(1.0, angle, (0, 0)) @ upright
    box = extent(parts, turned)
    factor = scale / float(max(box[2] - box[0], box[3] - box[1]))
    matrix = np.asarray(turned * np.float32(factor), np.float32)
    matrix[:, 2] = (
        foot[0] - factor * float(box[0] + box[2]) / 2,
        foot[1] - factor * float(box[3]),
    )
    return matrix


def _background(rng: np.random.Generator, size: int) -> tuple[FloatArray, float]:
    """Wall and floor, land and sky, or a fabric seen from above; and the horizon in pixels."""
    kind = rng.random()
    if kind < 0.2:
        fabric = surface(rng, (size, size), size, ("stripes", "checks", "rug", "plain"))
        return fabric, 0.25 * size
    line = int(size * rng.uniform(0.3, 0.62))
    if kind < 0.65:
        wall = surface(rng, (line, size), size, ("plain", "stripes", "checks", "plain"))
        floor = surface(rng, (size - line, size), size, ("planks", "checks", "rug", "plain"))
        board = max(int(0.02 * size), 1)
        wall[-board:] *= rng.uniform(0.6, 1.3)
    else:
        wall = surface(rng, (line, size), size, ("plain", "grass", "rug"))
        floor = surface(rng, (size - line, size), size, ("grass", "plain", "rug"))
    rgb = np.concatenate([wall, floor])
    far = np.linspace(0.78, 1.05, size - line, dtype=np.float32)[:, None, None]
    rgb[line:] *= far
    return rgb, float(line)


def _put_distractors(rng: np.random.Generator, canvas: _Canvas, horizon: float) -> None:
    count = int(rng.integers(2, 6))
    feet = np.sort(rng.uniform(horizon + 0.04 * canvas.size, canvas.size * 1.02, count))
    for number, foot in enumerate(feet.tolist()):
        thing = sample_distractor(rng)
        scale = canvas.size * rng.uniform(0.14, 0.4)
        at = (rng.uniform(0, canvas.size), foot)
        matrix = _placement(thing.parts, scale, rng.normal(0, 0.12), rng.random() < 0.5, at)
        canvas.put(rng, thing.parts, thing.coat, matrix, _DISTRACTOR_ID + number)


@dataclass(frozen=True)
class _Placed:
    """An animal with its place in the picture."""

    figure: Figure
    coat: Coat
    matrix: FloatArray
    species: str
    pose: str
    scale: float
    rotation: float
    left: bool


def _head_box(figure: Figure, matrix: FloatArray) -> FloatArray:
    """Left, top, right, bottom of the skull, in pixels."""
    centre = matrix[:, :2] @ f32(figure.head) + matrix[:, 2]
    radius = figure.head_radius * float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    return np.concatenate([centre - radius, centre + radius]).astype(np.float32)


def _into_frame(box: FloatArray, size: int) -> FloatArray:
    """The smallest shift (2,) that brings a box into the frame: a head tells the species."""
    return np.asarray(np.maximum(-box[:2], 0) - np.maximum(box[2:] - size, 0), np.float32)


def _place_animal(rng: np.random.Generator, size: int, species: str, slot: int, of: int) -> _Placed:
    """Draw an individual and a place where its head is in the picture."""
    pose = POSES[rng.choice(len(POSES), p=_POSE_CHANCES)]
    if of > 1 and pose == "portrait":
        pose = "sit_front"
    figure = draw_animal(rng, species, pose)
    portrait = pose == "portrait"
    low, high = (0.65, 0.95) if portrait else (0.3, 0.6) if of > 1 else (0.22, 0.85)
    scale = float(low + (high - low) * rng.beta(2.6, 1.5))
    angle = float(np.clip(rng.normal(0, 0.13), -0.34, 0.34)) * (0.4 if portrait else 1.0)
    left = bool(rng.random() < 0.5)
    x = rng.uniform(0.05, 0.95) if of == 1 else rng.uniform(0.05, 0.5) + 0.45 * slot
    lowest = 1.0 + 0.2 * scale
    y = lowest if portrait else rng.uniform(min(0.35 + 0.55 * scale, 0.9), lowest)
    matrix = _placement(figure.parts, scale * size, angle, left, (x * size, y * size))
    matrix[:, 2] += _into_frame(_head_box(figure, matrix), size)
    degrees = -float(np.degrees(angle))
    return _Placed(figure, sample_coat(rng), matrix, species, pose, scale, degrees, left)


def _seen_coat(rng: np.random.Generator, canvas: _Canvas, animal: _Placed) -> Coat:
    """The animal's coat, or another one if it would vanish in what lies behind it."""
    box = np.clip(extent(animal.figure.parts, animal.matrix), 0, canvas.size - 1).astype(int)
    behind = canvas.rgb[box[1] : box[3] + 1 : 4, box[0] : box[2] + 1 : 4].mean(axis=(0, 1))
    coat = animal.coat
    for _ in range(6):
        if float(np.linalg.norm(behind - f32(coat.base))) > 75:
            break
        coat = sample_coat(rng)
    return coat


def _put_occluder(rng: np.random.Generator, canvas: _Canvas, animals: list[_Placed]) -> None:
    """Stand something before an animal, where it leaves all heads free."""
    target = animals[rng.integers(len(animals))]
    box = extent(target.figure.parts, target.matrix)
    heads = [_head_box(animal.figure, animal.matrix) for animal in animals]
    for _ in range(8):
        thing: Thing = sample_occluder(rng)
        scale = target.scale * canvas.size * rng.uniform(0.35, 0.7)
        at = (rng.uniform(box[0], box[2]), box[3] + rng.uniform(0.0, 0.06) * canvas.size)
        matrix = _placement(thing.parts, scale, rng.normal(0, 0.06), rng.random() < 0.5, at)
        over = extent(thing.parts, matrix)
        clear = all(
            over[0] > head[2] or over[2] < head[0] or over[1] > head[3] or over[3] < head[1]
            for head in heads
        )
        if clear:
            canvas.put(rng, thing.parts, thing.coat, matrix, 0)
            return


def _camera(rng: np.random.Generator, rgb: FloatArray) -> ByteArray:
    """Light gradient, tint, exposure, blur and sensor noise on the picture in its final size."""
    size = rgb.shape[0]
    turn = rng.uniform(0, 2 * np.pi)
    ramp = np.linspace(-0.5, 0.5, size, dtype=np.float32)
    gradient = ramp[None, :] * np.cos(turn) + ramp[:, None] * np.sin(turn)
    light = 1 + rng.uniform(0.1, 0.6) * gradient + 0.08 * noise(rng, (size, size), 0.4 * size)
    tint = f32([1, 1, 1]) + f32([1, 0, -1]) * np.float32(rng.normal(0, 0.05))
    lit = rgb * np.float32(rng.uniform(0.85, 1.15)) * light[..., None].astype(np.float32) * tint
    if rng.random() < 0.35:
        lit = cv2.GaussianBlur(lit, (0, 0), float(rng.uniform(0.3, 0.7)) * size / 128)
    lit = lit + rng.standard_normal(rgb.shape, np.float32) * np.float32(rng.uniform(1, 6))
    return np.asarray(np.clip(lit, 0, 255) + 0.5, np.float32).clip(0, 255).astype(np.uint8)


def _coverage(silhouette: ByteArray, size: int) -> FloatArray:
    """Share of each of the size x size pixels that a canvas silhouette covers."""
    area = cv2.resize(silhouette.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    return np.asarray(area, np.float32)


def _facts(
    animal: _Placed, canvas: _Canvas, silhouette: ByteArray, number: int, pixels: int
) -> AnimalFacts:
    """What is left of an animal after frame, neighbours and occluders."""
    box = extent(animal.figure.parts, animal.matrix)
    in_frame, seen = int(silhouette.sum()), int((canvas.owner == number).sum())
    return AnimalFacts(
        species=animal.species,
        pose=animal.pose,
        scale=round(animal.scale, 3),
        rotation=round(animal.rotation, 1),
        facing="left" if animal.left else "right",
        visible=round(seen / max(in_frame, 1), 3),
        cut=bool(box.min() < 0 or box.max() > canvas.size),
        occluded=seen < 0.98 * in_frame,
        pixels=pixels,
    )


def draw_scene(rng: np.random.Generator, size: int, species: tuple[str, ...]) -> Scene:
    """Draw one picture.

    Args:
        rng: Source of everything.
        size: Side of the picture in pixels.
        species: cat or dog for each animal; empty for a picture without one.

    Returns:
        The picture, its mask, its instances and its facts.
    """
    large = size * (4 if size <= 64 else 3 if size <= 160 else 2)
    rgb, horizon = _background(rng, large)
    direction = f32([rng.choice([-1, 1]) * rng.uniform(0.3, 0.6), -0.55, 0.75])
    canvas = _Canvas(large, f32(direction / np.linalg.norm(direction)), rgb)
    _put_distractors(rng, canvas, horizon)
    animals = [
        _place_animal(rng, large, name, slot, len(species)) for slot, name in enumerate(species)
    ]
    silhouettes = [
        canvas.put(rng, animal.figure.parts, _seen_coat(rng, canvas, animal), animal.matrix, number)
        for number, animal in enumerate(animals, start=1)
    ]
    if animals and rng.random() < 0.35:
        _put_occluder(rng, canvas, animals)

    instances = np.zeros((size, size), np.uint8)
    for number in range(1, len(animals) + 1):
        instances[_coverage((canvas.owner == number).astype(np.uint8), size) >= 0.5] = number
    nearest = cv2.resize(canvas.owner, (size, size), interpolation=cv2.INTER_NEAREST)
    things = np.where((nearest >= _DISTRACTOR_ID) & (instances == 0), nearest, 0).astype(np.uint8)
    labels = np.asarray([0, *(CLASSES.index(animal.species) for animal in animals)], np.uint8)
    image = _camera(rng, cv2.resize(canvas.rgb, (size, size), interpolation=cv2.INTER_AREA))
    facts = [
        asdict(_facts(animal, canvas, shape, number, int((instances == number).sum())))
        for number, (animal, shape) in enumerate(zip(animals, silhouettes, strict=True), start=1)
    ]
    return Scene(image, labels[instances], instances, things, facts)
