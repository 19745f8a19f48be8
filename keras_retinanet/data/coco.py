"""COCO's annotation format: a JSON file of images, annotations and categories, and a folder."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import gc
import json
import os
import re
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_retinanet.data.dataset import Category, DataError, DetectionDataset, Faults
from keras_retinanet.data.images import read_header

# COCO writes two decimals, so x + width may be off by twice half a hundredth; in pixels.
_ROUNDING = 0.0101

# Polygons are most of a file, and not needed: the rest of train2017 is parsed in 0.4 times the time
# and with 1.3 GB less. Nothing inside a JSON string looks like this: quotes are escaped there.
_POLYGONS = re.compile(r'(?<!\\)"segmentation"\s*:\s*\[[-+.0-9eE,\s\[\]]*\]')

# Reading a header is waiting for the disk, most of all for one on the network.
_THREADS = 16


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Millions of objects are made here and no garbage, yet a third of the time went into it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_without_garbage_collection()
def read_coco(
    annotations: str | os.PathLike[str], images: str | os.PathLike[str]
) -> DetectionDataset:
    """Reads a COCO detection data set: the annotations, and the header of every image.

    Categories are sorted by id. Images keep the order of the file, annotations that order within
    their image. Images without annotations, and crowds, are kept. Segmentations are not looked at.
    `iscrowd` may be missing (0), and so may `area` (width times height of the box) and an image's
    `width` and `height` (those of the file, turned upright).

    An image record's `width` and `height` tell which frame its boxes are given in: that of the
    image turned upright by its EXIF orientation or, where only that fits, that of the image as it
    is stored.

    Mended, and said in the `notes` of the result: a box that overhangs its image is clipped; an
    empty one (no width or no height, also after clipping) gets label -1 and stays among
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
    content = _load(source)
    if not os.path.isdir(folder):
        raise DataError(f"{folder}: no such folder; name the one with the images of {source}")
    faults = Faults(source)
    categories = _read_categories(content["categories"], faults)
    # Annotations are most of the file: from here on only their arrays are held.
    objects = _read_annotations(content.pop("annotations"), faults)
    pictures = _read_images(content.pop("images"), folder, faults)
    image_of = _find(pictures.ids, objects.image_ids)
    labels = _find(np.array([c.id for c in categories], np.int64), objects.category_ids)
    _check_references(objects, image_of, labels, faults)
    _check_inside(objects, pictures, image_of, faults)
    faults.raise_if_any()
    return _assemble(source, categories, pictures, objects, image_of, labels)


class _Frame(NamedTuple):
    """An image file and the frame that the boxes on it are given in; zeros for a faulty one."""

    file: str
    height: int
    width: int
    apply_exif: bool


@dataclasses.dataclass(frozen=True)
class _Images:
    """The image records that have an id.

    Attributes:
        ids: int64 [n].
        frames: n.
        sides: int32 [n, 2], width and height of the frames.
    """

    ids: np.ndarray
    frames: list[_Frame]
    sides: np.ndarray

    def describe(self, row: int) -> str:
        frame = self.frames[row]
        return f"image id {self.ids[row]}, {frame.file}, of {frame.width} x {frame.height} pixels"


@dataclasses.dataclass(frozen=True)
class _Annotations:
    """The annotation records that have no fault of their own.

    Attributes:
        ids: int64 [t].
        image_ids: int64 [t].
        category_ids: int64 [t].
        xywh: float64 [t, 4].
        areas: float64 [t].
        is_crowd: bool [t].
    """

    ids: np.ndarray
    image_ids: np.ndarray
    category_ids: np.ndarray
    xywh: np.ndarray
    areas: np.ndarray
    is_crowd: np.ndarray

    def describe(self, row: int) -> str:
        return f"annotation id {self.ids[row]} (image id {self.image_ids[row]})"


def _load(source: str) -> dict[str, Any]:
    """The parsed file, in which `images`, `annotations` and `categories` are lists."""
    try:
        with open(source, "rb") as file:
            encoded = file.read()
    except OSError as error:
        raise DataError(f"{source}: cannot be read ({error.strerror})") from None
    if not encoded:
        raise DataError(f"{source}: the file is empty (zero bytes); give a COCO JSON file")
    try:
        text = encoded.decode("utf-8-sig")
        del encoded
        content = _parse(text)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{source}: not UTF-8 text (byte {error.start}); give a COCO JSON file, saved as UTF-8"
        ) from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{source}: not JSON ({error}); give a COCO JSON file") from None
    _check_top_level(source, content)
    return content


def _parse(text: str) -> Any:
    try:
        return json.loads(_POLYGONS.sub('"segmentation":[]', text))
    except ValueError:
        return json.loads(text)  # whose message gives the line and column of the file


def _check_top_level(source: str, content: Any) -> None:
    keys = ("images", "annotations", "categories")
    if not isinstance(content, dict):
        raise DataError(
            f"{source}: not a COCO detection file: at its top must be an object with the lists "
            f"{', '.join(keys)}"
        )
    for key in keys:
        if not isinstance(content.get(key), list):
            problem = "is not a list" if key in content else "is missing"
            raise DataError(f'{source}: not a COCO detection file: "{key}" {problem}')
    for key in ("images", "categories"):
        if not content[key]:
            raise DataError(f'{source}: the data set is empty: "{key}" lists nothing')


def _read_categories(records: list[Any], faults: Faults) -> list[Category]:
    """The categories that have an id, sorted by it."""
    records = _with_ids("category", records, faults)
    names: list[Hashable] = []
    for place, record in enumerate(records):
        name = record.get("name")
        is_name = isinstance(name, str) and bool(name.strip())
        names.append(name if is_name else place)
        if not is_name:
            problem = f"name must be a text, {_but_is(record, 'name')}"
            faults.add(f"category id {record['id']}: {problem}")
    for place in _repeats(names):
        problem = f"another one is named {_show(names[place])} too; rename or merge them"
        faults.add(f"category id {records[place]['id']}: {problem}")
    return sorted((Category(r["id"], str(r.get("name"))) for r in records), key=lambda c: c.id)


def _read_annotations(records: list[Any], faults: Faults) -> _Annotations:
    good = []
    for record in _with_ids("annotation", records, faults):
        if problem := _annotation_problem(record):
            faults.add(f"annotation id {record['id']}: {problem}")
        else:
            good.append(record)
    xywh = np.array([record["bbox"] for record in good], np.float64).reshape(-1, 4)
    areas = np.array([record.get("area") for record in good], np.float64)  # NaN for None
    return _Annotations(
        ids=np.array([record["id"] for record in good], np.int64),
        image_ids=np.array([record["image_id"] for record in good], np.int64),
        category_ids=np.array([record["category_id"] for record in good], np.int64),
        xywh=xywh,
        areas=np.where(np.isnan(areas), xywh[:, 2] * xywh[:, 3], areas),
        is_crowd=np.array([bool(record.get("iscrowd")) for record in good], bool),
    )


def _annotation_problem(record: dict[str, Any]) -> str | None:
    for key in ("image_id", "category_id"):
        if not _is_id(record.get(key)):
            return f"{key} must be a whole number, {_but_is(record, key)}"
    bbox = record.get("bbox")
    if type(bbox) is not list or len(bbox) != 4 or not all(map(_is_finite, bbox)):
        return f"bbox must be four finite numbers (x, y, width, height), {_but_is(record, 'bbox')}"
    if bbox[2] < 0 or bbox[3] < 0:
        return f"bbox {bbox} is inverted; give x, y, width, height, the last two from 0 on"
    area = record.get("area")
    if area is not None and not (_is_finite(area) and area >= 0):
        return f"area must be a number from 0 on, {_but_is(record, 'area')}"
    if record.get("iscrowd") not in (None, 0, 1):
        return f"iscrowd must be 0 or 1, {_but_is(record, 'iscrowd')}"
    return None


def _read_images(records: list[Any], folder: str, faults: Faults) -> _Images:
    """The image records that have an id, with what the headers of the files add."""
    records = _with_ids("image", records, faults)
    results = _read_frames(records, folder)
    if len(records) > 1 and not any(isinstance(result, _Frame) for result in results):
        _check_folder(records, folder, faults.source)
    frames = []
    for record, result in zip(records, results, strict=True):
        if isinstance(result, DataError):
            faults.add(f"image id {record['id']}: {result}")
            result = _Frame("", 0, 0, True)
        frames.append(result)
    for row in _repeats([os.path.normpath(f.file) if f.file else i for i, f in enumerate(frames)]):
        problem = f"{frames[row].file}: another image record has this file too; merge the records"
        faults.add(f"image id {records[row]['id']}: {problem}")
    ids = np.array([record["id"] for record in records], np.int64)
    sides = np.array([(frame.width, frame.height) for frame in frames], np.int32)
    return _Images(ids, frames, sides.reshape(-1, 2))


def _read_frames(records: list[dict[str, Any]], folder: str) -> list[_Frame | DataError]:
    def read(chunk: list[dict[str, Any]]) -> list[_Frame | DataError]:
        results: list[_Frame | DataError] = []
        for record in chunk:
            try:
                results.append(_read_frame(record, folder))
            except DataError as error:
                results.append(error)
        return results

    size = 64  # a header alone takes less time than handing it to a thread
    chunks = [records[start : start + size] for start in range(0, len(records), size)]
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        return [result for results in pool.map(read, chunks) for result in results]


def _read_frame(record: dict[str, Any], folder: str) -> _Frame:
    """Checks an image record against its file; a DataError says what is wrong with either."""
    name, width, height = (record.get(key) for key in ("file_name", "width", "height"))
    if not isinstance(name, str) or not name:
        raise DataError(f"file_name must be a text, {_but_is(record, 'file_name')}")
    for key in ("width", "height"):
        if record.get(key) is not None and not _is_whole(record[key]):
            raise DataError(f"{key} must be a whole number of pixels, {_but_is(record, key)}")
    file = os.path.join(folder, name)
    header = read_header(file)
    upright, stored = header.upright_size, (header.height, header.width)
    if width is None or height is None:
        return _Frame(file, *upright, True)
    if (height, width) not in (upright, stored):
        turned = "" if upright == stored else f" ({upright[1]} x {upright[0]} by its EXIF rotation)"
        raise DataError(
            f"{file}: the record says {width} x {height} pixels, the file {stored[1]} x "
            f"{stored[0]}{turned}; use the image that was annotated, or correct the record"
        )
    return _Frame(file, int(height), int(width), (height, width) == upright)


def _check_folder(records: list[dict[str, Any]], folder: str, source: str) -> None:
    """One line, not one for each image, where the wrong folder was named."""
    names = [str(record.get("file_name")) for record in records]
    if not any(os.path.lexists(os.path.join(folder, name)) for name in names):
        raise DataError(
            f"{source}: none of its {len(names)} images (image id {records[0]['id']}, {names[0]}, "
            f"and so on) is in the folder {folder}; name the folder that file_name starts from"
        )


def _check_references(
    objects: _Annotations, image_of: np.ndarray, labels: np.ndarray, faults: Faults
) -> None:
    faults.add_rows(
        np.flatnonzero(image_of < 0),
        lambda row: (
            f"{objects.describe(row)}: no image has this id; add it or remove the annotation"
        ),
    )
    faults.add_rows(
        np.flatnonzero(labels < 0),
        lambda row: (
            f"{objects.describe(row)}: no category has the id "
            f"{objects.category_ids[row]}; add it or remove the annotation"
        ),
    )


def _check_inside(
    objects: _Annotations, pictures: _Images, image_of: np.ndarray, faults: Faults
) -> None:
    """Notes a fault for every box that lies wholly outside its image."""
    placed = np.flatnonzero(image_of >= 0)
    sides, xywh = pictures.sides[image_of[placed]], objects.xywh[placed]
    start, end = xywh[:, :2], xywh[:, :2] + xywh[:, 2:]
    # An empty box may lie on the border; of one with an area nothing is inside then.
    is_empty = (start == end).any(axis=1, keepdims=True)
    is_outside = np.where(is_empty, (start > sides) | (end < 0), (start >= sides) | (end <= 0))
    is_known = (sides > 0).all(axis=1)
    faults.add_rows(
        placed[is_outside.any(axis=1) & is_known],
        lambda row: (
            f"{objects.describe(row)}: bbox {objects.xywh[row].tolist()} is wholly outside "
            f"its image ({pictures.describe(image_of[row])}); correct or remove it"
        ),
    )


def _assemble(
    source: str,
    categories: list[Category],
    pictures: _Images,
    objects: _Annotations,
    image_of: np.ndarray,
    labels: np.ndarray,
) -> DetectionDataset:
    """The data set, from records without faults: boxes clipped, annotations in image order."""
    corners = np.concatenate([objects.xywh[:, :2], objects.xywh[:, :2] + objects.xywh[:, 2:]], 1)
    sides = np.tile(pictures.sides[image_of], 2)
    boxes = np.clip(corners, 0, sides).astype(np.float32)
    is_empty = (boxes[:, 2:] <= boxes[:, :2]).any(axis=1)
    is_over = (np.maximum(-corners, corners - sides) > _ROUNDING).any(axis=1) & ~is_empty
    apply_exif = np.array([frame.apply_exif for frame in pictures.frames], bool)

    def box(row: int) -> str:
        bbox = objects.xywh[row].tolist()
        return f"annotation id {objects.ids[row]}, bbox {bbox}, {pictures.describe(image_of[row])}"

    notes = [
        *_note("overhanging boxes clipped to their image", is_over, box),
        *_note("empty boxes dropped", is_empty, box),
        *_note(
            "images annotated as they are stored, so that their EXIF orientation is not applied",
            ~apply_exif,
            pictures.describe,
        ),
    ]
    order = np.argsort(image_of, kind="stable")
    return DetectionDataset(
        name=source,
        categories=tuple(categories),
        image_ids=pictures.ids,
        files=tuple(frame.file for frame in pictures.frames),
        sizes=pictures.sides[:, ::-1].copy(),
        apply_exif=apply_exif,
        row_splits=np.searchsorted(image_of[order], np.arange(len(pictures.ids) + 1)),
        boxes=boxes[order],
        labels=np.where(is_empty, -1, labels).astype(np.int32)[order],
        is_crowd=objects.is_crowd[order],
        annotated_xywh=objects.xywh[order],
        areas=objects.areas[order],
        category_ids=objects.category_ids[order],
        notes=tuple(notes),
    )


def _note(kind: str, is_kind: np.ndarray, describe: Callable[[int], str]) -> Iterator[str]:
    rows = np.flatnonzero(is_kind)
    if len(rows):
        yield f"{kind}: {len(rows)} (the first: {describe(int(rows[0]))})"


def _with_ids(kind: str, records: list[Any], faults: Faults) -> list[dict[str, Any]]:
    """The records that can be told by an id; notes the others, and ids that occur again."""
    named = []
    for row, record in enumerate(records):
        if type(record) is not dict:
            faults.add(f"{kind} number {row + 1}: must be a JSON object, but is {_show(record)}")
        elif not _is_id(record.get("id")):
            problem = f"id must be a whole number, {_but_is(record, 'id')}"
            faults.add(f"{kind} number {row + 1}: {problem}")
        else:
            named.append(record)
    for row in _repeats([record["id"] for record in named]):
        faults.add(f"{kind} id {named[row]['id']}: the id occurs twice; give each {kind} its own")
    return named


def _repeats(keys: Sequence[Hashable]) -> list[int]:
    """The places of the keys that occurred before."""
    first: dict[Hashable, int] = {}
    return [place for place, key in enumerate(keys) if first.setdefault(key, place) != place]


def _find(ids: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """int64, for each of `wanted` its place in `ids`, or -1."""
    if not len(ids):
        return np.full(len(wanted), -1)
    order = np.argsort(ids, kind="stable")
    place = order[np.minimum(np.searchsorted(ids, wanted, sorter=order), len(ids) - 1)]
    return np.where(ids[place] == wanted, place, -1)


def _is_id(value: Any) -> bool:
    return type(value) is int and -(2**63) <= value < 2**63


def _is_finite(value: Any) -> bool:
    # Beyond the bounds lie NaN, infinity, and numbers whose products would overflow.
    return type(value) in (int, float) and -1e15 < value < 1e15


def _is_whole(value: Any) -> bool:
    return _is_finite(value) and value == int(value)


def _but_is(record: dict[str, Any], key: str) -> str:
    return f"but is {_show(record[key])}" if key in record else "but is missing"


def _show(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
