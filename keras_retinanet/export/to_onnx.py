"""The way of a program to ONNX, by tf2onnx."""

from __future__ import annotations

import logging

import onnx
import tf2onnx

from keras_retinanet.export.int8 import quantize
from keras_retinanet.export.program import Program

_OPSET = 18  # of 2022; tf2onnx writes no later one


def to_onnx(program: Program) -> onnx.ModelProto:
    """The ONNX form of a program."""
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    model, _ = tf2onnx.convert.from_function(
        program.function, program.function.input_signature, opset=_OPSET
    )
    if program.calibration:
        return quantize(model, program.calibration)
    return model
