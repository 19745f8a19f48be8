"""What an export for another runtime than TensorFlow's computes, before it is converted."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_retinanet.export.saved_model.signatures import Answer, detections, raw_heads
from keras_retinanet.export.versions import labels_text
from keras_retinanet.models.retinanet import RetinaNet

LABELS_FILE, SETTINGS_FILE = "labels.txt", "detector.json"

# What an export answers with: all that `serving_default` of the SavedModel does, or `debug`.
OUTPUTS = {"detections": detections, "heads": raw_heads}


@dataclasses.dataclass(frozen=True)
class Program:
    """A function to convert, and what goes with it.

    Attributes:
        function: of `input_tensor`, uint8 [B, H, W, 3], to the outputs by name.
        variables: what it reads.
        metadata: texts that are stored with it, by name.
        calibration: images as `input_tensor` takes them, that int8 is fitted to; without, the
            precision is float32.
    """

    function: tf.types.experimental.PolymorphicFunction
    variables: Sequence[tf.Variable]
    metadata: dict[str, str]
    calibration: Sequence[np.ndarray] = ()


def make_program(
    model: RetinaNet,
    outputs: str,
    shape: Sequence[int | None],
    calibration: Sequence[np.ndarray] = (),
) -> Program:
    """The program of a model.

    Args:
        model: what answers; see `inference_model`.
        outputs: one of `OUTPUTS`.
        shape: B, H, W, 3 of the images; None is any.
        calibration: images uint8 [B, H, W, 3], see `Program`.
    """
    answer = OUTPUTS[outputs]

    def function(input_tensor: tf.Tensor) -> Answer:
        # [B, H, W, 3] to [B, ...]. Other runtimes resize whole numbers to whole numbers.
        return answer(model, tf.cast(input_tensor, tf.float32))

    return Program(
        tf.function(function, input_signature=[tf.TensorSpec(shape, tf.uint8, "input_tensor")]),
        [variable.value for variable in model.network.variables],
        {
            LABELS_FILE: labels_text(model.categories),
            SETTINGS_FILE: json.dumps(_settings(model, outputs, shape), indent=1) + "\n",
        },
        calibration,
    )


def _settings(model: RetinaNet, outputs: str, shape: Sequence[int | None]) -> dict[str, Any]:
    return {
        "input_shape": list(shape),
        "outputs": outputs,
        "categories": model.categories,
        **vars(model.select_detections.settings),
        "box_coding": model.box_coding,
    }
