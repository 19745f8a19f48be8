import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_retinanet.layers.strided_convolution import StridedConvolution

EXPLICIT = [[0, 0], [1, 1], [1, 1], [0, 0]]


def values_and_gradients(convolve, x, kernel):
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        y = convolve(x, kernel)
        loss = tf.reduce_sum(tf.square(tf.cast(y, tf.float32)))
    return [tf.cast(v, tf.float32).numpy() for v in (y, *tape.gradient(loss, [x, kernel]))]


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 0.03)])
@pytest.mark.parametrize("groups", [1, 32])
@pytest.mark.parametrize("symmetric", [True, False])
def test_it_is_the_convolution_of_its_padding(symmetric, groups, dtype, tolerance):
    """Narrow ones too: in bfloat16 on AMX, one column came from what memory held before."""
    rng = np.random.default_rng(0)
    layer = StridedConvolution(
        256, 3, symmetric=symmetric, groups=groups, use_bias=False, dtype=dtype
    )
    layer.build((None, None, None, 256))

    def ours(x, kernel):
        with keras.StatelessScope(state_mapping=[(layer.kernel, kernel)]):
            return layer(x)

    def plain(x, kernel):
        padding = EXPLICIT if symmetric else "SAME"
        split = zip(tf.split(x, groups, axis=-1), tf.split(kernel, groups, axis=-1), strict=True)
        return tf.concat([tf.nn.conv2d(a, b, 2, padding) for a, b in split], axis=-1)

    ours = tf.function(ours, reduce_retracing=True)
    kernel = layer.kernel.numpy()
    for height, width in itertools.product((1, 2, 3, 9), (1, 2, 3, 4)):
        x = rng.standard_normal((1, height, width, 256)).astype(np.float32)
        junk = [np.full(2**size, np.nan, np.float32) for size in range(6, 20) for _ in range(8)]
        del junk  # where it was, memory that is not written to holds NaN
        given = tf.constant(x, layer.compute_dtype), tf.constant(kernel)
        found = values_and_gradients(ours, *given)
        expected = values_and_gradients(plain, tf.constant(x), tf.constant(kernel))
        for value, right in zip(found, expected, strict=True):
            np.testing.assert_allclose(value, right, rtol=0, atol=tolerance * np.abs(right).max())


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("sides", [(7, 8), (1, 2), (None, 5)])
def test_its_shape_is_known_before_it_computes(sides, symmetric):
    layer = StridedConvolution(4, 3, symmetric=symmetric)
    halves = tuple(side and (side + 1) // 2 for side in sides)
    assert layer.compute_output_shape((2, *sides, 3)) == (2, *halves, 4)
    assert layer(keras.Input((*sides, 3), 2)).shape == (2, *halves, 4)
    copy = StridedConvolution.from_config(layer.get_config())
    assert copy.symmetric == symmetric and copy.strides == (2, 2)
