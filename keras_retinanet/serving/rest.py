"""A REST server for trying an export on one's own machine. NOT FOR PRODUCTION.

It speaks as much of TensorFlow Serving's API as clients of a detector need: predict, the status and
the metadata of the model. It has no batching and no authentication.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf import json_format
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from keras_retinanet.serving import predict_api
from keras_retinanet.serving.local_server import guard
from keras_retinanet.serving.model_server import NotFoundError, RequestError, ServedModel

_PATH = re.compile(
    r"/v1/models/(?P<model>[^/:]+)(/versions/(?P<version>[0-9]+))?(?P<what>:predict|/metadata|)"
)

# Digits of the highest version, an int64.
_VERSION_DIGITS = 19

# Of a request; images in base64 need 4/3 of their size.
MAX_BODY_BYTES = 2**26

# Of all requests that are being sent or wait for their turn; more are told to come again.
MAX_WAITING_BYTES = 4 * MAX_BODY_BYTES


def rest_app(model: ServedModel, hosts: Sequence[str]) -> ASGIApp:
    """Answers requests to `model`.

    Args:
        model: what answers.
        hosts: names beside those of this machine under which clients may come.
    """
    handlers: dict[Any, Callable[[Request, Any], Response]] = {
        HTTPException: lambda _, error: _error(error.status_code, error.detail),
        RequestError: lambda _, error: _error(400, error),
        NotFoundError: lambda _, error: _error(404, error),
        predict_api.OutputError: lambda _, error: _error(500, error),
    }
    routes = [Route("/{path:path}", _Endpoint(model).answer, methods=["GET", "POST"])]
    app = Starlette(routes=routes, exception_handlers=handlers)
    return guard(app, hosts, MAX_BODY_BYTES)


class _Endpoint:
    def __init__(self, model: ServedModel) -> None:
        self._model = model
        self._waiting = 0

    async def answer(self, request: Request) -> Response:
        model = self._model
        path = _PATH.fullmatch(request.scope["path"])
        if path is None or (path["what"] == ":predict") != (request.method == "POST"):
            target = request.scope["path"][:200]
            raise RequestError(f"malformed request: {request.method} {target}")
        model.require(path["model"], _version(path["version"]))
        if path["what"] == ":predict":
            return Response(await self._predict(request), media_type="application/json")
        return JSONResponse(_metadata(model) if path["what"] else _status(model))

    async def _predict(self, request: Request) -> bytes:
        body = bytearray()
        try:
            async for chunk in request.stream():
                if self._waiting + len(chunk) > MAX_WAITING_BYTES:
                    raise HTTPException(503, "too many large requests at once; come again later")
                self._waiting += len(chunk)
                body += chunk
            return await run_in_threadpool(predict_api.answer, self._model, body)
        finally:
            self._waiting -= len(body)


def _version(digits: str | None) -> int | None:
    if digits is None:
        return None
    if len(digits) > _VERSION_DIGITS:
        raise RequestError(f"{digits[:_VERSION_DIGITS]}... is no version: it has too many digits")
    return int(digits)


def _error(code: int, message: object) -> Response:
    return JSONResponse({"error": str(message)}, code)


def _status(model: ServedModel) -> dict[str, Any]:
    status = {"error_code": "OK", "error_message": ""}
    version = {"version": str(model.version), "state": "AVAILABLE", "status": status}
    return {"model_version_status": [version]}


def _metadata(model: ServedModel) -> dict[str, Any]:
    definitions = {
        name: json_format.MessageToDict(definition, preserving_proto_field_name=True)
        for name, definition in model.signatures.items()
    }
    return {
        "model_spec": {"name": model.name, "signature_name": "", "version": str(model.version)},
        "metadata": {"signature_def": {"signature_def": definitions}},
    }
