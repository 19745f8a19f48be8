"""What the detectors of formats report of a folder."""

from __future__ import annotations

import dataclasses
import posixpath
from collections.abc import Callable, Iterator, Sequence

from keras_retinanet.datasets.builder import Classes
from keras_retinanet.datasets.dataset import DetectionDataset
from keras_retinanet.datasets.sniff import text_lines
from keras_retinanet.datasets.tree import Tree, find_images, folders_around, inside
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


def located(
    tree: Tree,
    form: str,
    what: str,
    reader: Reader,
    annotations: str,
    names: Sequence[str],
    files: Sequence[str],
    *,
    are_stems: bool = False,
    classes: str | None = None,
) -> Found | Unused:
    """The part that annotations make with the images that they name, if these are there.

    Args:
        tree: where both lie.
        form: see `Found`.
        what: the annotations in words.
        reader: reads them.
        annotations: a file, which is complete, or a folder, which may be one of several.
        names: those of some images or all, see `find_images`.
        files: those of the annotations, and others that reading them takes.
        are_stems: whether the names lack their endings.
        classes: see `Found`.
    """
    folder = find_images(tree, names, files[0], are_stems=are_stems)
    if folder is None:
        first = f"{names[0]}, and so on" if names else "they are not named"
        return Unused(annotations or files[0], f"{what}, but none of its images ({first}) is there")

    def read(at: At, known: Classes | None) -> DetectionDataset:
        return reader(at(annotations), at(folder), known)

    part = tree.part_of(annotations, folder)
    leads_out = any(".." in name.split("/") for name in names)
    needs = (*files, "" if leads_out else inside(folder))
    return Found(form, part, annotations, folder, read, needs, classes, annotations in tree)


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
