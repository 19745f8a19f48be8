"""The names in a folder, however deep, and the first bytes of its files: what discovery goes by."""

from __future__ import annotations

import abc
import collections
import contextlib
import functools
import os
import posixpath
import re
from collections.abc import Iterator, Sequence
from typing import IO

import tqdm

from keras_retinanet.datasets.part_words import part_of
from keras_retinanet.errors import DataError
from keras_retinanet.images.header import IMAGE_SUFFIXES

# A data set lies a few folders deep; the rest is a wrong path, such as a home folder, or a loop.
DEEPEST = 12
# Open Images has 1.9 million images and, with YOLO's labels, as many text files.
MOST_FILES = 5_000_000

# How much of a file tells its kind.
HEAD = 1 << 16

# A progress bar appears on what takes longer than this, in seconds.
PATIENCE = 2.0


class Tree(abc.ABC):
    """The files below a folder, by the path from there, "" for the folder itself.

    Hidden files, and those that macOS packs beside every file of a .zip, are not among them.

    Attributes:
        path: the folder or .zip as the user named it.
        folders: for each folder that holds files their names.
    """

    path: str
    folders: dict[str, set[str]]

    @abc.abstractmethod
    def open(self, file: str) -> contextlib.AbstractContextManager[IO[bytes]]:
        """A file, to read from its start.

        Raises:
            DataError: if it cannot be read.
        """

    @abc.abstractmethod
    def on_disk(self, files: Sequence[str]) -> str:
        """A folder on disk below which these files lie by their paths here.

        Args:
            files: paths; one that ends in "/" (or is "") stands for all images below.

        Raises:
            DataError: if they cannot be laid there.
        """

    def head(self, file: str, size: int = HEAD) -> bytes:
        """The first bytes of a file."""
        with self.open(file) as stream:
            return stream.read(size)

    def __contains__(self, file: str) -> bool:
        folder, name = posixpath.split(file)
        return name in self.folders.get(folder, ())

    def files(self, *suffixes: str) -> Iterator[str]:
        """The paths of the files with one of these endings in small letters, sorted by folder."""
        for folder in sorted(self.folders):
            yield from self.files_in(folder, *suffixes)

    def files_in(self, folder: str, *suffixes: str) -> tuple[str, ...]:
        """Those that lie in one folder itself, sorted; without endings all that do."""
        names, ends = sorted(self.folders.get(folder, ())), suffixes or ""
        return tuple(posixpath.join(folder, n) for n in names if n.lower().endswith(ends))

    def images_below(self, folder: str) -> list[str]:
        """The images in a folder and in all folders below it."""
        folders = [path for path in sorted(self.stems) if f"{path}/".startswith(inside(folder))]
        return [image for path in folders for image in self.files_in(path, *IMAGE_SUFFIXES)]

    @functools.cached_property
    def stems(self) -> dict[str, frozenset[str]]:
        """For each folder with images their names without the ending."""
        stems = {
            folder: frozenset(
                posixpath.splitext(name)[0]
                for name in names
                if name.lower().endswith(IMAGE_SUFFIXES)
            )
            for folder, names in self.folders.items()
        }
        return {folder: names for folder, names in stems.items() if names}

    @functools.cached_property
    def all_folders(self) -> frozenset[str]:
        """The folders that hold files or folders."""
        return frozenset(above for folder in self.folders for above in folders_around(folder))

    @functools.cached_property
    def top(self) -> str:
        """The folder that all images lie below; without images, that all files do."""
        return posixpath.commonpath(self.stems or self.folders or [""])

    def part_of(self, *paths: str) -> str | None:
        """The part that the first of these files and folders that names one speaks of.

        See `part_words.part_of`.
        """
        ends = [f"{path}/" if path in self.all_folders else path for path in paths]
        return next(filter(None, (part_of(end, self.top) for end in ends)), None)


class FolderTree(Tree):
    """What lies on disk. Links are followed: large images often lie elsewhere.

    Raises:
        DataError: if the folder cannot be listed or holds too much to be one data set.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.folders = {}
        with tqdm.tqdm(unit="file", desc=path, disable=None, delay=PATIENCE) as bar:
            self._list("", [], bar)

    def _list(self, folder: str, above: list[tuple[int, int]], bar: tqdm.tqdm) -> None:
        path = os.path.join(self.path, folder)
        try:
            status = os.stat(path)
            key = (status.st_dev, status.st_ino)
            if key in above or len(above) > DEEPEST:
                return
            with os.scandir(path) as entries:
                is_folder = {e.name: e.is_dir() for e in entries if is_shown(e.name)}
        except OSError as error:
            raise DataError(f"{path}: cannot be listed ({error.strerror})") from None
        names = {name for name in is_folder if not is_folder[name]}
        bar.update(len(names))
        if bar.n > MOST_FILES:
            raise DataError(
                f"{self.path} holds more than {MOST_FILES:,} files; name the folder of the data set"
            )
        if names:
            self.folders[folder] = names
        for name in is_folder.keys() - names:
            self._list(posixpath.join(folder, name), [*above, key], bar)

    def open(self, file: str) -> IO[bytes]:
        """A file of the folder; DataError if it is none."""
        path = os.path.join(self.path, file)
        if not os.path.isfile(path):  # a FIFO would block for ever
            raise DataError(f"{path}: no file that can be read")
        try:
            return open(path, "rb")
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None

    def on_disk(self, files: Sequence[str]) -> str:
        """The folder itself."""
        return self.path


def is_shown(name: str) -> bool:
    """Whether a file or folder of this name is looked at."""
    return not name.startswith(".") and name != "__MACOSX"


def folders_around(folder: str) -> Iterator[str]:
    """A folder and all that it lies in, the nearest first."""
    while folder:
        yield folder
        folder = posixpath.dirname(folder)
    yield ""


def inside(folder: str) -> str:
    """What the paths of all that lies below a folder begin with."""
    return f"{folder}/" if folder else ""


def stem_of(file: str) -> str:
    """The name of a file without folders and ending."""
    return posixpath.splitext(posixpath.basename(file))[0]


def spread(names: Sequence[str], count: int) -> Sequence[str]:
    """`count` of the names, evenly spread over all of them."""
    return names[:: max(1, len(names) // count)][:count]


# How many of the images that annotations name are looked for.
_LOOKED_FOR = 50

# Folders of images made from the annotated ones, whose files are named alike.
_DERIVED = ("mask", "label", "segmentation", "depth", "disparity", "annotat", "panoptic")


def find_images(
    tree: Tree, names: Sequence[str], near: str, *, are_stems: bool = False
) -> str | None:
    """The folder that the names of images start from; None if none of them is anywhere.

    Of several folders that hold as many of them, that of the same part as the annotations is
    taken, one that is not called after masks, that with the same number (KITTI's image_2 of
    label_2), and the nearest.

    Args:
        tree: where to look.
        names: those of images, which may lead into subfolders.
        near: the path of the annotations.
        are_stems: whether the names lack their endings.

    Raises:
        DataError: if two folders hold them and nothing tells which is meant.
    """
    counts: collections.Counter[str] = collections.Counter()
    names = spread(names, _LOOKED_FOR)
    for name in names:
        folder, base = posixpath.split(posixpath.normpath(name))
        stem = base if are_stems else posixpath.splitext(base)[0]
        for path, stems in tree.stems.items():
            is_named = stem in stems and (are_stems or base in tree.folders[path])
            if is_named and f"/{path}".endswith(f"/{folder}".rstrip("/")):
                counts[path.removesuffix(folder).rstrip("/")] += 1
    if not counts:
        return _found_upward(tree, names, near)
    most = max(counts.values())
    ranked = sorted((_rank(tree, path, near), path) for path in counts if counts[path] == most)
    if len(ranked) > 1 and ranked[0][0] == ranked[1][0]:
        first, second = (posixpath.join(tree.path, path) for _, path in ranked[:2])
        raise DataError(
            f"{tree.path}: both {first} and {second} hold the images of {near}; say which with "
            "data.train.images (--images) and data.train.annotations (--annotations)"
        )
    return ranked[0][1]


def _found_upward(tree: Tree, names: Sequence[str], near: str) -> str | None:
    """The folder from which names such as "../images/1.jpg" are found."""
    upward = [name for name in names if name.startswith("../")]
    for folder in sorted({posixpath.dirname(near), *tree.folders}):
        if any(posixpath.normpath(posixpath.join(folder, name)) in tree for name in upward):
            return folder
    return None


def _rank(tree: Tree, path: str, near: str) -> tuple[bool, bool, bool, int]:
    last, beside = posixpath.basename(path).lower(), posixpath.dirname(near)
    numbers = [re.sub(r"\D", "", text) for text in (last, posixpath.basename(beside))]
    return (
        tree.part_of(near) != tree.part_of(path),
        any(word in last for word in _DERIVED),
        numbers[0] not in ("", numbers[1]),
        -len(posixpath.commonpath([path, beside])),
    )
