"""Things of no class: distractors in fur behind the animals, and what stands in front of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seglab.data.toy.shapes import Part, Role, ellipse, outline, stroke
from seglab.data.toy.textures import FUR_COLOURS, ROOM_COLOURS, Coat, jittered, sample_coat


@dataclass(frozen=True)
class Thing:
    """A thing in figure coordinates (about one unit large, standing on y = 0) and its coat."""

    parts: list[Part]
    coat: Coat


def _plain(rng: np.random.Generator, grain: float = 0.3) -> Coat:
    """A coat without pattern, in a colour of rooms or of fur."""
    pool = ROOM_COLOURS if rng.random() < 0.5 else FUR_COLOURS
    colour = jittered(rng, pool[rng.integers(len(pool))])
    return Coat(colour, colour, "solid", colour, grain)


def _cushion(rng: np.random.Generator) -> list[Part]:
    wide, tall = rng.uniform(0.35, 0.5), rng.uniform(0.28, 0.42)
    corners = [(-wide, 0.05), (-wide * 0.85, tall), (-wide, tall * 2), (0, tall * 1.8)]
    corners += [(wide, tall * 2), (wide * 0.85, tall), (wide, 0.05), (0, 0.1)]
    return [outline(corners)]


def _ball(rng: np.random.Generator) -> list[Part]:
    radius = rng.uniform(0.3, 0.5)
    return [ellipse((0, radius), (radius, radius * rng.uniform(0.85, 1)))]


def _heap(rng: np.random.Generator) -> list[Part]:
    """A rug or blanket thrown down: a lump of random outline."""
    angle = np.arange(9) * (2 * np.pi / 9)
    radius = rng.uniform(0.3, 0.5, 9)
    points = np.c_[np.cos(angle) * radius * 1.25, np.sin(angle) * radius * 0.75 + 0.32]
    return [outline(points)]


def _bolster(rng: np.random.Generator) -> list[Part]:
    """A furry roll on feet or a scarf: as long and thick as trunks, legs and tails are."""
    radius = rng.uniform(0.05, 0.2)
    bend = rng.uniform(-0.3, 0.3, 2)
    points = [(-0.5, radius), (-0.15, radius + abs(bend[0])), (0.2, radius + abs(bend[1]))]
    return [stroke([*points, (0.5, radius)], np.asarray([1, 1.1, 1.0, 0.9]) * radius)]


def _stool(rng: np.random.Generator) -> list[Part]:
    """A stool in fur: a trunk on legs without a head."""
    leg, top = rng.uniform(0.04, 0.07), rng.uniform(0.4, 0.65)
    legs = [stroke([(x, top), (x * 1.1, leg)], [leg, leg], tone=0.8) for x in (-0.3, 0.3, -0.2)]
    return [
        *legs,
        outline([(-0.42, top), (0, top - 0.08), (0.42, top), (0.4, top + 0.2), (-0.4, top + 0.2)]),
    ]


def _box(rng: np.random.Generator) -> list[Part]:
    wide, tall, lid = rng.uniform(0.3, 0.5), rng.uniform(0.4, 0.8), rng.uniform(0.06, 0.16)
    front = [(-wide, 0), (wide, 0), (wide, tall), (-wide, tall)]
    top = [(-wide, tall), (wide, tall), (wide * 0.8, tall + lid), (-wide * 0.8, tall + lid)]
    return [outline(front, smooth=False), outline(top, tone=1.2, smooth=False)]


def _plant(rng: np.random.Generator) -> list[Part]:
    parts = []
    for lean in np.linspace(-0.5, 0.5, 7) + rng.normal(0, 0.06, 7):
        height = rng.uniform(0.6, 1.0)
        leaf = [(0, 0.25), (lean * 0.5, height * 0.7), (lean, height)]
        parts.append(stroke(leaf, [0.02, 0.06, 0.015], Role.ACCENT, rng.uniform(0.7, 1.05)))
    pot = [(-0.15, 0), (0.15, 0), (0.2, 0.34), (-0.2, 0.34)]
    return [*parts, outline(pot, smooth=False)]


def sample_distractor(rng: np.random.Generator) -> Thing:
    """A cushion, ball, heap, roll or stool in fur (three in four), or a box or a plant."""
    if rng.random() < 0.75:
        makers = (_cushion, _cushion, _ball, _ball, _heap, _heap, _bolster, _bolster, _stool)
        return Thing(makers[rng.integers(len(makers))](rng), sample_coat(rng))
    if rng.random() < 0.5:
        return Thing(_box(rng), _plain(rng))
    leaf = jittered(rng, ((84, 120, 60), (110, 130, 70), (60, 100, 70))[rng.integers(3)])
    pot = _plain(rng)
    return Thing(_plant(rng), Coat(pot.base, leaf, "solid", pot.eye, 0.3))


def _grass(rng: np.random.Generator) -> list[Part]:
    parts = []
    for x in rng.uniform(-0.5, 0.5, 26):
        height, lean = rng.uniform(0.3, 1.0), rng.normal(0, 0.12)
        blade = [(x - 0.02, 0), (x + 0.02, 0), (x + lean, height)]
        parts.append(outline(blade, tone=rng.uniform(0.7, 1.2), smooth=False))
    return parts


def _fence(rng: np.random.Generator) -> list[Part]:
    half = rng.uniform(0.035, 0.06)
    parts = []
    for x in (-0.3, 0.3):
        left, right = x - half, x + half
        post = [(left, 0), (right, 0), (right, 0.94), (x, 1.0), (left, 0.94)]
        parts.append(outline(post, smooth=False, tone=rng.uniform(0.85, 1.1)))
    y = rng.uniform(0.25, 0.5)
    parts.insert(
        0,
        outline([(-0.6, y), (0.6, y), (0.6, y + half), (-0.6, y + half)], tone=0.85, smooth=False),
    )
    return parts


def sample_occluder(rng: np.random.Generator) -> Thing:
    """A tuft of grass, two posts of a fence, a box or a cushion."""
    kind = rng.integers(4)
    if kind == 0:
        green = jittered(rng, ((96, 130, 60), (140, 140, 70), (70, 110, 60))[rng.integers(3)])
        return Thing(_grass(rng), Coat(green, green, "solid", green, 0.2))
    if kind == 1:
        return Thing(_fence(rng), _plain(rng, 0.6))
    if kind == 2:
        return Thing(_box(rng), _plain(rng))
    return Thing(_cushion(rng), sample_coat(rng))
