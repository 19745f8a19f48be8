"""Paints the pictures that `data.augment` has planned, with graph operations."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import tensorflow as tf

from keras_retinanet.data.augment import AugmentSettings, BatchPlan
from keras_retinanet.data.resize import resize_images

Loader = Callable[[tf.Tensor], tf.Tensor]
Picture = dict[str, tf.Tensor]

# The fields of a `BatchPlan` that describe its tiles.
_TILE_FIELDS = ("indices", "crops", "sizes", "flips", "colors", "warps", "offsets", "weights")


def picture_arrays(plan: BatchPlan) -> Picture:
    """The part of a plan that `paint` takes, still with its batch dimension."""
    return {field: getattr(plan, field) for field in (*_TILE_FIELDS, "holes")}


def picture_signature(batch_size: int, settings: AugmentSettings) -> dict[str, tf.TensorSpec]:
    """Shapes and dtypes of `picture_arrays`."""

    def spec(dtype: tf.DType, *shape: int) -> tf.TensorSpec:
        return tf.TensorSpec([batch_size, *shape], dtype)

    tiles = settings.tiles
    return {
        "indices": spec(tf.int64, tiles),
        "crops": spec(tf.int32, tiles, 4),
        "sizes": spec(tf.int32, tiles, 2),
        "flips": spec(tf.bool, tiles),
        "colors": spec(tf.float32, tiles, 3),
        "warps": spec(tf.float32, tiles, 2, 3),
        "offsets": spec(tf.int32, tiles, 2),
        "weights": spec(tf.float32, tiles),
        "holes": spec(tf.int32, settings.cutout, 4),
    }


def paint(
    picture: Picture, canvas: tf.Tensor, load: Loader, padding_color: Sequence[float]
) -> tf.Tensor:
    """One picture as planned: uint8 [canvas height, canvas width, 3].

    Args:
        picture: the plan, as `picture_arrays` without the batch dimension.
        canvas: int32 [2], height and width.
        load: from an index of the data set to its stored picture, uint8 [H, W, 3].
        padding_color: RGB of what no tile covers.
    """
    fill = tf.constant([round(value) for value in padding_color], tf.uint8)
    tiles = [
        dict(zip(_TILE_FIELDS, values, strict=True))
        for values in zip(*(tf.unstack(picture[field]) for field in _TILE_FIELDS), strict=True)
    ]
    if len(tiles) == 1:
        image = _pad(_tile_image(tiles[0], load, fill), tiles[0]["offsets"], canvas, fill)
    else:
        image = _blend(tiles, canvas, load, fill)
    for hole in tf.unstack(picture["holes"]):
        image = _punch(image, hole, fill)
    return image


def _tile_image(tile: Picture, load: Loader, fill: tf.Tensor) -> tf.Tensor:
    """The window of a stored picture as it goes onto the canvas: uint8 [*tile size, 3]."""
    y, x, height, width = tf.unstack(tile["crops"])
    size, colors, warp = tile["sizes"], tile["colors"], tile["warps"]
    image = tf.cast(load(tile["indices"])[y : y + height, x : x + width], tf.float32)
    image = _where(
        tf.reduce_any(size != tile["crops"][2:]), lambda i: resize_images(i, size), image
    )
    image = _where(tf.reduce_any(colors != 1.0), lambda i: _recolor(i, colors), image)
    image = _where(tile["flips"], lambda i: i[:, ::-1], image)
    is_warped = tf.reduce_any(warp != tf.eye(2, 3))
    image = _where(is_warped, lambda i: _warp(i, warp, tf.cast(fill, tf.float32)), image)
    return tf.cast(tf.round(tf.clip_by_value(image, 0.0, 255.0)), tf.uint8)


def _where(
    condition: tf.Tensor, change: Callable[[tf.Tensor], tf.Tensor], image: tf.Tensor
) -> tf.Tensor:
    """`change(image)` if the condition holds; else the image, at no cost."""
    return tf.cond(condition, lambda: change(image), lambda: image)


def _recolor(image: tf.Tensor, colors: tf.Tensor) -> tf.Tensor:
    """Scales brightness, then contrast about the mean, then saturation about the grey value."""
    brightness, contrast, saturation = tf.unstack(colors)
    image = image * brightness
    mean = tf.reduce_mean(image)
    image = mean + (image - mean) * contrast
    gray = tf.reduce_sum(image * [0.299, 0.587, 0.114], axis=-1, keepdims=True)
    return gray + (image - gray) * saturation


def _warp(image: tf.Tensor, warp: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
    """float32 [h, w, 3] -> the same size; bilinear, `fill` [3] where nothing comes from inside."""
    linear, shift = warp[:, :2], warp[:, 2:]
    back = tf.linalg.inv(linear)
    # The kernel counts from the middle of the first pixel, a warp from its corner.
    start = back @ (0.5 - shift) - 0.5
    rows = tf.concat([back, start], axis=1)
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=(image - fill)[None],
        transforms=tf.concat([tf.reshape(rows, [1, 6]), tf.zeros([1, 2])], axis=1),
        output_shape=tf.shape(image)[:2],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return warped[0] + fill


def _pad(image: tf.Tensor, offset: tf.Tensor, canvas: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
    """A tile at its place: uint8 [h, w, 3] -> [*canvas, 3], `fill` [3] about it."""
    after = canvas - offset - tf.shape(image)[:2]
    paddings = tf.concat([tf.stack([offset, after], axis=1), tf.zeros([1, 2], tf.int32)], axis=0)
    return tf.pad(image - fill, paddings) + fill  # tf.pad knows one number for all channels only


def _blend(tiles: list[Picture], canvas: tf.Tensor, load: Loader, fill: tf.Tensor) -> tf.Tensor:
    """The tiles on one canvas, each by its weight; they lie side by side, or weigh 1 in all."""
    background = tf.cast(fill, tf.float32)

    def difference(tile: Picture) -> tf.Tensor:
        padded = _pad(_tile_image(tile, load, fill), tile["offsets"], canvas, fill)
        return (tf.cast(padded, tf.float32) - background) * tile["weights"]

    def add(total: tf.Tensor, tile: Picture) -> tf.Tensor:
        return _where(tile["indices"] >= 0, lambda image: image + difference(tile), total)

    total = functools.reduce(add, tiles[1:], difference(tiles[0]))
    return tf.cast(tf.round(total + background), tf.uint8)


def _punch(image: tf.Tensor, hole: tf.Tensor, fill: tf.Tensor) -> tf.Tensor:
    """`image` [H, W, 3] with `fill` [3] in the hole (y, x, height, width)."""
    y, x, height, width = tf.unstack(hole)
    rows, columns = tf.range(tf.shape(image)[0]), tf.range(tf.shape(image)[1])
    is_row = (rows >= y) & (rows < y + height)
    is_column = (columns >= x) & (columns < x + width)
    return tf.where((is_row[:, None] & is_column)[..., None], fill, image)
