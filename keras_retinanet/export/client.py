"""Asks a server for detections, over REST: TensorFlow Serving or `retinanet-serve`."""

from __future__ import annotations

import base64
import http.client
import json
import pathlib
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keras_retinanet.data.images import read_header
from keras_retinanet.export.answers import AnswerReader
from keras_retinanet.export.signatures import BYTES
from keras_retinanet.models.inference import Detections

_TIMEOUT = 300  # seconds; the first image of a server that has not warmed up takes long


class ServerError(ValueError):
    """A server that cannot be reached, or refuses."""


class ServerModel:
    """A model behind `url`, such as "http://localhost:8501/v1/models/detector".

    Args:
        url: of the model; "/versions/N" may follow.
        names: category names by id, see `AnswerReader`.

    Attributes:
        categories: (id, name) of the categories; labels are places in it.

    Raises:
        ServerError: if the URL is none of HTTP.
    """

    def __init__(self, url: str, names: Mapping[int, str]) -> None:
        if not url.startswith(("http://", "https://")):
            raise ServerError(f"{url}: not the URL of a model, http://HOST:PORT/v1/models/NAME")
        self._url = url.rstrip("/")
        self._reader = AnswerReader(names)
        self.categories = self._reader.categories

    def detect(self, files: Sequence[pathlib.Path]) -> Iterator[tuple[int, Detections]]:
        """The place and the detections of each file, as `inference.detect_dataset` yields them.

        Raises:
            ServerError: if the server does not answer as one of a detector, naming the URL.
        """
        for place, file in enumerate(files):
            yield place, self.detect_encoded(file.read_bytes(), read_header(file).upright_size)

    def detect_encoded(self, encoded: bytes, size: tuple[int, int]) -> Detections:
        """The detections in one image file of (height, width) as it is looked at.

        Raises:
            ServerError: as `detect` does.
        """
        answer = self._ask(encoded)
        try:
            return self._reader.detections(answer, size)
        except (ValueError, KeyError, TypeError) as error:
            raise ServerError(f"{self._url}: the answer is not that of a detector") from error

    def _ask(self, encoded: bytes) -> dict[str, Any]:
        instance = {"b64": base64.b64encode(encoded).decode()}
        body = json.dumps({"signature_name": BYTES, "instances": [instance]}).encode()
        url = f"{self._url}:predict"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
                (answer,) = json.load(response)["predictions"]
                return answer
        except urllib.error.HTTPError as error:
            text = " ".join(error.read(500).decode(errors="replace").split())
            raise ServerError(f"{url}: the server refuses ({error.code}): {text}") from error
        except (OSError, http.client.HTTPException) as error:
            reason: Any = error.reason if isinstance(error, urllib.error.URLError) else error
            raise ServerError(f"{url}: cannot be reached ({reason})") from error
        except (ValueError, KeyError, TypeError) as error:
            raise ServerError(f"{url}: the answer is not that of a detector") from error
