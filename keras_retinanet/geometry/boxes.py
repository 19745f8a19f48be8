"""Pure functions on boxes: xyxy corners in absolute pixels, float32, any leading dimensions."""

from __future__ import annotations

import math

import tensorflow as tf

# The largest log-scale that is decoded: no box grows beyond 62.5 times its anchor, and exp cannot
# overflow while the box head is still untrained. The value is Detectron's, for 1000-pixel images
# and a smallest anchor of 16.
MAX_LOG_SCALE = math.log(1000.0 / 16.0)

# What fizyr's keras-retinanet divides shifts of corners by, so that they have a spread of about 1.
CORNER_STD = 0.2


def box_area(boxes: tf.Tensor) -> tf.Tensor:
    """Areas in square pixels of `boxes` [..., 4]; an inverted box has none."""
    x_min, y_min, x_max, y_max = tf.unstack(boxes, axis=-1)
    return tf.maximum(x_max - x_min, 0.0) * tf.maximum(y_max - y_min, 0.0)


def _intersection(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    # Side by side and not as [..., 4]: of 100 objects by 200,000 anchors that would be 320 MB.
    x_min, y_min, x_max, y_max = tf.unstack(boxes, axis=-1)
    other_x_min, other_y_min, other_x_max, other_y_max = tf.unstack(others, axis=-1)
    width = tf.minimum(x_max, other_x_max) - tf.maximum(x_min, other_x_min)
    height = tf.minimum(y_max, other_y_max) - tf.maximum(y_min, other_y_min)
    return tf.maximum(width, 0.0) * tf.maximum(height, 0.0)


def pairwise_iou(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Intersection over union of each of `boxes` [M, 4] with each of `others` [N, 4]: [M, N]."""
    intersection = _intersection(boxes[:, None], others[None])
    union = box_area(boxes)[:, None] + box_area(others)[None] - intersection
    return tf.math.divide_no_nan(intersection, union)


def pairwise_ioa(regions: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Intersection over the area of `boxes` [N, 4], in each of `regions` [M, 4]: [M, N]."""
    return tf.math.divide_no_nan(_intersection(regions[:, None], boxes[None]), box_area(boxes))


def generalized_iou(boxes: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """GIoU of `boxes` [..., 4] with the `others` [..., 4] at the same indices: [...], in (-1, 1].

    Rezatofighi et al. 2019: the IoU less the fraction of the enclosing box that neither covers.
    """
    intersection = _intersection(boxes, others)
    union = box_area(boxes) + box_area(others) - intersection
    low = tf.minimum(boxes[..., :2], others[..., :2])
    high = tf.maximum(boxes[..., 2:], others[..., 2:])
    enclosing = box_area(tf.concat([low, high], axis=-1))
    iou = tf.math.divide_no_nan(intersection, union)
    return iou - tf.math.divide_no_nan(enclosing - union, enclosing)


def _centers_and_sizes(boxes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Centres and sizes [..., 2] of `boxes` [..., 4]."""
    sizes = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + 0.5 * sizes, sizes


def encode_boxes(boxes: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """The deltas (dx, dy, dw, dh) [..., 4] that turn `anchors` [..., 4] into `boxes` [..., 4].

    Girshick et al. 2014 (R-CNN), appendix C, with unit weights as in torchvision: centre shifts in
    units of the anchor's sides and logarithms of the ratios of the sides. The boxes need positive
    sides.
    """
    centers, sizes = _centers_and_sizes(boxes)
    anchor_centers, anchor_sizes = _centers_and_sizes(anchors)
    return tf.concat(
        [(centers - anchor_centers) / anchor_sizes, tf.math.log(sizes / anchor_sizes)], axis=-1
    )


def decode_boxes(deltas: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """The boxes [..., 4] that `deltas` make of `anchors`, both [..., 4]; undoes `encode_boxes`."""
    anchor_centers, anchor_sizes = _centers_and_sizes(anchors)
    centers = deltas[..., :2] * anchor_sizes + anchor_centers
    sizes = tf.exp(tf.minimum(deltas[..., 2:], MAX_LOG_SCALE)) * anchor_sizes
    return tf.concat([centers - 0.5 * sizes, centers + 0.5 * sizes], axis=-1)


def _corner_units(anchors: tf.Tensor) -> tf.Tensor:
    """What the shifts of corners of `anchors` [..., 4] are counted in: [..., 4]."""
    _, sizes = _centers_and_sizes(anchors)
    return CORNER_STD * tf.concat([sizes, sizes], axis=-1)


def encode_corners(boxes: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """The shifts of the corners [..., 4] that turn `anchors` [..., 4] into `boxes` [..., 4].

    In units of `CORNER_STD` times the anchor's sides, as fizyr's keras-retinanet takes them.
    """
    return (boxes - anchors) / _corner_units(anchors)


def decode_corners(deltas: tf.Tensor, anchors: tf.Tensor) -> tf.Tensor:
    """The boxes [..., 4] that `deltas` [..., 4] make of `anchors`; undoes `encode_corners`."""
    return anchors + deltas * _corner_units(anchors)


# How deltas are made of boxes, and boxes of deltas.
BOX_CODINGS = {
    "centers": (encode_boxes, decode_boxes),
    "corners": (encode_corners, decode_corners),
}


def clip_boxes(boxes: tf.Tensor, image_sizes: tf.Tensor) -> tf.Tensor:
    """`boxes` [B, D, 4] clipped at the borders of `image_sizes` [B, 2] (height, width)."""
    height_width = tf.cast(image_sizes, boxes.dtype)
    width_height = height_width[:, None, ::-1]
    limits = tf.concat([width_height, width_height], axis=-1)
    return tf.clip_by_value(boxes, 0.0, limits)


def rescale_boxes(boxes: tf.Tensor, from_sizes: tf.Tensor, to_sizes: tf.Tensor) -> tf.Tensor:
    """Moves `boxes` [B, D, 4] from images of `from_sizes` to `to_sizes`, [B, 2] (height, width).

    The two sides scale separately, since a resized side is a whole number of pixels.
    """
    ratio = tf.cast(to_sizes, boxes.dtype) / tf.cast(from_sizes, boxes.dtype)
    ratio_xy = ratio[:, None, ::-1]
    return boxes * tf.concat([ratio_xy, ratio_xy], axis=-1)


def normalized_yxyx(boxes: tf.Tensor, image_sizes: tf.Tensor) -> tf.Tensor:
    """`boxes` [B, D, 4] as ymin, xmin, ymax, xmax in fractions of `image_sizes` [B, 2]."""
    sizes = tf.cast(image_sizes, boxes.dtype)[:, None]
    return tf.gather(boxes, [1, 0, 3, 2], axis=-1) / tf.concat([sizes, sizes], axis=-1)
