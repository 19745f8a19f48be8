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
        OSError: if the folder holds no SavedModel.
        ValueError: if it is none of `retinanet-export`.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        labels = folder / LABELS_FILE
        if not labels.is_file():
            raise _foreign(folder, LABELS_FILE)
        self._reader = AnswerReader(read_labels(labels))
        self.categories = self._reader.categories
        self._model = SessionModel(folder)
        if BYTES not in self._model.signatures:
            raise _foreign(folder, f"signature {BYTES}")

    def detect_encoded(self, encoded: bytes, size: tuple[int, int]) -> Detections:
        """The detections in one image file of (height, width) as it is looked at."""
        answer = self._model(BYTES, image_bytes=[encoded])
        return self._reader.detections({name: rows[0] for name, rows in answer.items()}, size)


def _foreign(folder: pathlib.Path, missing: object) -> ValueError:
    return ValueError(f"{folder} has no {missing}; write it with retinanet-export")
