"""Writing files so that a reader never finds half of one, whatever interrupts the writer."""

from __future__ import annotations

import contextlib
import errno
import importlib.resources
import json
import os
import pathlib
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from keras_retinanet.exchange import exchange

_TEMPORARY = re.compile(r"\.tmp-[0-9a-f]{8}")

# Bytes of a suffix that a temporary name keeps; file systems take names of 143 to 255 bytes.
_MAX_SUFFIX_BYTES = 32

# What file systems answer that cannot write a folder, or anything, through to the disk.
_CANNOT_SYNC = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF)

# Said of a path to write such as gs://bucket/x, which would become a local folder called "gs:".
REMOTE_OUTPUT = "only folders of this machine are written to; write to one and copy it, or mount it"


@contextlib.contextmanager
def write_atomically(
    path: str | os.PathLike[str], *, overwrite: bool = False, durable: bool = True
) -> Iterator[pathlib.Path]:
    """Yields a path to write to; what lies there takes the place of `path` once all went well.

    The temporary path lies beside `path`, since a rename is atomic only within one file system. It
    is hidden, short, never a number (TensorFlow Serving looks for folders that are) and keeps the
    last two suffixes, which Keras and Pillow choose the format by. On any exception, Ctrl-C
    included, it is removed and `path` stays as it was.

    Args:
        path: a file, replaced if it exists, or a folder, which must not exist or be empty. Its
            parent folder must exist.
        overwrite: whether a folder that holds something is replaced too. Linux lets the two
            change places in one step, so that `path` is there at every moment, and a server that
            polls for it sees no gap. Elsewhere the old one is renamed first, to a hidden name
            beside it: a kill at that moment leaves both under hidden names.
        durable: whether the result is on the disk before this returns, so that a power failure
            loses nothing either. Without, a file may then be empty or the old one: for many small
            files that one `sync` follows (measured on ext4: 2 ms for each file, 0.04 ms for one
            that was linked).

    Raises:
        OSError: if the block wrote nothing or the result cannot be moved to `path`.
    """
    path = pathlib.Path(path)
    temporary = temporary_path(path)
    try:
        yield temporary
        if durable:
            sync([temporary])
        if overwrite and path.is_dir():
            _replace_folder(temporary, path)
        else:
            os.replace(temporary, path)
    except BaseException:
        remove(temporary)
        raise
    if durable:
        _sync_one(path.parent)


def temporary_path(path: pathlib.Path) -> pathlib.Path:
    """A hidden path beside `path` that nothing has, at most 45 bytes long, see `is_temporary`."""
    suffixes = ("".join(path.suffixes[-2:]), path.suffix, "")
    suffix = next(kept for kept in suffixes if len(os.fsencode(kept)) <= _MAX_SUFFIX_BYTES)
    return path.with_name(f".tmp-{uuid.uuid4().hex[:8]}{suffix}")


def is_temporary(path: pathlib.Path) -> bool:
    """Whether a path is one that `write_atomically` yields, left by a kill, and nobody else's."""
    return _TEMPORARY.match(path.name) is not None


def package_text(package: str, name: str) -> str:
    """The text of a file that lies beside the code of a package."""
    return importlib.resources.files(package).joinpath(name).read_text(encoding="utf-8")


def printable(path: str) -> str:
    """A path as text that can be printed and encoded: `caf\\xe9.jpg` for one in Latin-1."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def sync(paths: Iterable[pathlib.Path]) -> None:
    """Writes files, and folders with all they hold, through to the disk.

    Raises:
        OSError: if one is missing or cannot be written; file systems without the notion pass.
    """
    for path in paths:
        if path.is_symlink():
            continue  # its name is written with its folder
        if path.is_dir():
            sync(path.iterdir())
        _sync_one(path)


def _sync_one(path: pathlib.Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(file)


@contextlib.contextmanager
def made(folder: pathlib.Path) -> Iterator[None]:
    """Makes a folder and its parents; those that were not there go again on any exception.

    Unless something was written there, which stays.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            for path in missing:
                path.rmdir()
        raise


def write_json(path: str | os.PathLike[str], value: Any, *, indent: int | None = None) -> None:
    """Writes a value as a JSON file, atomically, ending in a line break.

    Floats are written so that reading gives the same values back.

    Args:
        path: the file, replaced if it exists.
        value: what `json.dumps` takes.
        indent: spaces per level for a file that people read; None for one line.

    Raises:
        ValueError: if the value holds NaN or an infinity, which JSON does not have.
        TypeError: if the value holds something else that JSON does not have.
        OSError: if the file cannot be written.
    """
    # dumps, not dump, which encodes in Python: 0.6 s against 1.4 s for 200,000 detections.
    text = json.dumps(value, indent=indent, allow_nan=False)
    with write_atomically(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def write_json_rows(path: str | os.PathLike[str], rows: Iterable[Any]) -> None:
    """Writes a JSON array of any length, a row on each line; else as `write_json`."""
    encode = json.JSONEncoder(allow_nan=False).encode
    with write_atomically(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        before = "["
        for row in rows:
            file.write(f"{before}\n{encode(row)}")
            before = ","
        file.write("[]\n" if before == "[" else "\n]\n")


def _replace_folder(new: pathlib.Path, path: pathlib.Path) -> None:
    if exchange(new, path):
        remove(new)
        return
    old = path.with_name(f".old-{uuid.uuid4().hex[:8]}")
    os.replace(path, old)
    try:
        os.replace(new, path)
    except BaseException:
        os.replace(old, path)
        raise
    remove(old)


def remove(path: pathlib.Path) -> None:
    """Removes a file or a folder with all it holds, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
