"""The outlines of the classes and of the distractors, as polygons about the origin.

An outline is one polygon, or two where the second one is a hole in the first. Only proportions
matter here: the image scales, squeezes and turns what comes back.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from keras_retinanet.datasets.shapes import settings

Point = tuple[float, float]
Polygon = list[Point]
Outline = list[Polygon]


def _on_circle(radius: float, degrees: float) -> Point:
    angle = math.radians(degrees)
    return radius * math.cos(angle), radius * math.sin(angle)


def _arc(radius: float, start: float, stop: float, steps: int) -> Polygon:
    """Points on a circle about the origin; `start` and `stop` in degrees, both included."""
    return [_on_circle(radius, start + (stop - start) * i / (steps - 1)) for i in range(steps)]


def _regular(corners: int, turn: float = 0.0, inner: float | None = None) -> Polygon:
    """A regular polygon, or with `inner` a star whose notches lie at that radius."""
    radii = [1.0] * corners if inner is None else [1.0, inner] * corners
    return [_on_circle(radius, turn + 360 * i / len(radii)) for i, radius in enumerate(radii)]


def _scaled(polygon: Polygon, x: float, y: float) -> Polygon:
    return [(x * px, y * py) for px, py in polygon]


def _cross(rng: np.random.Generator) -> Outline:
    a = rng.uniform(0.26, 0.38)
    quarter = [(1.0, -a), (1.0, a), (a, a)]
    points: Polygon = []
    for _ in range(4):
        points += quarter
        quarter = [(-y, x) for x, y in quarter]
    return [points]


def _crescent(rng: np.random.Generator) -> Outline:
    bite = rng.uniform(0.3, 0.6)
    return [_arc(1.0, 0, 180, 24) + _scaled(_arc(1.0, 180, 0, 24), 1.0, bite)]


def _gapped_ring(rng: np.random.Generator) -> Outline:
    hole, gap = rng.uniform(0.5, 0.7), rng.uniform(70, 150)
    return [_arc(1.0, gap, 360, 36) + _arc(hole, 360, gap, 36)]


def _flat_ring(rng: np.random.Generator) -> Outline:
    flat, hole = rng.uniform(0.35, 0.5), rng.uniform(0.4, 0.6)
    return [_scaled(_regular(40), 1.0, flat), _scaled(_regular(40), hole, flat * hole)]


def _arrow(rng: np.random.Generator) -> Outline:
    a, neck = rng.uniform(0.12, 0.22), rng.uniform(-0.1, 0.3)
    return [[(-1, -a), (neck, -a), (neck, -0.6), (1, 0), (neck, 0.6), (neck, a), (-1, a)]]


def _chevron(rng: np.random.Generator) -> Outline:
    a = rng.uniform(0.4, 0.7)
    return [[(-1, -1), (-1 + a, -1), (0.6, 0), (-1 + a, 1), (-1, 1), (0.6 - a, 0)]]


def _hourglass(rng: np.random.Generator) -> Outline:
    a = rng.uniform(0.08, 0.2)
    return [[(-0.8, -1), (0.8, -1), (a, 0), (0.8, 1), (-0.8, 1), (-a, 0)]]


_L = "-6 -10, -2 -10, -2 6, 6 6, 6 10, -6 10"
_U = "-7 -10, -3 -10, -3 6, 3 6, 3 -10, 7 -10, 7 10, -7 10"
_F = "-6 -10, 6 -10, 6 -6, -2 -6, -2 -2, 4 -2, 4 2, -2 2, -2 10, -6 10"
_Z = "-7 -10, 7 -10, 7 -6, -1 6, 7 6, 7 10, -7 10, -7 6, 1 -6, -7 -6"
_LETTERS: list[Polygon] = [
    [(float(x), float(y)) for x, y in (point.split() for point in letter.split(","))]
    for letter in (_L, _U, _F, _Z)
]


_Drawn = Callable[[np.random.Generator], Outline]

_CLASS_OUTLINES: dict[str, _Drawn] = {
    "circle": lambda rng: [_regular(40)],
    "square": lambda rng: [_regular(4, turn=45)],
    "triangle": lambda rng: [_regular(3)],
    "star": lambda rng: [_regular(5, inner=rng.uniform(0.38, 0.48))],
    "cross": _cross,
}
_DISTRACTOR_OUTLINES: tuple[_Drawn, ...] = (
    lambda rng: [_regular(6)],  # a hexagon
    lambda rng: [_arc(1.0, 0, 180, 24)],  # half a disc
    _crescent,
    _gapped_ring,
    _flat_ring,
    lambda rng: [_scaled(_regular(4, turn=45), 1.0, rng.uniform(0.12, 0.3))],  # a bar
    _arrow,
    _chevron,
    _hourglass,
    lambda rng: [_LETTERS[rng.integers(len(_LETTERS))]],
)
_KEEPS_UPRIGHT = ("square",)


def _posed(rng: np.random.Generator, outline: Outline, limit: float) -> Outline:
    """An outline squeezed in y, then turned by at most `limit` degrees about the origin."""
    squeeze, degrees = rng.uniform(*settings.SQUEEZE), rng.uniform(-limit, limit)
    cos, sin = _on_circle(1.0, degrees)
    return [
        [(x * cos - y * squeeze * sin, x * sin + y * squeeze * cos) for x, y in polygon]
        for polygon in outline
    ]


def class_outline(rng: np.random.Generator, name: str) -> Outline:
    """An outline of the class `name`, one of `settings.CLASSES`, its proportions at random.

    A square turns by at most `settings.TILT`, everything else freely.
    """
    limit = settings.TILT if name in _KEEPS_UPRIGHT else 180
    return _posed(rng, _CLASS_OUTLINES[name](rng), limit)


def distractor_outline(rng: np.random.Generator) -> Outline:
    """An outline that belongs to none of the classes."""
    outline = _DISTRACTOR_OUTLINES[rng.integers(len(_DISTRACTOR_OUTLINES))]
    return _posed(rng, outline(rng), 180)
