"""The names of torchvision's state dicts (torchvision 0.29): its RetinaNets and its ResNets."""

from __future__ import annotations

import re

from keras_retinanet.weights.arrays import Arrays, WeightsError
from keras_retinanet.weights.checkpoint import Checkpoint

# PyTorch keeps a kernel as (out, in, height, width).
KERNEL_AXES = (2, 3, 1, 0)

_BODY, _FPN = "backbone.body.", "backbone.fpn."
_PARTS = {
    "kernel": "weight",
    "gamma": "weight",
    "beta": "bias",
    "bias": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_PYRAMID = {
    **{f"lateral{level}": f"{_FPN}inner_blocks.{level - 3}.0" for level in (3, 4, 5)},
    **{f"p{level}": f"{_FPN}layer_blocks.{level - 3}.0" for level in (3, 4, 5)},
    **{f"p{level}": f"{_FPN}extra_blocks.p{level}" for level in (6, 7)},
}
_SUBNETS = {
    "class_subnet": ("head.classification_head", "cls_logits"),
    "box_subnet": ("head.regression_head", "bbox_reg"),
}
# Before Conv2dNormActivation, a subnet was one sequence of convolutions and ReLUs, and a pyramid
# convolution stood alone.
_OLD_SUBNET = re.compile(r"(head\.\w+_head\.conv)\.(\d+)\.(weight|bias)")
_OLD_PYRAMID = re.compile(r"(backbone\.fpn\.(?:inner|layer)_blocks\.\d)\.(weight|bias)")


def detector_checkpoint(arrays: Arrays, source: str) -> Checkpoint:
    """The state dict of a `torchvision.models.detection.RetinaNet`, in either form of its names.

    Raises:
        WeightsError: if two names mean the same entry.
    """
    entries: Arrays = {}
    for name, array in _without_counters(arrays).items():
        current = _current_name(name)
        if current in entries:
            raise WeightsError(f"{source}: {current} is there twice, once as {name}")
        entries[current] = array
    return Checkpoint(source, entries, _detector_name, KERNEL_AXES)


def backbone_checkpoint(arrays: Arrays, source: str) -> Checkpoint:
    """The state dict of a classification ResNet; the classifier is left out."""
    entries = _without_counters(arrays)
    for name in ("fc.weight", "fc.bias"):
        entries.pop(name, None)
    return Checkpoint(source, entries, _module_entry, KERNEL_AXES)


def _without_counters(arrays: Arrays) -> Arrays:
    """Without the steps that batch normalisation has counted, which no result depends on."""
    return {name: a for name, a in arrays.items() if not name.endswith(".num_batches_tracked")}


def _current_name(name: str) -> str:
    if match := _OLD_SUBNET.fullmatch(name):
        return f"{match[1]}.{int(match[2]) // 2}.0.{match[3]}"
    if match := _OLD_PYRAMID.fullmatch(name):
        return f"{match[1]}.0.{match[2]}"
    return name


def _module_entry(path: str) -> str:
    """The backbone's layers carry the names of torchvision's modules."""
    module, part = path.split("/")
    return f"{module}.{_PARTS[part]}"


def _detector_name(path: str) -> str:
    layer, part = path.split("/")
    subnet, _, inner = layer.partition(".")
    if layer in _PYRAMID:
        return f"{_PYRAMID[layer]}.{_PARTS[part]}"
    if subnet not in _SUBNETS:
        return _BODY + _module_entry(path)
    head, output = _SUBNETS[subnet]
    if inner == "output":
        return f"{head}.{output}.{_PARTS[part]}"
    kind, index = inner[:4], inner[4:]  # "conv0", "norm0"
    return f"{head}.conv.{index}.{'0' if kind == 'conv' else '1'}.{_PARTS[part]}"
