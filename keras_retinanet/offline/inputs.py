"""Which images a command line names: files, folders, patterns and TFRecord files, local or not.

What is not on this machine is found by `tf.io.gfile`, which also reads all files, so gs:// and
whatever else TensorFlow knows will do. A local name need not be UTF-8: Python holds its other bytes
as lone surrogates, which TensorFlow takes as bytes only.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import tensorflow as tf
from google.protobuf.message import DecodeError

from keras_retinanet.datasets.formats.tfrecord import BEFORE_RECORD, is_record, record_spans
from keras_retinanet.errors import DataError
from keras_retinanet.files import printable
from keras_retinanet.images.header import IMAGE_SUFFIXES, READABLE
from keras_retinanet.offline.record_file import read_record

_NAMES = ("image/filename", "image/source_id")


class ListedImage(NamedTuple):
    """An image that a command line names.

    Its text is for people: bytes of the path that are no UTF-8 are spelled out.

    Attributes:
        path: of the image's file, or of the TFRecord file that it lies in.
        record: its number there, from 1; 0 for a file of its own.
        offset: where that record starts, in bytes.
    """

    path: str
    record: int = 0
    offset: int = 0

    def __str__(self) -> str:
        path = printable(self.path)
        return f"{path}, record {self.record}" if self.record else path

    @property
    def stem(self) -> str:
        """A short name for what is made of the image."""
        base = os.path.basename(self.path)
        return f"{base}-{self.record:06d}" if self.record else os.path.splitext(base)[0]


def list_images(words: Sequence[str]) -> list[ListedImage]:
    """The images that `words` name, in this order; those of a folder or a pattern sorted by path.

    A word is an image or a TFRecord file, a folder that is searched for both to its bottom, or a
    pattern of both in which ** stands for any folders: "photos/**/*.jpg". Whether a file is one of
    TFRecord goes by its name, see `tfrecord.is_record`.

    Raises:
        DataError: if a word names nothing or cannot be looked up, or a TFRecord file is damaged.
    """
    images: list[ListedImage] = []
    for word in words:
        try:
            paths = _paths(word)
            for path in paths:
                images += _records(path) if is_record(path) else [ListedImage(path)]
        except tf.errors.OpError as error:
            raise DataError(f"{printable(word)}: {_reason(error)}") from error
    if not images:
        raise DataError(f"no image is named, or the folders hold none ({READABLE}, TFRecord)")
    return images


def read_listed(image: ListedImage) -> tuple[str, bytes]:
    """The name and the encoded bytes of an image.

    A record is called as its `image/filename`, else its `image/source_id` says; a file by its path.

    Raises:
        DataError: naming it, if it cannot be read, or a record is damaged or holds no image.
    """
    try:
        if not image.record:
            with tf.io.gfile.GFile(os.fsencode(image.path), "rb") as file:
                return str(image), file.read()
        contents = read_record(image.path, image.offset)
    except tf.errors.DataLossError:
        raise DataError(
            f"{image} is damaged: its bytes do not fit their checksum; write the file anew"
        ) from None
    except tf.errors.OpError as error:
        raise DataError(f"{image}: {_reason(error)}") from error
    try:
        features = tf.train.Example.FromString(contents).features.feature
    except DecodeError:
        raise DataError(f"{image} is no tf.Example; write the file anew") from None
    if not features["image/encoded"].bytes_list.value:
        raise DataError(f"{image} has no image/encoded, the bytes of an image; write the file anew")
    named = [features[key].bytes_list.value for key in _NAMES]
    name = next((values[0].decode("utf-8", "replace") for values in named if values), str(image))
    return name, features["image/encoded"].bytes_list.value[0]


def _paths(word: str) -> list[str]:
    encoded = os.fsencode(word)
    if tf.io.gfile.isdir(encoded):
        return sorted(filter(_is_listed, _files_below(word)))
    if tf.io.gfile.exists(encoded):
        if os.path.exists(word) and not os.path.isfile(word):
            raise DataError(
                f"{printable(word)}: a pipe or a device, not a file; save the image as a file first"
            )
        return [word]
    if not re.search(r"[*?[]", word):
        raise DataError(f"there is no file or folder {printable(word)}")
    # The folder that all paths of the pattern lie in, as far as it is spelled out.
    folder = os.path.dirname(re.split(r"[*?[]", word, maxsplit=1)[0])
    files, pattern = filter(_is_listed, _files_below(folder)), word.split("/")
    found = sorted(path for path in files if _matches(path.split("/"), pattern))
    if not found:
        raise DataError(f"no image or TFRecord file is matched by {printable(word)}")
    return found


def _is_listed(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES or is_record(path)


def _files_below(folder: str) -> Iterator[str]:
    seen: set[str] = set()

    def is_new(path: str) -> bool:
        """Not so a link to a folder that was searched, which may lead in a circle."""
        return not os.path.islink(path) or os.path.realpath(path) not in seen

    top = folder or "."
    # TensorFlow's ends at the first name that is no UTF-8.
    walk = tf.io.gfile.walk(top) if "://" in top else os.walk(top, followlinks=True)
    for folder_path, folders, names in walk:
        seen.add(os.path.realpath(folder_path))
        folders[:] = [name for name in folders if is_new(os.path.join(folder_path, name))]
        # A pattern without a folder is held against names without one.
        prefix = folder_path if folder else folder_path.removeprefix(".").removeprefix("/")
        yield from (os.path.join(prefix, name) for name in names)


def _matches(path: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a path is matched by a pattern, both cut into their parts."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        return _matches(path, pattern[1:]) or bool(path and _matches(path[1:], pattern))
    is_first = bool(path) and fnmatch.fnmatchcase(path[0], pattern[0])
    return is_first and _matches(path[1:], pattern[1:])


def _records(path: str) -> list[ListedImage]:
    """The records of a TFRecord file; only their lengths are read."""
    encoded = os.fsencode(path)
    with tf.io.gfile.GFile(encoded, "rb") as file:
        spans = record_spans(file, tf.io.gfile.stat(encoded).length, printable(path))
    return [ListedImage(path, i, start - BEFORE_RECORD) for i, (start, _) in enumerate(spans, 1)]


def _reason(error: tf.errors.OpError) -> str:
    """What TensorFlow's file systems say, with the remedy where one is known."""
    message = " ".join(error.message.split())
    if isinstance(error, tf.errors.UnimplementedError):
        return f"{message}; copy the files to a folder, or install TensorFlow's plugin for it"
    return f"cannot be read ({message})"
