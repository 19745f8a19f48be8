"""The training and the validation images of a run, which share none. Loads no TensorFlow."""

from __future__ import annotations

import os

from keras_retinanet.config import DataConfig
from keras_retinanet.datasets.copies import shared_images
from keras_retinanet.datasets.dataset import DetectionDataset
from keras_retinanet.datasets.split import DatasetSplit, SplitNames, split_dataset
from keras_retinanet.errors import DataError
from keras_retinanet.training.parts import has_val, layout_of, load_parts, named_part, with_layout


def load_datasets(
    data: DataConfig, split: SplitNames | None = None
) -> tuple[DetectionDataset, DetectionDataset, list[str]]:
    """The training and the validation part, and lines on what was fixed or split off.

    Args:
        data: the settings.
        split: the images of a run that goes on or is scored; None to split anew where no
            validation part is named.

    Raises:
        DataError: if a part is not named, cannot be read, or there is nothing to train on.
        OSError: if an image cannot be read.
    """
    data = with_layout(data)
    _check_parts(data)
    train, val, lines = load_parts(data)
    notes = [*lines, *train.notes, *(() if val is None else val.notes)]
    if split is not None:
        train, val, lines = _of_run(data, split, train, val)
    elif val is not None:
        lines = shared_images(train, val)
    else:
        train, val, lines = split_dataset(
            train, data.val_fraction, root=part_root(data, "train"), group_by=data.group_by
        )
    if not (train.labels[~train.is_crowd] >= 0).any():
        raise DataError(f"{train.name} holds no object to train on in its {len(train)} images")
    return train, val, notes + lines


def _of_run(
    data: DataConfig, split: SplitNames, train: DetectionDataset, val: DetectionDataset | None
) -> DatasetSplit:
    """The images that a run was started with, of parts that may hold more by now."""
    total = len(train) + (0 if val is None else len(val))
    own_val = split.take(train if val is None else val, "val", part_root(data, "val"))
    own_train = split.take(train, "train", part_root(data, "train"))
    more = total - len(own_train) - len(own_val)
    lines = [f"{more} images are in neither list in {split.folder}: left out"] * (more > 0)
    return DatasetSplit(own_train, own_val, lines)


def _check_parts(data: DataConfig) -> None:
    """DataError if the validation part is the training part, or is named and to be split off."""
    if not has_val(data):
        return
    if data.group_by is not None:
        raise DataError("data.group_by is for splitting off images, but there is a validation part")
    train, val = (_annotations(data, which) for which in ("train", "val"))
    if train == val != (None, None):
        raise DataError(
            f"data.val is data.train ({' '.join(filter(None, val))}): scores on images that were "
            "trained on say nothing; leave data.val out, and a part of data.train is split off"
        )


def _annotations(data: DataConfig, which: str) -> tuple[str | None, str | None]:
    """What distinguishes a part: the real path of its annotations, and its split."""
    part = named_part(data, which)
    return part.annotations and os.path.realpath(part.annotations), part.split


def part_root(data: DataConfig, which: str) -> str | None:
    """The folder that the names of a part's images start from; those split off have no other."""
    if (layout := layout_of(data)) is not None:
        return layout.tree.on_disk(())
    part = named_part(data, which if has_val(data) else "train")
    if part.images is not None:
        return part.images
    file = part.annotations
    return None if file is None else file if os.path.isdir(file) else os.path.dirname(file)
