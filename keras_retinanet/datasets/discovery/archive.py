"""A data set in a .zip: its names are read from the list in it, its files unpacked when needed."""

from __future__ import annotations

import contextlib
import hashlib
import os
import posixpath
import re
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, cast

import tqdm

from keras_retinanet.datasets.tree import PATIENCE, Tree, is_shown
from keras_retinanet.errors import DataError
from keras_retinanet.files import write_atomically
from keras_retinanet.images.header import IMAGE_SUFFIXES

# What a .zip may ask for. COCO's 118,287 images take 12 MB of list; Python holds an entry of the
# list in half a kilobyte, so that the longest one allowed takes 0.4 GB.
MOST_ENTRIES = 1_000_000
_LONGEST_LIST = 1 << 26
_LARGEST_FILE = 1 << 36
# Deflate packs zeros 1,032 to 1, annotations 5 to 50 to 1. Small files may be anything.
_RATIO, _SMALL = 250, 1 << 24

_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError)


class ZipTree(Tree):
    """The files in a .zip.

    Raises:
        DataError: if it is damaged, encrypted or larger than any data set, or holds links or paths
            that lead outside.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._zip = zipfile.ZipFile(cast(IO[bytes], _BoundedFile(path)))
        except (*_DAMAGE, ValueError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: not a .zip that can be read ({error})") from None
        self._entries = _entries(path, self._zip.infolist())
        self.folders = {}
        for file in self._entries:
            folder, name = posixpath.split(file)
            self.folders.setdefault(folder, set()).add(name)
        for file in self._entries.keys() & self.folders.keys():
            raise DataError(f"{path}: {file} is a file and a folder in one; pack it anew")

    @contextlib.contextmanager
    def open(self, file: str) -> Iterator[IO[bytes]]:
        """A file of the .zip, unpacked as it is read; DataError if the .zip is damaged there."""
        try:
            with self._zip.open(self._entries[file]) as stream:
                yield stream
        except _DAMAGE as error:
            raise DataError(f"{self.path}: {file} cannot be unpacked ({error})") from None

    def on_disk(self, files: Sequence[str]) -> str:
        """Unpacks what is not there yet into a folder of the system's temporary ones.

        The folder belongs to the content of the .zip, so that the next command finds the files
        there; each appears whole or not at all. TMPDIR decides where it lies.
        """
        root = _cache_folder(self._zip)
        missing = [
            file for file in self._wanted(files) if not _is_there(root, file, self._entries[file])
        ]
        size = sum(self._entries[file].file_size for file in missing)
        _check_space(self.path, root, size)
        what = f"unpacking {self.path} into {root}"
        with tqdm.tqdm(
            total=size, unit="B", unit_scale=True, desc=what, disable=None, delay=PATIENCE
        ) as bar:
            for file in missing:
                self._unpack(file, os.path.join(root, file))
                bar.update(self._entries[file].file_size)
        return root

    def _wanted(self, files: Sequence[str]) -> Iterator[str]:
        folders = tuple({file for file in files if file.endswith("/") or not file})
        exact = set(files)
        for file in self._entries:
            is_image = file.lower().endswith(IMAGE_SUFFIXES)
            if file in exact or (is_image and file.startswith(folders)):
                yield file

    def _unpack(self, file: str, path: str) -> None:
        with self.open(file) as packed:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with write_atomically(path) as temporary, temporary.open("wb") as target:
                shutil.copyfileobj(packed, target, 1 << 20)


class _BoundedFile:
    """A file that hands out no more at once than the longest list of a .zip that is read."""

    def __init__(self, path: str) -> None:
        self._file = open(path, "rb")  # noqa: SIM115 - held as long as the tree
        self.seek, self.tell, self.close = self._file.seek, self._file.tell, self._file.close
        self.seekable = self._file.seekable

    def read(self, size: int = -1) -> bytes:
        if size > _LONGEST_LIST:
            raise zipfile.BadZipFile(f"its list of files takes {size:,} bytes")
        return self._file.read(size)


def _entries(path: str, infos: Sequence[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """The files that are shown, by their names."""
    if len(infos) > MOST_ENTRIES:
        raise DataError(f"{path} holds {len(infos):,} entries, above {MOST_ENTRIES:,}; unpack it")
    entries: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.filename.replace("\\", "/")
        parts = name.split("/")
        is_read = parts[-1] != "" and all(map(is_shown, parts))
        if problem := _problem_of_name(name) or (is_read and _problem_of_content(info)):
            raise DataError(f"{path}: the entry {name!r} {problem}")
        name = posixpath.normpath(name)
        if is_read and name in entries:
            raise DataError(f"{path}: two entries are called {name!r}; pack it anew")
        if is_read:
            entries[name] = info
    return entries


def _problem_of_name(name: str) -> str:
    if name.startswith("/") or ".." in name.split("/") or re.match(r"[A-Za-z]:", name):
        return "leads outside; pack it anew"
    if re.search(r"[\x00-\x1f\x7f]", name):
        return "has control characters; pack it anew"
    return ""


def _problem_of_content(info: zipfile.ZipInfo) -> str:
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        return "is a link; pack the files themselves"
    if info.flag_bits & 1:
        return "is encrypted; unpack it, and name the folder"
    if (method := info.compress_type) not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"is packed by method {method}, which is not known; unpack it, and name the folder"
    packed, size = max(info.compress_size, 1), info.file_size
    if size > _LARGEST_FILE or (size > _SMALL and size > _RATIO * packed):
        return f"would unpack from {packed:,} to {size:,} bytes; if that is so, unpack it yourself"
    return ""


def _cache_folder(archive: zipfile.ZipFile) -> str:
    """The folder for what is unpacked, named by what the .zip lists; nobody else may write there.

    Raises:
        DataError: if another user made a folder of that name.
    """
    digest = hashlib.sha256()
    for info in archive.infolist():
        digest.update(f"{info.filename}\0{info.file_size}\0{info.CRC}\n".encode("utf-8", "replace"))
    base = os.path.join(tempfile.gettempdir(), f"keras_retinanet-{os.getuid()}")
    try:
        os.makedirs(base, mode=0o700, exist_ok=True)
        status = os.lstat(base)
    except OSError as error:
        raise DataError(
            f"{base}: cannot be made ({error.strerror}); name another folder with TMPDIR"
        ) from None
    mode = status.st_mode
    if status.st_uid != os.getuid() or mode & 0o22 or not stat.S_ISDIR(mode):
        raise DataError(f"{base} belongs to somebody else; name another folder with TMPDIR")
    return os.path.join(base, digest.hexdigest()[:16])


def _is_there(root: str, file: str, info: zipfile.ZipInfo) -> bool:
    try:
        return os.path.getsize(os.path.join(root, file)) == info.file_size
    except OSError:
        return False


def _check_space(path: str, root: str, size: int) -> None:
    free = shutil.disk_usage(os.path.dirname(root)).free
    if size > free:
        raise DataError(
            f"{path}: unpacking takes {size / 1e9:.1f} GB, and {os.path.dirname(root)} has "
            f"{free / 1e9:.1f} GB; name a folder with more by TMPDIR"
        )
