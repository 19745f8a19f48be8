"""Draws one image of `shapes`: the same pixels and boxes for the same image id, anywhere."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
from PIL import Image

from keras_retinanet.datasets.shapes import settings
from keras_retinanet.datasets.shapes.backgrounds import draw_background
from keras_retinanet.datasets.shapes.outlines import class_outline, distractor_outline
from keras_retinanet.datasets.shapes.sprites import (
    SUBPIXELS,
    Colour,
    Sprite,
    contrasting_colours,
    make_fill,
    make_sprite,
)

_NO_CLASS = -1  # the label of a distractor
_RIM_FRACTION = 0.4  # of the shapes that are not plain
_SURROUND = 3  # pixels about a shape that its colour is chosen against


@dataclasses.dataclass(frozen=True, eq=False)
class DrawnImage:
    """An image and its objects, in the order in which they were drawn.

    Attributes:
        image_id: seeds everything else.
        pixels: uint8 [height, width, 3], RGB.
        labels: int64 [n], index into `settings.CLASSES`.
        boxes: int64 [n, 4], xyxy in pixels: the tight box about an object's visible pixels.
        areas: int64 [n], how many pixels are visible.
        mask_areas: int64 [n], how many there would be if nothing covered or clipped the object.
        owners: uint8 [height, width], k + 1 where object k is visible, 0 elsewhere.
    """

    image_id: int
    pixels: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    areas: np.ndarray
    mask_areas: np.ndarray
    owners: np.ndarray

    def jpeg(self) -> bytes:
        """The image as a JPEG file, its colours at full resolution for the small objects."""
        buffer = io.BytesIO()
        quality = settings.JPEG_QUALITY
        Image.fromarray(self.pixels).save(buffer, "JPEG", quality=quality, subsampling=0)
        return buffer.getvalue()


def draw_image(image_id: int) -> DrawnImage:
    """Draws the image that belongs to `image_id`; nothing but that number decides what it holds.

    Objects and distractors are drawn in random order, later ones over earlier ones. A position that
    would break a promise of `settings` (visible fraction, sides of the box, contrast) is not taken:
    an image may hold fewer objects than were drawn for it, but no box that nobody could find.
    """
    rng = np.random.default_rng((settings.SEED, image_id))
    height, width = rng.integers(settings.SIDES[0], settings.SIDES[1] + 1, 2).tolist()
    renderer = _Renderer(draw_background(rng, height, width))
    count = 0
    if rng.random() >= settings.EMPTY_FRACTION:
        count = int(rng.integers(1, settings.MAX_OBJECTS + 1))
    labels = rng.integers(len(settings.CLASSES), size=count)
    distractors = np.full(rng.integers(settings.MAX_DISTRACTORS + 1), _NO_CLASS)
    for label in rng.permutation(np.concatenate([labels, distractors])).tolist():
        renderer.add(rng, label)
    return renderer.drawn(image_id)


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return low * (high / low) ** rng.random()


def _random_shape(rng: np.random.Generator, label: int) -> tuple[Sprite, bool]:
    """A shape of class `label` or a distractor, and whether it is to have one colour only."""
    if label == _NO_CLASS:
        outline, size = distractor_outline(rng), _log_uniform(rng, *settings.DISTRACTOR_SIZE)
    else:
        outline = class_outline(rng, settings.CLASSES[label])
        size = _log_uniform(rng, *settings.SIZE)
    plain = size < settings.MIN_TEXTURED_SIZE or rng.random() < settings.PLAIN_FRACTION
    rim = rng.uniform(0.1, 0.2) if not plain and rng.random() < _RIM_FRACTION else 0.0
    shift = tuple(rng.integers(0, SUBPIXELS, 2).tolist())
    return make_sprite(outline, size, rim=rim, shift=shift), plain


def tight_box(mask: np.ndarray) -> tuple[int, int, int, int]:
    """The smallest xyxy box about the true pixels of `mask` [h, w]; all zero if there are none."""
    return Image.fromarray(mask.view(np.uint8)).getbbox() or (0, 0, 0, 0)


def _has_annotatable_sides(box: tuple[int, int, int, int]) -> bool:
    low, high = settings.BOX_SIDES
    return low <= box[2] - box[0] <= high and low <= box[3] - box[1] <= high


class _Renderer:
    """An image and what is known of the objects on it."""

    def __init__(self, image: Image.Image):
        self._image = image
        self._owners = np.zeros((image.height, image.width), np.uint8)
        self._labels: list[int] = []
        self._mask_areas: list[int] = []

    def add(self, rng: np.random.Generator, label: int) -> None:
        """Draws a shape of class `label`, or a distractor, if a position is found for it."""
        sprite, plain = _random_shape(rng, label)
        width, height = sprite.alpha.size
        for _ in range(settings.PLACEMENTS):
            over_x, over_y = settings.MAX_EXCEED * width, settings.MAX_EXCEED * height
            x = round(rng.uniform(-over_x, self._image.width - width + over_x))
            y = round(rng.uniform(-over_y, self._image.height - height + over_y))
            owners = self._owners_after(sprite.mask, x, y, label)
            if owners is not None and (colours := self._colours(rng, sprite, x, y)):
                fill = make_fill(rng, sprite, *colours, plain=plain)
                self._image.paste(fill, (x, y), sprite.alpha)
                self._owners = owners
                if label != _NO_CLASS:
                    self._labels.append(label)
                    self._mask_areas.append(int(sprite.mask.sum()))
                return

    def _owners_after(self, mask: np.ndarray, x: int, y: int, label: int) -> np.ndarray | None:
        """The owners [height, width] once `mask` [h, w] lies at (x, y).

        None if too little of any object would be left.
        """
        mask_areas = self._mask_areas
        owner = 0
        if label != _NO_CLASS:
            mask_areas = [*mask_areas, int(mask.sum())]
            owner = len(mask_areas)
        region = (slice(max(y, 0), y + len(mask)), slice(max(x, 0), x + mask.shape[1]))
        owners = self._owners.copy()
        window = owners[region]
        visible = mask[max(-y, 0) :, max(-x, 0) :][: len(window), : window.shape[1]]
        touched = np.bincount(window[visible]).nonzero()[0].tolist()
        window[visible] = owner
        for k in {*touched, owner} - {0}:
            left = owners == k
            if np.count_nonzero(left) < settings.MIN_VISIBLE * mask_areas[k - 1]:
                return None
            if not _has_annotatable_sides(tight_box(left)):
                return None
        return owners

    def _colours(
        self, rng: np.random.Generator, sprite: Sprite, x: int, y: int
    ) -> tuple[Colour, Colour] | None:
        """Two colours that stand out where the sprite is to go, or None."""
        width, height = sprite.alpha.size
        left, top = max(x - _SURROUND, 0), max(y - _SURROUND, 0)
        right = min(x + width + _SURROUND, self._image.width)
        bottom = min(y + height + _SURROUND, self._image.height)
        return contrasting_colours(rng, self._image, (left, top, right, bottom))

    def drawn(self, image_id: int) -> DrawnImage:
        """The finished image."""
        masks = [self._owners == k + 1 for k in range(len(self._labels))]
        return DrawnImage(
            image_id=image_id,
            pixels=np.asarray(self._image),
            labels=np.array(self._labels, np.int64),
            boxes=np.array([tight_box(mask) for mask in masks], np.int64).reshape(-1, 4),
            areas=np.array([np.count_nonzero(mask) for mask in masks], np.int64),
            mask_areas=np.array(self._mask_areas, np.int64),
            owners=self._owners,
        )
