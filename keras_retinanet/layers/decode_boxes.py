"""From the box subnet's deltas to boxes."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_retinanet.geometry.boxes import clip_boxes, decode_boxes


@keras.saving.register_keras_serializable("keras_retinanet")
class DecodeBoxes(keras.layers.Layer):
    """Deltas [B, D, 4], anchors [B, D, 4], image sizes int [B, 2] -> boxes float32 [B, D, 4].

    xyxy in pixels, cut off at the borders of the images (height, width). In float32 under any
    precision policy.
    """

    def __init__(self, name: str = "decode_boxes") -> None:
        super().__init__(name=name, dtype="float32", autocast=False, trainable=False)

    def call(self, deltas: tf.Tensor, anchors: tf.Tensor, image_sizes: tf.Tensor) -> tf.Tensor:
        return clip_boxes(decode_boxes(tf.cast(deltas, tf.float32), anchors), image_sizes)

    def get_config(self) -> dict[str, Any]:
        return {"name": self.name}
