"""OpenVINO and onnxruntime as contestants, on the bare network that prepare.py wrote."""

from __future__ import annotations

import pathlib
from collections.abc import Callable

import numpy as np
from turns import answer, arguments


def onnxruntime_network(file: pathlib.Path, images: np.ndarray) -> Callable[[], None]:
    import onnxruntime

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"images": images}) and None


def openvino_network(
    saved_model: pathlib.Path, images: np.ndarray, hint: str
) -> Callable[[], None]:
    """With the shape fixed, as OpenVINO is fastest."""
    import openvino

    model = openvino.convert_model(saved_model)
    model.reshape(list(images.shape))
    settings = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.compile_model(model, "CPU", settings).create_infer_request()

    def call() -> None:
        request.infer([images], share_inputs=True, share_outputs=True)

    return call


def main() -> None:
    args = arguments()
    shape = (args.batch, -(-args.height // 32) * 32, -(-args.width // 32) * 32, 3)
    images = np.random.default_rng(0).integers(0, 256, shape).astype(np.float32)
    runtime, _, precision = args.contestant.partition(" ")
    if runtime == "onnxruntime":
        answer({"network": onnxruntime_network(args.work / "network.onnx", images)})
    else:
        hint = {"float32": "f32", "bfloat16": "bf16"}[precision]
        answer({"network": openvino_network(args.work / "network_float32", images, hint)})


if __name__ == "__main__":
    main()
