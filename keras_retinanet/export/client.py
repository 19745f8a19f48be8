"""Models that are asked as TensorFlow Serving is: a server over REST, or an export itself."""

from __future__ import annotations

import abc
import base64
import http.client
import json
import os
import pathlib
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_retinanet.export.session import LABELS_FILE, SessionModel, read_labels
from keras_retinanet.export.signatures import BYTES
from keras_retinanet.models.inference import Detections

_TIMEOUT = 300  # seconds; the first image of a server that has not warmed up takes long


class ServerError(ValueError):
    """A server that cannot be reached, or refuses; or a model that answers as no detector does."""


class AnsweringModel(abc.ABC):
    """A model that answers with shares of the sides and category ids.

    Args:
        source: where it is, for messages.
        names: category names by id, see `session.read_labels`; others are called by their id.

    Attributes:
        categories: (id, name) of the categories seen so far; labels are places in it.
    """

    def __init__(self, source: str, names: Mapping[int, str]) -> None:
        self._source = source
        self._names = names
        self.categories: list[tuple[int, str]] = []

    def detect(self, encoded: bytes, size: tuple[int, int]) -> Detections:
        """The detections in an encoded image of `size`, its height and width when upright.

        Raises:
            ServerError: if the model does not answer as a detector, naming it.
        """
        return self._detections(self._ask(encoded), size)

    @abc.abstractmethod
    def _ask(self, encoded: bytes) -> Mapping[str, Any]:
        """The outputs of `serving_bytes` for one image."""

    def _detections(self, answer: Mapping[str, Any], size: tuple[int, int]) -> Detections:
        try:
            count = int(answer["num_detections"])
            boxes = np.array(answer["detection_boxes"][:count], np.float32).reshape(-1, 4)
            scores = np.array(answer["detection_scores"][:count], np.float32)
            ids = [int(id_) for id_ in answer["detection_classes"][:count]]
        except (ValueError, KeyError, TypeError) as error:
            raise ServerError(f"{self._source}: the answer is not that of a detector") from error
        height, width = size
        pixels = boxes * np.array([height, width, height, width], np.float32)
        labels = np.array([self._label(id_) for id_ in ids], np.int32)
        return {"boxes": pixels[:, [1, 0, 3, 2]], "scores": scores, "labels": labels}

    def _label(self, id_: int) -> int:
        category = (id_, self._names.get(id_, f"category {id_}"))
        if category not in self.categories:
            self.categories.append(category)
        return self.categories.index(category)


class ExportedModel(AnsweringModel):
    """An export, run in this process.

    Args:
        folder: of one version.

    Raises:
        ServerError: if it is no detector's.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        labels = pathlib.Path(folder) / LABELS_FILE
        super().__init__(os.fspath(folder), read_labels(labels) if labels.is_file() else {})
        self._model = SessionModel(folder)
        if BYTES not in self._model.signatures:
            raise ServerError(
                f"{self._source} has no signature {BYTES}; retinanet-export writes it"
            )

    def _ask(self, encoded: bytes) -> Mapping[str, Any]:
        answer = self._model(BYTES, image_bytes=np.array([encoded], object))
        return {name: value[0] for name, value in answer.items()}


class ServerModel(AnsweringModel):
    """A model behind `url`, such as "http://localhost:8501/v1/models/detector".

    Args:
        url: of the model; "/versions/N" may follow.
        names: see `AnsweringModel`.

    Raises:
        ServerError: if the URL is none of HTTP.
    """

    def __init__(self, url: str, names: Mapping[int, str]) -> None:
        if not url.startswith(("http://", "https://")):
            raise ServerError(f"{url}: not the URL of a model, http://HOST:PORT/v1/models/NAME")
        self._url = url.rstrip("/")
        super().__init__(self._url, names)

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
