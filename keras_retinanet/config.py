"""The settings of a run. Every default is the paper's; a recipe in configs/ says what differs."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any

import yaml

from keras_retinanet.config_values import (
    ConfigError,
    check_fields,
    one_of,
    parse_value,
    read_settings,
    setting_fields,
    setting_types,
    within,
)
from keras_retinanet.errors import did_you_mean
from keras_retinanet.layers.detector_settings import PAPER_ANCHORS, DetectorSettings, choices


@dataclasses.dataclass
class AnchorConfig:
    """`geometry.anchor_settings.AnchorSettings` with lists, as recipes have them."""

    sizes: list[float] = within("(0, inf)", list(PAPER_ANCHORS.sizes))
    strides: list[int] = within("[1, inf)", list(PAPER_ANCHORS.strides))
    ratios: list[float] = within("(0, inf)", list(PAPER_ANCHORS.ratios))
    scales: list[float] = within("(0, inf)", list(PAPER_ANCHORS.scales))
    offset: float = PAPER_ANCHORS.offset
    whole_pixels: bool = PAPER_ANCHORS.whole_pixels
    fit_strides: bool = PAPER_ANCHORS.fit_strides


@dataclasses.dataclass
class ModelConfig:
    """The fields of `detector_settings.DetectorSettings` that recipes set, and the weights.

    Without weights it starts at random. Those of a detector ("coco_v1", "coco_v2", a `.keras` file)
    bring their settings along: setting them clears what was set of `model` before, and what neither
    recipe nor command line set after that, of `model` and of `inference`, is as they have it.
    """

    backbone: str = DetectorSettings.backbone
    weights: str | None = None
    backbone_norm: str | None = one_of(*choices(DetectorSettings)["backbone_norm"])
    frozen_stages: int = within("[0, 5]", DetectorSettings.frozen_stages)
    pyramid_channels: int = within("[1, inf)", DetectorSettings.pyramid_channels)
    head_depth: int = within("[0, inf)", DetectorSettings.head_depth)
    head_norm: str | None = one_of(*choices(DetectorSettings)["head_norm"])
    prior: float = within("(0, 1)", DetectorSettings.prior)
    p6_from: str = one_of(*choices(DetectorSettings)["p6_from"])
    anchors: AnchorConfig = dataclasses.field(default_factory=AnchorConfig)

    @property
    def starts_from_file(self) -> bool:
        """Whether `weights` names a detector or a file, which may bring settings along."""
        return self.weights not in (None, "imagenet")


@dataclasses.dataclass
class DataPart:
    """Where one part lies: its annotations and the folder of its images, or the name of a split."""

    annotations: str | None = None
    images: str | None = None
    split: str | None = None


@dataclasses.dataclass
class AugmentSettings:
    """How images are resized and augmented; but for `flip`, nothing is by default.

    Attributes:
        min_side, max_side: the image size rule, see `images.size_rule.resized_sizes`.
        min_sides: one of these is drawn for each batch in place of `min_side`, if there are any.
        stretch: whether images are resized to max_side x max_side, whatever their shape.
        square: whether every batch is padded to max_side x max_side, for hardware that wants fixed
            shapes, instead of just as far as it needs.
        canvas_step: padded sides are multiples of this, itself one of 32; the larger, the fewer
            shapes, and the more padding.
        flip: whether half of the images are mirrored left to right.
        scale_jitter: lowest and highest factor of the size; an image that outgrows its size
            at factor 1 is cropped at random.
        color_jitter: largest change of brightness, contrast and saturation, as a fraction.
        rotation: largest turn either way, in degrees.
        expand: half of the images are shrunk by up to this factor and put somewhere within their
            size (Liu et al. 2016).
        mosaic: fraction of images that are put together of four (Bochkovskiy et al. 2020).
        mixup: fraction of the others that are blended with another (Zhang et al. 2018), which keep
            the objects of both.
        cutout: largest number of holes in an image (DeVries and Taylor 2017).
        rand_augment: operations drawn for each image of eight (brightness, contrast, saturation,
            rotation, two shears, two shifts).
        rand_strength: of those, 0 to 1.
    """

    min_side: int = within("[1, inf)", 800)
    max_side: int = within("[1, inf)", 1333)
    min_sides: Sequence[int] = within("[1, inf)", [])
    stretch: bool = False
    square: bool = False
    canvas_step: int = within("[32, inf)", 32)
    flip: bool = True
    scale_jitter: Sequence[float] = within("(0, inf)", [1.0, 1.0])
    color_jitter: float = within("[0, 1]", 0.0)
    rotation: float = within("[0, 45]", 0.0)
    expand: float = within("[1, inf)", 1.0)
    mosaic: float = within("[0, 1]", 0.0)
    mixup: float = within("[0, 1]", 0.0)
    cutout: int = within("[0, inf)", 0)
    rand_augment: int = within("[0, inf)", 0)
    rand_strength: float = within("[0, 1]", 0.3)

    def __post_init__(self) -> None:
        self.check()

    def check(self, prefix: str = "") -> None:
        """Raises ConfigError for values out of their limits; `prefix` goes before their names."""
        check_fields(self, prefix)
        factors = list(self.scale_jitter)
        if len(factors) != 2 or factors != sorted(factors):
            raise ConfigError(f"{prefix}scale_jitter is {factors}; it takes two rising factors")
        if self.largest_side > self.max_side:
            name = "min_sides" if self.min_sides else "min_side"
            limit = f"{prefix}max_side={self.max_side}"
            raise ConfigError(f"{prefix}{name}={getattr(self, name)} exceeds {limit}")
        if self.canvas_step % 32:
            raise ConfigError(f"{prefix}canvas_step={self.canvas_step} is no multiple of 32")

    @property
    def largest_side(self) -> int:
        """The largest `min_side` of any batch."""
        return max(self.min_sides, default=self.min_side)

    @property
    def sources(self) -> int:
        """How many stored images a training image may show."""
        return 4 if self.mosaic else 2 if self.mixup else 1


@dataclasses.dataclass
class DataConfig(AugmentSettings):
    """What is trained on, and how it is resized and augmented.

    `root` is a folder or a .zip in which format, images and parts are found; nothing else of where
    the data lies is set then, but `format` and `classes` may be. `layout` is what was found there,
    see `training.parts.with_layout`, and no setting.

    `format` "auto" goes by what the annotations look like; docs/formats.md says what each format
    takes. `name` is a data set of TensorFlow Datasets. `classes` is a file that lists the classes,
    for formats that do not: without it they are those that occur in the training part. Without a
    validation part, about `val_fraction` of the training images are split off by a hash of their
    names; `group_by` keeps images together in that: "folder", or a regular expression whose first
    group, or else whole match, in their names they share. See `datasets.split.split_dataset`.
    """

    root: str | None = None
    format: str = one_of(
        *("auto", "coco", "voc", "csv", "yolo", "kitti", "open_images", "labelme"),
        *("tfrecord", "tfds"),
    )
    name: str | None = None
    classes: str | None = None
    train: DataPart = dataclasses.field(default_factory=DataPart)
    val: DataPart = dataclasses.field(default_factory=DataPart)
    val_fraction: float = within("(0, 1)", 0.1)
    group_by: str | None = None
    cache_mib: int = within("[0, inf)", 2048)
    layout: Any = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass
class TrainConfig:
    """How it is trained.

    Attributes:
        batch_size: images in the global batch.
        steps, epochs, minutes: how long; exactly one of them.
        learning_rate: the rate at a batch of `reference_batch`; it is scaled to `batch_size`.
        optimizer: "sgd" (momentum 0.9, weight decay in the gradient) or "adamw" (decoupled).
        weight_decay: on convolution kernels only.
        schedule: "step" (a tenth at each of `milestones`, fractions of the run) or "cosine" (to 0).
        warmup_steps: steps of linear rise, at most a tenth of the run.
        clip_norm: highest global norm of the gradient, or null.
        ema: momentum of the moving average of the weights that is evaluated and saved, or null.
        focal_alpha, focal_gamma: see `losses.FocalLoss`; gamma 0 is cross entropy, alpha null
            plain.
        hard_examples: train on this many anchors of an image by `losses.HardExampleLoss` instead
            of the focal loss on all, or null.
        box_loss: "smooth_l1", "l1" or "giou".
        precision: "float32", "mixed_bfloat16", "mixed_float16", or "auto": bfloat16 where the
            hardware has it.
        evaluations: how often the validation part is scored under `steps` and `minutes`, at most;
            under `epochs` it is scored after each.
    """

    batch_size: int = within("[1, inf)", 16)
    steps: int | None = within("(0, inf)", 90_000)
    epochs: int | None = within("(0, inf)", None)
    minutes: float | None = within("(0, inf)", None)
    learning_rate: float = within("(0, inf)", 0.01)
    reference_batch: int = within("[1, inf)", 16)
    optimizer: str = one_of("sgd", "adamw")
    weight_decay: float = within("[0, inf)", 1e-4)
    schedule: str = one_of("step", "cosine")
    milestones: list[float] = within("(0, 1]", [60 / 90, 80 / 90])
    warmup_steps: int = within("[0, inf)", 500)
    clip_norm: float | None = within("(0, inf)", None)
    ema: float | None = within("[0, 1)", None)
    focal_alpha: float | None = within("[0, 1]", 0.25)
    focal_gamma: float = within("[0, inf)", 2.0)
    hard_examples: int | None = within("[1, inf)", None)
    box_loss: str = one_of("smooth_l1", "l1", "giou")
    precision: str = one_of("float32", "auto", "mixed_bfloat16", "mixed_float16")
    evaluations: int = within("[0, inf)", 10)
    seed: int = within("[0, 4294967295]", 0)


@dataclasses.dataclass
class InferenceConfig:
    """See `detector_settings.SelectionSettings`; saved with the model."""

    score_threshold: float = within("[0, 1)", DetectorSettings.score_threshold)
    nms_iou: float = within("(0, 1]", DetectorSettings.nms_iou)
    max_detections: int = within("[1, inf)", DetectorSettings.max_detections)


@dataclasses.dataclass
class Config:
    """All settings of a run.

    Attributes:
        given: the keys that recipe and command line set, a default typed out among them. No setting
            itself: it is neither written nor compared.
    """

    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    data: DataConfig = dataclasses.field(default_factory=DataConfig)
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    inference: InferenceConfig = dataclasses.field(default_factory=InferenceConfig)
    given: frozenset[str] = dataclasses.field(default=frozenset(), compare=False)


# How long a run is: exactly one of them is set.
_DURATIONS = ("train.steps", "train.epochs", "train.minutes")


def config_directories() -> list[pathlib.Path]:
    """Where recipes lie: beside the package in a checkout, inside it when installed."""
    package = pathlib.Path(__file__).resolve().parent
    return [d for d in (package.parent / "configs", package / "configs") if d.is_dir()]


def config_names() -> list[str]:
    """The recipes that `load_config` knows by name."""
    return sorted({file.stem for d in config_directories() for file in d.glob("*.yaml")})


def load_config(name_or_file: str, overrides: Sequence[str] = ()) -> Config:
    """Reads a recipe and lays `key=value` overrides over it.

    A value is read as the type of its setting asks, see `config_values.parse_value`. Setting one of
    train.steps, train.epochs and train.minutes clears the others; a model.weights that names
    another detector than the recipe clears what that sets of `model`.

    Args:
        name_or_file: a name in configs/, or a YAML file.
        overrides: such as "train.batch_size=8".

    Raises:
        ConfigError: if the recipe or a key does not exist, or a value does not fit.
    """
    file = _find(name_or_file)
    config = Config()
    given: set[str] = set()
    for source, settings in (
        (str(file), read_settings(file)),
        ("the command line", map(_split, overrides)),
    ):
        _apply(config, list(_parse(settings, source)), source, given)
    if config.data.root is not None:  # a run goes on from wherever its command is typed
        config.data.root = os.path.abspath(config.data.root)
    _check(config)
    return dataclasses.replace(config, given=frozenset(given))


def save_config(config: Config, file: pathlib.Path) -> None:
    """Writes every setting, as `load_config` reads it."""
    text = yaml.safe_dump(_as_groups(config), sort_keys=False, allow_unicode=True)
    file.write_text(text, encoding="utf-8")


def _as_groups(group: Any) -> dict[str, Any]:
    values = {field.name: getattr(group, field.name) for field in setting_fields(group)}
    return {k: _as_groups(v) if dataclasses.is_dataclass(v) else v for k, v in values.items()}


def _find(name_or_file: str) -> pathlib.Path:
    if name_or_file.endswith((".yaml", ".yml")):
        file = pathlib.Path(name_or_file)
        if file.is_file():
            return file
        raise ConfigError(f"there is no config file {name_or_file}")
    for directory in config_directories():
        if (directory / f"{name_or_file}.yaml").is_file():
            return directory / f"{name_or_file}.yaml"
    known = config_names()
    raise ConfigError(
        f"there is no config {name_or_file!r}{did_you_mean(name_or_file, known)}; there are "
        f"{', '.join(known)}, or name a .yaml file"
    )


_TYPES = dict(setting_types(Config))


def setting_lines() -> list[str]:
    """Every setting with its default, "key=value", as a recipe that says nothing has them."""
    config = Config()
    values = {key: attrgetter(key)(config) for key in _TYPES}
    return [f"{key}={'null' if value is None else value}" for key, value in values.items()]


def _split(override: str) -> tuple[str, str]:
    key, equals, text = override.partition("=")
    if not equals:
        raise ConfigError(f"{override!r} is not a setting; write key=value")
    return key, text


def _parse(settings: Iterable[tuple[str, Any]], source: str) -> Iterator[tuple[str, Any]]:
    """The values of settings in their types."""
    for key, value in settings:
        if key not in _TYPES:
            raise ConfigError(f"{source}: there is no setting {key!r}{did_you_mean(key, _TYPES)}")
        try:
            yield key, parse_value(value, _TYPES[key])
        except ValueError as error:
            raise ConfigError(f"{source}: {key}={value}: {error}") from error


def _apply(
    config: Config, settings: Sequence[tuple[str, Any]], source: str, given: set[str]
) -> None:
    """Lays `settings` over `config` and adds their keys to `given`."""
    durations = {key for key, value in settings if key in _DURATIONS and value is not None}
    if len(durations) > 1:
        raise ConfigError(f"{source}: set one of {', '.join(_DURATIONS)}, not two")
    if durations:
        config.train.steps = config.train.epochs = config.train.minutes = None
    weights = dict(settings).get("model.weights")
    if ModelConfig(weights=weights).starts_from_file and weights != config.model.weights:
        config.model = ModelConfig()
        given -= {key for key in given if key.startswith("model.")}
    for key, value in settings:
        group, _, name = key.rpartition(".")
        setattr(attrgetter(group)(config), name, value)
        given.add(key)


def _check(config: Config) -> None:
    check_fields(config)
    if config.data.min_side > config.data.max_side:
        raise ConfigError(
            f"data.min_side={config.data.min_side} exceeds data.max_side={config.data.max_side}"
        )
    if all(attrgetter(key)(config) is None for key in _DURATIONS):
        raise ConfigError(f"set one of {', '.join(_DURATIONS)}")
    _check_root(config)
    try:
        re.compile(config.data.group_by or "")
    except re.error as error:
        pattern = f"data.group_by={config.data.group_by}"
        raise ConfigError(f"{pattern} is no regular expression: {error}") from error
    config.data.check("data.")


def _check_root(config: Config) -> None:
    """ConfigError where a whole folder is named, and a part of it by its path too."""
    if config.data.root is None:
        return
    for key in _TYPES:
        names_data = key.startswith(("data.name", "data.train.", "data.val."))
        if names_data and (value := attrgetter(key)(config)) is not None:
            raise ConfigError(
                f"data.root={config.data.root} names all of the data, and {key}={value} is set "
                "too; leave one of them out"
            )
