"""Finds COCO's files and LabelMe's folders, told from other JSON by their content."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keras_retinanet.datasets.builder import Classes
from keras_retinanet.datasets.dataset import DetectionDataset
from keras_retinanet.datasets.discovery.found import Found, Unused, class_list, located
from keras_retinanet.datasets.formats.coco import read_coco
from keras_retinanet.datasets.formats.labelme import read_labelme
from keras_retinanet.datasets.part_words import words_of
from keras_retinanet.datasets.sniff import json_kind
from keras_retinanet.datasets.tree import Tree, spread, stem_of

# JSON files that are looked into: all of a folder where there are few, else the first.
_LOOKED_INTO = 40


def detect_coco(tree: Tree) -> Iterator[Found | Unused]:
    """COCO files, whatever their name: lists of images and of annotations that have boxes."""
    spare: list[Found] = []
    is_any = False
    for file in _json_files(tree):
        kind, images = json_kind(tree, file)
        if kind in ("coco", "keypoints"):
            names = [name for record in images if (name := _image_name(record))]
            one = located(tree, "coco", "COCO's", _read_coco, file, names, (file,))
            if isinstance(one, Found) and (kind == "keypoints" or "stuff" in words_of(file)):
                spare.append(one)
            else:
                is_any |= isinstance(one, Found)
                yield one
        elif kind not in ("", "labelme"):
            yield Unused(file, kind)
    for found in spare:  # what has boxes too, where no file of plain boxes is there
        if is_any:
            yield Unused(found.annotations, "key points or stuff, beside the file of boxes")
        else:
            yield found


def _image_name(record: dict[str, Any]) -> str:
    """The `file_name` of an image record, or the end of its `coco_url`, as LVIS has it."""
    name, address = record.get("file_name"), record.get("coco_url")
    if name is None and isinstance(address, str):
        return "/".join(address.split("/")[-2:])
    return name.replace("\\", "/") if isinstance(name, str) else ""


def _read_coco(file: str, images: str, _: Classes | None) -> DetectionDataset:
    return read_coco(file, images)


def _json_files(tree: Tree) -> Iterator[str]:
    """The JSON files that are not called like images, as LabelMe's are: bounded in each folder."""
    for folder in sorted(tree.folders):
        stems = tree.stems.get(folder, frozenset())
        others = [file for file in tree.files_in(folder, ".json") if stem_of(file) not in stems]
        yield from spread(others, _LOOKED_INTO)


def detect_labelme(tree: Tree) -> Iterator[Found | Unused]:
    """Folders of LabelMe's JSON files."""
    for folder in sorted(tree.folders):
        files = tree.files_in(folder, ".json")
        kinds = [json_kind(tree, file) for file in spread(files, 5)]
        records = [record for kind, images in kinds if kind == "labelme" for record in images]
        names = [str(record["imagePath"]).replace("\\", "/") for record in records]
        if any(kind == "labelme" for kind, _ in kinds):
            listed = class_list(tree, files[0])
            needs = (*files, "")  # any of them may lead upward, to "../images/1.jpg"
            yield located(
                tree, "labelme", "LabelMe's", read_labelme, folder, names, needs, classes=listed
            )
