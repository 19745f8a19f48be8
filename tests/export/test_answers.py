"""What an export answers, as detections."""

import numpy as np
import pytest

from keras_retinanet.export.answers import AnswerError, AnsweringModel

ROW = {
    "num_detections": 2.0,
    "detection_boxes": [[0.1, 0.2, 0.5, 0.6], [0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0]],
    "detection_scores": [0.9, 0.8, 0.0],
    "detection_classes": [7.0, 9.0, 0.0],
}


class Model(AnsweringModel):
    """One that answers as the test says."""

    def __init__(self, names, answer):
        super().__init__("here/1", names)
        self._answer = answer

    def _ask(self, encoded):
        return self._answer


def test_boxes_are_in_pixels_and_labels_are_places_in_the_categories():
    model = Model({9: "car"}, ROW)
    for _ in range(2):
        found = model.detect(b"", (50, 200))
        np.testing.assert_allclose(found["boxes"], [[40, 5, 120, 25], [0, 0, 200, 50]], rtol=1e-6)
        np.testing.assert_array_equal(found["scores"], np.float32([0.9, 0.8]))
        assert found["labels"].tolist() == [1, 0]
        assert model.categories == [(9, "car"), (7, "category 7")]


def test_an_image_without_objects_has_empty_arrays():
    found = Model({}, {**ROW, "num_detections": 0.0}).detect(b"", (5, 5))
    assert found["boxes"].shape == (0, 4) and found["labels"].dtype == np.int32


def test_what_is_no_detectors_answer_is_an_error():
    for row in ({}, {**ROW, "num_detections": "many"}, {**ROW, "detection_boxes": None}):
        with pytest.raises(AnswerError, match="here/1: the answer is not that of a detector"):
            Model({}, row).detect(b"", (5, 5))
