"""Image faults: the file that is at fault, which TensorFlow's own errors do not name."""

from __future__ import annotations

import concurrent.futures
import contextlib
import io
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import cv2
import numpy as np
from absl import logging
from PIL import Image

from keras_retinanet.errors import DataError
from keras_retinanet.images import pillow
from keras_retinanet.images.header import missing, read_header
from keras_retinanet.progress import progress

R = TypeVar("R")

_FORMATS = ("JPEG", "GIF", "BMP", "WEBP")


@contextlib.contextmanager
def undecodable_named(
    files: Sequence[str], encoded: Sequence[bytes] | None = None
) -> Iterator[None]:
    """Inside, TensorFlow's error about an image becomes a DataError that names it.

    Only where one of the images is found to be at fault; other errors stay as they are, and for
    those that are not about decoding no image is looked at. The arguments are those of
    `unreadable`.
    """
    import tensorflow as tf

    try:
        yield
    except tf.errors.NotFoundError as error:
        found = next((name for name in files if not os.path.exists(name)), None)
        if encoded is not None or found is None:
            raise
        raise missing(found) from error
    except tf.errors.InvalidArgumentError as error:
        if len(files) > 1:
            if "decode_image" not in error.message:  # the scope of `decode.decode_image`
                raise
            logging.warning("An image cannot be decoded; looking for it among %d.", len(files))
        if (fault := unreadable(files, encoded)) is None:
            raise
        raise fault from error


def unreadable(files: Sequence[str], encoded: Sequence[bytes] | None = None) -> DataError | None:
    """Finds the first image that `decode_image` cannot decode.

    All images up to that one are decoded, on all cores; a bar says how far that is.

    Args:
        files: paths, or where `encoded` is given the names for messages.
        encoded: the images themselves, where they do not lie in files of their own.

    Returns:
        An error that names the image, to be raised; None if all can be decoded.
    """

    def fault(index: int) -> DataError | None:
        return decoding_fault(files[index], None if encoded is None else encoded[index])

    faults = progress(in_threads(fault, len(files)), len(files), "checking images")
    return next((fault for fault in faults if fault is not None), None)


def in_threads(function: Callable[[int], R], count: int) -> Iterator[R]:
    """What a function makes of 0 to `count` - 1, in order; worked out on all cores.

    256 at a time, so that no more wait in memory, and few are done in vain for who stops early.
    """
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for start in range(0, count, 256):
            yield from pool.map(function, range(start, min(start + 256, count)))


def decoding_fault(name: str, contents: bytes | None) -> DataError | None:
    """Finds what keeps an image from being decoded, if anything.

    Args:
        name: its path; only a name where `contents` is given.
        contents: the encoded image, None to read it from its file.
    """
    import tensorflow as tf

    from keras_retinanet.images.decode import decode_image, not_decoded

    try:
        read_header(name, contents)  # its reasons are plainer than TensorFlow's
        if contents is None:
            contents = pathlib.Path(name).read_bytes()
        if pillow.is_for_pillow(contents[:12]):
            pillow.decode(name, contents)
        else:
            decode_image(contents, orientation=1)
    except DataError as error:
        return error
    except tf.errors.InvalidArgumentError as error:
        return not_decoded(name, error)
    return None


def likely_fault(name: str, contents: bytes) -> DataError | None:
    """As `decoding_fault`, which loads TensorFlow, but only where other decoders find fault.

    They let few damaged files pass that TensorFlow refuses: of 6,000 JPEG and PNG files with
    random faults (one seed), 7 of the 2,497 damaged ones whose header was in order.
    """
    try:
        read_header(name, contents)
        if pillow.is_for_pillow(contents[:12]):
            pillow.decode(name, contents)
            return None
    except DataError as error:
        return error
    return None if _others_decode(contents) else decoding_fault(name, contents)


def _others_decode(contents: bytes) -> bool:
    if contents.startswith(b"\x89PNG"):  # Pillow passes over more than libpng does
        return cv2.imdecode(np.frombuffer(contents, np.uint8), cv2.IMREAD_COLOR) is not None
    try:
        with Image.open(io.BytesIO(contents), formats=_FORMATS) as image:
            image.load()
    except Exception:  # of many kinds, by the damage
        return False
    return True
