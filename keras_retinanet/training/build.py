"""From a config to the objects of a run."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_retinanet.config import AnchorConfig, Config, InferenceConfig, ModelConfig
from keras_retinanet.datasets.dataset import DetectionDataset
from keras_retinanet.losses import FocalLoss, GIoULoss, HardExampleLoss, SmoothL1
from keras_retinanet.models.backbones import KERAS_PREFIX
from keras_retinanet.models.retinanet import RetinaNet
from keras_retinanet.training.geometry import anchor_settings
from keras_retinanet.training.learning_rate import base_learning_rate
from keras_retinanet.weights.published import BACKBONES

# What the optimizer must not decay: biases, and the scales and shifts of norms.
NOT_DECAYED = ["bias", "gamma", "beta"]

BOX_LOSSES: dict[str, Callable[[], keras.losses.Loss]] = {
    "smooth_l1": SmoothL1,
    "l1": functools.partial(SmoothL1, beta=0.0),  # torchvision's first RetinaNet
    "giou": GIoULoss,  # its second
}


def build_model(config: Config, dataset: DetectionDataset) -> RetinaNet:
    """The model that `config` describes, for the categories of `dataset`.

    Raises:
        ValueError: as `RetinaNet`.
    """
    settings = _chosen(config, "model") | _chosen(config, "inference")
    if "anchors" in settings:
        settings["anchors"] = anchor_settings(config.model)
    categories = dataset.categories
    settings |= _run_settings(config)
    return RetinaNet(num_classes=len(categories), categories=categories, **settings)


def start_warnings(config: Config) -> list[str]:
    """What is unusual about starting as `config` says: a line each.

    A backbone of `keras.applications`, and one whose recipe or command line says null itself, is
    meant to have weights; recipes that train from nothing do not speak of weights.
    """
    model = config.model
    if model.weights is not None:
        return []
    lines = []
    is_null_said = "model.weights" in config.given
    if model.backbone.startswith(KERAS_PREFIX) or (is_null_said and model.backbone in BACKBONES):
        lines.append(
            f"warning: the backbone {model.backbone} starts at random, which takes far longer to "
            "train; model.weights=imagenet starts from its published weights"
        )
    if model.backbone_norm == "frozen":
        lines.append(
            "warning: model.backbone_norm=frozen keeps mean 0 and variance 1 of a backbone that "
            "starts at random; model.backbone_norm=trainable learns them"
        )
    return lines


def rebuild_model(config: Config, stored: dict[str, Any]) -> RetinaNet:
    """The model of a run that goes on, without the weights that it started from.

    Args:
        config: what inference, the sizes of images and the precision are taken from.
        stored: `RetinaNet.get_config` of the model, which has all the rest.
    """
    inference = dataclasses.asdict(config.inference)
    return RetinaNet.from_config({**stored, **_run_settings(config), **inference})


def resolve_model(config: Config, model: RetinaNet) -> Config:
    """`config` with the settings that `model` has, whoever decided them: a recipe or its weights.

    A backbone of the user's own is called by its name.
    """
    values = dict(model.settings)
    values["backbone"] = getattr(values["backbone"], "name", values["backbone"])
    anchors = dataclasses.asdict(values["anchors"]).items()
    listed: dict[str, Any] = {key: list(v) if isinstance(v, tuple) else v for key, v in anchors}
    values["anchors"] = AnchorConfig(**listed)

    def filled(group: Any) -> Any:
        return dataclasses.replace(group, **{k: values[k] for k in vars(group) if k in values})

    return dataclasses.replace(
        config, model=filled(config.model), inference=filled(config.inference)
    )


def _run_settings(config: Config) -> dict[str, Any]:
    """The arguments of `RetinaNet` that no weights decide."""
    return {
        "min_side": config.data.min_side,
        "max_side": config.data.max_side,
        "stretch": config.data.stretch,
        "dtype": config.train.precision,
    }


def _chosen(config: Config, name: str) -> dict[str, Any]:
    """The settings of `config.model` or `config.inference` that `RetinaNet` is to be made with.

    All of them, unless it starts from weights that bring their own: then those that were given, or
    set to another value than the default by a program.
    """
    group: ModelConfig | InferenceConfig = getattr(config, name)
    default = type(group)()
    given = {key.split(".")[1] for key in config.given if key.startswith(f"{name}.")}
    return {
        name: value
        for name, value in vars(group).items()
        if not config.model.starts_from_file or name in given or value != getattr(default, name)
    }


def compile_model(model: RetinaNet, config: Config) -> None:
    """Compiles with the recipe's optimizer and losses."""
    train = config.train
    rate = base_learning_rate(train)
    average = {"use_ema": train.ema is not None, "ema_momentum": train.ema or 0.0}
    if train.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(rate, momentum=0.9, **average)
    else:
        optimizer = keras.optimizers.AdamW(rate, weight_decay=train.weight_decay, **average)
        optimizer.exclude_from_weight_decay(var_names=NOT_DECAYED)
    class_loss = FocalLoss(alpha=train.focal_alpha, gamma=train.focal_gamma)
    if train.hard_examples is not None:
        class_loss = HardExampleLoss(train.hard_examples)
    model.compile(
        optimizer,
        class_loss=class_loss,
        box_loss=BOX_LOSSES[train.box_loss](),
        l2=train.weight_decay if train.optimizer == "sgd" else 0.0,
        clip_norm=train.clip_norm,
    )


def resolve_precision(precision: str) -> str:
    """What "auto" means here: bfloat16 where the hardware multiplies it, else float32."""
    if precision != "auto":
        return precision
    return "mixed_bfloat16" if _has_bfloat16() else "float32"


def _has_bfloat16() -> bool:
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
        return all(d.get("compute_capability", (0,))[0] >= 8 for d in details)  # Ampere and later
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    flags = cpuinfo.read_text(encoding="utf-8").split() if cpuinfo.is_file() else []
    return "avx512_bf16" in flags or "amx_bf16" in flags


def choose_strategy() -> tuple[tf.distribute.Strategy, list[str]]:
    """MirroredStrategy over all GPUs if there are several, and the devices in words."""
    names = device_names()
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy(), names
    return tf.distribute.get_strategy(), names


def device_names() -> list[str]:
    """The GPUs if there are any, else the CPU, as TensorFlow calls them."""
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [device.name for device in devices]
