"""The last step of an export for another runtime: a new process runs it there and must agree."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_retinanet.export.portable_formats import format_module
from keras_retinanet.export.program import OUTPUTS
from keras_retinanet.export.self_test import assert_near, run_check, test_picture
from keras_retinanet.models.retinanet import RetinaNet

# For exports that take all sizes: of shapes that take different ways; enlarged, reduced, long.
_SIZES = ((60, 90), (480, 640), (40, 400))

# Of a logit or delta, as a share of the largest one; of a score; of a box, in shares of the image.
_HEADS, _SCORE, _BOX = 1e-3, 1e-3, 1e-2

# Share of the detections that may have no equal: the last bits decide which of two wins.
_ODD = 0.05

# In int8: of the detections above this score on calibration images, half must be found again, with
# about the same score and place. Pictures of another kind are out of its range.
_SURE, _FOUND, _NEAR = 0.5, 0.5, 0.2


def self_test(
    folder: pathlib.Path,
    model: RetinaNet,
    format: str,
    outputs: str,
    shape: Sequence[Any],
    calibration: Sequence[np.ndarray],
) -> None:
    """Compares the file in `folder` with `model`, in a process of its own.

    Args:
        folder: of the version.
        model: what was exported.
        format, outputs, shape: of the file.
        calibration: what int8 was fitted to; nothing for float32.

    Raises:
        SelfTestError: if it does not load, or answers otherwise.
    """
    sizes = _SIZES if shape[1] is None else [(shape[1], shape[2])]
    pictures = [np.stack([test_picture(*size)] * (shape[0] or 1)) for size in sizes]
    expected = {}
    with tf.device("/CPU:0"):
        for number, images in enumerate(calibration[:10] or pictures):
            expected[f"{number}/images"] = images
            for name, value in OUTPUTS[outputs](model, tf.constant(images)).items():
                expected[f"{number}/{name}"] = value.numpy()
    run_check(check, folder, expected, format, "int8" if calibration else "float32")


def check(folder: str, file: str, format: str, precision: str) -> None:
    """Raises AssertionError, saying what differs; run in the new process."""
    run = format_module(format).load(pathlib.Path(folder))
    pictures: dict[str, dict[str, np.ndarray]] = {}
    for key, value in np.load(file).items():
        number, name = key.split("/")
        pictures.setdefault(number, {})[name] = value
    for number, expected in pictures.items():
        found = run(expected.pop("images"))
        assert found.keys() == expected.keys(), f"the outputs are {sorted(found)}"
        for name, value in found.items():
            assert value.dtype == np.float32, f"{name} is {value.dtype}"
            assert value.shape == expected[name].shape, f"{name} has the shape {value.shape}"
        if precision == "int8":
            _check_int8(found, expected, number)
        elif "num_detections" in found:
            _check_detections(found, expected, number)
        else:
            for name, value in found.items():
                assert_near(value, expected[name], _HEADS, f"{name} of picture {number}")


def _check_detections(
    found: dict[str, np.ndarray], expected: dict[str, np.ndarray], number: str
) -> None:
    for image in range(len(found["num_detections"])):
        mine, other = (_rows(answer, image) for answer in (found, expected))
        both = len(mine) + len(other)
        is_equal = (np.abs(mine[:, None] - other[None]) <= [0, _SCORE, *[_BOX] * 4]).all(-1)
        odd = both - is_equal.any(0).sum() - is_equal.any(1).sum()
        assert odd <= _ODD * both, f"{odd} of {both} detections of picture {number} differ"


def _check_int8(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], number: str) -> None:
    mine, other = (_rows(answer, 0) for answer in (found, expected))
    sure = other[other[:, 1] >= _SURE]
    is_near = (np.abs(mine[:, None] - sure[None]) <= [0, *[_NEAR] * 5]).all(-1)
    share = is_near.any(0).sum() / max(len(sure), 1)
    assert len(sure) == 0 or share >= _FOUND, f"in int8 {share:.0%} are found of image {number}"


def _rows(answer: dict[str, np.ndarray], image: int) -> np.ndarray:
    """The detections in an image: [D, 6] of class, score, box."""
    count = int(answer["num_detections"][image])
    names = ("detection_classes", "detection_scores")
    columns = [answer[name][image, :count, None] for name in names]
    return np.concatenate([*columns, answer["detection_boxes"][image, :count]], axis=1)
