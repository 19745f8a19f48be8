"""Folded batch normalisation: by hand, and whole networks against themselves."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_retinanet.export.folding import fold_batch_norm
from keras_retinanet.export.inference_model import inference_model
from tests.export.make import norms, photograph, shuffle_statistics, small_model


def test_one_channel_by_hand():
    images = keras.Input((1, 1, 1))
    features = layers.Conv2D(1, 1, name="convolution")(images)
    model = keras.Model(images, layers.BatchNormalization(epsilon=0.75, name="norm")(features))
    convolution, norm = model.get_layer("convolution"), model.get_layer("norm")
    convolution.set_weights([np.full((1, 1, 1, 1), 3.0), np.array([5.0])])
    # gamma, beta, mean, variance
    norm.set_weights([np.array([value]) for value in (4.0, 7.0, 2.0, 0.25)])
    # 4 (3 x + 5 - 2) / sqrt(0.25 + 0.75) + 7 = 12 x + 19
    folded = fold_batch_norm(model)
    assert [layer.name for layer in folded.layers[1:]] == ["convolution"]
    kernel, bias = folded.get_layer("convolution").get_weights()
    assert (kernel.item(), bias.tolist()) == (12.0, [19.0])
    assert convolution.get_weights()[0].item() == 3.0  # the model itself is left alone
    assert folded(tf.ones([1, 1, 1, 1])).numpy().item() == 31.0


def test_depthwise_channels_and_norms_without_scale_or_shift():
    images = keras.Input((6, 6, 2))
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False)(images)
    x = layers.BatchNormalization(scale=False)(x)
    x = layers.BatchNormalization(center=False)(layers.Conv2D(3, 1)(x))
    model = keras.Model(images, x)
    shuffle_statistics(model)
    folded = fold_batch_norm(model)
    assert not norms(folded)
    batch = np.random.default_rng(1).normal(size=(2, 6, 6, 2)).astype(np.float32)
    np.testing.assert_allclose(folded(batch), model(batch, training=False), atol=1e-5)


def test_what_cannot_be_folded_stays():
    images = keras.Input((4, 4, 1))
    activated = layers.Conv2D(1, 1, activation="relu")(images)
    used_twice = layers.Conv2D(1, 1)(images)
    shared = layers.Conv2D(1, 1)
    sum_ = layers.Add()(
        [
            layers.BatchNormalization()(activated),
            layers.BatchNormalization()(used_twice),
            used_twice,
            layers.BatchNormalization()(shared(images)),
            shared(used_twice),
        ]
    )
    model = keras.Model(images, layers.BatchNormalization()(sum_))
    shuffle_statistics(model)
    folded = fold_batch_norm(model)
    assert len(norms(folded)) == 4
    batch = np.random.default_rng(1).normal(size=(2, 4, 4, 1)).astype(np.float32)
    np.testing.assert_allclose(folded(batch), model(batch, training=False), atol=1e-5)


@pytest.mark.parametrize(
    "backbone",
    [
        *("resnet10_w32", "resnet50", "resnext50_32x4d_w16"),
        *("keras:MobileNetV2", "keras:EfficientNetB0", "keras:ConvNeXtTiny"),
    ],
)
def test_a_detector_in_float32_keeps_its_logits(backbone):
    model = small_model(backbone=backbone, head_norm="batch")
    shuffle_statistics(model)
    before = model.get_weights()
    images = tf.constant(photograph(64, 96)[None], tf.float32)
    expected = model.heads(images)
    assert norms(model.network) and not norms(fold_batch_norm(model.network))
    found = inference_model(model, "float32").heads(images)
    assert 0.05 < np.std(expected["class_logits"]) < 20
    for name in ("class_logits", "box_deltas"):
        np.testing.assert_allclose(found[name], expected[name], atol=1e-3)
    np.testing.assert_array_equal(found["anchors"], expected["anchors"])
    for weight, right in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, right)


def test_a_detector_in_bfloat16_is_near_and_its_anchors_are_exact():
    model = small_model(head_norm="batch")
    shuffle_statistics(model)
    images = tf.constant(photograph(64, 96)[None], tf.float32)
    expected = model.heads(images)
    copy = inference_model(model, "bfloat16")
    found = copy.heads(images)
    difference = np.abs(found["class_logits"] - expected["class_logits"]).max()
    assert 1e-4 < difference < 0.02 * np.abs(expected["class_logits"]).max()
    assert found["class_logits"].dtype == tf.float32
    np.testing.assert_array_equal(found["anchors"], expected["anchors"])
