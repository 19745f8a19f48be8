"""From the records of any annotation format to a `DetectionDataset`.

The one place where image files are held against their records, and where boxes are judged and
fixed: docs/data_faults.md is its table.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_retinanet.datasets.dataset import EMPTY, Category, DetectionDataset, to_corners
from keras_retinanet.datasets.stored_images import EncodedImages, StoredImage
from keras_retinanet.errors import DataError, Faults
from keras_retinanet.images.header import read_header
from keras_retinanet.progress import progress

# The index of what an annotation refers to and is not there: its image, its category.
NONE = -1

# Formats write two decimals, so x + width may be off by twice half a hundredth; in pixels.
ROUNDING = 0.0101

# So many boxes that start one pixel before their image are no slip of somebody's hand.
_MANY_EARLY = 3

# Reading a header is waiting for the disk, most of all for one on the network: threads read once
# a chunk of them has taken this many times its CPU time.
_THREADS, _CHUNK, _WAITING = 16, 64, 3.0


@dataclasses.dataclass(frozen=True)
class ImageRecord:
    """What a format says of one image.

    Attributes:
        id: the data set's own id, or a number from 1.
        name: what messages call the record, "image id 7"; "" where the name of the file will do.
        file: the path; only a name where `encoded` is given.
        size: height and width as annotated, None where the format does not say.
        encoded: the image itself or where it is, where it lies in no file of its own.
        negatives: ids of the categories that were verified to have no object in it, None where the
            format does not say.
        not_exhaustive: ids of the categories of which only some objects are annotated in it, None
            likewise.
        problem: what is wrong with the record, in words; its file is not looked at then.
        is_turned: whether boxes are given after the EXIF rotation; what `size` tells, if given.
    """

    id: int
    name: str
    file: str
    size: tuple[int, int] | None = None
    encoded: bytes | StoredImage | None = None
    negatives: tuple[int, ...] | None = None
    not_exhaustive: tuple[int, ...] | None = None
    problem: str | None = None
    is_turned: bool = True


class _Frame(NamedTuple):
    """The frame that the boxes on an image are given in; of no size for a faulty one."""

    height: int
    width: int
    orientation: int
    apply_exif: bool


_NO_FRAME = _Frame(0, 0, 1, True)


@dataclasses.dataclass(frozen=True)
class CheckedImages:
    """The image records, held against the files.

    Attributes:
        records: n.
        sides: int32 [n, 2], width and height of the frames that boxes are given in; 0 for an image
            that is at fault.
        orientations: int8 [n], the EXIF orientations.
        apply_exif: bool [n], whether the frame is that after the EXIF rotation.
        folder: where the files were looked for.
    """

    records: Sequence[ImageRecord]
    sides: np.ndarray
    orientations: np.ndarray
    apply_exif: np.ndarray
    folder: str

    def describe(self, row: int) -> str:
        """An image in the words of messages."""
        record, (width, height) = self.records[row], self.sides[row]
        name = f"{record.name}, " if record.name else ""
        return f"{name}{record.file}, of {width} x {height} pixels"


@dataclasses.dataclass(frozen=True)
class Objects:
    """The annotations that have no fault of their own, in the order of the file.

    Attributes:
        image_of: int64 [t], the row of its image; NONE if there is no such image, which is a fault.
        labels: int64 [t], index into the categories; NONE likewise.
        category_ids: int64 [t].
        xywh: float64 [t, 4], in pixels, widths and heights from 0 on.
        areas: float64 [t].
        is_crowd: bool [t].
        is_region: bool [t], see `DetectionDataset.is_region`.
        describe: an annotation in the words of messages: its record and its box.
    """

    image_of: np.ndarray
    labels: np.ndarray
    category_ids: np.ndarray
    xywh: np.ndarray
    areas: np.ndarray
    is_crowd: np.ndarray
    is_region: np.ndarray
    describe: Callable[[int], str]


def check_images(records: Sequence[ImageRecord], folder: str, faults: Faults) -> CheckedImages:
    """Reads the header of every image; adds what is wrong with them to `faults`.

    A record's size tells which frame its boxes are given in: that of the image turned upright by
    its EXIF orientation or, where only that fits, that of the image as it is stored. Without a size
    `is_turned` tells.

    Args:
        folder: where the files were looked for.
        faults: of the file that the records come from.

    Raises:
        DataError: with all of `faults` if no record is left; if the folder holds none of the
            images: it must be the wrong one.
    """
    if not records:
        faults.raise_if_any()
        raise DataError(f"{faults.source}: the data set is empty: it lists no image")
    results = list(progress(_frames(records), len(records), "reading image headers"))
    if len(records) > 1 and not any(isinstance(result, _Frame) for result in results):
        _check_folder(records, folder, faults.source)
    frames, paths = [], []
    for row, (record, result) in enumerate(zip(records, results, strict=True)):
        if isinstance(result, DataError):
            faults.add(_prefix(record) + str(result))
            result = _NO_FRAME
        is_file = record.encoded is None and record.problem is None and result.height
        paths.append(os.path.normpath(record.file) if is_file else row)
        frames.append(result)
    for row in repeats(paths):
        problem = f"{records[row].file}: another image record has this file too; merge the records"
        faults.add(_prefix(records[row]) + problem)
        frames[row] = _NO_FRAME
    sides = np.array([(frame.width, frame.height) for frame in frames], np.int32)
    orientations = np.array([frame.orientation for frame in frames], np.int8)
    apply_exif = np.array([frame.apply_exif for frame in frames], bool)
    return CheckedImages(records, sides, orientations, apply_exif, folder)


def _prefix(record: ImageRecord) -> str:
    return f"{record.name}: " if record.name else ""


def _frames(records: Sequence[ImageRecord]) -> Iterator[_Frame | DataError]:
    """By threads from where more time goes into waiting than into reading, one by one until then:
    the headers of files in memory take half the time so."""
    is_waiting, done = False, 0
    while done < len(records) and not is_waiting:
        start, worked = time.perf_counter(), time.thread_time()
        chunk = _read_chunk(records[done : done + _CHUNK])
        worked = time.thread_time() - worked
        is_waiting = time.perf_counter() - start > _WAITING * worked
        done += len(chunk)
        yield from chunk
    rest = range(done, len(records), _CHUNK)
    with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
        for chunk in pool.map(lambda start: _read_chunk(records[start : start + _CHUNK]), rest):
            yield from chunk


def _read_chunk(records: Sequence[ImageRecord]) -> list[_Frame | DataError]:
    results: list[_Frame | DataError] = []
    for record in records:
        try:
            results.append(_read_frame(record))
        except DataError as error:
            results.append(error)
    return results


def _read_frame(record: ImageRecord) -> _Frame:
    """Checks an image record against its file; a DataError says what is wrong with either."""
    if record.problem is not None:
        raise DataError(record.problem)
    if isinstance(record.encoded, StoredImage):
        header = record.encoded.header
        if isinstance(header, DataError):
            raise header
    else:
        header = read_header(record.file, record.encoded)
    upright, stored = header.upright_size, (header.height, header.width)
    orientation = header.exif_orientation
    if record.size is None:
        is_turned = record.is_turned or orientation == 1
        return _Frame(*(upright if is_turned else stored), orientation, is_turned)
    if record.size not in (upright, stored):
        turned = "" if upright == stored else f" ({upright[1]} x {upright[0]} by its EXIF rotation)"
        raise DataError(
            f"{record.file}: the record says {record.size[1]} x {record.size[0]} pixels, the file "
            f"{stored[1]} x {stored[0]}{turned}; use the image that was annotated, or correct the "
            "record"
        )
    height, width = map(int, record.size)
    return _Frame(height, width, orientation, record.size == upright)


def _check_folder(records: Sequence[ImageRecord], folder: str, source: str) -> None:
    """One line, not one for each image, where the wrong folder was named."""
    if all(record.encoded is None and not os.path.lexists(record.file) for record in records):
        first = f"{records[0].name}, " if records[0].name else ""
        name = os.path.relpath(records[0].file, folder) if records[0].file else "no file"
        raise DataError(
            f"{source}: none of its {len(records)} images ({first}{name}, and so on) is in the "
            f"folder {folder or '.'}; name the folder that the names of the images start from"
        )


def assemble(
    source: str,
    categories: Sequence[Category],
    checked: CheckedImages,
    objects: Objects,
    faults: Faults,
) -> DetectionDataset:
    """The data set of some records: boxes judged and clipped, annotations in image order.

    Raises:
        DataError: with all of `faults`, to which the boxes outside their images are added; inside
            `errors.faulty_records_left_out` only if no image is left.
    """
    is_outside = _check_inside(objects, checked, faults)
    if faults.are_left_out():
        checked, objects = _sound(source, checked, objects, is_outside)
    else:
        faults.raise_if_any()
    corners = to_corners(objects.xywh)  # [t, 4]
    sides = np.tile(checked.sides[objects.image_of], 2)
    clipped = np.clip(corners, 0, sides)
    boxes = clipped.astype(np.float32)
    is_empty = (boxes[:, 2:] <= boxes[:, :2]).any(axis=1)
    order = np.argsort(objects.image_of, kind="stable")
    records = checked.records
    encoded = [record.encoded for record in records if record.encoded is not None]
    return DetectionDataset(
        name=source,
        categories=tuple(categories),
        image_ids=np.array([record.id for record in records], np.int64),
        files=tuple(record.file for record in records),
        folder=None if encoded else checked.folder or ".",
        encoded=EncodedImages(encoded) if encoded else None,
        negatives=_if_any([record.negatives for record in records]),
        not_exhaustive=_if_any([record.not_exhaustive for record in records]),
        sizes=checked.sides[:, ::-1].copy(),
        orientations=checked.orientations,
        apply_exif=checked.apply_exif,
        row_splits=np.searchsorted(objects.image_of[order], np.arange(len(records) + 1)),
        boxes=boxes[order],
        labels=np.where(is_empty, EMPTY, objects.labels).astype(np.int32)[order],
        is_crowd=objects.is_crowd[order],
        is_region=objects.is_region[order] if objects.is_region.any() else None,
        annotated_xywh=objects.xywh[order],
        areas=objects.areas[order],
        category_ids=objects.category_ids[order],
        notes=tuple(_notes(checked, objects, corners - clipped, is_empty)),
    )


def _notes(
    checked: CheckedImages, objects: Objects, moved: np.ndarray, is_empty: np.ndarray
) -> Iterator[str]:
    """A line on each kind of what was fixed, or may be wrong.

    Args:
        checked: the images.
        objects: the annotations.
        moved: float64 [t, 4], by how much clipping moved each corner.
        is_empty: bool [t].
    """

    def box(row: int) -> str:
        return f"{objects.describe(row)}, {checked.describe(objects.image_of[row])}"

    is_over = (np.abs(moved) > ROUNDING).any(axis=1) & ~is_empty
    yield from _note("boxes that exceed their image clipped to it", is_over, box)
    yield from _note("empty boxes dropped", is_empty, box)
    yield from _note(
        "boxes that start exactly a pixel before their image, as if counted from 0 and read as "
        "from 1 (VOC): all would be a pixel too large; export them in another format if so",
        starts_early(objects.xywh),
        box,
    )
    yield from _note(
        "images annotated as they are stored, so that their EXIF orientation is not applied",
        ~checked.apply_exif,
        checked.describe,
    )


def _if_any(lists: Sequence[tuple[int, ...] | None]) -> tuple[tuple[int, ...], ...] | None:
    """The lists, one for each image, with empty ones for None; None if all are that."""
    is_said = any(listed is not None for listed in lists)
    return tuple(listed or () for listed in lists) if is_said else None


def _sound(
    source: str, checked: CheckedImages, objects: Objects, is_outside: np.ndarray
) -> tuple[CheckedImages, Objects]:
    """The records without a fault; of images that have one file or id, the first.

    `is_outside` [t] tells the boxes wholly outside their images.
    """
    records = checked.records
    with_sides = np.flatnonzero((checked.sides > 0).all(axis=1))
    images = np.setdiff1d(with_sides, repeats([record.id for record in records]))
    if not len(images):
        raise DataError(f"{source}: no image is left without a fault")
    is_sound = np.isin(objects.image_of, images) & (objects.labels >= 0) & ~is_outside
    rows = np.flatnonzero(is_sound)
    kept = dataclasses.replace(
        checked,
        records=[records[image] for image in images.tolist()],
        **_arrays_at(checked, images),
    )
    arrays = _arrays_at(objects, rows)
    arrays["image_of"] = np.searchsorted(images, arrays["image_of"])
    return kept, Objects(**arrays, describe=lambda row: objects.describe(int(rows[row])))


def _arrays_at(table: CheckedImages | Objects, rows: np.ndarray) -> dict[str, Any]:
    """Some rows [k] of all arrays of a table."""
    return {k: column[rows] for k, column in vars(table).items() if isinstance(column, np.ndarray)}


def _check_inside(objects: Objects, checked: CheckedImages, faults: Faults) -> np.ndarray:
    """bool [t], whether a box lies wholly outside its image, of each of which a fault is noted."""
    placed = np.flatnonzero(objects.image_of >= 0)
    sides, xywh = checked.sides[objects.image_of[placed]], objects.xywh[placed]
    start, end = np.split(to_corners(xywh), 2, axis=1)  # [p, 2] each
    # An empty box may lie on the border; of one with an area nothing is inside then.
    is_empty = (start == end).any(axis=1, keepdims=True)
    is_outside = np.where(is_empty, (start > sides) | (end < 0), (start >= sides) | (end <= 0))
    is_known = (sides > 0).all(axis=1)
    rows = placed[is_outside.any(axis=1) & is_known]
    faults.add_rows(
        rows,
        lambda row: (
            f"{objects.describe(row)}: the box lies wholly outside its image "
            f"({checked.describe(objects.image_of[row])}); correct or remove it"
        ),
    )
    return np.isin(np.arange(len(objects.image_of)), rows)


def starts_early(xywh: np.ndarray) -> np.ndarray:
    """bool [t], the boxes that start at -1, if they look like the work of a tool.

    VOC counts pixels from 1. Where a tool that counts from 0 wrote the file, boxes on the first row
    or column start at -1 once read, and none does at 0.

    Args:
        xywh: float64 [t, 4], as annotated.
    """
    is_early = (xywh[:, :2] == -1).any(axis=1)
    at_start = (xywh[:, :2] == 0).any(axis=1)
    is_systematic = is_early.sum() >= _MANY_EARLY and is_early.sum() > at_start.sum()
    return is_early & is_systematic


def _note(kind: str, is_kind: np.ndarray, describe: Callable[[int], str]) -> Iterator[str]:
    """A line on the rows of one kind, bool [t], if there are any."""
    rows = np.flatnonzero(is_kind)
    if len(rows):
        yield f"{kind}: {len(rows)} (the first: {describe(int(rows[0]))})"


def repeats(keys: Sequence[Hashable]) -> list[int]:
    """The indices of the keys that occurred before."""
    first: dict[Hashable, int] = {}
    return [index for index, key in enumerate(keys) if first.setdefault(key, index) != index]
