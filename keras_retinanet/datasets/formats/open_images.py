"""Open Images' annotation format: one CSV file of boxes, and one of labels for whole images.

`_add_columns` reads the columns of a file without a fault at once; every other file is read line by
line, to say what is wrong with which. `read_oidv4` reads what OIDv4's toolkit makes of the boxes.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from keras_retinanet.datasets.builder import Classes, Records, read_text_files
from keras_retinanet.datasets.dataset import DetectionDataset
from keras_retinanet.datasets.label_map import write_classes
from keras_retinanet.datasets.parsing import ImageFolder, finite_numbers
from keras_retinanet.datasets.validate import NONE
from keras_retinanet.datasets.writing import stored_objects
from keras_retinanet.errors import DataError, show

_BOXES = "Open Images' annotations-bbox.csv"
_CORNERS = ("XMin", "YMin", "XMax", "YMax")
_BOX_COLUMNS = ("ImageID", "LabelName", *_CORNERS)
_GROUP = "IsGroupOf"
_LABELS = "Open Images' annotations-human-imagelabels.csv"
_LABEL_COLUMNS = ("ImageID", "LabelName", "Confidence")

# What the file of image labels is called, where that of boxes has "annotations-bbox" in its name.
LABEL_FILES = ("annotations-human-imagelabels-boxable", "annotations-human-imagelabels")

# The number of the line that the first row stands in: there is no clean file with empty lines.
FIRST_LINE = 2


def read_open_images(
    annotations: str | os.PathLike[str],
    images: str | os.PathLike[str],
    classes: Classes | None = None,
    *,
    skip_missing: bool = False,
) -> DetectionDataset:
    """Reads a part of Open Images (V4 and later), or other data in its columns.

    Coordinates are fractions of the sides of the image as it is stored, whatever its EXIF says: so
    the published boxes are, and their column `Rotation` asks to turn image and boxes together
    (storage.googleapis.com/openimages/web/2018-05-17-rotation-information.html). Neither is turned.
    A box with `IsGroupOf` 1 is read as a crowd.
    `IsOccluded`, `IsTruncated`, `IsDepiction` and `IsInside` are not looked at.

    Where the file of human image labels lies beside train-annotations-bbox.csv under its published
    name (train-annotations-human-imagelabels-boxable.csv, or without "-boxable"), its images are
    part of the data set too, and its labels of confidence 0, for classes that the boxes have or
    `classes` names, become `negatives`: verified to have no object.

    Args:
        annotations: the CSV file of boxes.
        images: the folder of the images, which are named by ImageID.
        classes: the classes, of class-descriptions.csv; None for the labels that occur.
        skip_missing: whether lines of images that are not in the folder are passed over: tools
            fetch some of the images and the table of all. Otherwise they are faults.

    Raises:
        DataError: naming file, line and remedy, for all faults at once.
    """
    source = os.fspath(annotations)
    folder = ImageFolder(images)
    records = Records(source, classes, record_name=lambda _, line: f"line {line}", relative=True)
    rows = _Rows(folder, records, skip_missing=skip_missing)
    if not _add_columns(source, rows, classes):
        for line, (image_id, name, *corners, group) in _rows(
            source, _BOXES, _BOX_COLUMNS, optional=_GROUP
        ):
            if (row := rows.of(image_id, line)) is not None:
                _read_object(row, line, name, corners, group, records)
    if (labels := _label_file(source)) is not None:
        _read_labels(labels, rows)
    dataset = records.dataset(images)
    if rows.missing:
        note = f"images of {source} that are not in {folder.folder} left out: {len(rows.missing)}"
        dataset = dataclasses.replace(dataset, notes=(*dataset.notes, note))
    return dataset


class _Rows:
    """The rows of the images by their ids, each added where it is first named.

    Attributes:
        missing: the ids of images that are not there, where those are passed over.
    """

    def __init__(self, folder: ImageFolder, records: Records, *, skip_missing: bool) -> None:
        self.records = records
        self.missing: set[str] = set()
        self._folder, self._skip_missing = folder, skip_missing
        self._rows: dict[str, int] = {}

    def of(self, image_id: str, line: int) -> int | None:
        """The row of an image; None for one to pass over."""
        if self._skip_missing and image_id not in self._folder:
            self.missing.add(image_id)
            return None
        if image_id not in self._rows:
            self._rows[image_id] = self._added(image_id, f"line {line}")
        return self._rows[image_id]

    def _added(self, image_id: str, name: str) -> int:
        try:
            file = self._folder.find(image_id)
            return self.records.add_image(file, name=name, is_turned=False)
        except DataError as error:
            file = os.path.join(self._folder.folder, image_id)
            return self.records.add_image(file, name=name, problem=str(error))


def _read_labels(source: str, rows: _Rows) -> None:
    """Adds the images of a file of image labels, and the classes that they do not show."""
    records = rows.records
    for line, (image_id, name, confidence, _) in _rows(source, _LABELS, _LABEL_COLUMNS):
        row = rows.of(image_id, line)
        if row is None:
            continue
        (value,) = finite_numbers([confidence]) or [-1.0]
        if not 0 <= value <= 1:
            problem = f"Confidence must be a number from 0 to 1, but is {show(confidence)}"
            records.faults.add(f"{source}: line {line}: {problem}")
        elif value == 0 and records.knows(name):
            records.add_negative(row, line, name)


def _label_file(source: str) -> str | None:
    """The file of image labels that belongs to a file of boxes, if it is there."""
    folder, name = os.path.split(source)
    if "annotations-bbox" not in name:
        return None
    files = [os.path.join(folder, name.replace("annotations-bbox", n)) for n in LABEL_FILES]
    return next((file for file in files if os.path.isfile(file)), None)


def _rows(
    source: str, kind: str, columns: tuple[str, ...], optional: str = ""
) -> Iterator[tuple[int, list[str]]]:
    """The cells of some columns, and of one that may be missing ("0" then), line by line.

    The file is not held in memory: that of the training part has 2.3 GB.
    """
    try:
        with open(source, encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            header = [cell.strip() for cell in next(reader, [])]
            missing = [column for column in columns if column not in header]
            if missing:
                raise DataError(f"{source}: line 1: no column {', '.join(missing)}; give {kind}")
            indices = [header.index(column) for column in columns]
            extra = header.index(optional) if optional in header else None
            for cells in reader:
                if cells and len(cells) != len(header):
                    shown = show(",".join(cells))
                    raise DataError(
                        f"{source}: line {reader.line_num}: must have {len(header)} columns as the "
                        f"header has, but is {shown}; give {kind}"
                    )
                if cells:
                    values = [cells[i].strip() for i in indices]
                    yield reader.line_num, [*values, "0" if extra is None else cells[extra].strip()]
    except OSError as error:
        raise DataError(f"{source}: cannot be read ({error.strerror}); give {kind}") from None
    except UnicodeDecodeError:
        raise DataError(f"{source}: not UTF-8 text; give {kind}") from None
    except csv.Error as error:
        raise DataError(f"{source}: line {reader.line_num}: {error}; give {kind}") from None


def _read_object(
    row: int, line: int, name: str, corners: list[str], group: str, records: Records
) -> None:
    box = finite_numbers(corners)
    # -1 stands for "unknown" in the older parts.
    if group not in ("0", "1", "-1"):
        records.add_fault(row, line, f"IsGroupOf must be 0 or 1, but is {show(group)}")
    elif box is None:
        problem = f"XMin, YMin, XMax, YMax must be finite numbers, but is {show(','.join(corners))}"
        records.add_fault(row, line, problem)
    else:
        records.add_object(row, line, name, box, is_crowd=group == "1")


def _add_columns(source: str, rows: _Rows, classes: Classes | None) -> bool:
    """Adds the boxes of a file of which every line is as it should be.

    Returns:
        Whether it did: not, if any line is faulty, or in a form that only the careful way knows.
    """
    table = _read_columns(source)
    if table is None:
        return False
    images, image_of = _encoded(table.column("ImageID"))
    labels, label_of = _encoded(table.column("LabelName"))
    corners = np.stack([table.column(name).to_numpy() for name in _CORNERS], axis=1)  # [t, 4]
    groups = table.column(_GROUP).fill_null(0).to_numpy()
    del table  # 0.5 GB at Open Images' size
    is_clean = (
        all(map(_is_plain, (*images, *labels)))
        and (classes is None or set(labels) <= set(classes))
        and np.isin(groups, (-1, 0, 1)).all()  # -1 stands for "unknown" in the older parts
        and (np.abs(corners) < 1e15).all()
        and (corners[:, :2] <= corners[:, 2:]).all()
    )
    if not is_clean:
        return False
    first = (np.unique(image_of, return_index=True)[1] + FIRST_LINE).tolist()
    added = [rows.of(image_id, line) for image_id, line in zip(images, first, strict=True)]
    row_of = np.array([NONE if row is None else row for row in added])[image_of]
    kept = np.flatnonzero(row_of >= 0) if rows.missing else slice(None)
    used, name_of = np.unique(label_of[kept], return_inverse=True)
    rows.records.add_objects(
        images=row_of[kept],
        numbers=np.arange(len(row_of))[kept] + FIRST_LINE,
        names=[labels[label] for label in used],
        name_of=name_of,
        corners=corners[kept],
        is_crowd=groups[kept] == 1,
    )
    return True


def _read_columns(source: str) -> Any | None:
    """The pyarrow.Table of the columns that are used, `IsGroupOf` null where it is not there.

    None, if there are no lines, or any is of another length or type.
    """
    import pyarrow as pa  # takes a quarter of a second, which other formats need not
    from pyarrow import csv

    text = pa.dictionary(pa.int32(), pa.string())
    types = {"ImageID": text, "LabelName": text, _GROUP: pa.int8()}
    types |= dict.fromkeys(_CORNERS, pa.float64())
    try:
        table = csv.read_csv(
            source,
            # An empty line, and one of another length, is an error.
            parse_options=csv.ParseOptions(quote_char=False, ignore_empty_lines=False),
            convert_options=csv.ConvertOptions(
                include_columns=list(types),
                include_missing_columns=True,
                column_types=types,
                null_values=[],
            ),
        )
    except (pa.ArrowException, OSError):
        return None
    has_all = not any(table.column(name).null_count for name in _BOX_COLUMNS)
    return table.unify_dictionaries() if len(table) and has_all else None


def _encoded(column: Any) -> tuple[list[str], np.ndarray]:
    """The texts of a column in the order in which they come, and the index [t] of each row's."""
    texts = column.chunk(0).dictionary.to_pylist()
    return texts, np.concatenate([chunk.indices.to_numpy() for chunk in column.chunks]).astype(int)


def _is_plain(text: str) -> bool:
    return bool(text) and text == text.strip() and '"' not in text


def read_oidv4(
    annotations: str | os.PathLike[str],
    images: str | os.PathLike[str],
    classes: Classes | None = None,
) -> DetectionDataset:
    """Reads a folder Label of OIDv4's toolkit: lines of `name x1 y1 x2 y2`.

    Corners are in pixels from 0, decimals allowed; names may hold spaces.

    Args:
        annotations: the folder of text files.
        images: the folder of the images, which are named like them.
        classes: the classes; None for those that occur.

    Raises:
        DataError: naming file, line and remedy, for all faults at once.
    """
    # The files of Open Images are stored as they were annotated, whatever their EXIF says.
    return read_text_files(
        annotations,
        images,
        classes,
        "a label file of OIDv4's toolkit",
        _read_oidv4_line,
        is_turned=False,
    )


def _read_oidv4_line(row: int, line: int, content: str, records: Records) -> None:
    words = content.split()
    corners = finite_numbers(words[-4:])
    if corners is None or len(words) < 5:
        problem = f"must be a name and four corners, but is {show(content.strip())}"
        records.add_fault(row, line, problem)
    else:
        records.add_object(row, line, " ".join(words[:-4]), corners)


def write_open_images(
    dataset: DetectionDataset, names: Sequence[str], folder: pathlib.Path
) -> list[str]:
    """Writes annotations-bbox.csv, annotations-human-imagelabels.csv and classes.csv.

    Boxes are written in the frame of the stored pixels, as the published ones are.
    An image that has neither objects nor verified absences is said to have none of any class: the
    format has no other way to name it. See `registry.Format`.
    """
    name_of = {category.id: category.name for category in dataset.categories}
    with (
        _table(folder / "annotations-bbox.csv", (*_BOX_COLUMNS, _GROUP)) as boxes,
        _table(folder / "annotations-human-imagelabels.csv", _LABEL_COLUMNS) as labels,
    ):
        for index, name in enumerate(names):
            image_id = os.path.splitext(name)[0]
            objects, (height, width) = stored_objects(dataset, index)
            for written in objects:
                fractions = written.corners / [width, height, width, height]
                numbers = [f"{value:.9f}" for value in fractions]
                crowd = int(written.is_crowd)
                boxes.writerow([image_id, written.category.name, *numbers, crowd])
            negatives = list(dataset.negatives[index]) if dataset.negatives else []
            for category_id in negatives if negatives or objects else name_of:
                if category_id in name_of:
                    labels.writerow([image_id, name_of[category_id], 0])
    write_classes(folder / "classes.csv", dataset.categories)
    return []


@contextlib.contextmanager
def _table(path: pathlib.Path, header: Sequence[str]) -> Iterator[Any]:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        yield writer
