"""A REST server for trying an export on one's own machine. NOT FOR PRODUCTION.

It speaks as much of TensorFlow Serving's API as clients of a detector need: predict, the status and
the metadata of the model. It has no batching, no authentication and no defence against load.
"""

from __future__ import annotations

import http.server
import json
import re
from typing import Any

from google.protobuf import json_format

from keras_retinanet.export import rest_format
from keras_retinanet.export.served_model import NotFoundError, RequestError, ServedModel

_PATH = re.compile(
    r"/v1/models/(?P<model>[^/:]+)(/versions/(?P<version>\d+))?(?P<what>:predict|/metadata|)"
)

# Of a request; images in base64 need 4/3 of their size.
MAX_BODY_BYTES = 2**26


class RestServer(http.server.ThreadingHTTPServer):
    """Answers requests to `model` on 127.0.0.1, each in a thread of its own.

    Args:
        model: what answers.
        port: 0 for any that is free; `server_port` then tells it.

    Raises:
        OSError: if the port is taken.
    """

    request_queue_size = 256  # of 5, the default, a hundred clients at once overflow
    daemon_threads = True

    def __init__(self, model: ServedModel, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.model = model


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds of silence, after which the thread of a client that left ends
    server: RestServer

    def do_GET(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            self.close_connection = True  # what follows is the body, and no further request
            self._send(413, {"error": f"the body must have a length of at most {MAX_BODY_BYTES}"})
            return
        self._answer(self.rfile.read(int(length)))

    def _answer(self, body: bytes) -> None:
        try:
            self._send(200, self._result(body))
        except NotFoundError as error:
            self._send(404, {"error": str(error)})
        except RequestError as error:
            self._send(400, {"error": str(error)})

    def _result(self, body: bytes) -> dict[str, Any]:
        path = _PATH.fullmatch(self.path)
        model = self.server.model
        if path is None or (path["what"] == ":predict") != (self.command == "POST"):
            raise RequestError(f"malformed request: {self.command} {self.path}")
        model.require(path["model"], int(path["version"]) if path["version"] else None)
        if path["what"] == ":predict":
            return rest_format.answer(model, body)
        return _metadata(model) if path["what"] else _status(model)

    def _send(self, code: int, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: a line for each request would hide what the command printed."""


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
