"""A predictor over a long list of images: in batches in this process, else one by one."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from keras_retinanet.errors import DataError
from keras_retinanet.images.decode import decode_unchecked
from keras_retinanet.images.faults import decoding_fault
from keras_retinanet.images.header import read_header
from keras_retinanet.images.pillow import for_servers
from keras_retinanet.models.inference import Detections
from keras_retinanet.models.retinanet import RetinaNet
from keras_retinanet.offline.inputs import ListedImage, read_listed
from keras_retinanet.serving.predictors import EncodedImagePredictor, Predictor

NOTHING: Detections = {
    "boxes": np.zeros([0, 4], np.float32),
    "scores": np.zeros([0], np.float32),
    "labels": np.zeros([0], np.int32),
}


@dataclasses.dataclass(frozen=True)
class Found:
    """What became of one image.

    Attributes:
        index: in the list of images, from 0.
        name: the image's path, or what its record calls it.
        size: height and width; (0, 0) for one that cannot be read.
        detections: as `RetinaNet.detect` gives them.
        error: why it cannot be read; "" where it can.
    """

    index: int
    name: str
    size: tuple[int, int]
    detections: Detections
    error: str = ""


def detect_listed(
    predictor: Predictor,
    images: Sequence[ListedImage],
    parts: Sequence[range],
    batch_size: int | None = None,
) -> Iterator[Found]:
    """What is found in the images of `parts`, which are indices of `images`, part by part.

    Each image of a part is yielded before any of the next one, in no order. Batches are made within
    a part, so its numbers do not depend, not even in their last bit, on other parts.

    Args:
        predictor: what detects.
        images: those of a job.
        parts: which of them, in this order.
        batch_size: see `inference.Detector.batches`; what takes files gets them one by one.
    """
    if isinstance(predictor, RetinaNet):
        yield from _detect_in_batches(predictor, images, parts, batch_size)
        return
    for index in (index for part in parts for index in part):
        yield _detect_file(predictor, index, images[index])


def _detect_in_batches(
    model: RetinaNet,
    images: Sequence[ListedImage],
    parts: Sequence[range],
    batch_size: int | None,
) -> Iterator[Found]:
    names: dict[int, str] = {}
    batches = _batches(model, images, parts, batch_size, names)
    left = iter(parts)
    part, missing = range(0), set[int]()
    for index, size, detections in model.detector.detect_batches(batches):
        while index not in part:
            yield from _faults(images, missing)
            part = next(left)
            missing = set(part)
        missing.remove(index)
        name = names.pop(index, str(images[index]))
        yield Found(index, name, size, detections)
    for absent in (missing, *left):
        yield from _faults(images, absent)


def _batches(
    model: RetinaNet,
    images: Sequence[ListedImage],
    parts: Sequence[range],
    batch_size: int | None,
    names: dict[int, str],
) -> tf.data.Dataset:
    """The batches of one part after the other; images that cannot be read are left out.

    Files are read in the graph, many at a time: a cloud answers each of them slowly. What records
    are called is entered in `names`.
    """

    def listed(part: np.int64) -> Iterator[tuple[int, bytes, bytes]]:
        for index in parts[int(part)]:
            if not images[index].record:
                yield index, os.fsencode(images[index].path), b""
                continue
            try:
                names[index], contents = read_listed(images[index])
            except DataError:
                continue  # which `_faults` finds again
            yield index, b"", contents

    def decode(
        index: tf.Tensor, path: tf.Tensor, contents: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        is_file = path != ""  # scalar, as index, path and contents are
        encoded = tf.cond(is_file, lambda: tf.io.read_file(path), lambda: contents)
        return index, decode_unchecked(encoded)

    def batches(part: tf.Tensor) -> tf.data.Dataset:
        string = tf.TensorSpec([], tf.string)  # scalars, and the number of the part is one
        listing = tf.data.Dataset.from_generator(
            listed, args=(part,), output_signature=(tf.TensorSpec([], tf.int64), string, string)
        )
        decoded = listing.map(decode, num_parallel_calls=tf.data.AUTOTUNE).ignore_errors()
        return model.detector.batches(decoded, batch_size)

    return tf.data.Dataset.range(len(parts)).flat_map(batches).prefetch(1)


def _detect_file(predictor: EncodedImagePredictor, index: int, image: ListedImage) -> Found:
    try:
        name, encoded = read_listed(image)
        size = read_header(str(image), encoded).upright_size
        # Servers answer what is no image with no detections, which would hide the fault.
        if (fault := decoding_fault(str(image), encoded)) is not None:
            raise fault
    except DataError as error:
        return _unread(index, image, error)
    taken = for_servers(str(image), encoded)
    return Found(index, name, size, predictor.detect_encoded(taken, size))


def _faults(images: Sequence[ListedImage], indices: Iterable[int]) -> Iterator[Found]:
    """What keeps images from being read that the pipeline left out.

    Raises:
        DataError: for one that can be read now: a file system failed for a while.
    """
    for index in sorted(indices):
        try:
            _, encoded = read_listed(images[index])
            fault = decoding_fault(str(images[index]), encoded)
        except DataError as error:
            fault = error
        if fault is None:
            raise DataError(
                f"{images[index]} could not be read at first, and now can; say the same command "
                "again to go on"
            )
        yield _unread(index, images[index], fault)


def _unread(index: int, image: ListedImage, error: DataError) -> Found:
    return Found(index, str(image), (0, 0), NOTHING, str(error))
