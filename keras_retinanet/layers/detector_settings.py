"""The settings of a detector, each written once: its default, its choices and what it means.

`RetinaNet` takes every field as a keyword argument; recipes have their defaults and choices from
here. Loads no TensorFlow.
"""

from __future__ import annotations

import dataclasses
import typing
from typing import Any, Literal, TypeVar

from keras_retinanet.geometry.anchor_settings import STRIDES, AnchorSettings

PAPER_ANCHORS = AnchorSettings()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """A group of settings; a field typed `Literal` takes these values and no others."""

    def __post_init__(self) -> None:
        for name, known in choices(type(self)).items():
            value = getattr(self, name)
            if value not in known:
                words = ", ".join(map(repr, known))
                raise ValueError(f"{name} is {value!r}; it must be one of {words}")


def choices(group: type) -> dict[str, tuple[Any, ...]]:
    """The values that each field typed `Literal` takes."""
    hints = typing.get_type_hints(group)
    return {
        name: typing.get_args(hint)
        for name, hint in hints.items()
        if typing.get_origin(hint) is Literal
    }


Group = TypeVar("Group", bound=Settings)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackboneSettings(Settings):
    """The network that makes C3, C4 and C5 of images.

    Attributes:
        backbone: a name of `models.resnet.NETWORKS`, such as "resnet50" (torchvision's layout),
            "keras:NAME" for a model of `keras.applications`, or a `keras.Model` with three outputs
            C3, C4 and C5.
        backbone_norm: "frozen" (default with weights), "trainable" (default without) or "sync", how
            the backbone's batch normalisation is treated; by default, a `keras.Model` without
            weights keeps its layers as they are.
        frozen_stages: how many parts of a ResNet are not trained: 1 is the stem, 2 the stem and the
            first stage (as detectron2 and torchvision fine-tune), 5 all.
        batch_norm_epsilon: what it adds to the variances where the backbone is one of ours.
    """

    backbone: Any = "resnet50"
    backbone_norm: Literal[None, "frozen", "trainable", "sync"] = None
    frozen_stages: int = 0
    batch_norm_epsilon: float = 1e-5


@dataclasses.dataclass(frozen=True, kw_only=True)
class PyramidSettings(Settings):
    """The feature pyramid and the anchors on it.

    Attributes:
        pyramid_channels: width of the pyramid and of the subnets.
        p6_from: what P6 is made of, "c5" (the paper) or "p5" (torchvision's first RetinaNet).
        pyramid_padding: of the stride-2 convolutions to P6 and P7: "symmetric", as PyTorch pads, or
            "same", as TensorFlow does, whose odd pixel lies at the bottom and right.
        anchors: see `AnchorSettings`; None for the paper's.
    """

    pyramid_channels: int = 256
    p6_from: Literal["c5", "p5"] = "c5"
    pyramid_padding: Literal["symmetric", "same"] = "symmetric"
    anchors: AnchorSettings = PAPER_ANCHORS

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "anchors", self.anchors or PAPER_ANCHORS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeadSettings(Settings):
    """The class subnet and the box subnet.

    Attributes:
        head_depth: hidden convolutions of each subnet.
        head_norm: None (the paper) or "group", after each of them. A batch normalisation is
            refused: the five levels share the subnets, and their statistics differ.
        prior: probability of an object that an untrained class subnet gives every anchor.
        box_coding: what the box subnet predicts, "centers" (the paper) or "corners", see
            `DecodeBoxes`.
    """

    head_depth: int = 4
    head_norm: Literal[None, "group"] = None
    prior: float = 0.01
    box_coding: Literal["centers", "corners"] = "centers"

    def __post_init__(self) -> None:
        if not 0.0 < self.prior < 1.0:
            raise ValueError(f"prior is {self.prior}; it must lie in (0, 1)")
        if str(self.head_norm) == "batch":
            raise ValueError(
                "head_norm='batch' is not possible: the five levels share the subnets, so each "
                "level would train with statistics of its own and be used with a mixture of all; "
                "head_norm='group' needs no statistics"
            )
        super().__post_init__()


@dataclasses.dataclass(frozen=True, kw_only=True)
class SizeRule(Settings):
    """The sizes that `detect` brings images to, see `images.resize.resized_size`.

    Attributes:
        min_side, max_side, round_sides, stretch: of the image.
        size_divisor: the sides are padded to a multiple of it.
    """

    min_side: int = 800
    max_side: int = 1333
    round_sides: bool = False
    stretch: bool = False
    size_divisor: int = STRIDES[2]  # sides that halve evenly down to C5, as in torchvision


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelectionSettings(Settings):
    """What `SelectDetections` reports.

    Attributes:
        score_threshold: lowest score to report, in [0, 1); a score must exceed it.
        nms_iou: highest IoU of two detections of a class, in (0, 1].
        max_detections: of an image.
        candidates_per_level: how many pairs of an anchor and a class go into NMS from each level.
        class_agnostic: whether a detection suppresses those of other classes too.
    """

    score_threshold: float = 0.05
    nms_iou: float = 0.5
    max_detections: int = 100
    candidates_per_level: int = 1000
    class_agnostic: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.score_threshold < 1.0:
            raise ValueError(f"score_threshold is {self.score_threshold}; it must lie in [0, 1)")
        if not 0.0 < self.nms_iou <= 1.0:
            raise ValueError(f"nms_iou is {self.nms_iou}; it must lie in (0, 1]")
        if self.max_detections < 1 or self.candidates_per_level < 1:
            raise ValueError(
                f"max_detections is {self.max_detections} and candidates_per_level "
                f"{self.candidates_per_level}; both must be at least 1"
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectorSettings(
    SelectionSettings, SizeRule, HeadSettings, PyramidSettings, BackboneSettings
):
    """All of them, in the order of the base classes from the last to the first."""

    def part(self, group: type[Group]) -> Group:
        """The fields of one of the groups alone."""
        return group(**{f.name: getattr(self, f.name) for f in dataclasses.fields(group)})
