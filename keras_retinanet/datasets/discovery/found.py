"""What the detectors of formats report of a folder."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Callable, Iterator, Sequence

from keras_retinanet.datasets.builder import Classes
from keras_retinanet.datasets.dataset import DetectionDataset
from keras_retinanet.datasets.sniff import text_lines
from keras_retinanet.datasets.tree import Tree, folders_around, inside
from keras_retinanet.images.header import IMAGE_SUFFIXES

# From a path in the tree to the path on disk.
At = Callable[[str], str]


@dataclasses.dataclass(frozen=True)
class Found:
    """A part of a data set; as a text, what lies where.

    Attributes:
        format: a key of `formats.FORMATS`, or "oidv4".
        part: "train", "val", "test", "trainval", or None where nothing names one.
        annotations: the file or folder, by its path in the tree.
        images: the folder of the images; None where the annotations hold them.
        read: reads it, from where its files lie and its classes (None for those that occur).
        needs: the files that reading takes, see `Tree.on_disk`; that of the classes aside.
        classes: the file that lists its classes.
        is_complete: whether it stands for all of its folder, so that another one of the same part
            is a contradiction; else it is one of several folders that make up a part.
        remark: what was made of it that the user may not expect.
    """

    format: str
    part: str | None
    annotations: str
    images: str | None
    read: Callable[[At, Classes | None], DetectionDataset]
    needs: tuple[str, ...]
    classes: str | None = None
    is_complete: bool = True
    remark: str = ""

    def __str__(self) -> str:
        apart = self.images not in (None, self.annotations)
        return f"{self.annotations or '.'}" + f", images {self.images or '.'}" * apart


@dataclasses.dataclass(frozen=True)
class Unused:
    """A file or folder that is no part of a detection data set, and what it is instead."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path} ({self.reason})"


Detector = Callable[[Tree], Iterator[Found | Unused]]

# Reads a data set from its annotations, the folder of its images, and its classes.
Reader = Callable[[str, str, Classes | None], DetectionDataset]


def found_with_images(
    tree: Tree,
    form: str,
    reader: Reader,
    annotations: str,
    images: str,
    needs: Sequence[str],
    *,
    classes: str | None = None,
    is_complete: bool = True,
) -> Found:
    """A part whose images lie in a folder; see `Found`, whose `needs` get the images too."""

    def read(at: At, known: Classes | None) -> DetectionDataset:
        return reader(at(annotations), at(images), known)

    part = tree.part_of(annotations, images)
    needs = (*needs, inside(images))
    return Found(form, part, annotations, images, read, needs, classes, is_complete)


def without_images(path: str, what: str, names: Sequence[str]) -> Unused:
    """Annotations none of whose images, called `names`, is there."""
    first = f"{names[0]}, and so on" if names else "they are not named"
    return Unused(path, f"{what}, but none of its images ({first}) is there")


def nearest(tree: Tree, files: Sequence[str], near: str) -> str | None:
    """The file in the deepest folder around `near`, or beside one of its folders."""
    for folder in folders_around(posixpath.dirname(near)):
        if below := [file for file in files if file.startswith(inside(folder))]:
            return min(
                below, key=lambda f: (tree.part_of(f) != tree.part_of(near), f.count("/"), f)
            )
    return None


def class_list(tree: Tree, near: str) -> str | None:
    """The table of fizyr/keras-retinanet's name,id lines that lies nearest, if any does.

    It is what retinanet-convert writes with the formats that do not list their classes.
    """
    lists = [file for file in tree.files(".csv") if _is_class_list(tree, file)]
    return nearest(tree, lists, near)


def _is_class_list(tree: Tree, file: str) -> bool:
    rows = [line.rsplit(",", 1) for line in text_lines(tree.head(file))]
    ids = [row[-1].strip() for row in rows if len(row) == 2]
    return (
        0 < len(rows) == len(ids)
        and len(set(ids)) == len(ids)
        and all(text.isascii() and text.isdigit() for text in ids)
        and not rows[0][0].lower().endswith(IMAGE_SUFFIXES)
    )
