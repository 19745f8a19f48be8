"""Finds tables: Open Images' file of boxes, and CSV files of paths, corners and classes."""

from __future__ import annotations

import csv
import functools
import itertools
import posixpath
from collections.abc import Iterator, Sequence

from keras_retinanet.datasets.discovery.found import Found, Unused, class_list, located, nearest
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
            ids = _ids_there(tree, file, [row[column] for row in rows[1:] if len(row) > column])
            listed = nearest(tree, names, file) or class_list(tree, file)
            beside = tree.files_in(posixpath.dirname(file))
            files = [file, *(path for path in beside if any(n in path for n in LABEL_FILES))]
            reader = functools.partial(read_open_images, skip_missing=True)
            what = "Open Images' boxes"
            yield located(
                tree, "open_images", what, reader, file, ids, files, are_stems=True, classes=listed
            )


def _ids_there(tree: Tree, file: str, ids: list[str]) -> list[str]:
    """These ids if any is an image that is there; where a table lists far more, others of it."""
    if not tree.stems or find_images(tree, ids, file, are_stems=True) is not None:
        return ids
    wanted = {stem for stems in tree.stems.values() for stem in spread(sorted(stems), 1000)}
    with tree.open(file) as stream:
        names = (line.split(b",", 1)[0].decode("utf-8", "replace") for line in stream)
        there = (name for name, _ in itertools.groupby(names) if name in wanted)
        return list(itertools.islice(there, 30)) or ids


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
        listed = class_list(tree, file)
        yield located(tree, "csv", "CSV of boxes", read_csv, file, names, (file,), classes=listed)


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
