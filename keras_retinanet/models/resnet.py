"""ResNet (He et al. 2015) and ResNeXt (Xie et al. 2016) in torchvision's layout: the stride of a
bottleneck in its 3x3, convolutions without bias.

Layers carry the names of torchvision's modules (`layer2.0.conv1`), so a published checkpoint can be
laid beside the model key by key. Padding is explicit wherever the stride is 2: TensorFlow's "same"
pads an even side at the bottom and right only, PyTorch on both sides.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable

import keras
from keras import layers

from keras_retinanet.layers.batch_norm import FusedBatchNormalization
from keras_retinanet.layers.grouped_convolution import GroupedConvolution
from keras_retinanet.layers.spare_column import Tensor, with_spare_column

BOTTLENECK_EXPANSION = 4


@dataclasses.dataclass(frozen=True)
class Network:
    """The shape of one network.

    Attributes:
        depths: blocks in each of the four stages.
        is_bottleneck: whether a block is 1x1, 3x3, 1x1, or else 3x3, 3x3.
        groups: of the 3x3 in a bottleneck (ResNeXt's cardinality).
        group_width: channels of a group in the first stage; each later stage is twice as wide.
        width: of the stem. The first stage has as many channels, times 4 with bottlenecks, and
            `group_width` is meant for 64: other widths scale it.
        is_caffe: whether the stride of a bottleneck is in its first 1x1, and the max pool pads at
            the bottom and right only, as in the networks of He et al. in Caffe.
    """

    depths: tuple[int, int, int, int]
    is_bottleneck: bool
    groups: int = 1
    group_width: int = 64
    width: int = 64
    is_caffe: bool = False


# ResNet-10 is no network of the paper but half of ResNet-18, for the demo and for tests.
NETWORKS = {
    "resnet10": Network((1, 1, 1, 1), False),
    "resnet18": Network((2, 2, 2, 2), False),
    "resnet34": Network((3, 4, 6, 3), False),
    "resnet50": Network((3, 4, 6, 3), True),
    "resnet101": Network((3, 4, 23, 3), True),
    "resnet152": Network((3, 8, 36, 3), True),
    "resnext50_32x4d": Network((3, 4, 6, 3), True, groups=32, group_width=4),
    "resnext101_32x8d": Network((3, 4, 23, 3), True, groups=32, group_width=8),
    "wide_resnet50_2": Network((3, 4, 6, 3), True, group_width=128),
    "wide_resnet101_2": Network((3, 4, 23, 3), True, group_width=128),
}


def find_network(name: str) -> Network | None:
    """The network of a name in `NETWORKS`, or None.

    With "_caffe" behind the name it is that variant, with "_w32" behind all it has that width.
    """
    match = re.fullmatch(r"(.+?)(_caffe)?(?:_w([1-9]\d*))?", name)
    if match is None or match[1] not in NETWORKS:
        return None
    network = NETWORKS[match[1]]
    width = int(match[3] or network.width)
    return dataclasses.replace(network, width=width, is_caffe=match[2] is not None)


Norm = Callable[[str], layers.Layer]


def batch_norm(kind: str, epsilon: float = 1e-5) -> Norm:
    """The maker of the normalisation layers, which takes their names.

    Args:
        kind: "frozen" (running statistics, nothing trained), "trainable" (statistics of each
            replica's part of the batch) or "sync" (statistics of the global batch).
        epsilon: added to the variances; PyTorch's by default.
    """
    settings = {"momentum": 0.9, "epsilon": epsilon}  # the momentum 0.1 of PyTorch is Keras' 0.9
    if kind == "sync":
        return lambda name: layers.BatchNormalization(synchronized=True, name=name, **settings)
    trainable = kind == "trainable"
    return lambda name: FusedBatchNormalization(trainable=trainable, name=name, **settings)


def _convolution(
    x: Tensor, filters: int, size: int, stride: int, name: str, groups: int = 1
) -> Tensor:
    """[B, H, W, any] -> [B, ceil(H / stride), ceil(W / stride), filters], padded on all sides."""
    kind = layers.Conv2D if groups == 1 else GroupedConvolution
    convolution = kind(
        filters,
        size,
        strides=stride,
        padding="same" if stride == 1 else "valid",
        groups=groups,
        use_bias=False,
        kernel_initializer=keras.initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal"),
        name=name,
    )
    if stride == 1 or size == 1:
        return convolution(x)
    pad = layers.ZeroPadding2D(size // 2, name=f"{name}.pad")
    if size == 3:
        return with_spare_column(x, name, lambda x: convolution(pad(x)))
    # The 7x7 of the stem is left as it is: its result is by far the largest to copy, and is one
    # column wide only for images of one or two.
    return convolution(pad(x))


def _shortcut(x: Tensor, filters: int, stride: int, norm: Norm, name: str) -> Tensor:
    """`x` as it is added to the block's result [B, H / stride, W / stride, filters]."""
    if x.shape[-1] == filters and stride == 1:
        return x
    x = _convolution(x, filters, 1, stride, f"{name}.downsample.0")
    return norm(f"{name}.downsample.1")(x)


def _convolutions(network: Network, width: int, stride: int) -> list[tuple[int, int, int, int]]:
    """The filters, size, stride and groups of each convolution of a block."""
    if not network.is_bottleneck:
        return [(width, 3, stride, 1), (width, 3, 1, 1)]
    inner = width * network.group_width // 64 * network.groups
    first, second = (stride, 1) if network.is_caffe else (1, stride)
    outer = BOTTLENECK_EXPANSION * width
    return [(inner, 1, first, 1), (inner, 3, second, network.groups), (outer, 1, 1, 1)]


def _block(x: Tensor, network: Network, width: int, stride: int, norm: Norm, name: str) -> Tensor:
    """[B, H, W, any] -> [B, H / stride, W / stride, width], 4 * width of a bottleneck."""
    convolutions = _convolutions(network, width, stride)
    shortcut = _shortcut(x, convolutions[-1][0], stride, norm, name)
    for index, (filters, size, step, groups) in enumerate(convolutions, start=1):
        if index > 1:
            x = layers.ReLU(name=f"{name}.relu{index - 1}")(x)
        x = _convolution(x, filters, size, step, f"{name}.conv{index}", groups)
        x = norm(f"{name}.bn{index}")(x)
    return layers.ReLU(name=f"{name}.relu")(layers.Add(name=f"{name}.add")([x, shortcut]))


def resnet(name: str, norm: Norm) -> keras.Model:
    """The network that `find_network` knows by `name`.

    From normalised images [B, H, W, 3] to [C3, C4, C5], with strides 8, 16 and 32 and
    ceil(H / stride) rows.

    Raises:
        ValueError: if there is none.
    """
    network = find_network(name)
    if network is None:
        raise ValueError(f"there is no network {name!r}")
    images = keras.Input((None, None, 3), name="normalized_images")
    x = norm("bn1")(_convolution(images, network.width, 7, 2, "conv1"))
    x = layers.ReLU(name="relu")(x)
    if network.is_caffe:
        x = layers.MaxPooling2D(3, strides=2, padding="same", name="maxpool")(x)
    else:
        # After a ReLU, padding with 0 is padding with -infinity.
        x = layers.ZeroPadding2D(1, name="maxpool.pad")(x)
        x = layers.MaxPooling2D(3, strides=2, name="maxpool")(x)
    stages = []
    for stage, depth in enumerate(network.depths, start=1):
        width = network.width * 2 ** (stage - 1)
        for index in range(depth):
            stride = 2 if stage > 1 and index == 0 else 1
            x = _block(x, network, width, stride, norm, f"layer{stage}.{index}")
        stages.append(x)
    return keras.Model(images, stages[1:], name=name)
