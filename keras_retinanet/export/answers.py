"""Models that answer as an export does, and what their answers mean."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_retinanet.models.inference import Detections


class AnswerError(ValueError):
    """A model that cannot be asked, or answers as no detector does."""


class AnsweringModel(abc.ABC):
    """A model that answers with shares of the sides and category ids.

    Args:
        source: where it is, for messages.
        names: category names by id, see `session.read_labels`; others are called by their id.

    Attributes:
        categories: (id, name), those of `names` and those seen since; labels are places in it.
    """

    def __init__(self, source: str, names: Mapping[int, str]) -> None:
        self._source = source
        self.categories = list(names.items())
        self._places = {id_: place for place, id_ in enumerate(names)}

    def detect(self, encoded: bytes, size: tuple[int, int]) -> Detections:
        """The detections in an encoded image of `size`, its height and width when upright.

        Raises:
            AnswerError: if the model does not answer as a detector, naming it.
        """
        answer = self._ask(encoded)
        try:
            return self._detections(answer, size)
        except (ValueError, KeyError, TypeError) as error:
            raise AnswerError(f"{self._source}: the answer is not that of a detector") from error

    @abc.abstractmethod
    def _ask(self, encoded: bytes) -> Mapping[str, Any]:
        """The outputs of `signatures.BYTES` for one image."""

    def _detections(self, answer: Mapping[str, Any], size: tuple[int, int]) -> Detections:
        count = int(answer["num_detections"])
        boxes = np.array(answer["detection_boxes"][:count], np.float32).reshape(-1, 4)
        scores = np.array(answer["detection_scores"][:count], np.float32)
        labels = [self._label(int(id_)) for id_ in answer["detection_classes"][:count]]
        height, width = size
        pixels = boxes * np.array([height, width, height, width], np.float32)
        return {
            "boxes": pixels[:, [1, 0, 3, 2]],
            "scores": scores,
            "labels": np.array(labels, np.int32),
        }

    def _label(self, id_: int) -> int:
        if id_ not in self._places:
            self._places[id_] = len(self.categories)
            self.categories.append((id_, f"category {id_}"))
        return self._places[id_]
