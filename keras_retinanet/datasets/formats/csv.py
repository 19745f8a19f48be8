"""The CSV format of fizyr/keras-retinanet: a line for each object."""

from __future__ import annotations

import csv
import os
import pathlib
from collections.abc import Mapping, Sequence

from keras_retinanet.datasets.builder import Classes, Records
from keras_retinanet.datasets.dataset import DetectionDataset
from keras_retinanet.datasets.label_map import write_classes
from keras_retinanet.datasets.parsing import (
    csv_rows,
    finite_numbers,
    image_path,
    image_size,
    read_text,
)
from keras_retinanet.datasets.writing import decimal, left_out_crowds, written_objects
from keras_retinanet.errors import DataError, show

_KIND = "a CSV file of path,x1,y1,x2,y2,class"

# The columns in the order that they have without a header, and the names that a header may give
# them. "class" and "filename" are those that the TensorFlow Object Detection API's users write.
_COLUMNS: dict[str, tuple[str, ...]] = {
    "path": ("path", "image", "filename", "file_name", "image_path", "file"),
    "x1": ("x1", "xmin", "x_min"),
    "y1": ("y1", "ymin", "y_min"),
    "x2": ("x2", "xmax", "x_max"),
    "y2": ("y2", "ymax", "y_max"),
    "class": ("class", "class_name", "label", "name", "category"),
}

# Of the image, as the TensorFlow Object Detection API's users write them too; a header may name
# them, and without one they are not there.
_SIZE_COLUMNS: dict[str, tuple[str, ...]] = {
    "height": ("height", "image_height", "img_height"),
    "width": ("width", "image_width", "img_width"),
}


def read_csv(
    annotations: str | os.PathLike[str],
    images: str | os.PathLike[str] | None = None,
    classes: Classes | None = None,
) -> DetectionDataset:
    """Reads lines of `path,x1,y1,x2,y2,class`: corners in pixels, decimals allowed.

    A path followed by nothing, `path,,,,,`, is an image without objects; lines of one image need
    not stand together. A header may be there; it may order the columns differently and name more of
    them. `width` and `height` are those of the image: as in COCO's format, they tell whether boxes
    are given on the image turned upright by its EXIF orientation or as it is stored. Further
    columns are not looked at. The format has no crowds.

    Args:
        annotations: the CSV file.
        images: the folder that paths start from; None for that of the CSV file. An absolute path
            stands for itself.
        classes: the classes; None for those that occur.

    Raises:
        DataError: naming file, line and remedy, for all faults at once.
    """
    source = os.fspath(annotations)
    folder = os.path.dirname(source) if images is None else os.fspath(images)
    records = Records(source, classes, record_name=lambda _, line: f"line {line}")
    rows: dict[str, int] = {}
    order, size_order = list(range(len(_COLUMNS))), None
    is_first, width = True, len(_COLUMNS)
    for line, cells in csv_rows(source, read_text(source, _KIND), _KIND):
        header = columns_of(cells) if is_first else None
        is_first = False
        if header is not None:
            order, size_order, width = header, _indices(cells, _SIZE_COLUMNS), len(cells)
        elif len(cells) != width or not cells[order[0]].strip():
            expected = f"{width} columns, the image's path among them"
            records.add_fault(0, line, f"must have {expected}, but is {show(','.join(cells))}")
        else:
            path, *corners, name = (cells[i].strip() for i in order)
            # Some tools write 0 for what they do not know.
            sides = [cell if (cell := cells[i].strip()) != "0" else "" for i in size_order or ()]
            size, problem = None, None
            try:
                size = image_size(sides, "height and width")
            except DataError as error:
                problem = str(error)
            if path not in rows:
                file = image_path(folder, path)
                rows[path] = records.add_image(file, name=f"line {line}", size=size)
            first = records.images[rows[path]]
            if size is not None and size != first.size:
                problem = f"width and height are others than in {first.name}, of the same image"
            if problem is not None:
                records.add_fault(rows[path], line, problem)
            _read_object(rows[path], line, corners, name, records)
    return records.dataset(folder)


def columns_of(cells: Sequence[str]) -> list[int] | None:
    """The indices of the columns, if this first line is a header that names them all."""
    return _indices(cells, _COLUMNS)


def _indices(cells: Sequence[str], columns: Mapping[str, tuple[str, ...]]) -> list[int] | None:
    """The first index of each column in a header; None if any is missing."""
    names = [cell.strip().lower() for cell in cells]
    found = [[i for i, name in enumerate(names) if name in known] for known in columns.values()]
    return [indices[0] for indices in found] if all(found) else None


def _read_object(row: int, line: int, corners: list[str], name: str, records: Records) -> None:
    if not any(corners) and not name:
        return
    box = finite_numbers(corners)
    if box is None:
        problem = f"x1,y1,x2,y2 must be four finite numbers, but is {show(','.join(corners))}"
        records.add_fault(row, line, problem)
    else:
        records.add_object(row, line, name, box)


def write_csv(dataset: DetectionDataset, names: Sequence[str], folder: pathlib.Path) -> list[str]:
    """Writes annotations.csv, without a header, and classes.csv; crowds are left out.

    See `registry.Format`.
    """
    with open(folder / "annotations.csv", "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        for index, name in enumerate(names):
            path = f"images/{name}"
            objects = [o for o in written_objects(dataset, index) if not o.is_crowd]
            for written in objects:
                corners = [decimal(value) for value in written.corners]
                table.writerow([path, *corners, written.category.name])
            if not objects:
                table.writerow([path, "", "", "", "", ""])
    write_classes(folder / "classes.csv", dataset.categories)
    return left_out_crowds(dataset)
