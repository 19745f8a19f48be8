"""Finds TFRecord files of boxes, and data sets of TensorFlow Datasets."""

from __future__ import annotations

import glob
import json
import posixpath
import re
import struct
from collections.abc import Iterator

from keras_retinanet.datasets.builder import Classes
from keras_retinanet.datasets.dataset import DetectionDataset
from keras_retinanet.datasets.discovery.found import At, Found, Unused, nearest
from keras_retinanet.datasets.formats.tfrecord import is_record, read_tfrecord
from keras_retinanet.datasets.part_words import part_of
from keras_retinanet.datasets.tree import Tree

# A record is looked into up to here; its boxes may stand behind its image.
_LARGEST = 1 << 26

_INFO = "dataset_info.json"


def detect_tfrecord(tree: Tree) -> Iterator[Found | Unused]:
    """TFRecord files whose first record has boxes, the shards of a part together."""
    for folder in sorted(tree.folders):
        if _INFO in tree.folders[folder]:
            continue
        groups: dict[tuple[str, str], list[str]] = {}
        for name in sorted(filter(is_record, tree.folders[folder])):
            groups.setdefault(_shards(name), []).append(posixpath.join(folder, name))
        for (start, end), files in groups.items():
            if b"image/object/bbox/xmin" in _first_record(tree, files[0]):
                yield _tfrecord(tree, folder, start, end, files)
            else:
                yield Unused(files[0], "TFRecord without boxes (image/object/bbox)")


def _shards(name: str) -> tuple[str, str]:
    """What the names of all shards of a part begin and end with; a name of its own and ""."""
    match = re.fullmatch(r"(.*?)-?\d{5}-of-\d{5}(.*)", name)
    return (match.group(1), match.group(2)) if match else (name, "")


def _first_record(tree: Tree, file: str) -> bytes:
    with tree.open(file) as stream:
        head = stream.read(12)
        length = struct.unpack("<Q", head[:8])[0] if len(head) == 12 else 0
        return stream.read(min(length, _LARGEST))


def _tfrecord(tree: Tree, folder: str, start: str, end: str, files: list[str]) -> Found:
    many = len(files) > 1
    names = nearest(tree, list(tree.files(".pbtxt")), files[0])

    def read(at: At, classes: Classes | None) -> DetectionDataset:
        first, last = glob.escape(posixpath.join(at(folder), start)), glob.escape(end)
        return read_tfrecord(f"{first}*{last}" if many else at(files[0]), classes)

    source = posixpath.join(folder, f"{start}*{end}") if many else files[0]
    part = tree.part_of(files[0])
    return Found("tfrecord", part, source, None, read, tuple(files), classes=names)


def detect_tfds(tree: Tree) -> Iterator[Found | Unused]:
    """Folders of a version of a data set, as TensorFlow Datasets prepares them."""
    for folder in sorted(tree.folders):
        if not {_INFO, "features.json"} <= tree.folders[folder]:
            continue
        try:
            info = json.loads(tree.head(posixpath.join(folder, _INFO)))
            splits = [str(split["name"]) for split in info["splits"]]
        except (ValueError, KeyError, TypeError):
            continue
        # As retinanet-convert writes the parts of a data set: each its own "train".
        own = tree.part_of(folder) if splits == ["train"] else None
        for split in splits:
            yield _tfds(tree, folder, split, own or part_of(split))


def _tfds(tree: Tree, folder: str, split: str, part: str | None) -> Found:
    def read(at: At, _: Classes | None) -> DetectionDataset:
        from keras_retinanet.datasets.formats.tfds import read_tfds

        return read_tfds(at(folder), split)

    return Found("tfds", part, f"{folder}: {split}", None, read, tree.files_in(folder))
