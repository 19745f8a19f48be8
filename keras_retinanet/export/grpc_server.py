"""A gRPC server for trying an export on one's own machine. NOT FOR PRODUCTION.

`Predict` and `GetModelMetadata` of TensorFlow Serving's `PredictionService`, through the package
`tensorflow-serving-api`; its other methods are not implemented.
"""

from __future__ import annotations

from concurrent import futures
from typing import Any

import grpc
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from keras_retinanet.export.rest_server import MAX_BODY_BYTES
from keras_retinanet.export.served_model import NotFoundError, RequestError, ServedModel


class _Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, model: ServedModel) -> None:
        self._model = model

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            self._require(request.model_spec)
            outputs = self._predict(request)
        except RequestError as error:
            _abort(context, error)
        response = predict_pb2.PredictResponse()
        response.model_spec.name = self._model.name
        response.model_spec.version.value = self._model.version
        response.model_spec.signature_name = request.model_spec.signature_name or "serving_default"
        for name, value in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return response

    def GetModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        try:
            self._require(request.model_spec)
            if list(request.metadata_field) != ["signature_def"]:
                raise RequestError("metadata_field must be signature_def")
        except RequestError as error:
            _abort(context, error)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = self._model.name
        response.model_spec.version.value = self._model.version
        definitions = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in self._model.signatures.items():
            definitions.signature_def[name].CopyFrom(definition)
        response.metadata["signature_def"].Pack(definitions)
        return response

    def _require(self, spec: Any) -> None:
        version = spec.version.value if spec.HasField("version") else None
        self._model.require(spec.name, version)

    def _predict(self, request: Any) -> dict[str, Any]:
        try:
            inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        except (TypeError, ValueError) as error:
            raise RequestError(f"an input is no tensor ({error})") from error
        outputs = self._model.predict(request.model_spec.signature_name, inputs)
        wanted = list(request.output_filter) or list(outputs)
        missing = [name for name in wanted if name not in outputs]
        if missing:
            raise RequestError(f"there is no output {missing[0]}; there are {', '.join(outputs)}")
        return {name: outputs[name] for name in wanted}


def _abort(context: grpc.ServicerContext, error: RequestError) -> None:
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
        self._server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), options=options)
        service = _Service(model)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()
