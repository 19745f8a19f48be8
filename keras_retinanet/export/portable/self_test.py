"""The last step of an export for another runtime: a new process runs it there and must agree."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_retinanet.export.comparison import (
    FLOAT32,
    Answer,
    compare_detections,
    compare_heads,
    detection_rows,
    require,
    require_form,
)
from keras_retinanet.export.fresh_process import read_answers, run_check
from keras_retinanet.export.portable.formats import format_module
from keras_retinanet.export.portable.program import OUTPUTS
from keras_retinanet.export.saved_model.self_test import SIZES, as_arrays, sample_image
from keras_retinanet.models.retinanet import RetinaNet

# In int8: of the detections above this score on calibration images, half must be found again, with
# about the same score and box. Images of another kind are out of its range.
_SURE, _FOUND, _NEAR = 0.5, 0.5, 0.2


def self_test(
    folder: pathlib.Path,
    model: RetinaNet,
    format: str,
    outputs: str,
    shape: Sequence[Any],
    calibration: Sequence[np.ndarray],
) -> int:
    """Compares the file in `folder` with `model`, in a process of its own.

    Args:
        folder: of the version.
        model: what was exported.
        format, outputs, shape: of the file.
        calibration: what int8 was fitted to, uint8 [B, H, W, 3]; nothing for float32.

    Returns:
        How many detections of the model it was held against; 0 for raw outputs.

    Raises:
        SelfTestError: if it does not load, or answers otherwise.
    """
    sizes = SIZES if shape[1] is None else [(shape[1], shape[2])]
    batches = [np.stack([sample_image(*size)] * (shape[0] or 1)) for size in sizes]
    with tf.device("/CPU:0"):
        expected = [
            {"images": images, **as_arrays(OUTPUTS[outputs](model, tf.constant(images)))}
            for images in calibration[:10] or batches
        ]
    run_check(check, folder, expected, format, "int8" if calibration else "float32")
    return int(
        sum(answer["num_detections"].sum() for answer in expected if "num_detections" in answer)
    )


def check(folder: str, file: str, format: str, precision: str) -> None:
    """Raises SelfTestError, saying what differs; run in the new process."""
    run = format_module(format).load(pathlib.Path(folder))
    for index, expected in enumerate(read_answers(file)):
        number = str(index)
        found = run(expected.pop("images"))
        if precision == "int8":
            _check_int8(found, expected, number)
        elif "num_detections" in expected:
            compare_detections(found, expected, FLOAT32, number)
        else:
            compare_heads(found, expected, FLOAT32, number)


def _check_int8(found: Answer, expected: Answer, number: str) -> None:
    """Requires enough of what the model is sure of in the first image of a batch."""
    require_form(found, expected, number)
    mine, other = (detection_rows(answer, 0) for answer in (found, expected))
    sure = other[other[:, 1] >= _SURE]
    is_near = (np.abs(mine[:, None] - sure[None]) <= [0, *[_NEAR] * 5]).all(-1)
    fraction = is_near.any(0).sum() / max(len(sure), 1)
    is_found = len(sure) == 0 or fraction >= _FOUND
    require(is_found, f"in int8 {fraction:.0%} are found of image {number}")
