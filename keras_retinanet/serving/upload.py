"""An image file as somebody handed it over: upright pixels, or what is wrong with it."""

from __future__ import annotations

import base64
import dataclasses
import functools
import io
from typing import Any

import numpy as np
import tensorflow as tf

from keras_retinanet.errors import DataError
from keras_retinanet.export.graph.decode_request import MAX_BYTES, image_or_blank
from keras_retinanet.images.drawing import shrunk
from keras_retinanet.images.faults import decoding_fault
from keras_retinanet.images.header import read_header
from keras_retinanet.images.pillow import check_pixels, is_for_pillow

_MAX_PIXELS = MAX_BYTES // 3


@dataclasses.dataclass(frozen=True)
class Upload:
    """An image file and its pixels.

    Attributes:
        name: of the file.
        encoded: its bytes.
        pixels: uint8 [height, width, 3], RGB, turned upright.
    """

    name: str
    encoded: bytes
    pixels: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) as it is looked at."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def preview(self, side: int) -> str:
        """A `data:` URL of the pixels as a JPEG file, shrunk to `side` where they are larger.

        Of the pixels, not the file: a browser turns, tints and composites by rules of its own.
        """
        file = io.BytesIO()
        shrunk(self.pixels, side).save(file, "JPEG", quality=90)
        return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def read_upload(name: str, encoded: bytes) -> Upload:
    """Decodes an image file as the servers do: one that would fill the memory is refused.

    Raises:
        DataError: naming the file, if it is no whole image of a known format, or has more than 89
            million pixels.
    """
    pixels, is_image = _decode()(encoded)
    if not is_image:
        raise _fault(name, encoded)
    return Upload(name, encoded, pixels.numpy())


@functools.cache
def _decode() -> Any:
    """`image_or_blank`, traced at its first call: before that, devices may still be set up."""
    return tf.function(image_or_blank, input_signature=[tf.TensorSpec([], tf.string)])


def _fault(name: str, encoded: bytes) -> DataError:
    if is_for_pillow(encoded[:12]):
        return DataError(
            f"{name}: TIFF, AVIF and HEIC images are not taken by servers; convert it to JPEG or "
            "PNG"
        )
    try:
        header = read_header(name, encoded)
        check_pixels(name, header.width, header.height, _MAX_PIXELS)
    except DataError as error:
        return error
    fault = decoding_fault(name, encoded)
    return fault or DataError(f"{name}: the image cannot be decoded; save it anew")
