"""Convolution in groups (ResNeXt, Xie et al. 2017) that any server runs."""

from __future__ import annotations

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("keras_retinanet")
class GroupedConvolution(keras.layers.Conv2D):
    """`keras.layers.Conv2D` with `groups`, by TensorFlow's own kernel: the same values.

    Keras has grouped convolutions compiled by XLA, and TensorFlow Serving on a CPU refuses such a
    graph unless it is started with a flag.
    """

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        kernel = tf.convert_to_tensor(kernel)
        return tf.nn.conv2d(inputs, kernel, self.strides, self.padding.upper())
