"""The anchors of an image, from the shapes of its feature maps."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import tensorflow as tf

from keras_retinanet.geometry.anchor_settings import AnchorSettings
from keras_retinanet.geometry.anchors import grid_anchors


@keras.saving.register_keras_serializable("keras_retinanet")
class Anchors(keras.layers.Layer):
    """Feature maps P3 to P7, [B, H_l, W_l, C] -> the anchors of each, float32 [H_l * W_l * A, 4].

    xyxy in pixels of the image; not clipped. Only the shapes of the maps are read. The arguments
    are the fields of `AnchorSettings`.
    """

    def __init__(self, name: str = "anchors", **settings: Any) -> None:
        # autocast off: casting coordinates to a 16-bit type would move anchors by whole pixels
        super().__init__(name=name, dtype="float32", autocast=False, trainable=False)
        self.settings = AnchorSettings(**settings)

    def call(self, pyramid: list[tf.Tensor]) -> list[tf.Tensor]:
        """P3 to P7, [B, H_l, W_l, C] each -> the anchors of each, [H_l * W_l * A, 4]."""
        settings = self.settings
        # Up to P5 the sides halve evenly once padded, so P5 tells the padded side.
        padded = tf.shape(pyramid[2])[1:3] * settings.strides[2]  # [2]
        levels = []
        for features, size, stride in zip(pyramid, settings.sizes, settings.strides, strict=True):
            grid = tf.shape(features)[1:3]
            strides = tf.fill([2], stride)
            if settings.fit_strides:
                strides = tf.minimum(strides, padded // grid)
            levels.append(grid_anchors(settings.cell(size), grid, strides, settings.offset))
        return levels

    def get_config(self) -> dict[str, Any]:
        """The arguments, for `from_config`."""
        return {"name": self.name, **dataclasses.asdict(self.settings)}
