"""LiteRT, once TensorFlow Lite: model.tflite, through TensorFlow's own converter.

The network only: converted, the model's NMS fills its answer up with the first box and no longer
says how many rows are its own.
"""

from __future__ import annotations

import pathlib
import tempfile
import zipfile
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from keras_retinanet.export.portable.program import Program

FILE = "model.tflite"


def write(program: Program, folder: pathlib.Path) -> None:
    """Writes model.tflite; the program must leave no size open."""
    module = tf.Module()
    module.variables_read = program.variables
    with tempfile.TemporaryDirectory() as temporary:
        tf.saved_model.save(module, temporary, signatures=program.function)
        content = tf.lite.TFLiteConverter.from_saved_model(temporary).convert()
    (folder / FILE).write_bytes(content)
    # Files that belong to a .tflite are a ZIP archive at its end, by the format's own convention.
    with zipfile.ZipFile(folder / FILE, "a") as archive:
        for key, value in program.metadata.items():
            archive.writestr(key, value)


def load(folder: pathlib.Path) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """What the file answers to images uint8 [B, H, W, 3]."""
    runner = Interpreter(str(folder / FILE), num_threads=2).get_signature_runner()
    return lambda images: runner(input_tensor=images)  # [B, ...], see `export_portable`
