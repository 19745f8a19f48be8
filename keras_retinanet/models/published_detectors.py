"""Published checkpoints: what model they are of, read from their names and shapes."""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Any

from keras_retinanet.geometry.anchor_settings import AnchorSettings
from keras_retinanet.models.resnet import NETWORKS
from keras_retinanet.weights import fizyr
from keras_retinanet.weights.arrays import Arrays, WeightsError
from keras_retinanet.weights.checkpoint import Checkpoint
from keras_retinanet.weights.coco import COCO_80, COCO_91
from keras_retinanet.weights.torchvision import backbone_checkpoint, detector_checkpoint

Categories = Sequence[tuple[int, str]]

CLASS_OUTPUT = "class_subnet.output"

_TORCHVISION: dict[str, Any] = {
    "anchors": AnchorSettings(offset=0.0, whole_pixels=True, fit_strides=True),
    "max_detections": 300,
}
# FrozenBatchNorm2d, its epsilon set to 0 when the published weights are loaded.
_TORCHVISION_V1 = {**_TORCHVISION, "p6_from": "p5", "batch_norm_epsilon": 0.0}
_TORCHVISION_V2 = {**_TORCHVISION, "p6_from": "c5", "head_norm": "group"}

# Everything but the anchors, which are the paper's.
_FIZYR: dict[str, Any] = {
    "pyramid_padding": "same",
    "box_coding": "corners",
    "round_sides": True,
    "size_divisor": 1,
    "max_detections": 300,
}

_SUBNET_BLOCK = re.compile(r"head\.\w+_head\.conv\.(\d+)\.([01])\.")
_FIZYR_HIDDEN = re.compile(r"pyramid_(?:classification|regression)_(\d+)/")
_FIZYR_PYRAMID_BIAS = re.compile(r"(?:P\d|C\d_reduced)/bias$")
_PYRAMID_BIAS = re.compile(r"backbone\.fpn\..*\.bias")


@dataclasses.dataclass(frozen=True)
class Imported:
    """A checkpoint and the model that it fills.

    Attributes:
        checkpoint: the entries.
        settings: those arguments of `RetinaNet` that the entries were made with.
        categories: the classes of a detector.
        is_detector: whether it is more than a backbone.
    """

    checkpoint: Checkpoint
    settings: dict[str, Any]
    categories: Categories = ()
    is_detector: bool = True

    def with_categories(self, categories: Categories) -> Imported:
        """Only the class outputs of `categories`, which must be among the detector's; or none."""
        if not categories:
            checkpoint = self.checkpoint.without(CLASS_OUTPUT)
        elif tuple(categories) == tuple(self.categories):
            return self
        else:
            outputs = [list(self.categories).index(category) for category in categories]
            per_cell = self.settings["anchors"].per_cell
            checkpoint = self.checkpoint.select(CLASS_OUTPUT, per_cell, outputs)
        return dataclasses.replace(self, checkpoint=checkpoint, categories=categories)


def torchvision_checkpoint(arrays: Arrays, source: str) -> Imported:
    """A state dict of one of torchvision's two RetinaNets, or of a classification ResNet.

    Raises:
        WeightsError: if it is of neither kind.
    """
    if any(name.startswith("head.classification_head.") for name in arrays):
        return _torchvision_detector(detector_checkpoint(arrays, source))
    if "conv1.weight" in arrays and "layer4.0.conv1.weight" in arrays:
        checkpoint = backbone_checkpoint(arrays, source)
        network = _network_name(checkpoint, "")
        return Imported(checkpoint, {"backbone": network}, is_detector=False)
    raise WeightsError(
        f"{source} is no state dict of a torchvision RetinaNet (head.classification_head...) or "
        f"ResNet (conv1.weight, layer4...); its first entry is {next(iter(arrays), 'missing')}"
    )


def fizyr_checkpoint(arrays: Arrays, source: str) -> Imported:
    """A detector of fizyr's keras-retinanet with a ResNet, as `weights.fizyr.read_fizyr` reads it.

    Raises:
        WeightsError: if it is none.
    """
    checkpoint = fizyr.fizyr_checkpoint(arrays, source)
    num_classes = _num_classes(checkpoint, "pyramid_classification/bias", AnchorSettings())
    depths = [len(names) for names in fizyr.block_names(arrays).values()]
    network = _nearest([name for name in NETWORKS if re.fullmatch(r"resnet(50|1..)", name)], depths)
    settings = {
        **_FIZYR,
        "backbone": _at_width(f"{network}_caffe", checkpoint.entry("bn_conv1/gamma").size),
        "pyramid_channels": _pyramid_channels(checkpoint, _FIZYR_PYRAMID_BIAS),
        "head_depth": _count(int(match[1]) for match in _matches(checkpoint, _FIZYR_HIDDEN)),
    }
    numbered = tuple((id_, f"class {id_}") for id_ in range(1, num_classes + 1))
    return Imported(checkpoint, settings, COCO_80 if num_classes == len(COCO_80) else numbered)


def _torchvision_detector(checkpoint: Checkpoint) -> Imported:
    blocks = _matches(checkpoint, _SUBNET_BLOCK)
    settings = _TORCHVISION_V2 if any(match[2] == "1" for match in blocks) else _TORCHVISION_V1
    bias = "head.classification_head.cls_logits.bias"
    num_classes = _num_classes(checkpoint, bias, settings["anchors"])
    settings = {
        **settings,
        "backbone": _network_name(checkpoint, "backbone.body."),
        "pyramid_channels": _pyramid_channels(checkpoint, _PYRAMID_BIAS),
        "head_depth": _count(int(match[1]) for match in blocks),
    }
    return Imported(checkpoint, settings, _categories(num_classes))


def _matches(checkpoint: Checkpoint, names: re.Pattern[str]) -> list[re.Match[str]]:
    return [match for name in checkpoint.entries if (match := names.match(name))]


def _count(indices: Iterable[int]) -> int:
    """How many there are of what is numbered from 0 on."""
    return 1 + max(indices, default=-1)


def _num_classes(checkpoint: Checkpoint, bias: str, anchors: AnchorSettings) -> int:
    """The classes of a class output, whose entry `bias` has a number for each and each anchor."""
    outputs, per_cell = checkpoint.entry(bias).size, anchors.per_cell
    if outputs == 0 or outputs % per_cell:
        raise WeightsError(
            f"{checkpoint.source}: {bias} has {outputs} numbers, no multiple of the {per_cell} "
            "anchors of a cell"
        )
    return outputs // per_cell


def _pyramid_channels(checkpoint: Checkpoint, biases: re.Pattern[str]) -> int:
    """Of the sizes of the pyramid's biases, which should all be the same, that of most."""
    sizes = [checkpoint.entries[match.string].size for match in _matches(checkpoint, biases)]
    return max(collections.Counter(sizes).items(), key=lambda item: item[1], default=(1, 0))[0]


def _categories(num_classes: int) -> Categories:
    """torchvision numbers its outputs from the background on, which is 0."""
    if num_classes == len(COCO_91):
        return COCO_91
    return ((0, "background"), *((id_, f"class {id_}") for id_ in range(1, num_classes)))


def _network_name(checkpoint: Checkpoint, prefix: str) -> str:
    """The backbone that the entries below `prefix` are of, as `models.resnet` calls it."""
    blocks = re.compile(re.escape(prefix) + r"layer([1-4])\.(\d+)\.(\w+)\.")
    found = _matches(checkpoint, blocks)
    depths = [_count(int(m[2]) for m in found if m[1] == stage) for stage in "1234"]
    is_bottleneck = any(match[3] == "conv3" for match in found)
    width = checkpoint.entry(f"{prefix}bn1.weight").size
    inner, per_group, *_ = *checkpoint.entry(f"{prefix}layer1.0.conv2.weight").shape, -1, -1
    candidates = [
        name
        for name, network in NETWORKS.items()
        if network.is_bottleneck == is_bottleneck and network.group_width * width // 64 == per_group
    ]
    if not candidates:
        raise WeightsError(
            f"{checkpoint.source}: {prefix}layer1.0.conv2.weight has {inner} channels in groups of "
            f"{per_group}, as none of the networks {', '.join(NETWORKS)}"
        )
    return _at_width(_nearest(candidates, depths), width)


def _nearest(candidates: Sequence[str], depths: Sequence[int]) -> str:
    """The shallowest of the networks with so many blocks in each stage at least, or the deepest.

    Not just the one that fits, so that it is the entry that does not fit which is complained about.
    """
    deep_enough = (
        name
        for name in candidates  # from shallow to deep
        if all(has >= needs for has, needs in zip(NETWORKS[name].depths, depths, strict=True))
    )
    return next(deep_enough, candidates[-1])


def _at_width(name: str, width: int) -> str:
    return name if width == 64 else f"{name}_w{width}"


def coco_categories(num_classes: int) -> Categories | None:
    """COCO's classes where a model has as many as COCO uses, or as torchvision's detectors have."""
    return {len(COCO_80): COCO_80, len(COCO_91): COCO_91}.get(num_classes)
