"""What a model is given to learn from: training images with their boxes and matched anchors."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf
from PIL import Image, ImageDraw, ImageOps

from keras_retinanet.geometry.anchor_settings import AnchorSettings
from keras_retinanet.geometry.matching import IGNORED, PADDING, match_anchors
from keras_retinanet.layers.anchors import Anchors

_LONGER_SIDE = 640  # A smaller image is enlarged by a whole factor to about this.
_GREEN, _RED, _YELLOW, _BLUE = (0, 220, 70), (235, 30, 30), (250, 220, 0), (60, 140, 255)


def training_anchors(settings: AnchorSettings, height: int, width: int) -> np.ndarray:
    """The anchors of a training image of `height` x `width` pixels: float32 [N, 4]."""
    pyramid, size = [], np.array([height, width])
    for level in range(1, 8):  # every level halves the one below it, rounding up
        size = -(-size // 2)
        if level >= 3:
            pyramid.append(tf.zeros([1, *size, 1]))
    return tf.concat(Anchors(**dataclasses.asdict(settings))(pyramid), axis=0).numpy()


def draw_targets(
    image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, anchors: np.ndarray
) -> tuple[np.ndarray, int, int]:
    """Draws a training image with what it teaches.

    Boxes of objects are green where an anchor is matched to them and red where none is, regions
    to ignore yellow; the anchors matched to an object are thin blue lines.

    Args:
        image: uint8 [H, W, 3].
        boxes: float32 [M, 4], xyxy in its pixels.
        labels: int32 [M], as in a training batch.
        anchors: float32 [N, 4].

    Returns:
        The drawn image, uint8 [s H, s W, 3], enlarged by a whole factor s if it is small; how many
        objects it holds; and how many of them no anchor is matched to.
    """
    anchor_labels, anchor_boxes = match_anchors(anchors, boxes[None], labels[None])
    matched = anchor_labels[0].numpy() >= 0
    matched_boxes = {tuple(box) for box in anchor_boxes[0].numpy()[matched]}
    scale = max(1, round(_LONGER_SIDE / max(image.shape[:2])))
    drawn = ImageOps.scale(Image.fromarray(image), scale, Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(drawn)
    for anchor in anchors[matched]:
        pen.rectangle([float(edge) for edge in anchor * scale], outline=_BLUE)
    missed = 0
    for box, label in zip(boxes, labels, strict=True):
        if label == PADDING:
            continue
        is_missed = label >= 0 and tuple(box) not in matched_boxes
        missed += is_missed
        color = _YELLOW if label == IGNORED else _RED if is_missed else _GREEN
        pen.rectangle([float(edge) for edge in box * scale], outline=color, width=3)
    return np.asarray(drawn), int((labels >= 0).sum()), int(missed)
