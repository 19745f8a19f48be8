"""A gRPC server for trying an export on one's own machine. NOT FOR PRODUCTION.

`Predict` and `GetModelMetadata` of TensorFlow Serving's `PredictionService`, through the package
`tensorflow-serving-api`; its other methods are not implemented.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

from keras_retinanet.serving.model_server import (
    NotFoundError,
    RequestError,
    ServedModel,
    check_input,
    check_names,
)
from keras_retinanet.serving.rest import MAX_BODY_BYTES

_THREADS = 32
_MAX_REQUESTS = 64  # at once, each in memory; more are told to come again (RESOURCE_EXHAUSTED)


class _Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, model: ServedModel) -> None:
        self._model = model
        self._spec = {"name": model.name, "version": {"value": model.version}}

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        with _refused(context):
            self._require(request.model_spec)
            outputs = self._predict(request)
        signature = request.model_spec.signature_name or "serving_default"
        return predict_pb2.PredictResponse(
            model_spec={**self._spec, "signature_name": signature},
            outputs={name: tf.make_tensor_proto(value) for name, value in outputs.items()},
        )

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        with _refused(context):
            self._require(request.model_spec)
            if list(request.metadata_field) != ["signature_def"]:
                raise RequestError("metadata_field must be signature_def")
        response = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=self._spec)
        signatures = self._model.signatures
        definitions = get_model_metadata_pb2.SignatureDefMap(signature_def=signatures)
        response.metadata["signature_def"].Pack(definitions)
        return response

    def _require(self, spec: Any) -> None:
        if spec.version_label:
            raise RequestError("this server knows no version labels; give the version, or none")
        version = spec.version.value if spec.HasField("version") else None
        self._model.require(spec.name, version)

    def _predict(self, request: Any) -> dict[str, Any]:
        name = request.model_spec.signature_name
        infos = self._model.signature(name).inputs
        check_names(request.inputs, infos)
        inputs = {key: to_array(key, value, infos[key]) for key, value in request.inputs.items()}
        outputs = self._model.predict(name, inputs)
        wanted = list(request.output_filter) or list(outputs)
        missing = [name for name in wanted if name not in outputs]
        if missing:
            raise RequestError(f"there is no output {missing[0]}; there are {', '.join(outputs)}")
        return {name: outputs[name] for name in wanted}


def to_array(name: str, value: Any, info: Any) -> np.ndarray:
    """The array [...] of a TensorProto: at most as large as a request, whatever shape it claims.

    `tf.make_ndarray` fills the claimed shape with the last value that is there.

    Raises:
        RequestError: if it is none, or not as `info` says.
    """
    shape = [size.size for size in value.tensor_shape.dim]
    if value.tensor_shape.unknown_rank or any(size < 0 for size in shape):
        raise RequestError(f"{name}: the shape is not known")
    check_input(name, value.dtype, shape, info)
    # A string is a pointer until it is read.
    item = 8 if value.dtype == tf.string.as_datatype_enum else tf.as_dtype(value.dtype).size
    if math.prod(max(size, 1) for size in shape) * item > MAX_BODY_BYTES:
        raise RequestError(f"{name} of the shape {shape} is larger than {MAX_BODY_BYTES} bytes")
    try:
        return tf.make_ndarray(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise RequestError(f"{name} is no tensor ({error})") from error


@contextlib.contextmanager
def _refused(context: grpc.ServicerContext) -> Iterator[None]:
    """Inside, a RequestError ends the request, and the client gets its message."""
    try:
        yield
    except RequestError as error:
        is_missing = isinstance(error, NotFoundError)
        code = grpc.StatusCode.NOT_FOUND if is_missing else grpc.StatusCode.INVALID_ARGUMENT
        context.abort(code, str(error))  # raises


class GrpcServer:
    """Answers requests to `model` on 127.0.0.1 from now on, as long as this object lives.

    Args:
        model: what answers.
        port: 0 for any that is free.

    Attributes:
        port: where it answers.

    Raises:
        RuntimeError: if the port is taken.
    """

    def __init__(self, model: ServedModel, port: int) -> None:
        # Without the second option two servers share a port, and clients get one by chance.
        options = [("grpc.max_receive_message_length", MAX_BODY_BYTES), ("grpc.so_reuseport", 0)]
        self._server = grpc.server(
            futures.ThreadPoolExecutor(max_workers=_THREADS),
            options=options,
            maximum_concurrent_rpcs=_MAX_REQUESTS,
        )
        service = _Service(model)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()
