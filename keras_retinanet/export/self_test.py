"""The last step of an export: a new process, loading it as a server does, must agree."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_retinanet.export.session import SessionModel
from keras_retinanet.export.signatures import BYTES, DEBUG, EXAMPLES, PIXELS
from keras_retinanet.models.inference import prepare_images
from keras_retinanet.models.retinanet import RetinaNet

# Of sizes and shapes that take different ways: enlarged, reduced, long.
_SIZES = ((60, 90), (480, 640), (40, 400))

# Largest difference of a logit or delta from the model's, by the precisions of the two, as a share
# of the largest value where that exceeds 1.
_TOLERANCE = {"float32": 1e-3, "bfloat16": 0.1}

_NO_IMAGE = b"\xff\xd8\xff no image"


class SelfTestError(ValueError):
    """An export that does not do what its model does."""


def test_picture(height: int, width: int) -> np.ndarray:
    """A picture with edges and slopes, the same each time: uint8 [height, width, 3]."""
    y, x = np.mgrid[:height, :width]
    channels = [x * 255 // width, y * 255 // height, (x // 16 + y // 16) % 2 * 255]
    return np.stack(channels, axis=-1).astype(np.uint8)


def self_test(folder: pathlib.Path, model: RetinaNet, precision: str) -> None:
    """Compares the version in `folder` with `model`, in a process of its own.

    Args:
        folder: of the version.
        model: what was exported.
        precision: of the version, "float32" or "bfloat16".

    Raises:
        SelfTestError: if it does not load, or its logits or boxes are others.
    """
    is_exact = precision == model.get_config()["dtype"] == "float32"
    tolerance = _TOLERANCE["float32" if is_exact else "bfloat16"]
    run_check(check, folder, _expected(model), str(tolerance))


def run_check(check: Callable, folder: pathlib.Path, expected: dict, *arguments: str) -> None:
    """Runs `check(folder, file of expected arrays, *arguments)` in a process of its own.

    Raises:
        SelfTestError: if it fails.
    """
    child = f"import sys; from {check.__module__} import check; check(*sys.argv[1:])"
    with tempfile.TemporaryDirectory() as temporary:
        file = pathlib.Path(temporary) / "expected.npz"
        np.savez(file, allow_pickle=False, **expected)
        package = pathlib.Path(__file__).resolve().parents[2]
        path = os.pathsep.join([str(package), *filter(None, [os.environ.get("PYTHONPATH")])])
        process = subprocess.run(
            [sys.executable, "-c", child, folder, file, *arguments],
            # On the CPU: this process may hold all memory of a GPU.
            env={**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "-1"},
            capture_output=True,
            text=True,
        )
    if process.returncode != 0:
        reason = (process.stderr.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        raise SelfTestError(f"the export failed its self-test, nothing is written: {reason}")


def _expected(model: RetinaNet) -> dict[str, np.ndarray]:
    """The raw heads of `model` on each picture, on the CPU, where the new process runs too."""
    expected = {}
    with tf.device("/CPU:0"):
        for number, size in enumerate(_SIZES):
            prepared, _ = prepare_images(tf.constant(test_picture(*size))[None], model)
            heads = model.heads(prepared)
            for name in ("class_logits", "box_deltas"):
                expected[f"{name}{number}"] = heads[name].numpy()
    return expected


def check(folder: str, expected: str, tolerance: str) -> None:
    """Raises AssertionError, saying what differs; run in the new process."""
    served = SessionModel(folder)
    values = dict(np.load(expected))
    pictures = [test_picture(*size) for size in _SIZES]
    for number, picture in enumerate(pictures):
        raw = served(DEBUG, input_tensor=picture[None])
        for name in ("class_logits", "box_deltas"):
            right = values[f"{name}{number}"]
            assert_near(raw[name], right, float(tolerance), f"{name} of picture {number}")
    encoded = [tf.io.encode_png(picture).numpy() for picture in pictures]
    _check_neighbours(served, encoded)
    default = served.signatures[PIXELS].inputs["input_tensor"]
    served(PIXELS, input_tensor=encoded if default.dtype == tf.string else pictures[0][None])
    empty_example = tf.train.Example().SerializeToString()
    assert not served(EXAMPLES, examples=[empty_example])["num_detections"].any()


def assert_near(found: np.ndarray, expected: np.ndarray, tolerance: float, name: str) -> None:
    """That no value is off by more than this share of the largest value, or of 1."""
    assert found.shape == expected.shape, f"{name}: {found.shape} instead of {expected.shape}"
    difference = float(np.abs(found - expected).max())
    allowed = tolerance * max(1.0, float(np.abs(expected).max()))
    assert difference <= allowed, f"{name} differ by {difference:.2g}, more than {allowed:.2g}"


def _check_neighbours(served: SessionModel, encoded: list[bytes]) -> None:
    """That each image gets the answer in a batch that it gets alone, and rubbish gets none."""
    batch = served(BYTES, image_bytes=[_NO_IMAGE, *encoded])
    for name, value in batch.items():
        assert value.dtype == np.float32, f"{name} is {value.dtype}"
        assert value.shape[0] == 1 + len(encoded), f"{name} has the shape {value.shape}"
        assert not value[0].any(), f"{name} of what is no image is not 0"
        for row, image in enumerate(encoded, start=1):
            alone = served(BYTES, image_bytes=[image])[name][0]
            assert np.array_equal(alone, value[row]), f"{name} depends on the rest of the batch"
