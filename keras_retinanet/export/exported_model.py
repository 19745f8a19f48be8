"""An exported version that is asked in this process, as a server with it would answer."""

from __future__ import annotations

import pathlib

from keras_retinanet.export.answers import AnswerReader
from keras_retinanet.export.session import LABELS_FILE, SessionModel, read_labels
from keras_retinanet.export.signatures import BYTES
from keras_retinanet.models.inference import Detections


class ExportedModel:
    """A SavedModel of `retinanet-export`, for image files as they are.

    Args:
        folder: of one version.

    Attributes:
        categories: (id, name) of the categories; labels are places in it.

    Raises:
        OSError: if the folder holds no SavedModel, or no names of its categories.
        ValueError: if it is not a detector's.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._reader = AnswerReader(read_labels(folder / LABELS_FILE))
        self.categories = self._reader.categories
        self._model = SessionModel(folder)
        if BYTES not in self._model.signatures:
            raise ValueError(
                f"{folder} has no signature {BYTES}; retinanet-export writes models that have"
            )

    def detect_encoded(self, encoded: bytes, size: tuple[int, int]) -> Detections:
        """The detections in one image file of (height, width) as it is looked at."""
        answer = self._model(BYTES, image_bytes=[encoded])
        return self._reader.detections({name: rows[0] for name, rows in answer.items()}, size)
