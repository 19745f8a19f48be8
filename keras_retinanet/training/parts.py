"""The parts of a data set that a config names. Loads no TensorFlow unless the format needs it."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

from keras_retinanet.config import DataConfig, DataPart
from keras_retinanet.datasets.dataset import Category, DetectionDataset
from keras_retinanet.datasets.discovery.discover import Layout, discover
from keras_retinanet.datasets.discovery.whole_folder import read_parts
from keras_retinanet.datasets.formats.registry import DataSource, read_dataset
from keras_retinanet.errors import DataError


def with_layout(data: DataConfig) -> DataConfig:
    """The settings with what lies in `data.root`, so that the folder is searched once.

    Raises:
        DataError: as `datasets.discovery.discover.discover`.
    """
    if data.root is None or data.layout is not None:
        return data
    return dataclasses.replace(data, layout=discover(data.root, data.format))


def layout_of(data: DataConfig) -> Layout | None:
    """What lies in `data.root`; None if the parts are named one by one."""
    layout: Layout | None = with_layout(data).layout
    return layout


def has_val(data: DataConfig) -> bool:
    """Whether a validation part is named; otherwise some of the training part serves."""
    if (layout := layout_of(data)) is not None:
        return "val" in layout.parts
    return data.val.annotations is not None or data.val.split is not None


def load_parts(data: DataConfig) -> tuple[DetectionDataset, DetectionDataset | None, list[str]]:
    """The training part, the validation part if there is one, and lines on what was found.

    Raises:
        DataError: if a part cannot be read, or the two have other categories.
    """
    data = with_layout(data)
    if data.root is not None:
        parts = ["train", "val"] if has_val(data) else ["train"]
        read = read_parts(data.layout, parts, classes=data.classes)
        return read["train"], read.get("val"), [data.layout.line]
    train = load_part(data, "train")
    if not has_val(data):
        return train, None, []
    val = load_part(data, "val", known=train.categories)
    if val.categories != train.categories:
        raise DataError(
            f"{val.name} has other categories than {train.name}; both need the same ids and names"
        )
    return train, val, []


def load_part(
    data: DataConfig, which: str, known: Sequence[Category] | None = None
) -> DetectionDataset:
    """Reads a part, whose split may lie in the annotations of the training part.

    Args:
        data: the settings.
        which: "train" or "val"; of a folder also "test".
        known: the categories of the training part, see `datasets.formats.registry.read_dataset`.

    Raises:
        DataError: if the part is not named or cannot be read.
    """
    if (layout := layout_of(data)) is not None:
        return read_parts(layout, [which], known, data.classes)[which]
    part = vars(named_part(data, which))
    source = DataSource(format=data.format, name=data.name, classes=data.classes, **part)
    return read_dataset(source, known, functools.partial(setting_of, which))


def named_part(data: DataConfig, which: str) -> DataPart:
    """A part as it is named; a split may lie in the annotations of the training part."""
    part: DataPart = getattr(data, which)
    if part.annotations is None and part.split is not None:
        return dataclasses.replace(part, annotations=data.train.annotations)
    return part


def setting_of(which: str, field: str) -> str:
    """The setting that a field of the `DataSource` of a part comes from."""
    is_own = field in {own.name for own in dataclasses.fields(DataPart)}
    return f"data.{which}.{field}" if is_own else f"data.{field}"
