"""Pascal VOC's annotation format: an XML file for each image."""

from __future__ import annotations

import os
import pathlib
import xml.etree.ElementTree as ET
from collections.abc import Sequence

from keras_retinanet.datasets.builder import Classes, Records
from keras_retinanet.datasets.dataset import DetectionDataset
from keras_retinanet.datasets.formats.labelme import is_labelme_xml
from keras_retinanet.datasets.label_map import write_classes
from keras_retinanet.datasets.parsing import (
    ImageFolder,
    finite_numbers,
    image_size,
    list_annotations,
    read_text,
)
from keras_retinanet.datasets.writing import decimal, written_objects
from keras_retinanet.datasets.xml_file import parse_xml
from keras_retinanet.errors import DataError, show

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def read_voc(
    annotations: str | os.PathLike[str],
    images: str | os.PathLike[str],
    classes: Classes | None = None,
) -> DetectionDataset:
    """Reads a Pascal VOC data set.

    VOC counts pixels from 1 and includes the last one (its development kit, section 4): a box from
    xmin to xmax covers xmin - 1 to xmax in the coordinates used here, so that a box of the whole
    image is 1 to the width. Where boxes look counted from 0, a note says so.
    Coordinates may have decimals. `difficult` objects count neither for
    nor against a detector in VOC's evaluation: they are read as crowds, which are ignored in
    training and in scoring. `truncated`, `pose` and the parts of persons are not looked at. A size
    of 0 x 0, which some tools write, says nothing.

    Args:
        annotations: the folder of XML files; or a list of names, one on each line, such as
            ImageSets/Main/train.txt, whose XML files are in ../../Annotations.
        images: the folder of the images, which are named like the XML files.
        classes: the classes; None for those that occur.

    Raises:
        DataError: naming file, object and remedy, for all faults at once.
    """
    source = os.fspath(annotations)
    folder = ImageFolder(images)
    records = Records(source, classes)
    for file, stem in _annotation_files(source):
        _read_file(file, stem, folder, records)
    return records.dataset(images)


def _annotation_files(source: str) -> list[tuple[str, str]]:
    """The XML files, and what their images are called: a list may lead into subfolders."""
    if not source.endswith(".txt"):
        names = list_annotations(source, ".xml")
        return [(os.path.join(source, name), os.path.splitext(name)[0]) for name in names]
    lines = read_text(source, "a list of names").splitlines()
    names = [line.split()[0] for line in lines if line.strip()]
    if not names:
        raise DataError(f"{source}: the data set is empty: the list names no image")
    folder = os.path.join(os.path.dirname(source), "..", "..", "Annotations")
    return [(os.path.normpath(os.path.join(folder, f"{name}.xml")), name) for name in names]


def _read_file(file: str, stem: str, folder: ImageFolder, records: Records) -> None:
    name = f"{stem}.xml"
    try:
        root = parse_xml(file, "VOC")
        if is_labelme_xml(root):
            raise DataError("not a VOC file: it is one of LabelMe; say the format labelme")
        sides = [root.findtext(f"size/{key}") for key in ("height", "width")]
        size = image_size(sides, "size/height and size/width")
        image = folder.find(stem)
    except DataError as error:
        records.faults.add(f"{name}: {error}")
        return
    row = records.add_image(image, name=name, size=size)
    for number, element in enumerate(root.findall("object"), start=1):
        _read_object(element, row, number, records)


def _read_object(element: ET.Element, row: int, number: int, records: Records) -> None:
    texts = [element.findtext(f"bndbox/{key}") for key in _CORNERS]
    corners = finite_numbers(texts)
    difficult = (element.findtext("difficult") or "0").strip()
    if corners is None:
        problem = (
            f"bndbox must be four finite numbers ({', '.join(_CORNERS)}), but is {show(texts)}"
        )
        records.add_fault(row, number, problem)
    elif difficult not in ("0", "1"):
        records.add_fault(row, number, f"difficult must be 0 or 1, but is {show(difficult)}")
    else:
        x_min, y_min, x_max, y_max = corners
        box = (x_min - 1, y_min - 1, x_max, y_max)
        name = element.findtext("name") or ""
        records.add_object(row, number, name, box, is_crowd=difficult == "1")


def write_voc(dataset: DetectionDataset, names: Sequence[str], folder: pathlib.Path) -> list[str]:
    """Writes Annotations/ and classes.csv; crowds become difficult objects.

    See `registry.Format`.
    """
    (folder / "Annotations").mkdir()
    for index, name in enumerate(names):
        height, width = dataset.sizes[index].tolist()
        root = ET.Element("annotation")
        _add_text(root, "folder", "JPEGImages")
        _add_text(root, "filename", name)
        size = ET.SubElement(root, "size")
        for key, side in (("width", width), ("height", height), ("depth", 3)):
            _add_text(size, key, side)
        for written in written_objects(dataset, index):
            element = ET.SubElement(root, "object")
            _add_text(element, "name", written.category.name)
            _add_text(element, "difficult", int(written.is_crowd))
            box = ET.SubElement(element, "bndbox")
            x_min, y_min, x_max, y_max = written.corners
            for key, value in zip(_CORNERS, (x_min + 1, y_min + 1, x_max, y_max), strict=True):
                _add_text(box, key, decimal(value))
        ET.indent(root)
        file = folder / "Annotations" / f"{os.path.splitext(name)[0]}.xml"
        ET.ElementTree(root).write(file, encoding="utf-8")
    write_classes(folder / "classes.csv", dataset.categories)
    return []


def _add_text(parent: ET.Element, key: str, text: object) -> None:
    ET.SubElement(parent, key).text = str(text)
