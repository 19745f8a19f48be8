"""Finds the formats that have a file for each image: VOC, KITTI, LabelMe's XML, OIDv4's text."""

from __future__ import annotations

import dataclasses
import os
import posixpath
from collections.abc import Collection, Iterator

from keras_retinanet.datasets.builder import Classes
from keras_retinanet.datasets.dataset import DetectionDataset
from keras_retinanet.datasets.discovery.found import (
    At,
    Found,
    Reader,
    Unused,
    class_list,
    located,
)
from keras_retinanet.datasets.formats.kitti import read_kitti
from keras_retinanet.datasets.formats.labelme import read_labelme
from keras_retinanet.datasets.formats.open_images import read_oidv4
from keras_retinanet.datasets.formats.voc import read_voc
from keras_retinanet.datasets.parsing import read_text
from keras_retinanet.datasets.sniff import text_kind, text_lines, xml_kind
from keras_retinanet.datasets.tree import Tree, spread, stem_of
from keras_retinanet.errors import DataError

# Files of a folder that are looked into, and how many must be of a kind until that is believed.
_LOOKED_INTO, _ENOUGH = 40, 5


def detect_voc(tree: Tree) -> Iterator[Found | Unused]:
    """Folders of VOC's XML files; parts by ImageSets/Main/*.txt, or by the names of folders."""
    for folder, kinds in _xml_folders(tree):
        if "cvat" in kinds:
            yield Unused(folder, "CVAT's own XML; export it as COCO or Pascal VOC")
        elif "voc" in kinds or (kinds == {"annotation"}):
            yield from _per_image(tree, "voc", folder, ".xml", read_voc)


def detect_labelme_xml(tree: Tree) -> Iterator[Found | Unused]:
    """Folders of the XML files of LabelMe's web tool."""
    for folder, kinds in _xml_folders(tree):
        if "labelme_xml" in kinds and "voc" not in kinds:
            yield _folder(tree, "labelme", "LabelMe's XML", folder, ".xml", read_labelme)


def detect_kitti(tree: Tree) -> Iterator[Found | Unused]:
    """Folders of text files whose lines have KITTI's columns; parts as VOC's."""
    for folder in text_folders(tree, "kitti"):
        yield from _per_image(tree, "kitti", folder, ".txt", read_kitti)


def detect_oidv4(tree: Tree) -> Iterator[Found | Unused]:
    """The folders Label of OIDv4's toolkit: lines of a name and corners."""
    for folder in text_folders(tree, "oidv4"):
        yield from _per_image(tree, "oidv4", folder, ".txt", read_oidv4)


def text_folders(tree: Tree, kind: str) -> Iterator[str]:
    """The folders with text files of one kind that are called like images somewhere."""
    for folder in sorted(tree.folders):
        for file in spread(tree.files_in(folder, ".txt"), 5 * _LOOKED_INTO):
            if any(stem_of(file) in stems for stems in tree.stems.values()):
                found = text_kind(text_lines(tree.head(file)))
                if found == kind:
                    yield folder
                if found:
                    break


def _xml_folders(tree: Tree) -> Iterator[tuple[str, set[str]]]:
    for folder in sorted(tree.folders):
        kinds: list[str] = []
        for file in spread(tree.files_in(folder, ".xml"), _LOOKED_INTO):
            kinds.append(xml_kind(tree.head(file)))
            if max(map(kinds.count, ("voc", "labelme_xml"))) >= _ENOUGH:
                break
        if any(kinds):
            yield folder, set(kinds) - {""}


def _per_image(
    tree: Tree, form: str, folder: str, suffix: str, reader: Reader
) -> Iterator[Found | Unused]:
    """The parts of a folder of annotations: those of its lists, or one that its path names."""
    whole = _folder(tree, form, form, folder, suffix, reader)
    if isinstance(whole, Found) and (lists := _lists(tree, folder, suffix)):
        yield from (_part_of_list(tree, whole, file, reader) for file in lists)
    else:
        yield whole


def _folder(
    tree: Tree, form: str, what: str, folder: str, suffix: str, reader: Reader
) -> Found | Unused:
    files = tree.files_in(folder, suffix)
    stems, listed = list(map(stem_of, files)), class_list(tree, files[0])
    return located(tree, form, what, reader, folder, stems, files, are_stems=True, classes=listed)


def _part_of_list(tree: Tree, whole: Found, file: str, reader: Reader) -> Found:
    """The annotations of a folder that a list names."""
    root, last = posixpath.split(whole.annotations)
    main = posixpath.join(root, "ImageSets/Main")
    is_vocs = whole.format == "voc" and last == "Annotations" and posixpath.dirname(file) == main

    def read(at: At, classes: Classes | None) -> DetectionDataset:
        if is_vocs:  # VOC's reader knows its own lists
            return reader(at(file), at(whole.images or ""), classes)
        return _listed(whole.read(at, classes), at(file))

    needs = (file, *whole.needs)
    return dataclasses.replace(
        whole, part=tree.part_of(file), annotations=file, read=read, needs=needs
    )


def _lists(tree: Tree, folder: str, suffix: str) -> list[str]:
    """The lists beside a folder of annotations that name a part of them.

    Lists of two columns, a name and 1 or -1, say which images show a class: they are no parts.
    """
    known = frozenset(map(stem_of, tree.files_in(folder, suffix)))
    around = posixpath.dirname(folder)
    folders = [
        posixpath.join(base, name)
        for base in (around, posixpath.dirname(around))
        for name in ("ImageSets/Main", "ImageSets", "splits", "")
    ]
    for other in dict.fromkeys(f.rstrip("/") for f in folders if f != folder):
        files = [
            file
            for file in tree.files_in(other, ".txt")
            if tree.part_of(posixpath.basename(file)) and _names_some(tree, file, known)
        ]
        if files:
            return files
    return []


def _names_some(tree: Tree, file: str, known: frozenset[str]) -> bool:
    lines = text_lines(tree.head(file))
    return bool(lines) and all(_stem_of(line, known) in known for line in lines[:20])


def _stem_of(line: str, known: Collection[str]) -> str:
    """The image that a line of a list names, without folder and, where it has one, ending."""
    base = posixpath.basename(line.strip().replace("\\", "/"))
    return base if base in known else posixpath.splitext(base)[0]


def _listed(dataset: DetectionDataset, file: str) -> DetectionDataset:
    """The images of a data set that a list names."""
    stems = [os.path.splitext(os.path.basename(path))[0] for path in dataset.files]
    known = frozenset(stems)
    lines = [line for line in read_text(file, "a list of images").splitlines() if line.strip()]
    wanted = {_stem_of(line, known): line.strip() for line in lines}
    if missing := sorted(set(wanted) - known):
        raise DataError(
            f"{file}: {len(missing)} of its {len(wanted)} images have no annotations "
            f"({wanted[missing[0]]}, and so on); put them there or take them off the list"
        )
    return dataset.take([i for i, stem in enumerate(stems) if stem in wanted])
