"""From a folder or a .zip to the data set in it: its format, its parts, and where they lie."""

from __future__ import annotations

import collections
import dataclasses
import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence

from keras_retinanet.datasets.discovery.archive import ZipTree
from keras_retinanet.datasets.discovery.detect_json import detect_coco, detect_labelme
from keras_retinanet.datasets.discovery.detect_per_image import (
    detect_kitti,
    detect_labelme_xml,
    detect_oidv4,
    detect_voc,
)
from keras_retinanet.datasets.discovery.detect_records import detect_tfds, detect_tfrecord
from keras_retinanet.datasets.discovery.detect_tables import detect_csv, detect_open_images
from keras_retinanet.datasets.discovery.detect_yolo import detect_yolo
from keras_retinanet.datasets.discovery.found import Detector, Found, Unused
from keras_retinanet.datasets.part_words import BOTH, PARTS
from keras_retinanet.datasets.tree import FolderTree, Tree, inside
from keras_retinanet.errors import DataError

# The setting of a format, and what finds it. OIDv4's text files are one form of Open Images.
_DETECTORS: tuple[tuple[str, Detector], ...] = (
    ("coco", detect_coco),
    ("voc", detect_voc),
    ("csv", detect_csv),
    ("yolo", detect_yolo),
    ("kitti", detect_kitti),
    ("open_images", detect_oidv4),
    ("open_images", detect_open_images),
    ("labelme", detect_labelme),
    ("labelme", detect_labelme_xml),
    ("tfrecord", detect_tfrecord),
    ("tfds", detect_tfds),
)

# How many files or folders a message names.
_NAMED = 4


@dataclasses.dataclass(frozen=True)
class Layout:
    """What lies where in a folder.

    Attributes:
        tree: the folder.
        format: a key of `formats.FORMATS`.
        parts: what makes up each part, of "train", "val" and "test" those that there are.
        is_whole: whether nothing named a part, so that "train" is simply everything.
        unused: what else lies there.
    """

    tree: Tree
    format: str
    parts: Mapping[str, tuple[Found, ...]]
    is_whole: bool
    unused: tuple[Unused, ...]

    @property
    def line(self) -> str:
        """What was taken for what, in one line."""
        parts = [
            f"{'everything' if self.is_whole else part} = {_listed(found, ' + ')}"
            for part, found in self.parts.items()
        ]
        every = [one for found in self.parts.values() for one in found]
        names = sorted({one.classes for one in every if one.classes})
        extra = [f"classes = {', '.join(names)}"] if names else []
        extra += dict.fromkeys(one.remark for one in every if one.remark)
        if self.unused:
            extra.append(f"not used: {_listed(self.unused)}")
        return f"{self.tree.path}: {self.format}: {'; '.join([*parts, *extra])}"


def _listed(values: Sequence[object], joint: str = ", ") -> str:
    """The first of the values, and how many more there are."""
    more = f" and {len(values) - _NAMED} more" if len(values) > _NAMED else ""
    return joint.join(map(str, values[:_NAMED])) + more


def discover(path: str | os.PathLike[str], form: str = "auto") -> Layout:
    """Finds the data set in a folder or a .zip.

    Annotations are told by their content, images by the names that annotations give them, parts by
    the words train, val and test in the names of files and folders. See docs/formats.md.

    Args:
        path: the folder, or the .zip.
        form: the format to look for; "auto" for any.

    Raises:
        DataError: where there is none, saying what lies there instead, or several, saying which
            and the setting that decides.
    """
    path = os.fspath(path)
    tree = _open(path)
    found: dict[str, list[Found]] = {}
    unused: list[Unused] = []
    for name, detect in _DETECTORS:
        if form not in ("auto", name) or (name == "open_images" and name in found):
            continue
        for one in detect(tree):
            if isinstance(one, Found):
                found.setdefault(name, []).append(one)
            else:
                unused.append(one)
    if not found:
        what = "for detection" if form == "auto" else f"of the format {form}"
        raise DataError(f"{path} holds no data set {what}; {_instead(tree, unused)}")
    if len(found) > 1:
        kinds = " or ".join(f"{name} ({_listed(found[name], ' + ')})" for name in found)
        raise DataError(
            f"{path} may be {kinds}; say which with data.format=... (--format), one of "
            f"{', '.join(found)}"
        )
    ((name, candidates),) = found.items()
    parts, more = _parts(path, candidates)
    unused = [*more, *unused, *_other_images(tree, candidates)]
    is_whole = set(parts) == {"train"} and all(one.part is None for one in parts["train"])
    return Layout(tree, name, parts, is_whole, tuple(unused))


def _other_images(tree: Tree, candidates: Sequence[Found]) -> Iterator[Unused]:
    """The folders of images that no annotations name."""
    claimed = [one.images for one in candidates if one.images is not None]
    for folder in sorted(tree.stems):
        if not any(f"{folder}/".startswith(inside(images)) for images in claimed):
            yield Unused(folder or ".", "images without annotations")


def _open(path: str) -> Tree:
    if os.path.isdir(path):
        return FolderTree(path)
    if path.lower().endswith(".zip") and os.path.isfile(path):
        return ZipTree(path)
    if not os.path.exists(path):
        raise DataError(f"{path}: there is no such folder or .zip")
    raise DataError(
        f"{path} is neither a folder nor a .zip; name the folder of the data set, or say "
        "data.train.annotations=FILE data.train.images=FOLDER (--annotations, --images)"
    )


def _parts(
    path: str, candidates: Sequence[Found]
) -> tuple[dict[str, tuple[Found, ...]], list[Unused]]:
    """The candidates of each part, and those that are not needed."""
    by_part: dict[str | None, list[Found]] = {}
    for one in candidates:
        by_part.setdefault(one.part, []).append(one)
    unused = []
    for spare in (BOTH, None):  # what is not called train serves as that where nothing is
        if spare in by_part:
            others = by_part.pop(spare)
            if "train" in by_part:
                reason = "both parts in one" if spare == BOTH else "names no part"
                unused += [Unused(one.annotations, reason) for one in others]
            else:
                by_part["train"] = others
    for part, found in by_part.items():
        if len(found) > 1 and any(one.is_complete for one in found):
            raise DataError(
                f"{path}: {' and '.join(one.annotations for one in found[:_NAMED])} may each be "
                f"the {part} part; say which with data.{part}.annotations=... "
                f"data.{part}.images=... (--annotations, --images) instead of the folder"
            )
    return {part: tuple(by_part[part]) for part in PARTS if part in by_part}, unused


def _instead(tree: Tree, unused: Sequence[Unused]) -> str:
    """What lies in a folder that holds no data set."""
    if unused:
        return f"what lies there: {_listed(unused)}"
    images = sum(map(len, tree.stems.values()))
    if not images:
        count = sum(map(len, tree.folders.values()))
        return f"{count} files, none of them an image" if count else "it is empty"
    folders = sorted(tree.stems)
    if masks := [f for f in folders if "mask" in f.lower() or "segmentation" in f.lower()]:
        return f"what lies there: masks ({_listed(masks)}) without boxes"
    if len(classes := _siblings(folders)) > 1:
        return (
            f"its {images} images are sorted into folders ({_listed(classes)}), as for "
            "classification, without boxes"
        )
    return f"{images} images, but no annotations of a known format"


def _siblings(folders: Sequence[str]) -> list[str]:
    """The names of the folders beside others; parts of a data set are no classes."""
    parents = collections.Counter(map(posixpath.dirname, folders))
    ((most, _),) = parents.most_common(1)
    return [posixpath.basename(folder) for folder in folders if posixpath.dirname(folder) == most]
