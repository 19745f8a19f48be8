"""Findings on the records of a data set, and its statistics, before it is trained on."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from keras_retinanet.datasets.dataset import DetectionDataset, to_corners
from keras_retinanet.datasets.validate import ROUNDING, starts_early
from keras_retinanet.datasets.writing import image_bytes
from keras_retinanet.errors import DataError, faulty_records_left_out
from keras_retinanet.geometry.anchor_settings import NEGATIVE_IOU
from keras_retinanet.images.faults import in_threads, likely_fault
from keras_retinanet.inspection.anchor_fit import TrainedObjects
from keras_retinanet.inspection.kinds import Kind

# A box with a shorter side than this, in pixels at the trained size, is tiny: half a cell of P3.
TINY_SIDE = 4.0

# A box that covers this fraction of its image is said to cover it all.
WHOLE_IMAGE = 0.99

# Classes with fewer objects than this fraction of the largest are said to be rare.
RARE_CLASS = 0.01

# No image, or no annotation.
NONE = -1


@dataclasses.dataclass(frozen=True)
class Finding:
    """Something about one record.

    Attributes:
        kind: what it is.
        part: "train" or "val".
        text: the file, the record and what is the matter.
        image: the row of the image in its part, or `NONE`.
        row: the row of the annotation, or `NONE`.
    """

    kind: Kind
    part: str
    text: str
    image: int = NONE
    row: int = NONE


def read_part(
    part: str, read: Callable[[], DetectionDataset]
) -> tuple[DetectionDataset | None, list[Finding]]:
    """Reads a part of a data set without its faulty records, each of which becomes a finding.

    The data set is None if nothing can be read, and the findings say why.
    """
    dataset = None
    with faulty_records_left_out() as lines:
        try:
            dataset = read()
        except DataError as error:
            first, *rest = str(error).split("\n  ")
            lines += rest or [first]
    # Half a surrogate pair, which JSON can hold, could not be printed.
    lines = [line.encode("utf-8", "backslashreplace").decode("utf-8") for line in lines]
    return dataset, [Finding(Kind.CANNOT_BE_READ, part, line) for line in lines]


def check_part(
    part: str, dataset: DetectionDataset, objects: TrainedObjects, iou: np.ndarray
) -> Iterator[Finding]:
    """All findings on the records of a part that could be read; images are not decoded.

    Of the kinds that go by a measure, the worst come first.

    Args:
        part: "train" or "val".
        dataset: the part.
        objects: what is trained on of it.
        iou: float64 [t], the best IoU of any anchor with each of `objects`.
    """
    if part == "train" and not len(objects.rows):
        text = f"{dataset.name}: nothing in its {len(dataset)} images is an object to train on"
        yield Finding(Kind.NOTHING_TO_TRAIN_ON, part, text)
    image_of = dataset.image_of
    names = {category.id: category.name for category in dataset.categories}
    for kind, rows in _kinds_of_annotations(dataset, objects, iou):
        for row in rows.tolist():
            image = int(image_of[row])
            yield Finding(kind, part, _describe(dataset, names, row, image), image, row)
    yield from _classes(part, dataset)
    for kind, images in _kinds_of_images(dataset):
        for image in images.tolist():
            yield Finding(kind, part, dataset.files[image], image)


def _kinds_of_annotations(
    dataset: DetectionDataset, objects: TrainedObjects, iou: np.ndarray
) -> Iterator[tuple[Kind, np.ndarray]]:
    """The rows [k] of the annotations that there is a finding of each kind on; `iou` is [t]."""
    yield from _fixed_while_reading(dataset)
    yield from _odd_boxes(dataset, objects)
    yield Kind.NO_ANCHOR, _lowest(objects.rows, iou, NEGATIVE_IOU)
    yield from _repeated_boxes(dataset)
    yield Kind.ABSENT_CLASS, _contradictions(dataset)


def _lowest(rows: np.ndarray, values: np.ndarray, limit: float) -> np.ndarray:
    """Those of `rows` [t] whose values [t] are below a limit, the lowest first."""
    order = np.argsort(values, kind="stable")
    return rows[order[values[order] < limit]]


def _describe(dataset: DetectionDataset, names: dict[int, str], row: int, image: int) -> str:
    """An annotation in messages, by its row, the row of its image, and `names` by category id."""
    x, y, width, height = dataset.annotated_xywh[row].tolist()
    size = f"{dataset.sizes[image, 1]} x {dataset.sizes[image, 0]}"
    box = [round(value, 2) for value in (x, y, x + width, y + height)]
    is_region = dataset.is_region is not None and dataset.is_region[row]
    name = "every class" if is_region else names[int(dataset.category_ids[row])]
    return f"{dataset.files[image]} ({size}): {name}, box {box}"


def _fixed_while_reading(dataset: DetectionDataset) -> Iterator[tuple[Kind, np.ndarray]]:
    """The rows [k] of boxes that reading cuts or passes over, and of those counted from 0."""
    corners = to_corners(dataset.annotated_xywh)
    sides = np.tile(dataset.sizes[dataset.image_of][:, ::-1], 2)
    is_empty = dataset.labels < 0
    over = np.where(is_empty[:, None], 0.0, np.maximum(-corners, corners - sides)).max(axis=1)
    yield Kind.EXCEEDING_BOX, _lowest(np.arange(len(over)), -over, -ROUNDING)
    yield Kind.EMPTY_BOX, np.flatnonzero(is_empty)
    yield Kind.COUNTED_FROM_0, np.flatnonzero(starts_early(dataset.annotated_xywh))


def _odd_boxes(
    dataset: DetectionDataset, objects: TrainedObjects
) -> Iterator[tuple[Kind, np.ndarray]]:
    """The rows [k] of boxes of hardly any size, and of those as large as their image."""
    sides = (objects.boxes[:, 2:] - objects.boxes[:, :2]).min(axis=1, initial=np.inf)
    yield Kind.TINY_BOX, _lowest(objects.rows, sides, TINY_SIDE)
    boxes = dataset.boxes[objects.rows].astype(np.float64)
    areas = dataset.sizes.astype(np.int64).prod(axis=1)[dataset.image_of[objects.rows]]
    fractions = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) / areas
    yield Kind.WHOLE_IMAGE, objects.rows[fractions >= WHOLE_IMAGE]


def _repeated_boxes(dataset: DetectionDataset) -> Iterator[tuple[Kind, np.ndarray]]:
    """The rows [k] of boxes that lie where another of their image does, to a tenth of a pixel."""
    image_of = dataset.image_of
    rows = np.flatnonzero((dataset.labels >= 0) & ~dataset.is_crowd)
    keys = np.round(dataset.annotated_xywh[rows] * 10)
    # Boxes alike stand beside each other then, in the order of the file.
    order = np.lexsort([*keys.T, image_of[rows]])
    rows, keys = rows[order], keys[order]
    is_first = np.ones(len(rows), bool)
    is_first[1:] = (image_of[rows[1:]] != image_of[rows[:-1]]) | (keys[1:] != keys[:-1]).any(axis=1)
    earlier = rows[is_first][np.cumsum(is_first) - 1]
    is_same = dataset.labels[earlier] == dataset.labels[rows]
    yield Kind.REPEATED_BOX, np.sort(rows[~is_first & is_same])
    yield Kind.TWO_CLASSES, np.sort(rows[~is_first & ~is_same])


def _contradictions(dataset: DetectionDataset) -> np.ndarray:
    """The rows [k] of objects of classes that their image was verified not to have."""
    negatives = dataset.negatives or ()
    lengths = [len(absent) for absent in negatives]
    absent = np.array([id_ for absent in negatives for id_ in absent], np.int64)
    _, codes = np.unique(np.concatenate([absent, dataset.category_ids]), return_inverse=True)
    images = np.concatenate([np.repeat(np.arange(len(negatives)), lengths), dataset.image_of])
    pairs = images * (codes.max(initial=0) + 1) + codes
    return np.flatnonzero(np.isin(pairs[len(absent) :], pairs[: len(absent)]))


def _classes(part: str, dataset: DetectionDataset) -> Iterator[Finding]:
    counts = class_counts(dataset)
    for category, count in zip(dataset.categories, counts.tolist(), strict=True):
        if not count:
            yield Finding(Kind.UNUSED_CLASS, part, f"{category.name}: no objects")
        elif count < RARE_CLASS * counts.max():
            text = f"{category.name}: {count} objects, the largest class has {counts.max()}"
            yield Finding(Kind.RARE_CLASS, part, text)


def _kinds_of_images(dataset: DetectionDataset) -> Iterator[tuple[Kind, np.ndarray]]:
    """The images [k] that there is a finding of each kind on."""
    yield Kind.NO_OBJECTS, np.flatnonzero(np.diff(dataset.row_splits) == 0)
    is_turned = dataset.orientations != 1
    yield Kind.TURNED_IMAGE, np.flatnonzero(is_turned & dataset.apply_exif)
    yield Kind.UNTURNED_IMAGE, np.flatnonzero(is_turned & ~dataset.apply_exif)


def class_counts(dataset: DetectionDataset) -> np.ndarray:
    """int64 [K], the objects of each class that are trained on."""
    labels = dataset.labels[(dataset.labels >= 0) & ~dataset.is_crowd]
    return np.bincount(labels, minlength=len(dataset.categories))


def read_images(dataset: DetectionDataset) -> Iterator[tuple[str, DataError | None]]:
    """Decodes all images in order: a digest of each file's bytes, and what is wrong with it."""

    def read(index: int) -> tuple[str, DataError | None]:
        file = dataset.files[index]
        try:
            encoded = image_bytes(dataset, index)
        except OSError as error:
            return "", DataError(f"{file}: cannot be read ({error.strerror})")
        return hashlib.sha256(encoded).hexdigest(), likely_fault(file, encoded)

    return in_threads(read, len(dataset))


def check_images(
    parts: dict[str, tuple[DetectionDataset, list[tuple[str, DataError | None]]]],
) -> Iterator[Finding]:
    """Images that cannot be decoded, and those that are the same file, within and across parts.

    Args:
        parts: for each part its data set and what `read_images` gave.
    """
    first: dict[str, tuple[str, str]] = {}
    for part, (dataset, results) in parts.items():
        for image, (digest, fault) in enumerate(results):
            file = dataset.files[image]
            if fault is not None:
                yield Finding(Kind.UNDECODABLE_IMAGE, part, str(fault), image)
                continue
            other_part, other = first.setdefault(digest, (part, file))
            if other_part != part:
                text = f"{file}: the same image as {other} in {other_part}"
                yield Finding(Kind.IMAGE_IN_BOTH_PARTS, part, text, image)
            elif other != file:
                text = f"{file}: the same image as {other}"
                yield Finding(Kind.REPEATED_IMAGE, part, text, image)


def statistics(dataset: DetectionDataset) -> dict[str, Any]:
    """Counts and spreads of a data set, as plain numbers that JSON holds.

    Sides are in pixels of the original images, ratios are height / width.
    """
    is_object = (dataset.labels >= 0) & ~dataset.is_crowd
    boxes = dataset.boxes[is_object].astype(np.float64)
    sides = boxes[:, 2:] - boxes[:, :2]
    labels = dataset.labels[is_object]
    image_of = dataset.image_of[is_object]
    pairs = np.unique(np.stack([image_of, labels], axis=1), axis=0)
    images = np.bincount(pairs[:, 1].astype(np.int64), minlength=len(dataset.categories))
    counts = class_counts(dataset)
    present = counts[counts > 0]
    sizes = collections.Counter(map(tuple, dataset.sizes[:, ::-1].tolist()))
    return {
        "images": len(dataset),
        "images_without_objects": int((np.diff(dataset.row_splits) == 0).sum()),
        "objects": int(is_object.sum()),
        "crowds": int(dataset.is_crowd.sum()),
        "image_sizes": [[*size, count] for size, count in sizes.most_common(10)],
        "image_width": _spread(dataset.sizes[:, 1]),
        "image_height": _spread(dataset.sizes[:, 0]),
        "objects_per_image": _spread(np.bincount(image_of, minlength=len(dataset))),
        "box_side": _spread(np.sqrt(sides.prod(axis=1))),
        "box_ratio": _spread(sides[:, 1] / sides[:, 0]),
        "imbalance": float(present.max() / present.min()) if len(present) else 1.0,
        "classes": [
            {"name": category.name, "objects": int(count), "images": int(in_images)}
            for category, count, in_images in zip(dataset.categories, counts, images, strict=True)
        ],
    }


def _spread(values: np.ndarray) -> dict[str, float]:
    """Least, median and greatest of some numbers [t]; zeros for none."""
    found = np.quantile(values, (0, 0.5, 1)) if len(values) else np.zeros(3)
    return dict(zip(("min", "median", "max"), found.tolist(), strict=True))
