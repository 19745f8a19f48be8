"""Feature pyramid network (Lin et al. 2016), with RetinaNet's two coarser levels."""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import layers

from keras_retinanet.layers.detector_settings import PyramidSettings
from keras_retinanet.layers.spare_column import Tensor, with_spare_column


@keras.saving.register_keras_serializable("keras_retinanet")
class UpsampleLike(layers.Layer):
    """Nearest-neighbour upsampling of [B, h, w, C] to the height and width of [B, H, W, D].

    Keras' UpSampling2D only doubles, which misses by one where the finer side is odd. Cell i takes
    its value from cell i // 2 there too, as in PyTorch; `tf.image.resize` goes by half-pixel
    centres and takes the next one from the middle on.
    """

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """[B, h, w, C] and [B, H, W, D] -> [B, H, W, C]."""
        coarse, fine = inputs
        size = tf.shape(fine)[1:3]
        return tf.compat.v1.image.resize_nearest_neighbor(coarse, size, half_pixel_centers=False)

    def compute_output_shape(self, input_shape: list[tuple]) -> tuple:
        """The shape of the coarse map, with the sides of the fine one."""
        coarse, fine = input_shape
        return (coarse[0], fine[1], fine[2], coarse[3])


def _convolution(
    x: Tensor, channels: int, size: int, name: str, stride: int = 1, padding: str = "same"
) -> Tensor:
    """[B, H, W, any] -> [B, ceil(H / stride), ceil(W / stride), channels]."""
    if padding == "symmetric":
        x = layers.ZeroPadding2D(size // 2, name=f"{name}.pad")(x)
    return layers.Conv2D(
        channels,
        size,
        strides=stride,
        padding="valid" if padding == "symmetric" else "same",
        kernel_initializer="glorot_uniform",  # as torchvision and detectron2 start it
        name=name,
    )(x)


def _halve(x: Tensor, channels: int, name: str, padding: str) -> Tensor:
    """A 3x3 convolution of stride 2: [B, H, W, any] -> [B, ceil(H / 2), ceil(W / 2), channels]."""
    return with_spare_column(x, name, lambda x: _convolution(x, channels, 3, name, 2, padding))


def feature_pyramid(c3: Tensor, c4: Tensor, c5: Tensor, settings: PyramidSettings) -> list[Tensor]:
    """C3 to C5, [B, H_l, W_l, any] each -> [P3, ..., P7], [B, H_l, W_l, `pyramid_channels`] each.

    The strides are 8 to 128.
    """
    channels, padding = settings.pyramid_channels, settings.pyramid_padding
    m5 = _convolution(c5, channels, 1, "lateral5")
    m4 = _convolution(c4, channels, 1, "lateral4")
    m4 = layers.Add(name="merge4")([m4, UpsampleLike(name="upsample5")([m5, c4])])
    m3 = _convolution(c3, channels, 1, "lateral3")
    m3 = layers.Add(name="merge3")([m3, UpsampleLike(name="upsample4")([m4, c3])])

    p3 = _convolution(m3, channels, 3, "p3")
    p4 = _convolution(m4, channels, 3, "p4")
    p5 = _convolution(m5, channels, 3, "p5")
    p6 = _halve(c5 if settings.p6_from == "c5" else p5, channels, "p6", padding)
    p7 = _halve(layers.ReLU(name="p6.relu")(p6), channels, "p7", padding)
    return [p3, p4, p5, p6, p7]
