"""The COCO detection metrics of a model's answers, computed by pycocotools.

Nothing of the metric is written anew here: this file only keeps the detections while they stream
in and hands them over, so that the numbers equal those of pycocotools run by hand on the written
detections.json. The metrics are defined at https://cocodataset.org/#detection-eval.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import math
import operator
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_retinanet.datasets.dataset import DetectionDataset

# One detection. The coordinates and scores are float32 values held as float64: a Python float, and
# so a JSON number, holds exactly the same value, and what is scored is what is written.
_ROW = np.dtype([("image_id", "i8"), ("category_id", "i8"), ("bbox", "f8", (4,)), ("score", "f8")])


@dataclasses.dataclass(frozen=True)
class CocoMetrics:
    """The 12 COCO numbers in the order of `COCOeval.stats`, and what explains them.

    A number that is not defined (no ground truth of that size, say) is -1, as in pycocotools.

    Attributes:
        AP: average precision over IoU 0.50:0.95, the mean over the classes.
        AP50: the same at IoU 0.50.
        AP75: the same at IoU 0.75.
        APs: AP of objects below 32 * 32 square pixels, by the annotated area.
        APm: AP of objects from 32 * 32 to 96 * 96.
        APl: AP of objects above 96 * 96.
        AR1: average recall over IoU 0.50:0.95 given 1 detection per image and class.
        AR10: the same given 10.
        AR100: the same given 100.
        ARs: AR100 of small objects.
        ARm: AR100 of medium objects.
        ARl: AR100 of large objects.
        per_class: AP by category name; NaN where a class has no ground truth besides crowds.
        summary: the 12 lines that pycocotools prints, without a final line break.
    """

    AP: float
    AP50: float
    AP75: float
    APs: float
    APm: float
    APl: float
    AR1: float
    AR10: float
    AR100: float
    ARs: float
    ARm: float
    ARl: float
    per_class: dict[str, float]
    summary: str

    @property
    def numbers(self) -> dict[str, float]:
        """The 12 numbers by name, in pycocotools' order; -1 where not defined."""
        return {name: getattr(self, name) for name in METRIC_NAMES}

    def as_dict(self) -> dict[str, Any]:
        """The numbers as valid JSON holds them: {"AP": ..., ..., "per_class": {name: AP}}.

        A number that is not defined is None, since JSON has no NaN and -1 would be averaged.
        """
        return {
            **{name: None if value < 0 else value for name, value in self.numbers.items()},
            "per_class": {
                name: None if math.isnan(value) else value for name, value in self.per_class.items()
            },
        }


METRIC_NAMES = tuple(field.name for field in dataclasses.fields(CocoMetrics))[:12]


class CocoEvaluator:
    """Gathers the detections of a data set's images, batch by batch, and scores them.

    Every image of the data set is to be added exactly once, in any order; one without detections
    is added with arrays of no rows. To score a part of a data set, give `dataset.take(part)`: an
    image that was forgotten would only show as a lower AP, and so `compute` does not allow it.

    A detection takes 56 bytes: 28 MB for COCO's val2017 with 100 detections in every image.

    Args:
        dataset: the images and their ground truth, crowds included.
    """

    def __init__(self, dataset: DetectionDataset) -> None:
        self._dataset = dataset
        self._category_ids = np.array([c.id for c in dataset.categories], np.int64)
        self._missing = set(dataset.image_ids.tolist())
        self._added: set[int] = set()
        self._rows: list[np.ndarray] = []

    def add(
        self, image_ids: Sequence[int] | np.ndarray, detections: Sequence[Mapping[str, Any]]
    ) -> None:
        """Adds the detections of some images: all of them, or none if one is at fault.

        Args:
            image_ids: n ids out of `dataset.image_ids`.
            detections: for each image the arrays "boxes" [D, 4], xyxy in pixels of the original
                image, "scores" [D] and "labels" [D], integer indices into `dataset.categories`.
                No padding rows. Detections of equal score rank in the order given.

        Raises:
            ValueError: if an image is not in the data set or was added before, or its arrays do
                not fit together: other shapes, a label out of range, an inverted box, a value
                that is not finite.
        """
        ids = [operator.index(image_id) for image_id in image_ids]
        rows = [
            self._to_rows(image_id, found) for image_id, found in zip(ids, detections, strict=True)
        ]
        repeated = self._added.intersection(ids).union(i for i, n in Counter(ids).items() if n > 1)
        if repeated:
            raise ValueError(f"image {min(repeated)} of {self._dataset.name} was added twice")
        if unknown := set(ids) - self._missing:
            raise ValueError(f"{self._dataset.name} has no image {min(unknown)}")
        self._missing.difference_update(ids)
        self._added.update(ids)
        self._rows.extend(rows)

    def results(self) -> list[dict[str, Any]]:
        """The detections added so far in COCO's results format, as detections.json holds them.

        Returns:
            One {"image_id": int, "category_id": int, "bbox": [x, y, width, height],
            "score": float} per detection, in the order added; Python numbers only.
        """
        rows = np.concatenate([np.empty(0, _ROW), *self._rows])
        columns = [rows[name].tolist() for name in _ROW.names or ()]
        return [dict(zip(_ROW.names or (), row, strict=True)) for row in zip(*columns, strict=True)]

    def compute(self) -> CocoMetrics:
        """Scores the detections over all images of the data set; prints nothing.

        Raises:
            ValueError: if an image of the data set has not been added.
        """
        if self._missing:
            raise ValueError(
                f"{len(self._missing)} of the {len(self._dataset)} images of {self._dataset.name} "
                f"were not added, image {min(self._missing)} among them; "
                "score a part of a data set by an evaluator of dataset.take(part)"
            )
        truth = self._dataset.with_regions_by_class().ground_truth()
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = COCOeval(
                _coco(truth), _coco(_as_annotations(truth, self.results())), "bbox"
            )
            evaluation.evaluate()
            evaluation.accumulate()
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            evaluation.summarize()
        return CocoMetrics(
            **dict(zip(METRIC_NAMES, evaluation.stats.tolist(), strict=True)),
            per_class=self._per_class(evaluation),
            summary=printed.getvalue().rstrip("\n"),
        )

    def _to_rows(self, image_id: int, found: Mapping[str, Any]) -> np.ndarray:
        """The detections of one image [D] of `_ROW`, checked."""
        boxes = np.asarray(found["boxes"], np.float64)
        scores = np.asarray(found["scores"], np.float64)
        labels = np.asarray(found["labels"])
        fault = _fault(boxes, scores, labels, len(self._category_ids))
        if fault:
            raise ValueError(f"the detections of image {image_id} of {self._dataset.name} {fault}")
        rows = np.empty(len(scores), _ROW)
        rows["image_id"] = image_id
        rows["category_id"] = self._category_ids[labels.astype(np.int64)]
        rows["bbox"] = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=-1)
        rows["score"] = scores
        return rows

    def _per_class(self, evaluation: COCOeval) -> dict[str, float]:
        """AP by category name in the data set's order, NaN where there is no ground truth.

        Names that several categories share get their ids appended.
        """
        # [IoU thresholds, recall thresholds, classes]: all areas, the most detections. A class
        # without ground truth holds -1 throughout, any other holds none.
        precision = evaluation.eval["precision"][:, :, :, 0, -1]
        by_id = dict(zip(evaluation.params.catIds, precision.mean(axis=(0, 1)), strict=True))
        counts = Counter(category.name for category in self._dataset.categories)
        found = {}
        for category in self._dataset.categories:
            is_shared, value = counts[category.name] > 1, float(by_id[category.id])
            name = f"{category.name} ({category.id})" if is_shared else category.name
            found[name] = math.nan if value < 0 else value
        return found


def _fault(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, classes: int) -> str | None:
    """What is wrong with boxes [D, 4], scores [D] and labels [D], to end a sentence; or None."""
    if scores.ndim != 1 or labels.shape != scores.shape or boxes.shape != (len(scores), 4):
        return (
            "must be boxes [D, 4], scores [D] and labels [D], "
            f"not {list(boxes.shape)}, {list(scores.shape)} and {list(labels.shape)}"
        )
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        return "hold values that are not finite: has the training diverged?"
    if (boxes[:, 2:] < boxes[:, :2]).any():
        return "hold a box that ends before it begins: boxes must be xyxy"
    # An empty list becomes an array of floats, which is not a fault.
    if labels.size and not np.issubdtype(labels.dtype, np.integer):
        return f"hold labels of type {labels.dtype}; they must be integers"
    if ((labels < 0) | (labels >= classes)).any():
        return f"hold a label outside 0..{classes - 1}"
    return None


def _as_annotations(
    truth: Mapping[str, Any], results: Sequence[dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """What `COCO.loadRes` makes of the results, which itself fails on an empty list."""
    annotations = [
        {**result, "id": i, "area": result["bbox"][2] * result["bbox"][3], "iscrowd": 0}
        for i, result in enumerate(results, start=1)
    ]
    return {**truth, "annotations": annotations}


def _coco(contents: Mapping[str, Any]) -> COCO:
    """pycocotools' index over the contents of a COCO JSON file that is not on any disk."""
    coco = COCO()
    coco.dataset = dict(contents)
    coco.createIndex()
    return coco
