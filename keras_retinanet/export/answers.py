"""What a served model answers, as the detections that everything else here works with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_retinanet.models.inference import Detections


class AnswerReader:
    """Reads the rows of `signatures.BYTES`, whose ids need no data set to be understood.

    Args:
        names: category names by id, see `session.read_labels`; others are called by their id.

    Attributes:
        categories: (id, name), those of `names` and those seen since; labels are places in it.
    """

    def __init__(self, names: Mapping[int, str]) -> None:
        self.categories = list(names.items())
        self._places = {id_: place for place, id_ in enumerate(names)}

    def detections(self, row: Mapping[str, Any], size: tuple[int, int]) -> Detections:
        """The detections of one image.

        Args:
            row: the outputs for it by name, without their first dimension.
            size: (height, width) of the image as it is looked at.

        Raises:
            ValueError, KeyError, TypeError: if `row` is no detector's.
        """
        count = int(row["num_detections"])
        boxes = np.array(row["detection_boxes"][:count], np.float32).reshape(-1, 4)
        scores = np.array(row["detection_scores"][:count], np.float32)
        labels = [self._label(int(id_)) for id_ in row["detection_classes"][:count]]
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
