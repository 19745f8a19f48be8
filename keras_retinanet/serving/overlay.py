"""Detections as HTML that lies over an image, whatever size a browser shows that at."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence

import numpy as np

from keras_retinanet.images.drawing import Color, class_color, ink_color
from keras_retinanet.models.inference import Detections

# Fractions of the image, from where on a label above its box, or to the right of the left edge of
# it, would be clipped.
_TOP, _RIGHT = 0.06, 0.7


class ClassColors:
    """One colour for a class in all models, which may number their classes differently.

    Args:
        names: classes whose colours are to be those of `drawing.draw_detections`.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._indices = {name: index for index, name in enumerate(dict.fromkeys(names))}

    def __call__(self, name: str) -> Color:
        return class_color(self._indices.setdefault(name, len(self._indices)))


def css(color: Color) -> str:
    """A colour as a style sheet spells it, "#ff8000"."""
    return "#{:02x}{:02x}{:02x}".format(*color)


def boxes_html(
    found: Detections,
    names: Sequence[str],
    size: tuple[int, int],
    color_of: Callable[[str], Color],
) -> str:
    """A `div` of the class `box` for each detection, the first on top, to lie in a `.photo`.

    Args:
        found: boxes in pixels of the image; what lies outside is clipped.
        names: the class names; may hold anything.
        size: (height, width) of the image.
        color_of: the colour of a class name.
    """
    height, width = size
    corners = found["boxes"] / np.array([width, height, width, height], np.float32)
    rows = zip(np.clip(corners, 0, 1).tolist(), found["scores"], found["labels"], strict=True)
    parts = [
        _box(corners, names[label], score, color_of(names[label])) for corners, score, label in rows
    ]
    return "".join(reversed(parts))


def _box(corners: Sequence[float], name: str, score: float, color: Color) -> str:
    left, top, right, bottom = corners
    edges = " at-top" * (top < _TOP) + " at-right" * (left > _RIGHT)
    text = html.escape(f"{name} {score:.2f}")
    return (
        f'<div class="box{edges}" title="{text}" style="left:{100 * left:.3f}%;'
        f"top:{100 * top:.3f}%;width:{100 * (right - left):.3f}%;"
        f'height:{100 * (bottom - top):.3f}%;--color:{css(color)};--ink:{css(ink_color(color))}">'
        f"<span>{text}</span></div>"
    )
