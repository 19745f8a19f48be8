"""Convolution in groups (ResNeXt, Xie et al. 2017) for any processor and any server."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

_Gradients = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]


@keras.saving.register_keras_serializable("keras_retinanet")
class GroupedConvolution(keras.layers.Conv2D):
    """`keras.layers.Conv2D` with `groups`, by TensorFlow's own kernel: the same values.

    Keras has grouped convolutions compiled by XLA, and TensorFlow Serving on a CPU refuses such a
    graph unless it is started with a flag.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """[B, H, W, C] -> [B, h, w, filters]."""
        outputs = self.convolution_op(inputs, self.kernel)
        if self.use_bias:
            # Not as BiasAdd: TensorFlow would fuse it with the convolution into an operation that
            # knows no groups where oneDNN is off, as on processors without AVX-512.
            outputs += tf.reshape(tf.convert_to_tensor(self.bias), [1, 1, 1, -1])
        return self.activation(outputs)

    def convolution_op(self, inputs: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
        """The convolution alone, with a kernel [height, width, C / groups, filters]."""
        kernel = tf.convert_to_tensor(kernel)
        convolve = functools.partial(
            tf.nn.conv2d, strides=self.strides, padding=self.padding.upper()
        )
        if _has_gradients(kernel.dtype):
            return convolve(inputs, kernel)
        return tf.custom_gradient(
            lambda x, weights: (convolve(x, weights), self._gradients(x, weights))
        )(inputs, kernel)

    def _gradients(self, inputs: tf.Tensor, kernel: tf.Tensor) -> _Gradients:
        """Those of a convolution in groups, group by group.

        From the gradient of the outputs [B, h, w, filters] to those of the inputs [B, H, W, C] and
        of the kernel [height, width, C / groups, filters].
        """

        def gradients(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            split = [tf.split(part, self.groups, axis=-1) for part in (inputs, kernel, upstream)]
            groups = [
                _convolution_gradients(x, weights, dy, self.strides, self.padding.upper())
                for x, weights, dy in zip(*split, strict=True)
            ]
            of_inputs, of_kernel = (
                tf.concat(parts, axis=-1) for parts in zip(*groups, strict=True)
            )
            return of_inputs, of_kernel  # [B, H, W, C], [height, width, C / groups, filters]

        return gradients


def _convolution_gradients(
    inputs: tf.Tensor, kernel: tf.Tensor, upstream: tf.Tensor, strides: Sequence[int], padding: str
) -> tuple[tf.Tensor, tf.Tensor]:
    """The gradients of inputs [B, H, W, C] and kernel [height, width, C / groups, filters].

    By one operation each, of `upstream`, the gradient of the outputs [B, h, w, filters].
    """
    settings = {"out_backprop": upstream, "strides": [1, *strides, 1], "padding": padding}
    return (
        tf.raw_ops.Conv2DBackpropInput(input_sizes=tf.shape(inputs), filter=kernel, **settings),
        tf.raw_ops.Conv2DBackpropFilter(input=inputs, filter_sizes=tf.shape(kernel), **settings),
    )


@functools.cache
def _has_gradients(dtype: tf.DType) -> bool:
    """Whether TensorFlow has the gradients of grouped convolutions here; on a CPU oneDNN has."""
    shapes = ([1, 3, 3, 2], [3, 3, 1, 2], [1, 1, 1, 2])  # of inputs, kernel and outputs
    try:
        with tf.init_scope():
            inputs, kernel, upstream = (tf.ones(shape, dtype) for shape in shapes)
            _convolution_gradients(inputs, kernel, upstream, (1, 1), "VALID")
    except (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError):
        return False
    return True
