"""The last step of an export: a new process, loading it as a server does, must agree."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from keras_retinanet.export.comparison import (
    FLOAT32,
    REDUCED,
    Answer,
    Tolerance,
    compare_detections,
    compare_heads,
    require,
)
from keras_retinanet.export.forced_detections import copy_without_threshold, without_threshold
from keras_retinanet.export.fresh_process import read_answers, run_check
from keras_retinanet.export.saved_model.session import SessionModel
from keras_retinanet.export.saved_model.signatures import detections, raw_heads
from keras_retinanet.export.signature_names import BYTES, DEBUG, EXAMPLES
from keras_retinanet.models.retinanet import RetinaNet

# Of sizes and shapes that take different ways: enlarged, reduced, long.
SIZES = ((60, 90), (480, 640), (40, 400))

# The outputs of `debug`.
HEADS = ("class_logits", "box_deltas", "anchors", "level_sizes", "resized_sizes")

_NO_IMAGE = b"\xff\xd8\xff no image"


def sample_image(height: int, width: int) -> np.ndarray:
    """An image with edges and gradients, the same each time: uint8 [height, width, 3]."""
    y, x = np.mgrid[:height, :width]
    channels = [x * 255 // width, y * 255 // height, (x // 16 + y // 16) % 2 * 255]
    return np.stack(channels, axis=-1).astype(np.uint8)


def self_test(folder: pathlib.Path, model: RetinaNet, precision: str, max_batch: int) -> None:
    """Compares the version in `folder` with `model`, in a process of its own.

    Args:
        folder: of the version.
        model: what was exported.
        precision: of the version, "float32" or "bfloat16".
        max_batch: the most images that it takes in a request.

    Raises:
        SelfTestError: if it does not load, or its detections or raw outputs are others.
    """
    is_exact = precision == model.get_config()["dtype"] == "float32"
    kind = "float32" if is_exact else "bfloat16"
    run_check(check, folder, expected_answers(model, SIZES), kind, str(max_batch))


def expected_answers(
    model: RetinaNet, sizes: Sequence[tuple[int, int]]
) -> list[dict[str, np.ndarray]]:
    """What `model` itself answers for a test image of each size: outputs [1, ...] by name.

    Detections, without the score threshold, and raw outputs; on the CPU, where the new process runs
    too.
    """
    with tf.device("/CPU:0"), without_threshold(model):
        batches = [tf.constant(sample_image(*size)[None]) for size in sizes]
        return [as_arrays({**detections(model, b), **raw_heads(model, b)}) for b in batches]


def as_arrays(answer: Mapping[str, tf.Tensor]) -> dict[str, np.ndarray]:
    """The outputs [...] of a model as arrays."""
    return {name: value.numpy() for name, value in answer.items()}


def check(folder: str, expected: str, kind: str, max_batch: str) -> None:
    """Raises SelfTestError, saying what differs; run in the new process."""
    tolerance = FLOAT32 if kind == "float32" else REDUCED
    answers = read_answers(expected)
    served = SessionModel(folder)
    if BYTES in served.signatures:
        _check_neighbours(served, int(max_batch))
    if DEBUG in served.signatures:
        _check_answers(served, DEBUG, answers, tolerance)
    detecting = sorted(served.signatures.keys() - {DEBUG})
    if detecting:
        with tempfile.TemporaryDirectory() as temporary:
            copy = pathlib.Path(temporary) / "1"
            copy_without_threshold(folder, copy)
            forced = SessionModel(copy)
            for signature in detecting:
                _check_answers(forced, signature, answers, tolerance)


def _check_answers(
    served: SessionModel, signature: str, answers: Sequence[Answer], tolerance: Tolerance
) -> None:
    """Compares what a signature answers for each test image with the model's answer.

    Args:
        served: the version; for detections, without its score threshold.
        signature: its name.
        answers: of the model for each of `SIZES`: detections without a threshold and raw outputs.
        tolerance: see `Tolerance`.
    """
    compare = compare_heads if signature == DEBUG else compare_detections
    for number, (size, answer) in enumerate(zip(SIZES, answers, strict=True)):
        found = served(signature, **_request(served, signature, sample_image(*size)))
        names = HEADS if signature == DEBUG else answer.keys() - set(HEADS)
        expected = {name: answer[name] for name in names}
        compare(found, expected, tolerance, f"{number} ({signature})")


def _request(served: SessionModel, signature: str, image: np.ndarray) -> dict[str, object]:
    """The inputs with which a signature is asked about an image uint8 [height, width, 3]."""
    ((name, info),) = served.signatures[signature].inputs.items()
    if info.dtype != tf.string:
        return {name: image[None]}
    encoded = tf.io.encode_png(image).numpy()
    return {name: [example_of(encoded) if signature == EXAMPLES else encoded]}


def example_of(encoded: bytes) -> bytes:
    """A serialised tf.Example that holds an encoded image, as TensorFlow's detection data does."""
    feature = tf.train.Feature(bytes_list=tf.train.BytesList(value=[encoded]))
    features = tf.train.Features(feature={"image/encoded": feature})
    return tf.train.Example(features=features).SerializeToString()


def _check_neighbours(served: SessionModel, max_batch: int) -> None:
    """That each image gets the answer in a batch that it gets alone, and rubbish gets none."""
    encoded = [tf.io.encode_png(sample_image(*size)).numpy() for size in SIZES][: max_batch - 1]
    batch = served(BYTES, image_bytes=[_NO_IMAGE, *encoded])
    for name, value in batch.items():
        require(value.shape[0] == 1 + len(encoded), f"{name} has the shape {value.shape}")
        require(not value[0].any(), f"{name} of what is no image is not 0")
        for row, image in enumerate(encoded, start=1):
            alone = served(BYTES, image_bytes=[image])[name][0]
            is_same = np.array_equal(alone, value[row])
            require(is_same, f"{name} depends on the rest of the batch")
