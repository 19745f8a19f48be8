"""Finds YOLO's data sets: data.yaml, darknet's obj.data, lists of images, or folders of labels."""

from __future__ import annotations

import json
import pathlib
import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import Any

from keras_retinanet.datasets.builder import Classes
from keras_retinanet.datasets.dataset import DetectionDataset
from keras_retinanet.datasets.discovery.detect_per_image import text_folders
from keras_retinanet.datasets.discovery.found import At, Found, Unused, nearest
from keras_retinanet.datasets.formats.yolo import (
    label_file,
    parse_yolo,
    read_yolo_images,
    yolo_classes,
)
from keras_retinanet.datasets.parsing import UNREAD_SUFFIXES, read_text
from keras_retinanet.datasets.part_words import part_of, words_of
from keras_retinanet.datasets.sniff import text_kind, text_lines
from keras_retinanet.datasets.tree import Tree, find_images, folders_around, stem_of
from keras_retinanet.images.header import IMAGE_SUFFIXES

# A description or a list of classes is no larger; a list of images may be.
_LARGEST = 1 << 20
_LARGEST_LIST = 1 << 28

_NAMES = re.compile(rb"(?m)^\s*['\"]?names['\"]?\s*:")
_SPLITS = re.compile(rb"(?m)^\s*['\"]?(train|val|valid|validation|test)['\"]?\s*:")

_KEYS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def detect_yolo(tree: Tree) -> Iterator[Found | Unused]:
    """What lists images for YOLO, most explicit first; folders of labels where nothing does."""
    for detect in (_by_yaml, _by_darknet, _by_lists, _by_folders):
        reports = list(detect(tree))
        if any(isinstance(report, Found) for report in reports):
            yield from reports
            return


def _by_yaml(tree: Tree) -> Iterator[Found | Unused]:
    for file in tree.files(".yaml", ".yml"):
        head = tree.head(file, _LARGEST)
        if not _NAMES.search(head) or not _SPLITS.search(head):
            continue
        content = parse_yolo(posixpath.join(tree.path, file), head.decode("utf-8-sig", "replace"))
        entries = {key: value for key, value in content.items() if key in _KEYS and value}
        parts = {}
        for key, value in entries.items():
            if images := _images_of(tree, file, value, str(content.get("path") or "")):
                parts[_KEYS[key]] = images
            else:
                yield Unused(f"{file}: {key}", "none of its images is there")
        # As retinanet-convert writes the parts of a data set: each its own data.yaml of "train".
        own = tree.part_of(posixpath.dirname(file))
        if list(parts) == ["train"] and own is not None:
            parts = {own: parts["train"]}
        for part, images in parts.items():
            yield _yolo(tree, part, file, _pairs(tree, images), content, (file,))


def _images_of(tree: Tree, near: str, entries: object, root: str) -> list[str]:
    """The images that an entry of data.yaml, a text or a list of them, leads to."""
    images: list[str] = []
    for entry in entries if isinstance(entries, list) else [entries]:
        path = _resolve(tree, near, posixpath.join(root, str(entry)))
        if path is None:
            path = _resolve(tree, near, str(entry))
        images += _images_at(tree, path)
    return images


def _images_at(tree: Tree, path: str | None) -> list[str]:
    """The images that a file lists, or that lie below a folder."""
    if path is None or path not in tree:
        return [] if path is None else tree.images_below(path)
    lines = text_lines(tree.head(path, _LARGEST_LIST))
    listed = [_resolve(tree, path, line) for line in lines]
    return [image for image in listed if image is not None and image in tree]


def _resolve(tree: Tree, near: str, path: str) -> str | None:
    """The file or folder of the tree that a path of another machine means.

    Files say "../train/images", "/kaggle/input/x/train/images" or "data/train.txt" and lie
    elsewhere by now: what ends in most of the path's components is meant, the nearest of those.
    """
    words = [w for w in path.replace("\\", "/").split("/") if w not in ("", ".", "..")]
    base = posixpath.dirname(near)
    for start in range(max(1, len(words))):
        tail = words[start:]
        # Of "../valid/images" the folder images alone may be that of another part.
        if part_of("/".join(words[:start])) and not part_of("/".join(tail)):
            return None
        for folder in folders_around(base):
            found = posixpath.join(folder, *tail)
            if found in tree.all_folders or found in tree:
                return found
    return None


def _by_darknet(tree: Tree) -> Iterator[Found | Unused]:
    """By obj.data: lines of `train = data/train.txt` and so on."""
    for file in tree.files(".data"):
        text = tree.head(file, _LARGEST).decode("utf-8-sig", "replace")
        pairs = dict(re.findall(r"(?m)^\s*(\w+)\s*=\s*(.+?)\s*$", text))
        if not {"names", "train"} & set(pairs):
            continue
        paths = {key: _resolve(tree, file, value) for key, value in pairs.items()}
        names = paths.get("names")
        for key, part in _KEYS.items():
            path = paths.get(key)
            if images := _images_at(tree, path):
                classes = {"names": _names_in(tree, names) if names else _names_near(tree, file)}
                needs = (file, path or "", *([names] if names else []))
                listed = _pairs(tree, images)
                yield _yolo(tree, part, path or file, listed, classes, needs)
            elif path is not None:
                yield Unused(path, "none of the images that it lists is there")


def _by_lists(tree: Tree) -> Iterator[Found | Unused]:
    """By train.txt and val.txt that list images, where labels lie beside these or in labels/."""
    if not any(text_folders(tree, "yolo")):
        return
    for file in tree.files(".txt"):
        is_part = part_of(posixpath.basename(file)) is not None
        if is_part and text_kind(text_lines(tree.head(file))) == "images":
            pairs = _pairs(tree, _images_at(tree, file))
            if any(label in tree for _, label in pairs):
                content = {"names": _names_near(tree, file)}
                yield _yolo(tree, tree.part_of(file), file, pairs, content, (file,))


def _by_folders(tree: Tree) -> Iterator[Found | Unused]:
    """By folders of labels, the images beside them, in images/ for labels/, or called alike."""
    for folder in text_folders(tree, "yolo"):
        files = tree.files_in(folder, ".txt")
        paths = [path for path in tree.stems if folder in (path, _label_folder(path))]
        if not paths:
            path = find_images(tree, list(map(stem_of, files)), files[0], are_stems=True)
            paths = [] if path is None else [path]
        for path in paths:
            content = {"names": _names_near(tree, posixpath.join(folder, "classes.txt"))}
            pairs = [
                (image, posixpath.join(folder, f"{stem_of(image)}.txt"))
                for image in tree.files_in(path, *IMAGE_SUFFIXES)
            ]
            part = tree.part_of(folder, path)
            yield _yolo(tree, part, folder, pairs, content, (), is_complete=False)


def _pairs(tree: Tree, images: Sequence[str]) -> list[tuple[str, str]]:
    """Images with their labels: in labels/ for images/, else beside them."""
    pairs = []
    for image in images:
        beside = f"{posixpath.splitext(image)[0]}.txt"
        labels = label_file(pathlib.PurePosixPath(image)).as_posix()
        pairs.append((image, beside if labels not in tree and beside in tree else labels))
    return pairs


def _label_folder(folder: str) -> str:
    label = label_file(pathlib.PurePosixPath(folder, "x.jpg")).parent.as_posix()
    return "" if label == "." else label


def _names_near(tree: Tree, near: str) -> list[str]:
    """The names of the classes, from what tools write beside labels; none if nothing is there."""
    files = tree.files(".txt", ".names", ".labels", ".yaml", ".yml", "notes.json")
    file = nearest(tree, [file for file in files if _is_list_of_names(tree, file)], near)
    return [] if file is None else _names_in(tree, file)


def _is_list_of_names(tree: Tree, file: str) -> bool:
    stem, ending = posixpath.splitext(posixpath.basename(file))
    if ending.lower() in (".yaml", ".yml"):
        return _NAMES.search(tree.head(file, _LARGEST)) is not None
    if ending.lower() == ".txt":
        return bool({"classes", "names", "labelmap"} & words_of(stem)) or stem == "labels"
    return True


def _names_in(tree: Tree, file: str) -> list[str]:
    text = tree.head(file, _LARGEST).decode("utf-8-sig", "replace")
    if file.endswith(".json"):  # Label Studio's notes
        try:
            records = json.loads(text)["categories"]
            return [str(r["name"]) for r in sorted(records, key=lambda record: record["id"])]
        except (ValueError, KeyError, TypeError):
            return []
    if file.lower().endswith((".yaml", ".yml")):
        source = posixpath.join(tree.path, file)
        content = parse_yolo(source, text)
        return [category.name for category in yolo_classes(source, content).values()]
    return [line.strip() for line in text.splitlines() if line.strip()]


def _yolo(
    tree: Tree,
    part: str | None,
    source: str,
    pairs: Sequence[tuple[str, str]],
    content: dict[str, Any],
    needs: tuple[str, ...],
    *,
    is_complete: bool = True,
) -> Found | Unused:
    labels = tuple(label for _, label in pairs if label in tree)
    folder = posixpath.commonpath([posixpath.dirname(image) for image, _ in pairs])
    if not labels:
        return Unused(folder or source, "images without labels")
    unnamed = "no list of classes is there: they are called by their numbers"
    others = _others(tree, pairs)

    def read(at: At, _: Classes | None) -> DetectionDataset:
        names = content["names"] or _numbers([at(label) for label in labels])
        paths = [(pathlib.Path(at(image)), pathlib.Path(at(label))) for image, label in pairs]
        more = [pathlib.Path(at(file)) for file in others]
        return read_yolo_images(at(source), {**content, "names": names}, paths, more)

    images = (image for image, _ in pairs)
    texts = (file for file in others if file.endswith(".txt"))
    return Found(
        "yolo",
        part,
        source,
        folder,
        read,
        (*needs, *images, *labels, *texts),
        is_complete=is_complete,
        remark="" if content["names"] else unnamed,
    )


def _others(tree: Tree, pairs: Sequence[tuple[str, str]]) -> list[str]:
    """What would be passed over in folders that are taken whole, not by a list of images."""
    images, labels = (set(files) for files in zip(*pairs, strict=True))
    paths = sorted({posixpath.dirname(image) for image in images})
    if not images.issuperset(image for path in paths for image in tree.images_below(path)):
        return []
    others = [file for path in paths for file in tree.files_in(path, *UNREAD_SUFFIXES)]
    for path in sorted({posixpath.dirname(label) for label in labels}):
        others += [file for file in tree.files_in(path, ".txt") if file not in labels]
    return others


def _numbers(labels: Sequence[str]) -> list[str]:
    """Names for classes that only have numbers, up to the largest that occurs."""
    texts = (read_text(file, "a YOLO label file") for file in labels)
    words = (word for text in texts for word in re.findall(r"(?m)^\s*([0-9]{1,6})(?!\S)", text))
    return [str(number) for number in range(max(map(int, words), default=0) + 1)]
