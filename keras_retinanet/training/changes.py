"""What of a run's settings may change when it goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from keras_retinanet.config import AugmentSettings, Config, ConfigError

# Of `data` all but how images are resized and augmented is fixed: other data is another split, and
# images that were validated would be trained on.
_FREE_DATA = {field.name for field in dataclasses.fields(AugmentSettings)} | {"cache_mib"}
# The backup has no averages, no moments or others for another setting of these; the seed decides
# which images the rest of the present epoch shows.
_FIXED_TRAIN = {"seed", "optimizer", "ema"}
_LOSS_SCALED = "mixed_float16"  # a part of the optimizer's state


def check_changes(config: Config, before: Config, folder: str) -> None:
    """Refuses settings that a run cannot change.

    Args:
        config: the settings to go on with.
        before: the settings so far.
        folder: of the run, for messages.

    Raises:
        ConfigError: naming them all.
    """
    changed = []
    for group in ("model", "data", "train"):
        now, then = getattr(config, group), getattr(before, group)
        for field in dataclasses.fields(now):
            values = [getattr(now, field.name), getattr(then, field.name)]
            if field.compare and values[0] != values[1] and _is_fixed(group, field.name, values):
                changed.append(f"{group}.{field.name}={_typed(values[0])}")
    if changed:
        raise ConfigError(
            f"the run in {folder} cannot change to {', '.join(changed)}; "
            "start another run in another --output_dir"
        )


def _is_fixed(group: str, key: str, values: Sequence[Any]) -> bool:
    if group == "train":
        return key in _FIXED_TRAIN or (key == "precision" and _LOSS_SCALED in values)
    return group == "model" or key not in _FREE_DATA


def _typed(value: Any) -> str:
    """A setting as it is typed; of a group all that is set of it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        given = {k: v for k, v in dataclasses.asdict(value).items() if v is not None}
        return f"({', '.join(f'{k}={v}' for k, v in given.items())})"
    return "null" if value is None else str(value)


def in_new_batches(config: Config, before: Config, overrides: Sequence[str]) -> Config:
    """`config` with what is counted in steps, but for what `overrides` set, for the same images.

    A run of 90,000 steps of 16 images becomes one of 180,000 steps of 8.
    """
    old, new = before.train.batch_size, config.train.batch_size
    given = {override.partition("=")[0] for override in overrides}
    train = config.train
    for name in ("steps", "warmup_steps"):
        count = getattr(train, name)
        if count is not None and f"train.{name}" not in given:
            train = dataclasses.replace(train, **{name: -(-count * old // new)})
    return dataclasses.replace(config, train=train)
