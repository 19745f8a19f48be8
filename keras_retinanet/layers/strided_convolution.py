"""Convolution with a stride, padded as PyTorch does or as TensorFlow does."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_retinanet.layers.grouped_convolution import GroupedConvolution

Shape = tuple[int | None, ...]


@keras.saving.register_keras_serializable("keras_retinanet")
class StridedConvolution(GroupedConvolution):
    """From [B, H, W, C] to [B, ceil(H / 2), ceil(W / 2), filters], with an odd kernel and stride 2.

    It computes a column more than that, from zeros at the right, and drops it: where a result is
    one column wide, oneDNN computes in bfloat16 on AMX with what the memory held before (TensorFlow
    2.21; numbers of 1e35 and NaN).

    Args:
        filters, kernel_size, groups: as in `keras.layers.Conv2D`.
        symmetric: whether half the kernel is padded on all sides, as in PyTorch. Otherwise the
            padding is Keras' "same", whose odd pixel lies at the bottom and right.
        settings: of `keras.layers.Conv2D`.
    """

    def __init__(
        self, filters: int, kernel_size: int, *, symmetric: bool = True, **settings: Any
    ) -> None:
        padding = "valid" if symmetric else "same"
        super().__init__(filters, kernel_size, **{**settings, "strides": 2, "padding": padding})
        self.symmetric = symmetric

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        ends = self._ends()
        padded = tf.pad(inputs, [[0, 0], [ends, ends], [ends, ends + 2], [0, 0]])
        return super().call(padded)[:, :, :-1]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        batch, *sides, channels = input_shape
        padded = [side and side + 2 * self._ends() for side in sides]
        return tuple(super().compute_output_shape((batch, *padded, channels)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "symmetric": self.symmetric}

    def _ends(self) -> int:
        return self.kernel_size[0] // 2 if self.symmetric else 0
