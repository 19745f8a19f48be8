"""The one way in which images are resized and padded for the network."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


def resized_size(
    size: tf.Tensor,
    min_side: int,
    max_side: int,
    scale: float = 1.0,
    *,
    rounds: bool = False,
    stretch: bool = False,
) -> tf.Tensor:
    """`images.size_rule.resized_sizes` in the graph: int32 [..., 2] of `size` [..., 2].

    With `rounds`, sides are rounded (halves to even), as in fizyr's keras-retinanet.
    """
    size = tf.cast(size, tf.float64)
    ratio = tf.minimum(
        min_side / tf.reduce_min(size, axis=-1, keepdims=True),
        max_side / tf.reduce_max(size, axis=-1, keepdims=True),
    )
    resized = tf.fill(tf.shape(size), tf.cast(max_side, tf.float64)) if stretch else size * ratio
    sides = resized * scale  # tf.cast would take the number through float32
    return tf.maximum(tf.cast(tf.round(sides) if rounds else sides, tf.int32), 1)


def resize_images(images: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Images [..., H, W, 3] of 0 to 255 -> float32 [..., h, w, 3]; bilinear, half-pixel centres.

    Without antialiasing, as in torchvision, so that published weights see what they were trained
    on.
    """
    return tf.image.resize(images, size, method="bilinear", antialias=False)


def pad_images(images: tf.Tensor, size: tf.Tensor, color: Sequence[float]) -> tf.Tensor:
    """`images` [..., h, w, 3] extended at the bottom and the right to `size` in `color`.

    The colour is the backbone's mean, so that the padding is 0 once normalised.
    """
    shape = tf.shape(images)
    missing = tf.maximum(size - shape[-3:-1], 0)  # [2]

    def blank(height: tf.Tensor, width: tf.Tensor) -> tf.Tensor:  # [..., height, width, 3]
        pixel = tf.constant(color, images.dtype)
        return tf.broadcast_to(pixel, tf.concat([shape[:-3], [height, width, 3]], axis=0))

    # tf.pad knows one number for all channels only.
    wide = tf.concat([images, blank(shape[-3], missing[1])], axis=-2)
    return tf.concat([wide, blank(missing[0], shape[-2] + missing[1])], axis=-3)
