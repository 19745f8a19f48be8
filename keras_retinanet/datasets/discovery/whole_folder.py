"""Reads the data set that lies in a folder or a .zip."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from keras_retinanet.datasets.builder import Classes
from keras_retinanet.datasets.dataset import (
    EMPTY,
    IMAGE_ARRAYS,
    ROW_ARRAYS,
    Category,
    DetectionDataset,
)
from keras_retinanet.datasets.discovery.discover import Layout, discover
from keras_retinanet.datasets.discovery.found import At, Found
from keras_retinanet.datasets.formats.registry import FORMATS
from keras_retinanet.datasets.label_map import read_classes
from keras_retinanet.datasets.validate import repeats
from keras_retinanet.errors import DataError

Say = Callable[[str], None]

# The index of a class that is not among those that are wanted.
_OTHER = -1


def read_dataset(
    path: str | os.PathLike[str], format: str = "auto", *, say: Say = print
) -> dict[str, DetectionDataset]:
    """Reads all parts of the data set in a folder or a .zip.

    Format, images and parts are found, see `discovery.discover`. What a .zip holds is unpacked into
    the system's temporary folder, as far as it is needed, and found there again the next time.

    Args:
        path: the folder, or the .zip.
        format: a key of `formats.FORMATS`, or "auto".
        say: is told in one line what was taken for what.

    Returns:
        Of "train", "val" and "test" those that there are; everything is "train" where nothing names
        a part. All have the same categories.

    Raises:
        DataError: if there is none, if several might be meant, and as the readers.
    """
    layout = discover(path, format)
    say(layout.line)
    return read_parts(layout, list(layout.parts))


def read_parts(
    layout: Layout,
    parts: Sequence[str],
    known: Sequence[Category] | None = None,
    classes: str | None = None,
) -> dict[str, DetectionDataset]:
    """Reads some parts, which then have the same categories.

    Args:
        layout: what lies where.
        parts: those to read.
        known: the categories of a model, by whose names the data is read; None for those of the
            parts together.
        classes: a file of classes that the user names.

    Raises:
        DataError: for a part that is not there, and as the readers.
    """
    datasets = {part: _read(layout, part, known, classes) for part in parts}
    if known is not None:
        names = {category.name for category in known}
        return {
            part: with_categories(dataset, known)
            if names.issuperset(category.name for category in dataset.categories)
            else dataset
            for part, dataset in datasets.items()
        }
    if layout.format == "open_images" and classes is None:
        datasets = _with_occurring(datasets)
    return with_common_categories(datasets)


def with_common_categories(
    datasets: Mapping[str, DetectionDataset],
) -> dict[str, DetectionDataset]:
    """The data sets with the categories of all, told by their names."""
    categories = _union(datasets.values())
    return {part: with_categories(dataset, categories) for part, dataset in datasets.items()}


def _read(
    layout: Layout, part: str, known: Sequence[Category] | None, classes: str | None
) -> DetectionDataset:
    if part not in layout.parts:
        raise DataError(f"{layout.tree.path} has no part {part}; it has {', '.join(layout.parts)}")
    form = FORMATS[layout.format]
    if classes is not None and form.lists_classes:
        raise DataError(
            f"data.classes is set, but the format {layout.format} has no use for it; leave it out"
        )
    found = layout.parts[part]
    needs = [file for one in found for file in (*one.needs, one.classes) if file is not None]
    root = layout.tree.on_disk(needs)

    def at(file: str) -> str:
        return os.path.join(root, file) if file else root

    read = [one.read(at, _classes(at, one, known, classes)) for one in found]
    return concatenate(f"{layout.tree.path} ({part})", read)


def _classes(
    at: At, found: Found, known: Sequence[Category] | None, named: str | None
) -> Classes | None:
    """What the annotations call each class, and the class; None where they alone say it."""
    file = named or (at(found.classes) if found.classes else None)
    listed = None if file is None else read_classes(file)
    if known is None:
        return listed
    by_name = {category.name: category for category in known}
    if listed is None:
        return by_name
    return {label: by_name[c.name] for label, c in listed.items() if c.name in by_name}


def concatenate(name: str, datasets: Sequence[DetectionDataset]) -> DetectionDataset:
    """Several data sets as one, with the classes of all; ids that occur twice are counted anew.

    Their images lie in files: formats that hold them have one folder for each part.

    Raises:
        DataError: if two of them hold the same image.
    """
    if len(datasets) == 1:
        return datasets[0]
    categories = _union(datasets)
    datasets = [with_categories(dataset, categories) for dataset in datasets]
    files = tuple(file for dataset in datasets for file in dataset.files)
    for index in repeats([os.path.normpath(file) for file in files]):
        raise DataError(
            f"{name}: two folders of annotations have the image {files[index]}; remove one"
        )
    counts = np.concatenate([np.diff(dataset.row_splits) for dataset in datasets])
    is_region = np.concatenate([_regions(dataset) for dataset in datasets])
    arrays: dict[str, Any] = {
        field: np.concatenate([getattr(dataset, field) for dataset in datasets])
        for field in {*ROW_ARRAYS, *IMAGE_ARRAYS} - {"is_region"}
    }
    if len(np.unique(arrays["image_ids"])) < len(files):
        arrays["image_ids"] = np.arange(1, len(files) + 1)
    return dataclasses.replace(
        datasets[0],
        name=name,
        files=files,
        row_splits=np.concatenate([[0], np.cumsum(counts)]),
        folder=os.path.commonpath([dataset.folder or "" for dataset in datasets]) or None,
        negatives=_joined(datasets, "negatives"),
        not_exhaustive=_joined(datasets, "not_exhaustive"),
        is_region=is_region if is_region.any() else None,
        notes=tuple(note for dataset in datasets for note in dataset.notes),
        **arrays,
    )


def _joined(datasets: Sequence[DetectionDataset], field: str) -> tuple[tuple[int, ...], ...] | None:
    """What is said of each image, nothing of those of data sets that do not say it."""
    values = [getattr(dataset, field) for dataset in datasets]
    if all(value is None for value in values):
        return None
    pairs = zip(datasets, values, strict=True)
    return tuple(ids for dataset, value in pairs for ids in value or ((),) * len(dataset))


def _regions(dataset: DetectionDataset) -> np.ndarray:
    """bool [t], `is_region` also where there are none."""
    none = np.zeros(len(dataset.labels), bool)
    return none if dataset.is_region is None else dataset.is_region


def _union(datasets: Iterable[DetectionDataset]) -> list[Category]:
    """The classes of all by their names, with the ids of the first that has them."""
    union: dict[str, Category] = {}
    taken: set[int] = set()
    for dataset in datasets:
        for category in dataset.categories:
            if category.name not in union:
                number = max(taken) + 1 if category.id in taken else category.id
                union[category.name] = Category(number, category.name)
                taken.add(number)
    return sorted(union.values(), key=lambda category: category.id)


def _with_occurring(datasets: Mapping[str, DetectionDataset]) -> dict[str, DetectionDataset]:
    """The data sets with the classes that occur in any: Open Images' list names 601."""
    used = set[int]().union(*(set(d.category_ids.tolist()) for d in datasets.values()))
    return {
        part: with_categories(dataset, [c for c in dataset.categories if c.id in used])
        for part, dataset in datasets.items()
    }


def with_categories(dataset: DetectionDataset, categories: Sequence[Category]) -> DetectionDataset:
    """The data set with these categories, told by their names, and without objects of others.

    Of classes that share an id, which only faulty data have, the first counts.
    """
    if tuple(categories) == dataset.categories:
        return dataset
    index_of = {category.name: index for index, category in enumerate(categories)}
    by_id = {c.id: index_of.get(c.name, _OTHER) for c in reversed(dataset.categories)}
    indices = np.array([by_id.get(i, _OTHER) for i in dataset.category_ids.tolist()], np.int64)
    # A region is of every class, and kept under the first.
    indices = np.where(_regions(dataset), 0, indices)
    kept = {id_: categories[index].id for id_, index in by_id.items() if index != _OTHER}
    result = dataclasses.replace(
        dataset,
        categories=tuple(categories),
        # By ids, since an empty box has no label.
        labels=np.where(dataset.labels < 0, EMPTY, indices).astype(np.int32),
        category_ids=np.array([category.id for category in categories], np.int64)[indices],
        negatives=_renumbered(dataset.negatives, kept),
        not_exhaustive=_renumbered(dataset.not_exhaustive, kept),
    )
    others = np.flatnonzero(indices == _OTHER)
    return result.without_rows(others) if len(others) else result


def _renumbered(
    ids: tuple[tuple[int, ...], ...] | None, kept: Mapping[int, int]
) -> tuple[tuple[int, ...], ...] | None:
    if ids is None:
        return None
    return tuple(tuple(kept[i] for i in listed if i in kept) for listed in ids)
