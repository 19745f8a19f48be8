"""The anchors of one pyramid level (paper, section 4)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf


def cell_anchors(size: float, ratios: Sequence[float], scales: Sequence[float]) -> np.ndarray:
    """The anchors of one cell around the origin, xyxy: float32 [len(ratios) * len(scales), 4].

    A ratio is height / width and keeps the area `(size * scale)^2`. Ratios are the outer loop and
    scales the inner one, as in torchvision: the order of the heads' output channels.
    """
    sides = size * np.asarray(scales, np.float64)
    roots = np.sqrt(np.asarray(ratios, np.float64))
    widths = (sides[None, :] / roots[:, None]).ravel()
    heights = (sides[None, :] * roots[:, None]).ravel()
    return (0.5 * np.stack([-widths, -heights, widths, heights], axis=1)).astype(np.float32)


def grid_anchors(
    cell: np.ndarray, grid_height: tf.Tensor, grid_width: tf.Tensor, stride: int, offset: float
) -> tf.Tensor:
    """`cell` [A, 4] at every cell of a feature map: float32 [grid_height * grid_width * A, 4].

    Row-major over y, then x, then the anchors of the cell: what a plain reshape of the heads'
    output [B, H, W, A * C] to [B, H * W * A, C] gives. The first centre lies at `offset * stride`
    pixels.
    """
    y = (tf.cast(tf.range(grid_height), tf.float32) + offset) * stride
    x = (tf.cast(tf.range(grid_width), tf.float32) + offset) * stride
    grid_y, grid_x = tf.meshgrid(y, x, indexing="ij")
    centers = tf.stack([grid_x, grid_y, grid_x, grid_y], axis=-1)
    return tf.reshape(centers[:, :, None] + cell, [-1, 4])
