import keras
import numpy as np
import pytest

from keras_retinanet.layers.batch_norm import FusedBatchNormalization
from keras_retinanet.layers.normalize_images import NormalizeImages


def make(layer_class, **settings):
    layer = layer_class(momentum=0.9, **settings)
    layer.build((None, None, None, 4))
    rng = np.random.default_rng(1)
    layer.set_weights([rng.uniform(0.5, 2, 4) for _ in range(4)])
    return layer


IMAGES = np.random.default_rng(0).normal(3, 2, (2, 5, 6, 4)).astype(np.float32)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("epsilon", [1e-3, 1e-5, 0.0])
def test_same_result_as_keras(training, epsilon):
    ours = make(FusedBatchNormalization, epsilon=epsilon)
    theirs = make(keras.layers.BatchNormalization, epsilon=epsilon)
    np.testing.assert_allclose(
        ours(IMAGES, training=training), theirs(IMAGES, training=training), atol=2e-5
    )


def test_running_statistics_by_hand():
    layer = make(FusedBatchNormalization, epsilon=1e-5)
    mean, variance = layer.moving_mean.numpy(), layer.moving_variance.numpy()
    layer(IMAGES, training=True)
    flat = IMAGES.reshape(-1, 4)
    np.testing.assert_allclose(layer.moving_mean, 0.9 * mean + 0.1 * flat.mean(0), rtol=1e-5)
    unbiased = flat.var(0, ddof=1)
    np.testing.assert_allclose(layer.moving_variance, 0.9 * variance + 0.1 * unbiased, rtol=1e-5)


def test_frozen_layer_uses_and_keeps_its_statistics():
    layer = make(FusedBatchNormalization, epsilon=1e-5)
    layer.trainable = False
    before = [w.copy() for w in layer.get_weights()]
    gamma, beta, mean, variance = before
    expected = (IMAGES - mean) / np.sqrt(variance + 1e-5) * gamma + beta
    np.testing.assert_allclose(layer(IMAGES, training=True), expected, rtol=1e-4, atol=1e-5)
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_bfloat16_activations_have_float32_statistics():
    layer = FusedBatchNormalization(dtype="mixed_bfloat16")
    outputs = layer(IMAGES.astype("bfloat16"), training=True)
    assert outputs.dtype.name == "bfloat16"
    assert layer.moving_mean.dtype == "float32"
    np.testing.assert_allclose(np.asarray(outputs, np.float32).mean((0, 1, 2)), 0, atol=0.02)


def test_normalisation_by_hand():
    pixel = np.array([[[[10, 20, 30]]]], np.uint8)
    layer = NormalizeImages(mean=(1, 2, 3), std=(3, 6, 9))
    np.testing.assert_allclose(layer(pixel), [[[[3, 3, 3]]]])
    bgr = NormalizeImages(mean=(0, 0, 0), std=(1, 1, 1), bgr=True)
    np.testing.assert_allclose(bgr(pixel), [[[[30, 20, 10]]]])


def test_normalisation_of_every_pixel_is_the_same():
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3)).astype(np.uint8)
    mean, std = np.float32([123.675, 116.28, 103.53]), np.float32([58.395, 57.12, 57.375])
    found = NormalizeImages(mean.tolist(), std.tolist())(images)
    np.testing.assert_array_equal(found, (images.astype(np.float32) - mean) / std)


def test_normalisation_is_float32_under_bfloat16():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        layer = NormalizeImages(mean=(123.675, 0, 0), std=(1, 1, 1))
        outputs = layer(np.full((1, 1, 1, 3), 200.5, np.float32))
    finally:
        keras.config.set_dtype_policy("float32")
    np.testing.assert_allclose(outputs[0, 0, 0], [200.5 - 123.675, 200.5, 200.5], rtol=1e-6)
