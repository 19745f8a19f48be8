"""torchvision's RetinaNet as both scripts here build it, and its anchors kept in float32."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import resnet
from torchvision.models.detection import RetinaNet
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FrozenBatchNorm2d
from torchvision.ops.feature_pyramid_network import LastLevelP6P7

# Name: torchvision's function, channels of C3 to C5, of the pyramid, of what P6 is made from
# (torchvision takes C5 where this differs from the pyramid's, else P5).
ARCHITECTURES = {
    "r18": ("resnet18", [128, 256, 512], 64, 512),
    "r50": ("resnet50", [512, 1024, 2048], 256, 256),  # as retinanet_resnet50_fpn
}


class Float32Anchors(AnchorGenerator):
    """Anchors in float32 whatever the feature maps are in.

    torchvision gives them the maps' type, and bfloat16 has no odd numbers above 256.
    """

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        shapes = [f.new_empty(f.shape, dtype=torch.float32) for f in feature_maps]
        return super().forward(image_list, shapes)


def default_anchors() -> Float32Anchors:
    """The anchors of retinanet_resnet50_fpn."""
    sizes = tuple(
        (x, int(x * 2 ** (1 / 3)), int(x * 2 ** (2 / 3))) for x in (32, 64, 128, 256, 512)
    )
    return Float32Anchors(sizes, ((0.5, 1.0, 2.0),) * len(sizes))


def to_float32(module: nn.Module, inputs: Any, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """A forward hook: under autocast the losses would else be taken in bfloat16."""
    return {name: tensor.float() for name, tensor in outputs.items()}


def build_model(
    architecture: str, num_classes: int, *, norm: str = "trainable", **settings: Any
) -> RetinaNet:
    """A RetinaNet with random weights, every layer trainable, in channels_last.

    Args:
        architecture: a key of ARCHITECTURES.
        num_classes: the background included, as torchvision counts.
        norm: batch norm in the backbone, "trainable" or "frozen".
        settings: what torchvision's RetinaNet takes, such as min_size.
    """
    name, channels, pyramid_channels, last_channels = ARCHITECTURES[architecture]
    norm_layer = {"trainable": nn.BatchNorm2d, "frozen": FrozenBatchNorm2d}[norm]
    backbone = BackboneWithFPN(
        getattr(resnet, name)(weights=None, norm_layer=norm_layer),
        {"layer2": "0", "layer3": "1", "layer4": "2"},
        channels,
        pyramid_channels,
        LastLevelP6P7(last_channels, pyramid_channels),
    )
    model = RetinaNet(backbone, num_classes, anchor_generator=default_anchors(), **settings)
    model.head.register_forward_hook(to_float32)
    return model.to(memory_format=torch.channels_last)


def autocast(precision: str) -> torch.autocast:
    """The context to run a forward pass in: bfloat16 where asked for, else as it is."""
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")
