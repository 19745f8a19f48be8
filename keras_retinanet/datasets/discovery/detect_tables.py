"""Finds tables: Open Images' file of boxes, and CSV files of paths, corners and classes."""

from __future__ import annotations

import csv
import functools
import itertools
import posixpath
from collections.abc import Iterator, Sequence

from keras_retinanet.datasets.discovery.found import (
    Found,
    Unused,
    class_list,
    found_with_images,
    nearest,
    without_images,
)
from keras_retinanet.datasets.formats.csv import columns_of, read_csv
from keras_retinanet.datasets.formats.open_images import LABEL_FILES, read_open_images
from keras_retinanet.datasets.parsing import finite_numbers
from keras_retinanet.datasets.sniff import text_lines
from keras_retinanet.datasets.tree import Tree, find_images, spread
from keras_retinanet.images.header import IMAGE_SUFFIXES

_LOOKED_INTO = 1000


def detect_open_images(tree: Tree) -> Iterator[Found | Unused]:
    """Tables with Open Images' columns; only images that are there are read.

    Tools fetch some of the images and the table of all.
    """
    names = [file for file in tree.files(".csv") if _is_description(tree, file)]
    for file, rows in _tables(tree):
        header = rows[0]
        if "ImageID" in header and "LabelName" in header and "XMin" in header:
            column = header.index("ImageID")
            ids = [row[column] for row in rows[1:] if len(row) > column]
            folder = _folder_of_ids(tree, file, ids)
            if folder is None:
                yield without_images(file, "Open Images' boxes", ids)
            else:
                listed = nearest(tree, names, file) or class_list(tree, file)
                yield _open_images(tree, file, folder, listed)


def _open_images(tree: Tree, file: str, folder: str, names: str | None) -> Found:
    beside = tree.files_in(posixpath.dirname(file))
    known = [file for file in beside if any(label in file for label in LABEL_FILES)]
    reader = functools.partial(read_open_images, skip_missing=True)
    return found_with_images(
        tree, "open_images", reader, file, folder, (file, *known), classes=names
    )


def _folder_of_ids(tree: Tree, file: str, ids: Sequence[str]) -> str | None:
    """The folder of the images; where a table lists far more than are there, asked from there."""
    folder = find_images(tree, list(dict.fromkeys(ids)), file, are_stems=True)
    if folder is not None or not tree.stems:
        return folder
    wanted = {stem for stems in tree.stems.values() for stem in spread(sorted(stems), 1000)}
    with tree.open(file) as stream:
        names = (line.split(b",", 1)[0].decode("utf-8", "replace") for line in stream)
        there = (name for name, _ in itertools.groupby(names) if name in wanted)
        return find_images(tree, list(itertools.islice(there, 30)), file, are_stems=True)


def _is_description(tree: Tree, file: str) -> bool:
    """Whether a table has Open Images' labels and names: `/m/01g317,Person`."""
    lines = text_lines(tree.head(file))[:3]
    return bool(lines) and lines[-1].startswith(("/m/", "/t/", "/g/")) and lines[-1].count(",") > 0


def detect_csv(tree: Tree) -> Iterator[Found | Unused]:
    """Tables of paths, corners and classes, with a header or without."""
    for file, rows in _tables(tree):
        columns = columns_of(rows[0])
        if columns is None and not _is_plain(rows[0]):
            continue
        body, column = (rows, 0) if columns is None else (rows[1:], columns[0])
        names = [row[column].strip().replace("\\", "/") for row in body if len(row) > column]
        folder = find_images(tree, list(dict.fromkeys(names)), file)
        if folder is None:
            yield without_images(file, "CSV of boxes", names)
        else:
            classes = class_list(tree, file)
            yield found_with_images(tree, "csv", read_csv, file, folder, (file,), classes=classes)


def _is_plain(row: Sequence[str]) -> bool:
    """Whether this is fizyr/keras-retinanet's path,x1,y1,x2,y2,class, or a path alone."""
    if len(row) != 6 or not row[0].strip().lower().endswith(IMAGE_SUFFIXES):
        return False
    corners = row[1:5]
    return not any(cell.strip() for cell in row[1:]) or finite_numbers(corners) is not None


def _tables(tree: Tree) -> Iterator[tuple[str, list[list[str]]]]:
    """The CSV files, each with its first rows."""
    for file in tree.files(".csv"):
        lines = text_lines(tree.head(file))[:_LOOKED_INTO]
        try:
            rows = list(csv.reader(lines))
        except csv.Error:
            continue
        if rows:
            yield file, rows
