"""COCO's annotation format: a JSON file of images, annotations and categories, and a folder."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import msgspec
import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType

from keras_retinanet.datasets.dataset import Category, DetectionDataset
from keras_retinanet.datasets.formats.coco_text_ids import number_text_ids
from keras_retinanet.datasets.parsing import image_path, read_text, typed
from keras_retinanet.datasets.validate import (
    NONE,
    ImageRecord,
    Objects,
    assemble,
    check_images,
    repeats,
)
from keras_retinanet.errors import DataError, Faults, show
from keras_retinanet.files import write_json

_KIND = "a COCO JSON file"

# Beyond 1e15 lie infinity and numbers whose products would overflow.
_Id = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
_Number = Annotated[float, Meta(gt=-1e15, lt=1e15)]
_FromZero = Annotated[float, Meta(ge=0, lt=1e15)]
_Pixels = Annotated[float, Meta(gt=-1e15, lt=1e15, multiple_of=1)]
_Flag = Literal[0, 1] | bool | Annotated[float, Meta(ge=0, le=1, multiple_of=1)] | None


# Structs, since those of msgspec are made faster than dictionaries and take a fifth of the memory;
# without garbage collection, which would have a lot to look through and nothing to find.
class _Image(Struct, gc=False):
    """The record of an image; the last three fields are those of LVIS."""

    id: _Id
    file_name: Annotated[str, Meta(min_length=1)] | None = None
    width: _Pixels | None = None
    height: _Pixels | None = None
    coco_url: Any = None  # of interest only where there is no file_name
    neg_category_ids: tuple[_Id, ...] | UnsetType = UNSET
    not_exhaustive_category_ids: tuple[_Id, ...] | UnsetType = UNSET


class _Annotation(Struct, gc=False):
    id: _Id
    image_id: _Id
    category_id: _Id
    bbox: tuple[_Number, _Number, _FromZero, _FromZero]
    area: _FromZero | None = None
    iscrowd: _Flag = None
    every_category: _Flag = None


class _Category(Struct):
    id: _Id
    name: Annotated[str, Meta(pattern=r"\S")]


class _Faulty(NamedTuple):
    """A record that is not of its type, and why."""

    id: int
    problem: str


class _File(TypedDict):
    images: Annotated[list[_Image], Meta(min_length=1)]
    annotations: list[_Annotation]
    categories: Annotated[list[_Category], Meta(min_length=1)]


# The word for a record of each list, and its type.
_RECORDS: dict[str, tuple[str, type[Struct]]] = {
    "images": ("image", _Image),
    "annotations": ("annotation", _Annotation),
    "categories": ("category", _Category),
}

# What each field must be, in words.
_MUST_BE = {
    **dict.fromkeys(("id", "image_id", "category_id"), "a whole number"),
    **dict.fromkeys(("file_name", "name"), "a text"),
    **dict.fromkeys(("width", "height"), "a whole number of pixels"),
    **dict.fromkeys(("neg_category_ids", "not_exhaustive_category_ids"), "a list of whole numbers"),
    "bbox": "four finite numbers (x, y, width, height), the last two from 0 on",
    "area": "a number from 0 on",
    "iscrowd": "0 or 1",
    "every_category": "0, or 1 of a crowd",
}


def read_coco(
    annotations: str | os.PathLike[str], images: str | os.PathLike[str]
) -> DetectionDataset:
    """Reads a COCO detection data set: the annotations, and the header of every image.

    Categories are sorted by id. Images keep the order of the file, annotations that order within
    their image. Images without annotations, and crowds, are kept. Segmentations are not looked at.
    `iscrowd` may be missing (0), and so may `area` (width times height of the box) and an image's
    `width` and `height` (those of the file, turned upright). Where all ids of images, categories or
    annotations are texts, they become the whole numbers that they spell or, if not all of them
    spell one, count from 1. Without `file_name`, an image is named by the end of its `coco_url`
    (LVIS v1): "train2017/000000391895.jpg", or the last part of that where `images` has no folder
    of the first.

    An image record's `width` and `height` tell which frame its boxes are given in: that of the
    image turned upright by its EXIF orientation or, where only that fits, that of the image as it
    is stored.

    Fixed, and said in the `notes` of the result: a box that exceeds its image is clipped; an
    empty one (no width or no height, also after clipping) gets the label EMPTY and stays among
    `annotated_xywh` for the evaluator.

    Args:
        annotations: the JSON file.
        images: the folder that `file_name` starts from, which may lead into subfolders; an
            absolute one stands for itself.

    Raises:
        DataError: if anything else is wrong, naming file, record and remedy: in one line for one
            fault; for several, below a line with their number, the first 20.
    """
    source, folder = os.fspath(annotations), os.fspath(images)
    faults = Faults(source)
    content = _load(source, faults)
    if not os.path.isdir(folder):
        raise DataError(f"{folder}: no such folder; name the one with the images of {source}")
    categories = _categories(content["categories"], faults)
    records = _image_records(content.pop("images"), folder, faults)
    # Annotations are most of the file: from here on only their arrays are held.
    objects, image_ids = _objects(content.pop("annotations"), categories, records, faults)
    checked = check_images(records, folder, faults)
    _check_references(objects, image_ids, faults)
    return assemble(source, categories, checked, objects, faults)


def _load(source: str, faults: Faults) -> dict[str, list[Any]]:
    """The records of each list, or `_Faulty`; notes those that have no id."""
    text = read_text(source, _KIND)
    if not text:
        raise DataError(f"{source}: the file is empty (zero bytes); give {_KIND}")
    try:
        return dict(msgspec.json.decode(text, type=_File))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass  # not each record is as it should be, or ids are texts
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source}: not JSON ({error}); give {_KIND}") from None
    del text
    _check_top_level(source, content)
    number_text_ids(content, faults)
    return {key: list(_typed(key, content.pop(key), faults)) for key in reversed(_RECORDS)}


def _check_top_level(source: str, content: Any) -> None:
    if not isinstance(content, dict):
        raise DataError(
            f"{source}: not a COCO detection file: at its top must be an object with the lists "
            f"{', '.join(_RECORDS)}"
        )
    for key in _RECORDS:
        if not isinstance(content.get(key), list):
            problem = "is not a list" if key in content else "is missing"
            raise DataError(f'{source}: not a COCO detection file: "{key}" {problem}')
        if not content[key] and key != "annotations":
            raise DataError(f'{source}: the data set is empty: "{key}" lists nothing')


def _typed(key: str, records: Sequence[Any], faults: Faults) -> Iterator[Struct | _Faulty]:
    """The records of a list that can be told by an id; notes the others."""
    kind, type_ = _RECORDS[key]
    for number, record in enumerate(records, start=1):
        try:
            yield typed(record, type_, _MUST_BE)
        except DataError as error:
            problem = str(error)
            if problem.startswith(("must ", "id ")) or "id" not in record:
                faults.add(f"{kind} number {number}: {problem}")
                continue
            if kind != "image":  # whose faults `check_images` notes
                faults.add(f"{kind} id {record['id']}: {problem}")
            yield _Faulty(record["id"], problem)


def _categories(records: Sequence[_Category | _Faulty], faults: Faults) -> list[Category]:
    """The categories, sorted by id; a faulty name is "" there."""
    _check_ids("category", _column(records, "id", np.int64), faults)
    categories = [Category(record.id, getattr(record, "name", "")) for record in records]
    for index in repeats([category.name or category for category in categories]):
        id_, name = categories[index]
        problem = f"another one is named {show(name)} too; rename or merge them"
        faults.add(f"category id {id_}: {problem}")
    return sorted(categories, key=lambda category: category.id)


def _objects(
    records: Sequence[_Annotation | _Faulty],
    categories: Sequence[Category],
    images: Sequence[ImageRecord],
    faults: Faults,
) -> tuple[Objects, np.ndarray]:
    """The annotations, placed among the categories and the images, and their image ids [t]."""
    _check_ids("annotation", _column(records, "id", np.int64), faults)
    records = [record for record in records if isinstance(record, _Annotation)]
    ids, image_ids, category_ids = (
        _column(records, key, np.int64) for key in ("id", "image_id", "category_id")
    )
    sides = itertools.chain.from_iterable(map(attrgetter("bbox"), records))
    xywh = np.fromiter(sides, np.float64, 4 * len(records)).reshape(-1, 4)
    areas = _column(records, "area", np.float64)  # NaN for None
    is_crowd, is_region = (_column(records, key, bool) for key in ("iscrowd", "every_category"))
    objects = Objects(
        image_of=_find(_column(images, "id", np.int64), image_ids),
        labels=_find(_column(categories, "id", np.int64), category_ids),
        category_ids=category_ids,
        xywh=xywh,
        areas=np.where(np.isnan(areas), xywh[:, 2] * xywh[:, 3], areas),
        is_crowd=is_crowd,
        is_region=is_region,
        describe=lambda row: f"annotation id {ids[row]}, bbox {xywh[row].tolist()}",
    )
    return objects, image_ids


def _column(records: Sequence[Any], key: str, dtype: type) -> np.ndarray:
    """One field of all records, [t]."""
    return np.fromiter(map(attrgetter(key), records), dtype, len(records))


def _check_ids(kind: str, ids: np.ndarray, faults: Faults) -> None:
    """Notes the ids [t] that occurred before."""
    _, first = np.unique(ids, return_index=True)
    faults.add_rows(
        np.setdiff1d(np.arange(len(ids)), first),
        lambda row: f"{kind} id {ids[row]}: the id occurs twice; give each {kind} its own",
    )


def _image_records(
    images: Sequence[_Image | _Faulty], folder: str, faults: Faults
) -> list[ImageRecord]:
    _check_ids("image", _column(images, "id", np.int64), faults)
    # One look at the disk for each folder, not each image.
    has_folder = functools.cache(lambda part: os.path.isdir(os.path.join(folder, part)))

    def record(image: _Image | _Faulty) -> ImageRecord:
        name = f"image id {image.id}"
        if isinstance(image, _Faulty):
            return ImageRecord(image.id, name, "", problem=image.problem)
        if image.file_name is not None:
            file = image_path(folder, image.file_name)
        elif image.coco_url and isinstance(image.coco_url, str):
            *_, part, last = f"/{image.coco_url}".split("/")
            file = os.path.join(folder, part if has_folder(part) else "", last)
        else:
            problem = "file_name must be a text, but is missing"
            if image.coco_url is not None:
                problem = f"coco_url must be a text, but is {show(image.coco_url)}"
            return ImageRecord(image.id, name, "", problem=problem)
        size = None
        if image.height is not None and image.width is not None:
            size = (int(image.height), int(image.width))
        negatives, not_exhaustive = (
            None if listed is UNSET else listed
            for listed in (image.neg_category_ids, image.not_exhaustive_category_ids)
        )
        return ImageRecord(image.id, name, file, size, None, negatives, not_exhaustive)

    return [record(image) for image in images]


def _check_references(objects: Objects, ids: np.ndarray, faults: Faults) -> None:
    """Notes annotations of unknown images, of unknown categories, of every one but no crowd.

    `ids` [t] are those of the images.
    """

    def note(is_faulty: np.ndarray, problem: Callable[[int], str]) -> None:  # of bool [t]
        faults.add_rows(
            np.flatnonzero(is_faulty), lambda row: f"{objects.describe(row)}: {problem(row)}"
        )

    unknown, remedy = objects.category_ids, "add it or remove the annotation"
    is_odd = objects.is_region & ~objects.is_crowd
    note(objects.image_of < 0, lambda row: f"no image has the id {ids[row]}; {remedy}")
    note(objects.labels < 0, lambda row: f"no category has the id {unknown[row]}; {remedy}")
    note(is_odd, lambda _: f"every_category must be {_MUST_BE['every_category']}, but is 1")
    objects.labels[is_odd] = NONE


def _find(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """int64 [t], for each of `wanted` [t] its index in `ids` [n], or NONE."""
    if not len(ids):
        return np.full(len(wanted), NONE)
    order = np.argsort(ids, kind="stable")
    index = order[np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)]
    return np.where(ids[index] == wanted, index, NONE)


def write_coco(dataset: DetectionDataset, names: Sequence[str], folder: pathlib.Path) -> list[str]:
    """Writes annotations.json; see `registry.Format`.

    The format has no region of every class: each is written as a crowd of the first one, with
    `every_category`, which `read_coco` knows.
    """
    content = dataclasses.replace(dataset, files=tuple(names)).ground_truth()
    write_json(folder / "annotations.json", content)
    if dataset.is_region is None:
        return []
    return [
        f"regions to ignore, which other programs will take for crowds of the class "
        f"{dataset.categories[0].name} alone: {int(dataset.is_region.sum())}"
    ]
