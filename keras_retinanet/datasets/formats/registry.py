"""The annotation formats by name: the one table that training, the commands and tests go by."""

from __future__ import annotations

import dataclasses
import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from keras_retinanet.datasets.dataset import Category, DetectionDataset
from keras_retinanet.datasets.formats.coco import read_coco, write_coco
from keras_retinanet.datasets.formats.csv import read_csv, write_csv
from keras_retinanet.datasets.formats.kitti import read_kitti, write_kitti
from keras_retinanet.datasets.formats.labelme import read_labelme, write_labelme
from keras_retinanet.datasets.formats.open_images import read_open_images, write_open_images
from keras_retinanet.datasets.formats.tfrecord import is_record, read_tfrecord, write_tfrecord
from keras_retinanet.datasets.formats.voc import read_voc, write_voc
from keras_retinanet.datasets.formats.yolo import read_yolo, write_yolo
from keras_retinanet.datasets.label_map import read_classes
from keras_retinanet.datasets.sniff import is_labelme, text_kind, text_lines, xml_kind
from keras_retinanet.datasets.tree import HEAD
from keras_retinanet.datasets.writing import NAME, SPLIT, VERSION
from keras_retinanet.errors import DataError


@dataclasses.dataclass(frozen=True)
class DataSource:
    """Where a data set, or one part of it, lies. Which fields are needed depends on the format.

    Attributes:
        format: a key of `FORMATS`, or "auto": what `annotations` looks like.
        annotations: the file, folder or pattern.
        images: the folder of the images.
        name: the data set of TensorFlow Datasets.
        split: the part of a data set that knows its parts by name.
        classes: a file that lists classes, see `datasets.label_map.read_classes`.
    """

    format: str = "auto"
    annotations: str | None = None
    images: str | None = None
    name: str | None = None
    split: str | None = None
    classes: str | None = None


@dataclasses.dataclass(frozen=True)
class Format:
    """How a format is read, written and told by its files.

    Attributes:
        read: the reader, which takes the fields of a `DataSource` as arguments: `classes` as what
            `read_classes` gives, all others as they are.
        write: takes a data set that `convert.fixed` made, the file names of its images (whose
            stems differ) and the folder; writes the annotations, and returns lines on what it
            could not.
        written: where `read_dataset` finds what was written, from that folder on.
        images: the subfolder that the images are written into; None for a format that holds them
            itself, in shards: its `write` takes a `Sharding`, too.
        has_regions: whether it takes regions of every class; others get a crowd of each class.
        detect: for each ending that annotations in a folder may have, whether a file that begins
            with these bytes is one of this format.
    """

    read: Callable[..., DetectionDataset]
    write: Callable[..., list[str]]
    written: DataSource
    images: str | None
    has_regions: bool = False
    detect: Mapping[str, Callable[[bytes], bool]] = dataclasses.field(default_factory=dict)

    @property
    def fields(self) -> dict[str, bool]:
        """The fields of a `DataSource` that it can use, and whether it cannot do without."""
        parameters = inspect.signature(self.read).parameters
        return {
            name: parameter.default is parameter.empty
            for name, parameter in parameters.items()
            if name in _FIELDS
        }

    @property
    def lists_classes(self) -> bool:
        """Whether data sets of this format say themselves which classes there are."""
        return "classes" not in self.fields


_FIELDS = ("annotations", "images", "name", "split", "classes")


# The file of TFDS loads TensorFlow, which no other format needs before it reads or writes.
def _read_tfds(name: str, split: str) -> DetectionDataset:
    from keras_retinanet.datasets.formats.tfds import read_tfds

    return read_tfds(name, split)


def _write_tfds(*arguments: Any) -> list[str]:
    from keras_retinanet.datasets.formats.tfds import write_tfds

    return write_tfds(*arguments)


FORMATS: dict[str, Format] = {
    "coco": Format(
        read_coco,
        write_coco,
        DataSource("coco", annotations="annotations.json", images="images"),
        "images",
        has_regions=True,
    ),
    "voc": Format(
        read_voc,
        write_voc,
        DataSource("voc", annotations="Annotations", images="JPEGImages", classes="classes.csv"),
        "JPEGImages",
        detect={".xml": lambda head: xml_kind(head) == "voc"},
    ),
    "csv": Format(
        read_csv,
        write_csv,
        DataSource("csv", annotations="annotations.csv", classes="classes.csv"),
        "images",
    ),
    "yolo": Format(
        read_yolo,
        write_yolo,
        DataSource("yolo", annotations="data.yaml", split="train"),
        "images/train",
    ),
    "kitti": Format(
        read_kitti,
        write_kitti,
        DataSource("kitti", annotations="label_2", images="image_2", classes="classes.csv"),
        "image_2",
        has_regions=True,
        # By its columns alone: lists of classes, licenses and YOLO's labels end in .txt too.
        detect={".txt": lambda head: text_kind(text_lines(head)) == "kitti"},
    ),
    "open_images": Format(
        read_open_images,
        write_open_images,
        DataSource(
            "open_images",
            annotations="annotations-bbox.csv",
            images="images",
            classes="classes.csv",
        ),
        "images",
    ),
    "labelme": Format(
        read_labelme,
        write_labelme,
        DataSource("labelme", annotations=".", classes="classes.csv"),
        ".",
        detect={".json": is_labelme, ".xml": lambda head: xml_kind(head) == "labelme_xml"},
    ),
    "tfrecord": Format(
        read_tfrecord,
        write_tfrecord,
        DataSource("tfrecord", annotations=".", classes="label_map.pbtxt"),
        None,
    ),
    "tfds": Format(
        _read_tfds,
        _write_tfds,
        DataSource("tfds", name=f"{NAME}/{VERSION}", split=SPLIT),
        None,
    ),
}

# How many files of a folder are looked into.
_LOOKED_INTO = 20


def read_dataset(
    source: DataSource,
    known: Sequence[Category] | None = None,
    spell: Callable[[str], str] = lambda field: field,
) -> DetectionDataset:
    """Reads a data set in any format.

    Args:
        source: where it lies.
        known: the categories of the training part or of a model. A format that carries no list of
            classes is read by them, unless `source.classes` names a list.
        spell: how the user says a field of `source`, for messages.

    Raises:
        DataError: for a missing or superfluous field, an unknown format, and as the readers.
    """
    name = detect_format(source, spell) if source.format == "auto" else source.format
    form = FORMATS[name]
    given = {
        field: getattr(source, field) for field in _FIELDS if getattr(source, field) is not None
    }
    _check_fields(name, form, given, spell)
    if source.classes is not None:
        given["classes"] = read_classes(source.classes)
    elif known is not None and not form.lists_classes:
        given["classes"] = {category.name: category for category in known}
    return form.read(**given)


def _check_fields(
    name: str, form: Format, given: Iterable[str], spell: Callable[[str], str]
) -> None:
    needs = [field for field, is_needed in form.fields.items() if is_needed]
    for field in needs:
        if field not in given:
            wanted = " ".join(f"{spell(field)}=..." for field in needs)
            raise DataError(f"{spell(field)} is not set; the format {name} needs {wanted}")
    for field in given:
        if field not in form.fields:
            raise DataError(
                f"{spell(field)} is set, but the format {name} has no use for it; leave it out"
            )


def detect_format(source: DataSource, spell: Callable[[str], str] = lambda field: field) -> str:
    """The format of a data set, from what its annotations are called and what the folder holds.

    Raises:
        DataError: if that does not tell.
    """
    path = source.annotations
    if path is None:
        if source.name is not None:
            return "tfds"
        raise DataError(
            f"{spell('annotations')} is not set; say {spell('annotations')}=FILE "
            f"{spell('images')}=FOLDER"
        )
    ending = os.path.splitext(path)[1].lower()
    if os.path.isdir(path):
        found = _formats_in(path)
    elif is_record(path) or "*" in path:
        found = {"tfrecord"}
    elif ending == ".csv":
        found = {"open_images" if _is_open_images(path) else "csv"}
    else:
        by_ending = {".json": "coco", ".yaml": "yolo", ".yml": "yolo", ".txt": "voc"}
        found = {by_ending[ending]} if ending in by_ending else set()
    if len(found) != 1:
        guess = f"may be {' or '.join(sorted(found))}" if found else "is of no format known by that"
        if not os.path.exists(path):
            guess = "is not there"
        raise DataError(
            f"{path} {guess}; say {spell('format')}=... with one of {', '.join(FORMATS)}"
        )
    return found.pop()


def _formats_in(folder: str) -> set[str]:
    """The formats that the files of a folder show by their content, else by their endings."""
    names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
    if any(map(is_record, names)):
        return {"tfrecord"}
    shown: set[str] = set()
    by_ending: dict[str, str] = {}
    for name, form in FORMATS.items():
        for ending, is_shown in form.detect.items():
            files = [os.path.join(folder, n) for n in names if n.lower().endswith(ending)]
            shown |= {name for file in files[:_LOOKED_INTO] if is_shown(_head(file))}
            # A text that is not empty would have shown what it is.
            if files and (ending != ".txt" or not any(map(_head, files))):
                by_ending.setdefault(ending, name)
    return shown or set(by_ending.values())


def _head(file: str) -> bytes:
    try:
        with open(file, "rb") as stream:
            return stream.read(HEAD)
    except OSError:
        return b""  # a folder; of what else cannot be read the reader says more


def _is_open_images(path: str) -> bool:
    first = _head(path).partition(b"\n")[0]
    return b"ImageID" in first and b"LabelName" in first
