"""OpenVINO: model.xml and model.bin, run by its own runtime."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Callable

import numpy as np
import onnx
import openvino
from openvino import passes

from keras_retinanet.export.portable.onnx_format import to_onnx
from keras_retinanet.export.portable.program import Program

FILE = "model.xml"


def write(program: Program, folder: pathlib.Path) -> None:
    """Writes model.xml and model.bin; the program must leave no size open."""
    openvino.save_model(convert(program), folder / FILE, compress_to_fp16=False)


def convert(program: Program) -> openvino.Model:
    """The OpenVINO form of a program.

    By way of ONNX: OpenVINO's own reader of TensorFlow's graphs leaves the size rule, which is in
    float64, for the runtime, which computes it in float32 and sometimes a pixel smaller.
    """
    with tempfile.TemporaryDirectory() as temporary:
        file = pathlib.Path(temporary) / "model.onnx"
        source = to_onnx(program)
        onnx.save(source, file)
        model = openvino.convert_model(file)
    # Done here and not by the runtime, which would give the outputs of constants other names too.
    folding = passes.Manager()
    folding.register_pass(passes.ConstantFolding())
    folding.run_passes(model)
    for output, named in zip(model.outputs, source.graph.output, strict=True):
        output.tensor.set_names({named.name})
    for key, value in program.metadata.items():
        model.set_rt_info(value, ["retinanet", key])
    return model


def load(folder: pathlib.Path) -> Callable[[np.ndarray], dict[str, np.ndarray]]:
    """What the file answers to images uint8 [B, H, W, 3], computed in float32."""
    # By itself OpenVINO computes in bfloat16 where the processor has it.
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    model = openvino.Core().compile_model(folder / FILE, "CPU", settings)
    # [B, ...], as `export_portable` lists the outputs.
    return lambda images: {output.any_name: value for output, value in model([images]).items()}
