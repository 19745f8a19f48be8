"""Textured backgrounds with clutter: everything of an image that is not a drawn shape.

Pixel arrays are computed with integers only, so that they are the same on every processor.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from keras_retinanet.datasets.shapes import settings


def _ramp(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Int32 [height, width]: pixels along a random direction, in 1/256 of a pixel."""
    angle = math.radians(int(rng.integers(360)))
    x = np.arange(width, dtype=np.int32) * round(256 * math.cos(angle))
    y = np.arange(height, dtype=np.int32) * round(256 * math.sin(angle))
    return x[None, :] + y[:, None]


def _gradient(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Int32 [height, width], 0 to 255: a gradient in a random direction."""
    ramp = _ramp(rng, height, width)
    ramp -= ramp.min()
    return ramp * 255 // max(1, int(ramp.max()))


def _stripes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Int32 [height, width], 0 or 255: stripes across a random direction."""
    return ((_ramp(rng, height, width) >> 8) // int(rng.integers(4, 28)) & 1) * 255


def _waves(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Int32 [height, width], 0 to 255: waves along a random direction."""
    phase = _ramp(rng, height, width) // int(rng.integers(6, 40)) & 511
    return np.minimum(phase, 511 - phase)


def _checkers(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Int32 [height, width], 0 or 255: fields between two sets of stripes."""
    cell = int(rng.integers(6, 32))
    first, second = _ramp(rng, height, width) >> 8, _ramp(rng, height, width) >> 8
    return (first // cell + second // cell & 1) * 255


def _bricks(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Int64 [height, width], 0 or 255: the joints between bricks."""
    tall = int(rng.integers(8, 24))
    y = np.arange(height)[:, None]
    x = np.arange(width)[None, :] + y // tall % 2 * tall
    return ((y % tall < 2) | (x % (2 * tall) < 2)) * 255


def _clouds(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Int32 [height, width], smooth noise: a few random values, enlarged."""
    cells = int(rng.integers(3, 14))
    coarse = Image.fromarray(rng.integers(0, 256, (cells, cells), np.uint8))
    return np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.int32)


def _blobs(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Int32 [height, width], soft spots: discs drawn at a quarter of the size, enlarged."""
    small = Image.new("L", (width // 4, height // 4))
    draw = ImageDraw.Draw(small)
    for x, y, radius, level in rng.integers(0, (small.width, small.height, 9, 256), (24, 4)):
        box = (int(x - radius), int(y - radius), int(x + radius), int(y + radius))
        draw.ellipse(box, fill=int(level))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), np.int32)


_TEXTURES: tuple[Callable[[np.random.Generator, int, int], np.ndarray], ...] = (
    _gradient,
    _stripes,
    _waves,
    _checkers,
    _bricks,
    _clouds,
    _blobs,
)


def _palette(rng: np.random.Generator) -> np.ndarray:
    """Int16 [256, 3]: from one colour to a second one no further than BACKGROUND_SPAN away."""
    first = rng.integers(0, 256, 3)
    span = settings.BACKGROUND_SPAN
    second = np.clip(first + rng.integers(-span, span + 1, 3), 0, 255)
    steps = np.arange(256)[:, None]
    return ((first * (255 - steps) + second * steps) // 255).astype(np.int16)


def _textured(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Int16 [height, width, 3]: one texture in its colours, with shading and grain."""
    texture = _TEXTURES[rng.integers(len(_TEXTURES))](rng, height, width)
    shading = _clouds(rng, height, width) * (2 * settings.SHADING) // 255 - settings.SHADING
    grain = int(rng.integers(settings.MAX_GRAIN + 1))
    noise = rng.integers(-grain, grain + 1, (height, width), np.int8)
    light = (shading + noise).astype(np.int16)
    return np.take(_palette(rng), texture, axis=0) + light[:, :, None]


def _colour(rng: np.random.Generator) -> tuple[int, ...]:
    return tuple(rng.integers(0, 256, 3).tolist())


def _add_clutter(rng: np.random.Generator, draw: ImageDraw.ImageDraw, size: int) -> None:
    """Draws a line, an arc or a scribble into an image whose sides are at most `size`."""
    kind, thickness = rng.integers(3), int(rng.integers(1, 5))
    x, y, dx, dy = rng.integers(0, size, 4).tolist()
    if kind == 0:
        draw.line((x, y, dx, dy), _colour(rng), thickness)
    elif kind == 1:
        start = int(rng.integers(360))
        box = (x, y, x + 12 + dx // 3, y + 12 + dy // 3)
        draw.arc(box, start, start + int(rng.integers(40, 240)), _colour(rng), thickness)
    else:
        steps = rng.integers((-4, -9), (15, 10), (int(rng.integers(6, 20)), 2))
        points = np.array((x, y)) + np.cumsum(steps, axis=0)
        draw.line(points.ravel().tolist(), _colour(rng), min(thickness, 2))


def draw_background(rng: np.random.Generator, height: int, width: int) -> Image.Image:
    """A textured RGB image of `height` by `width` pixels, with lines, arcs and scribbles."""
    pixels = np.clip(_textured(rng, height, width), 0, 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(settings.MAX_CLUTTER + 1)):
        _add_clutter(rng, draw, max(height, width))
    return image
