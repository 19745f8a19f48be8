"""ResNet (He et al. 2015) in torchvision's layout: stride in the 3x3, convolutions without bias.

Layers carry the names of torchvision's modules (`layer2.0.conv1`), so a published checkpoint can be
laid beside the model key by key. Padding is explicit wherever the stride is 2: TensorFlow's "same"
pads an even side at the bottom and right only, PyTorch on both sides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import keras
from keras import layers

from keras_retinanet.layers.batch_norm import FusedBatchNormalization

# Blocks in each of the four stages, whether a block is a bottleneck (1x1, 3x3, 1x1), and the width
# of the stem and of the first stage; each later stage is twice as wide. The first is no network of
# the paper: half of ResNet-18 in depth and width, for the demo and for tests.
NETWORKS = {
    "resnet10_w32": ((1, 1, 1, 1), False, 32),
    "resnet18": ((2, 2, 2, 2), False, 64),
    "resnet34": ((3, 4, 6, 3), False, 64),
    "resnet50": ((3, 4, 6, 3), True, 64),
    "resnet101": ((3, 4, 23, 3), True, 64),
    "resnet152": ((3, 8, 36, 3), True, 64),
}
BOTTLENECK_EXPANSION = 4

Tensor: TypeAlias = keras.KerasTensor
Norm = Callable[[str], layers.Layer]


def batch_norm(kind: str) -> Norm:
    """What makes the normalisation layers, given their names.

    Args:
        kind: "frozen" (running statistics, nothing trained), "trainable" (statistics of each
            replica's part of the batch) or "sync" (statistics of the global batch).
    """
    settings = {"momentum": 0.9, "epsilon": 1e-5}  # PyTorch's; its momentum 0.1 is Keras' 0.9
    if kind == "sync":
        return lambda name: layers.BatchNormalization(synchronized=True, name=name, **settings)
    trainable = kind == "trainable"
    return lambda name: FusedBatchNormalization(trainable=trainable, name=name, **settings)


def _convolution(x: Tensor, filters: int, size: int, stride: int, name: str) -> Tensor:
    if stride > 1 and size > 1:
        x = layers.ZeroPadding2D(size // 2, name=f"{name}.pad")(x)
    padding = "same" if stride == 1 else "valid"
    return layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding=padding,
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
        name=name,
    )(x)


def _shortcut(x: Tensor, filters: int, stride: int, norm: Norm, name: str) -> Tensor:
    if x.shape[-1] == filters and stride == 1:
        return x
    x = _convolution(x, filters, 1, stride, f"{name}.downsample.0")
    return norm(f"{name}.downsample.1")(x)


def _basic_block(x: Tensor, width: int, stride: int, norm: Norm, name: str) -> Tensor:
    shortcut = _shortcut(x, width, stride, norm, name)
    x = norm(f"{name}.bn1")(_convolution(x, width, 3, stride, f"{name}.conv1"))
    x = layers.ReLU(name=f"{name}.relu1")(x)
    x = norm(f"{name}.bn2")(_convolution(x, width, 3, 1, f"{name}.conv2"))
    return layers.ReLU(name=f"{name}.relu")(layers.Add(name=f"{name}.add")([x, shortcut]))


def _bottleneck_block(x: Tensor, width: int, stride: int, norm: Norm, name: str) -> Tensor:
    shortcut = _shortcut(x, BOTTLENECK_EXPANSION * width, stride, norm, name)
    x = norm(f"{name}.bn1")(_convolution(x, width, 1, 1, f"{name}.conv1"))
    x = layers.ReLU(name=f"{name}.relu1")(x)
    x = norm(f"{name}.bn2")(_convolution(x, width, 3, stride, f"{name}.conv2"))
    x = layers.ReLU(name=f"{name}.relu2")(x)
    x = _convolution(x, BOTTLENECK_EXPANSION * width, 1, 1, f"{name}.conv3")
    x = norm(f"{name}.bn3")(x)
    return layers.ReLU(name=f"{name}.relu")(layers.Add(name=f"{name}.add")([x, shortcut]))


def resnet(name: str, norm: Norm) -> keras.Model:
    """The network `name` of `NETWORKS`: images [B, H, W, 3], normalised, -> [C3, C4, C5].

    The maps have strides 8, 16 and 32 and ceil(H / stride) rows.
    """
    depths, is_bottleneck, base_width = NETWORKS[name]
    block = _bottleneck_block if is_bottleneck else _basic_block
    images = keras.Input((None, None, 3), name="normalized_images")
    x = norm("bn1")(_convolution(images, base_width, 7, 2, "conv1"))
    x = layers.ReLU(name="relu")(x)
    # After a ReLU, padding with 0 is padding with -infinity.
    x = layers.ZeroPadding2D(1, name="maxpool.pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="maxpool")(x)
    stages = []
    for stage, depth in enumerate(depths, start=1):
        width = base_width * 2 ** (stage - 1)
        for index in range(depth):
            stride = 2 if stage > 1 and index == 0 else 1
            x = block(x, width, stride, norm, f"layer{stage}.{index}")
        stages.append(x)
    return keras.Model(images, stages[1:], name=name)
