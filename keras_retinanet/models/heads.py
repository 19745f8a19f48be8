"""The two subnets, each applied to every pyramid level with the same weights (paper, section 4)."""

from __future__ import annotations

import math

import keras
from keras import layers

from keras_retinanet.layers.detector_settings import DetectorSettings

GROUPS = 32  # of GroupNorm, as in Wu and He 2018


def _group_norm(channels: int, name: str) -> layers.Layer:
    if channels % GROUPS:
        raise ValueError(
            f"head_norm='group' needs pyramid_channels in multiples of {GROUPS}, not {channels}"
        )
    return layers.GroupNormalization(GROUPS, epsilon=1e-5, name=name)


def _subnet(
    name: str, per_anchor: int, settings: DetectorSettings, bias: float = 0.0
) -> keras.Model:
    """`head_depth` 3x3 convolutions with ReLU, then one without: to [B, H * W * A, per_anchor]."""
    channels = settings.pyramid_channels
    # In the type that the pyramid has, or a model in mixed precision casts them there and back.
    dtype = keras.config.dtype_policy().compute_dtype
    features = x = keras.Input((None, None, channels), dtype=dtype, name="features")
    for index in range(settings.head_depth):
        x = layers.Conv2D(
            channels,
            3,
            padding="same",
            use_bias=settings.head_norm is None,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            name=f"{name}.conv{index}",
        )(x)
        if settings.head_norm == "group":
            x = _group_norm(channels, f"{name}.norm{index}")(x)
        x = layers.ReLU(name=f"{name}.relu{index}")(x)
    x = layers.Conv2D(
        settings.anchors.per_cell * per_anchor,
        3,
        padding="same",
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
        bias_initializer=keras.initializers.Constant(bias),
        name=f"{name}.output",
    )(x)
    x = layers.Reshape((-1, per_anchor), name=f"{name}.per_anchor")(x)
    return keras.Model(features, x, name=name)


def class_subnet(num_classes: int, settings: DetectorSettings) -> keras.Model:
    """[B, H, W, pyramid_channels] -> class logits [B, H * W * A, K].

    The last bias says that an object of any class has probability `prior` at the start. Without it
    the background of the first batches drowns everything (paper, section 3.3).
    """
    bias = -math.log((1.0 - settings.prior) / settings.prior)
    return _subnet("class_subnet", num_classes, settings, bias)


def box_subnet(settings: DetectorSettings) -> keras.Model:
    """[B, H, W, pyramid_channels] -> box deltas (dx, dy, dw, dh) [B, H * W * A, 4]."""
    return _subnet("box_subnet", 4, settings)
