"""LabelMe's annotation format: a JSON file for each image, or the XML of its older web tool."""

from __future__ import annotations

import json
import math
import os
import pathlib
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from keras_retinanet.datasets.builder import Classes, Records
from keras_retinanet.datasets.dataset import DetectionDataset
from keras_retinanet.datasets.label_map import write_classes
from keras_retinanet.datasets.parsing import (
    finite_numbers,
    image_path,
    image_size,
    list_annotations,
    list_folder,
    read_text,
    typed,
)
from keras_retinanet.datasets.writing import written_objects
from keras_retinanet.datasets.xml_file import parse_xml
from keras_retinanet.errors import DataError, show
from keras_retinanet.files import write_json

# The fewest points that shapes with an extent have; lines and points have none.
_POINTS = {"rectangle": 2, "circle": 2, "polygon": 3, "mask": 2}


class _File(Struct, rename="camel"):
    image_path: Annotated[str, Meta(min_length=1)]
    shapes: list[Any]
    image_height: Any = None
    image_width: Any = None


class _Shape(Struct):
    label: str
    points: Any = None
    shape_type: Literal["rectangle", "circle", "polygon", "mask"] = "polygon"
    group_id: int | bool | None = None
    flags: dict[Any, Any] | None = None


_MUST_BE = {
    "imagePath": "a text",
    "shapes": "a list",
    "label": "a text",
    "shape_type": f"one that has a box ({', '.join(_POINTS)}; draw a rectangle or remove it)",
    "group_id": "a whole number or null",
    "flags": "a JSON object",
}

# LabelMe lets people define flags; this one is written for crowds, and read.
CROWD_FLAG = "iscrowd"

_VERSION = "5.5.0"  # of LabelMe, whose layout is written

# The box beside a mask in XML.
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def read_labelme(
    annotations: str | os.PathLike[str],
    images: str | os.PathLike[str] | None = None,
    classes: Classes | None = None,
) -> DetectionDataset:
    """Reads the JSON files of LabelMe.

    The box of a shape (rectangle, polygon, circle, mask) is what encloses it. Shapes of one label
    that share a `group_id` are parts of one object, as LabelMe's own converters have it. A shape
    whose flag "iscrowd" is set is read as a crowd. The embedded copy of the image is not looked at.
    A folder that holds XML files and no JSON file is read by `read_labelme_xml`.

    Args:
        annotations: the folder of JSON files.
        images: the folder that `imagePath` starts from; None for that of the JSON files.
        classes: the classes; None for those that occur.

    Raises:
        DataError: naming file, shape and remedy, for all faults at once.
    """
    source = os.fspath(annotations)
    folder = source if images is None else os.fspath(images)
    records = Records(source, classes)
    if not list_folder(source, "JSON files", (".json",)) and list_folder(
        source, "XML files", (".xml",)
    ):
        return read_labelme_xml(annotations, images, classes)
    for name in list_annotations(source, ".json"):
        try:
            content, size = _load(os.path.join(source, name))
        except DataError as error:
            records.faults.add(str(error))
            continue
        row = records.add_image(image_path(folder, content.image_path), name=name, size=size)
        _read_shapes(content.shapes, row, records)
    return records.dataset(folder)


def _load(file: str) -> tuple[_File, tuple[int, int] | None]:
    """What a file says, and the height and width of its image if it says both."""
    text = read_text(file, "a LabelMe JSON file")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file}: not JSON ({error}); write it anew or leave it out") from None
    try:
        parsed = typed(content, _File, _MUST_BE)
    except DataError as error:
        raise DataError(f"{file}: not a LabelMe file: {error}") from None
    sides = [parsed.image_height, parsed.image_width]
    numbers = finite_numbers(side for side in sides if side is not None)
    if numbers is None or any(number != int(number) for number in numbers):
        raise DataError(f"{file}: imageHeight and imageWidth must be whole, but are {show(sides)}")
    return parsed, (int(numbers[0]), int(numbers[1])) if len(numbers) == 2 else None


def _read_shapes(shapes: list[Any], row: int, records: Records) -> None:
    """Adds the objects of an image, each at the number of its first shape.

    An object is a crowd if any of its shapes is.
    """
    groups: dict[Any, tuple[int, str, list[float], bool]] = {}
    for number, record in enumerate(shapes, start=1):
        try:
            shape = typed(record, _Shape, _MUST_BE)
            box = _enclosing_box(shape.points, shape.shape_type)
        except DataError as error:
            records.add_fault(row, number, str(error))
            continue
        key = number if shape.group_id is None else (shape.label, shape.group_id)
        is_crowd = (shape.flags or {}).get(CROWD_FLAG) is True
        first, _, other, crowd = groups.get(key, (number, "", box, False))
        box = [*map(min, box[:2], other[:2]), *map(max, box[2:], other[2:])]
        groups[key] = (first, shape.label, box, crowd or is_crowd)
    for number, name, box, is_crowd in groups.values():
        records.add_object(row, number, name, box, is_crowd=is_crowd)


def _enclosing_box(points: Any, kind: str) -> list[float]:
    """xyxy about the points of a shape; a DataError says what is wrong with them."""
    is_list = isinstance(points, list) and all(isinstance(p, list) and len(p) == 2 for p in points)
    values = finite_numbers(value for point in points for value in point) if is_list else None
    if values is None:
        raise DataError(f"points must be pairs of finite numbers, but is {show(points)}")
    if len(points) < _POINTS[kind]:
        raise DataError(f"a {kind} takes {_POINTS[kind]} points or more, but has {len(points)}")
    xs, ys = values[::2], values[1::2]
    if kind == "circle":  # its centre, and a point on its rim
        radius = math.hypot(xs[1] - xs[0], ys[1] - ys[0])
        return [xs[0] - radius, ys[0] - radius, xs[0] + radius, ys[0] + radius]
    return [min(xs), min(ys), max(xs), max(ys)]


def read_labelme_xml(
    annotations: str | os.PathLike[str],
    images: str | os.PathLike[str] | None = None,
    classes: Classes | None = None,
) -> DetectionDataset:
    """Reads the XML files of LabelMe's web tool.

    The box of an object is what encloses its `polygon`, or the `box` of its `segm`. Objects that
    are marked as `deleted` are passed over; parts of an object are objects of their own. The
    format has no crowds.

    Args:
        annotations: the folder of XML files.
        images: the folder that `filename` starts from, or `folder`/`filename` where it lies there,
            as in LabelMe's own collections; None for that of the XML files.
        classes: the classes; None for those that occur.

    Raises:
        DataError: naming file, object and remedy, for all faults at once.
    """
    source = os.fspath(annotations)
    folder = source if images is None else os.fspath(images)
    records = Records(source, classes)
    for name in list_annotations(source, ".xml"):
        try:
            root = parse_xml(os.path.join(source, name), "LabelMe")
            if root.find("object/bndbox") is not None:
                raise DataError(
                    "not a LabelMe file: its objects have VOC's <bndbox>; say the format voc"
                )
            sides = [_text(root, f"imagesize/{key}") for key in ("nrows", "ncols")]
            size = image_size(sides, "imagesize/nrows and imagesize/ncols")
            image = _image(root, folder)
        except DataError as error:
            records.faults.add(f"{name}: {error}")
            continue
        row = records.add_image(image, name=name, size=size)
        for number, element in enumerate(root.findall("object"), start=1):
            if _text(element, "deleted") != "1":
                _read_object(element, row, number, records)
    return records.dataset(folder)


def is_labelme_xml(root: ET.Element) -> bool:
    """Whether a file with the outermost element of VOC's and LabelMe's is one of LabelMe."""
    shapes = ("object/polygon", "object/segm", "imagesize")
    return root.tag == "annotation" and any(root.find(shape) is not None for shape in shapes)


def _text(element: ET.Element, path: str) -> str:
    # The tool writes line breaks around each text.
    return (element.findtext(path) or "").strip()


def _image(root: ET.Element, folder: str) -> str:
    name = _text(root, "filename")
    if not name:
        raise DataError("filename, the name of the image, is missing")
    nested = image_path(folder, os.path.join(_text(root, "folder"), name))
    return nested if os.path.isfile(nested) else image_path(folder, name)


def _read_object(element: ET.Element, row: int, number: int, records: Records) -> None:
    try:
        records.add_object(row, number, _text(element, "name"), _object_box(element))
    except DataError as error:
        records.add_fault(row, number, str(error))


def _object_box(element: ET.Element) -> list[float]:
    """xyxy about the polygon, or as LabelMe writes it beside a mask; a DataError for neither."""
    polygon = element.find("polygon")
    if polygon is not None:
        points = [[_text(point, "x"), _text(point, "y")] for point in polygon.findall("pt")]
        return _enclosing_box(points, "polygon")
    texts = [_text(element, f"segm/box/{side}") for side in _SIDES]
    box = finite_numbers(texts)
    if box is None:
        shown = f"finite {', '.join(_SIDES)}; {show(texts)}"
        raise DataError(f"needs a polygon, or a segm whose box has {shown}")
    return box


def write_labelme(
    dataset: DetectionDataset, names: Sequence[str], folder: pathlib.Path
) -> list[str]:
    """Writes a JSON file beside each image, and classes.csv; crowds get the flag "iscrowd".

    See `registry.Format`.
    """
    for index, name in enumerate(names):
        height, width = dataset.sizes[index].tolist()
        shapes = []
        for written in written_objects(dataset, index):
            x_min, y_min, x_max, y_max = written.corners.tolist()
            shapes.append(
                {
                    "label": written.category.name,
                    "points": [[x_min, y_min], [x_max, y_max]],
                    "group_id": None,
                    "shape_type": "rectangle",
                    "flags": {CROWD_FLAG: True} if written.is_crowd else {},
                }
            )
        content = {
            "version": _VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": name,
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        write_json(folder / f"{os.path.splitext(name)[0]}.json", content, indent=2)
    write_classes(folder / "classes.csv", dataset.categories)
    return []
