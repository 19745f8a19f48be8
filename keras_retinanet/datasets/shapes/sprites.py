"""Shapes before they have a position on an image: their masks and their colours."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from PIL import Image, ImageDraw

from keras_retinanet.datasets.shapes import settings
from keras_retinanet.datasets.shapes.outlines import Outline

Colour = tuple[int, ...]  # red, green, blue

SUBPIXELS = 4  # masks are drawn at this many times the size and averaged down
_PROBES = 7  # an object's surroundings are judged by this many pixels squared
_CANDIDATES = 10  # colours to choose from
_CHANNEL_WEIGHTS = np.array([3, 6, 1])


@dataclasses.dataclass(frozen=True, eq=False)
class Sprite:
    """A shape in a window of its own.

    Attributes:
        alpha: "L" image, the fraction of each pixel that the shape covers, 255 for all of it.
        core: the same for the shape without its rim.
        mask: bool [h, w], the pixels that count as the shape's: those at least half covered.
    """

    alpha: Image.Image
    core: Image.Image
    mask: np.ndarray


def _alpha(outline: Outline, width: int, height: int) -> Image.Image:
    """Rasterises an outline in sub-pixels, averaged to `height` x `width` pixels."""
    fine = Image.new("L", (width * SUBPIXELS, height * SUBPIXELS))
    draw = ImageDraw.Draw(fine)
    for polygon, level in zip(outline, (255, 0), strict=False):
        draw.polygon([(round(x), round(y)) for x, y in polygon], fill=level)
    return fine.reduce(SUBPIXELS)


def make_sprite(
    outline: Outline, size: float, *, rim: float = 0.0, shift: tuple[int, int] = (0, 0)
) -> Sprite:
    """Scales an outline and rasterises it.

    Args:
        outline: the polygons, in any unit.
        size: root of width times height that the outline's box shall have, in pixels.
        rim: how much of the way from the outline to the origin the rim takes, 0 for none.
        shift: sub-pixels by which the shape lies right of and below the corner of its window.
    """
    xs, ys = zip(*outline[0], strict=True)
    left, top, wide, tall = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    scale = size / math.sqrt(wide * tall)
    # Two pixels more: one for the shift, one because Pillow fills a polygon's border as well.
    width, height = math.ceil(wide * scale) + 2, math.ceil(tall * scale) + 2

    def in_window(inset: float) -> Outline:
        zoom = scale * SUBPIXELS
        return [
            [
                ((x * inset - left) * zoom + shift[0], (y * inset - top) * zoom + shift[1])
                for x, y in polygon
            ]
            for polygon in outline
        ]

    alpha = _alpha(in_window(1.0), width, height)
    core = _alpha(in_window(1.0 - rim), width, height) if rim else alpha
    return Sprite(alpha, core, np.asarray(alpha) >= 128)


def contrasting_colours(
    rng: np.random.Generator, image: Image.Image, box: tuple[int, int, int, int]
) -> tuple[Colour, Colour] | None:
    """Two random colours that stand out from nine tenths of the image inside `box` (xyxy).

    Returns None where the image is so motley that no colour out of a handful does.
    """
    probes = np.asarray(image.resize((_PROBES, _PROBES), Image.Resampling.NEAREST, box), np.int64)
    candidates = rng.integers(0, 256, (_CANDIDATES, 3))
    differences = candidates[:, None] - probes.reshape(1, -1, 3)
    distances = differences**2 @ _CHANNEL_WEIGHTS
    tenth = _PROBES**2 // 10
    near = np.partition(distances, tenth, axis=1)[:, tenth]
    good = candidates[near >= settings.MIN_CONTRAST**2 * _CHANNEL_WEIGHTS.sum()]
    if len(good) < 2:
        return None
    first, second = good[:2].tolist()
    return tuple(first), tuple(second)


def _pattern(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """An "L" image that blends two colours: stripes, or a gradient down or across."""
    kind = rng.integers(3)
    if kind == 0:
        across, down = ((1, 0), (0, 1), (1, 1), (1, -1))[rng.integers(4)]
        phase = across * np.arange(width)[None, :] + down * np.arange(height)[:, None]
        return Image.fromarray((phase // int(rng.integers(3, 9)) & 1).astype(np.uint8) * 255)
    gradient = Image.linear_gradient("L")
    if kind == 1:
        gradient = gradient.transpose(Image.Transpose.ROTATE_90)
    return gradient.resize((width, height))


def make_fill(
    rng: np.random.Generator,
    sprite: Sprite,
    first: Colour,
    second: Colour,
    plain: bool,
) -> Image.Image:
    """A sprite's fill: one colour, a rim of another one, or a pattern of both."""
    fill = Image.new("RGB", sprite.alpha.size, first)
    if sprite.core is not sprite.alpha:
        fill.paste(second, mask=sprite.core)
    elif not plain:
        fill.paste(second, mask=_pattern(rng, *fill.size))
    return fill
