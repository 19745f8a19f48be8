"""Backbones below the pyramid: our ResNets, `keras.applications`, or a model of the user's."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import keras

from keras_retinanet.errors import did_you_mean
from keras_retinanet.geometry.anchor_settings import STRIDES
from keras_retinanet.layers.batch_norm import FusedBatchNormalization
from keras_retinanet.layers.detector_settings import BackboneSettings
from keras_retinanet.layers.normalize_images import NormalizeImages
from keras_retinanet.models.resnet import NETWORKS, batch_norm, find_network, resnet
from keras_retinanet.weights.arrays import read_arrays
from keras_retinanet.weights.checkpoint import fill
from keras_retinanet.weights.published import BACKBONES, fetch
from keras_retinanet.weights.torchvision import backbone_checkpoint

KERAS_PREFIX = "keras:"

# How a backbone wants its pixels. The padding of a batch is the mean, so it is 0 after this.
_NORMALIZATIONS: dict[str, dict[str, Any]] = {
    "torch": {"mean": (123.675, 116.28, 103.53), "std": (58.395, 57.12, 57.375)},
    "caffe": {"mean": (103.939, 116.779, 123.68), "std": (1.0, 1.0, 1.0), "bgr": True},
    "tf": {"mean": (127.5, 127.5, 127.5), "std": (127.5, 127.5, 127.5)},
    "none": {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)},
}
# keras.applications by the beginning of the name; the longest that fits counts. "none": the network
# normalises by itself.
_APPLICATION_NORMALIZATIONS = {
    "ConvNeXt": "none",
    "DenseNet": "torch",
    "EfficientNet": "none",
    "MobileNet": "tf",
    "MobileNetV3": "none",
    "ResNet": "caffe",
    "ResNet50V2": "tf",
    "ResNet101V2": "tf",
    "ResNet152V2": "tf",
    "VGG": "caffe",
    "Xception": "tf",
}
# Those that cannot stand below a pyramid, by the beginning of the name, and why.
_UNFIT_APPLICATIONS = {
    "Inception": "it does not pad, so its cells would not lie where the anchors do",
    "NASNet": "Keras builds it for images of one size only",
}


def image_normalization(backbone: str | keras.Model) -> NormalizeImages:
    """The layer that prepares pixels for `backbone`; a model of the user's gets 0 to 255.

    Raises:
        ValueError: if `keras.applications` has no model of that name, or one that does not do.
    """
    if isinstance(backbone, keras.Model):
        kind = "none"
    elif backbone.startswith(KERAS_PREFIX):
        application = backbone.removeprefix(KERAS_PREFIX)
        _find_application(application)
        fitting = [p for p in _APPLICATION_NORMALIZATIONS if application.startswith(p)]
        kind = _APPLICATION_NORMALIZATIONS[max(fitting, key=len)]
    else:
        network = find_network(backbone)
        kind = "caffe" if network and network.is_caffe else "torch"
    return NormalizeImages(**_NORMALIZATIONS[kind])


def build_backbone(settings: BackboneSettings, *, imagenet_weights: bool) -> keras.Model:
    """A model from normalised images [B, H, W, 3] to [C3, C4, C5] with strides 8, 16 and 32.

    Args:
        settings: which, and how its batch normalisation is treated, see `models.resnet.batch_norm`.
            A `keras.Model` is used as it is, but for that if `backbone_norm` says how.
        imagenet_weights: whether it starts from its published weights: those of
            `keras.applications`, or torchvision's for a network of ours.

    Raises:
        ValueError: if there is no such backbone, it has not three outputs, its weights cannot be
            had.
        ImportError: if PyTorch is needed to read them and missing.
    """
    backbone, norm = settings.backbone, settings.backbone_norm
    if isinstance(backbone, keras.Model):
        if len(backbone.outputs) != 3:
            raise ValueError(
                f"the backbone {backbone.name!r} has {len(backbone.outputs)} outputs; RetinaNet "
                "takes three, the maps C3, C4 and C5 with strides 8, 16 and 32"
            )
        if imagenet_weights:
            raise ValueError(
                f"weights='imagenet' are published for named backbones, not for the model "
                f"{backbone.name!r} given as one: fill it before, and leave weights out"
            )
        _check_strides(backbone)
        return backbone if norm is None else _set_norm(backbone, norm)
    assert norm is not None, "only a keras.Model brings its own"
    if backbone.startswith(KERAS_PREFIX):
        name = backbone.removeprefix(KERAS_PREFIX)
        return _set_norm(_application(name, imagenet_weights), norm)
    if find_network(backbone) is None:
        hint = did_you_mean(backbone, [*NETWORKS, f"{KERAS_PREFIX}ResNet50"])
        raise ValueError(
            f"unknown backbone {backbone!r}{hint} There are {', '.join(NETWORKS)} (and "
            f"with _caffe or _w32 behind, see models/resnet.py), and {KERAS_PREFIX}NAME for any "
            "model of keras.applications"
        )
    if imagenet_weights and backbone not in BACKBONES:
        raise ValueError(
            f"weights='imagenet' are not published for {backbone!r}, only for "
            f"{', '.join(BACKBONES)} and {KERAS_PREFIX}ResNet50 and its like; weights=None "
            "(model.weights=none) starts at random"
        )
    model = resnet(backbone, batch_norm(norm, settings.batch_norm_epsilon))
    if imagenet_weights:
        file = fetch(BACKBONES[backbone])
        fill(model.weights, backbone_checkpoint(read_arrays(file), str(file)))
    return model


def _check_strides(backbone: keras.Model) -> None:
    """Raises ValueError unless C3 to C5 have the strides that the anchors are laid out for."""
    side = 256
    maps = backbone.compute_output_spec(keras.KerasTensor((1, side, side, 3)))
    for level, stride, output in zip(("C3", "C4", "C5"), STRIDES[:3], maps, strict=True):
        found, right = tuple(output.shape[1:3]), (side // stride, side // stride)
        if None not in found and found != right:
            raise ValueError(
                f"the backbone {backbone.name!r} makes {level} of {found[0]}x{found[1]} cells from "
                f"{side}x{side} pixels; RetinaNet takes the strides 8, 16 and 32, so "
                f"{right[0]}x{right[1]}"
            )


def _set_norm(model: keras.Model, norm: str) -> keras.Model:
    for layer in model._flatten_layers(include_self=False):
        if not isinstance(layer, keras.layers.BatchNormalization):
            continue
        layer.trainable = norm != "frozen"
        if norm == "sync" and isinstance(layer, FusedBatchNormalization):
            raise ValueError(
                f"{layer.name}: FusedBatchNormalization has no synchronised statistics; make the "
                "backbone with keras.layers.BatchNormalization"
            )
        layer.synchronized |= norm == "sync"
    return model


# The layers of the stem and of the four stages of a ResNet, in torchvision's names and in those of
# Keras; ResNetV2 normalises behind its last sum.
_PARTS = (
    r"(conv|bn)1$|conv1_",
    r"layer1\.|conv2_",
    r"layer2\.|conv3_",
    r"layer3\.|conv4_",
    r"layer4\.|conv5_|post_bn$",
)


def freeze_stages(backbone: keras.Model, count: int) -> None:
    """Freezes the first `count` of the five parts of a ResNet: the stem and its four stages.

    A frozen normalisation layer keeps its running statistics.

    Raises:
        ValueError: if there are not so many, or the backbone is no ResNet.
    """
    if not 0 <= count <= 5:
        raise ValueError(f"frozen_stages is {count}; it counts the stem and four stages, so 0 to 5")
    for layer in backbone._flatten_layers(include_self=False, recursive=True) if count else ():
        if layer.weights and _part(layer.name) <= count:
            layer.trainable = False


def _part(layer: str) -> int:
    for part, names in enumerate(_PARTS, start=1):
        if re.match(names, layer):
            return part
    raise ValueError(
        f"frozen_stages knows the stages of ResNets only, but not where {layer!r} belongs; set "
        "`trainable` of the layers of model.backbone instead"
    )


def _find_application(name: str) -> Callable[..., keras.Model]:
    """The function of `keras.applications` that makes the model of this name.

    Raises:
        ValueError: if there is none, naming the nearest, or it cannot be a backbone.
    """
    names = {n.lower(): n for n in dir(keras.applications) if n[:1].isupper()}
    if name not in names.values():
        hint = did_you_mean(name.lower(), names, lambda near: repr(names[near]))
        raise ValueError(f"keras.applications has no model {name!r}{hint}")
    for beginning, reason in _UNFIT_APPLICATIONS.items():
        if name.startswith(beginning):
            raise ValueError(f"{KERAS_PREFIX}{name} cannot be a backbone: {reason}")
    return getattr(keras.applications, name)


def _application(name: str, imagenet_weights: bool) -> keras.Model:
    make = _find_application(name)
    weights = "imagenet" if imagenet_weights else None
    try:
        model = make(include_top=False, weights=weights, input_shape=(None, None, 3))
    except Exception as error:  # Keras raises a bare Exception when a download fails
        if weights is None:
            raise
        raise ValueError(
            f"the ImageNet weights of {name} could not be fetched ({error}); go online once, or "
            "say weights=None (model.weights=none) to start at random"
        ) from error
    return keras.Model(model.inputs, [tap.output for tap in _taps(model)], name=name)


def _taps(model: keras.Model) -> list[keras.Operation]:
    """The last operations of `model` with strides 8, 16 and 32, by their shapes on 256 pixels.

    What is narrower than the last sum of a stride is left out: there ResNetV2 has begun the block
    that halves the map, whose inside has a quarter of the channels.
    """
    side = 256
    candidates = [
        operation
        for operation in model.operations
        if len(getattr(operation.output, "shape", ())) == 4
        # a padded map has another stride's size
        and not isinstance(operation, keras.layers.ZeroPadding2D)
    ]
    probe = keras.Model(model.inputs, [operation.output for operation in candidates])
    outputs = probe.compute_output_spec(keras.KerasTensor((1, side, side, 3)))
    last: dict[int, keras.Operation] = {}
    sum_channels: dict[int, int] = {}
    for operation, output in zip(candidates, outputs, strict=True):
        if not output.shape[1]:
            continue
        level = round(math.log2(side / output.shape[1]))
        if type(operation).__name__ == "Add":  # a layer or a plus sign
            sum_channels[level] = output.shape[-1]
        if output.shape[-1] >= sum_channels.get(level, 0):
            last[level] = operation
    missing = [2**level for level in (3, 4, 5) if level not in last]
    if missing:
        raise ValueError(f"{model.name} has no feature map with stride {missing[0]}")
    return [last[level] for level in (3, 4, 5)]
