"""Heads of cats and dogs, from the front and in profile.

A head is drawn around (0, 0) with a skull radius of 1, y up, a profile looking to +x. What tells
the species is drawn here: pointed ears on a wide face with a short muzzle, or hanging ears on a
long face with a muzzle that stands out.
"""

from __future__ import annotations

import numpy as np

from seglab.data.toy.shapes import Part, Role, ellipse, mirrored, outline, stroke


def _eye(x: float, y: float, size: float, slit: bool) -> list[Part]:
    """Iris, pupil and glint."""
    pupil = (size * 0.34, size * 0.92) if slit else (size * 0.62, size * 0.62)
    return [
        ellipse((x, y), (size * 1.2, size * 1.2), Role.DARK),
        ellipse((x, y), (size, size), Role.IRIS),
        ellipse((x, y), pupil, Role.PUPIL),
        ellipse((x + size * 0.3, y + size * 0.35), (size * 0.26, size * 0.26), Role.GLINT),
    ]


def _pointed_ear(side: float, height: float) -> list[Part]:
    """A cat's ear seen from the front, on the right (`side` 1) or on the left (-1)."""
    outer = np.asarray([(0.98, 0.15), (0.9, height), (0.12, 0.82)])
    inner = outer.mean(axis=0) + (outer - outer.mean(axis=0)) * 0.55
    return [
        outline(outer * (side, 1), smooth=False),
        outline(inner * (side, 1), Role.PINK, 0.85, smooth=False),
    ]


def cat_front(rng: np.random.Generator) -> list[Part]:
    """A cat's face: wide, with two triangles on top."""
    height = rng.uniform(1.38, 1.6)
    cheeks = [(0, 0.88), (0.6, 0.76), (1.0, 0.25), (1.1, -0.2), (0.72, -0.62), (0, -0.82)]
    parts = [*_pointed_ear(1, height), *_pointed_ear(-1, height), outline(mirrored(cheeks))]
    parts.append(ellipse((0, -0.62), (0.24, 0.18), Role.ACCENT))
    parts += [ellipse((x, -0.42), (0.29, 0.22), Role.ACCENT) for x in (-0.22, 0.22)]
    nose = Role.PINK if rng.random() < 0.5 else Role.DARK
    parts.append(outline([(-0.14, -0.16), (0.14, -0.16), (0, -0.32)], nose, smooth=False))
    parts.append(stroke([(0, -0.3), (0, -0.46)], [0.03, 0.03], Role.DARK))
    for x in (-0.44, 0.44):
        parts += _eye(x, 0.1, rng.uniform(0.2, 0.23), slit=True)
    return parts


def dog_front(rng: np.random.Generator) -> list[Part]:
    """A dog's face: long, with a big muzzle and ears that hang at its sides."""
    drop = rng.uniform(0.35, 1.0)
    skull = [(0, 0.92), (0.55, 0.8), (0.84, 0.35), (0.78, -0.2), (0.56, -0.75), (0, -1.0)]
    parts = [outline(mirrored(skull))]
    if rng.random() < 0.5:
        parts.append(stroke([(0, -1.0), (0.03, -1.35), (0.05, -1.5)], [0.2, 0.2, 0.16], Role.PINK))
    parts.append(ellipse((0, -1.02), (0.36, 0.26), Role.ACCENT, 0.85))
    parts.append(ellipse((0, -0.62), (0.5, 0.5), Role.ACCENT))
    parts.append(stroke([(0, -0.6), (0, -0.98)], [0.035, 0.035], Role.DARK))
    parts.append(ellipse((0, -0.42), (0.25, 0.18), Role.DARK))
    for side in (-1.0, 1.0):
        ear = np.asarray([(0.6, 0.72), (1.02, 0.4), (1.14, -drop * 0.4), (1.06, -drop)])
        parts.append(stroke(ear * (side, 1), [0.16, 0.27, 0.31, 0.24], Role.FUR, 0.78))
    for x in (-0.36, 0.36):
        parts += _eye(x, 0.18, 0.15, slit=False)
    return parts


def cat_profile(rng: np.random.Generator) -> list[Part]:
    """A cat's head from the side: round, with a short muzzle and two pointed ears."""
    height = rng.uniform(1.4, 1.6)
    muzzle = rng.uniform(0.72, 0.86)
    near = [(-0.72, 0.5), (-0.42, height), (0.22, 0.82)]
    return [
        outline([(-0.05, 0.8), (0.42, height - 0.1), (0.72, 0.55)], tone=0.75, smooth=False),
        ellipse((0, 0), (1.0, 0.9)),
        ellipse((muzzle, -0.32), (0.36, 0.32), Role.ACCENT),
        outline(near, smooth=False),
        outline([(-0.5, 0.66), (-0.36, height - 0.3), (0.04, 0.84)], Role.PINK, 0.85, False),
        ellipse((muzzle + 0.3, -0.18), (0.1, 0.09), Role.DARK),
        stroke([(muzzle + 0.26, -0.42), (muzzle - 0.1, -0.46)], [0.03, 0.03], Role.DARK),
        *_eye(0.5, 0.12, 0.19, slit=True),
    ]


def dog_profile(rng: np.random.Generator) -> list[Part]:
    """A dog's head from the side: a long snout and an ear that hangs."""
    tip = rng.uniform(1.6, 2.05)
    drop = rng.uniform(0.45, 1.05)
    gape = rng.uniform(0, 0.3) if rng.random() < 0.5 else 0.0
    parts = []
    if gape > 0.1:
        tongue = [(0.9, -0.7), (tip - 0.45, -0.85), (tip - 0.3, -1.2 - gape)]
        parts.append(stroke(tongue, [0.15, 0.17, 0.13], Role.PINK))
    jaw = [(0.2, -0.5), (0.9, -0.66 - gape * 0.5), (tip - 0.32, -0.68 - gape)]
    return [
        *parts,
        stroke(jaw, [0.4, 0.22, 0.15], Role.ACCENT, 0.8),
        stroke(
            [(0.2, -0.08), (0.85, -0.24), (tip - 0.25, -0.36)], [0.6, 0.4, 0.29], Role.ACCENT, 1.0
        ),
        ellipse((0, 0), (0.98, 0.84)),
        ellipse((tip - 0.02, -0.2), (0.17, 0.15), Role.DARK),
        stroke([(tip - 0.12, -0.6), (0.8, -0.6)], [0.035, 0.035], Role.DARK),
        stroke(
            [(-0.3, 0.55), (-0.58, 0.2), (-0.62, -drop * 0.5), (-0.5, -drop)],
            [0.2, 0.32, 0.38, 0.26],
            tone=0.74,
        ),
        *_eye(0.5, 0.24, 0.14, slit=False),
    ]
