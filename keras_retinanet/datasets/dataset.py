"""The one form that every annotation format is read into."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import numpy as np

from keras_retinanet.datasets.stored_images import EncodedImages

# The label of a box without width or height, which is not trained on.
EMPTY = -1

# The fields of `DetectionDataset` that have an entry for each annotation, and for each image.
ROW_ARRAYS = (
    *("boxes", "labels", "is_crowd", "is_region"),
    *("annotated_xywh", "areas", "category_ids"),
)
IMAGE_ARRAYS = ("image_ids", "sizes", "orientations", "apply_exif")
_IMAGE_TUPLES = ("files", "negatives", "not_exhaustive")


class Category(NamedTuple):
    """A class of object: the data set's own id (gaps allowed) and its name.

    A pair, so that `RetinaNet(categories=...)` takes those of a data set as they are.
    """

    id: int
    name: str


def to_corners(xywh: np.ndarray) -> np.ndarray:
    """Boxes [t, 4] as x_min, y_min, x_max, y_max, from x_min, y_min, width, height."""
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)


def to_xywh(corners: np.ndarray) -> np.ndarray:
    """Boxes [t, 4] as x_min, y_min, width, height, from x_min, y_min, x_max, y_max."""
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)


@dataclasses.dataclass(frozen=True, eq=False)
class DetectionDataset:
    """Images and their annotations as flat arrays; pixels stay in their files until needed.

    `n` images hold `t` annotations in all; those of image `i` are rows
    `row_splits[i]:row_splits[i + 1]`. At COCO's size (118,287 images, 860,001 boxes) the arrays
    take about 80 MB.

    Attributes:
        name: what messages call this data set, usually the annotation file.
        categories: the classes; a label is an index into this tuple.
        image_ids: int64 [n], the data set's own ids.
        files: n paths, to read from and to name in messages.
        folder: where the names of images in the annotations start, None where no files are named.
        encoded: n encoded images where they do not lie in files of their own, else None; each is
            read from the file that holds it when it is asked for.
        negatives: for each of the n images the category ids that were verified to have no object
            in it, where the format says so (Open Images, LVIS), else None.
        not_exhaustive: for each of the n images the category ids of which it may have more objects
            than are annotated, where the format says so (LVIS), else None.
        sizes: int32 [n, 2], height and width in the frame that the boxes are given in.
        orientations: int8 [n], the EXIF orientation of each image, 1 to 8; 1 is upright.
        apply_exif: bool [n], whether that frame is the one after the EXIF rotation.
        row_splits: int64 [n + 1].
        boxes: float32 [t, 4], xyxy in absolute pixels, clipped to the image.
        labels: int32 [t], index into `categories`; EMPTY for a box without width or height.
        is_crowd: bool [t], regions of many objects: ignored in training, passed to the evaluator.
        annotated_xywh: float64 [t, 4], the boxes exactly as annotated, for the evaluator.
        areas: float64 [t], in square pixels as annotated; COCO's size classes go by it.
        category_ids: int64 [t], the data set's own category ids.
        is_region: bool [t], crowds that belong to no class but to every one (KITTI's DontCare);
            their label and category id are those of the first class. None if there are none.
        notes: what was fixed while reading, one line for each kind.
    """

    name: str
    categories: tuple[Category, ...]
    image_ids: np.ndarray
    files: tuple[str, ...]
    sizes: np.ndarray
    row_splits: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    is_crowd: np.ndarray
    annotated_xywh: np.ndarray
    areas: np.ndarray
    category_ids: np.ndarray
    orientations: np.ndarray
    apply_exif: np.ndarray
    is_region: np.ndarray | None = None
    folder: str | None = None
    encoded: EncodedImages | None = None
    negatives: tuple[tuple[int, ...], ...] | None = None
    not_exhaustive: tuple[tuple[int, ...], ...] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.image_ids)

    def rows(self, index: int) -> slice:
        """The rows of the annotation arrays that belong to image `index`."""
        return slice(int(self.row_splits[index]), int(self.row_splits[index + 1]))

    @property
    def image_of(self) -> np.ndarray:
        """int64 [t], the index of each annotation's image."""
        return np.repeat(np.arange(len(self)), np.diff(self.row_splits))

    def take(self, indices: Sequence[int] | np.ndarray) -> DetectionDataset:
        """The data set of just the images `indices` [k], in this order."""
        indices = np.asarray(indices, np.int64)
        counts = np.diff(self.row_splits)[indices]
        splits = np.concatenate([[0], np.cumsum(counts)])
        rows = np.repeat(self.row_splits[indices] - splits[:-1], counts) + np.arange(splits[-1])
        return dataclasses.replace(
            self._with_rows(rows, splits),
            encoded=None if self.encoded is None else self.encoded.take(indices),
            **self._taken(IMAGE_ARRAYS, lambda values: values[indices]),
            **self._taken(_IMAGE_TUPLES, lambda values: tuple(values[i] for i in indices)),
        )

    def without_rows(self, rows: Collection[int] | np.ndarray) -> DetectionDataset:
        """The data set without `rows` [k] of the annotation arrays; all images stay."""
        image_of = self.image_of
        kept = np.setdiff1d(np.arange(len(image_of)), np.array(list(rows), np.int64))
        return self._with_rows(kept, np.searchsorted(image_of[kept], np.arange(len(self) + 1)))

    def _with_rows(self, rows: np.ndarray, splits: np.ndarray) -> DetectionDataset:
        """The data set of `rows` [k] of the annotation arrays, and their `row_splits` [m + 1]."""
        taken = self._taken(ROW_ARRAYS, lambda values: values[rows])
        return dataclasses.replace(self, row_splits=splits, **taken)

    def _taken(self, names: Sequence[str], take: Callable[[Any], Any]) -> dict[str, Any]:
        """What `take` makes of each of these fields that is not None."""
        values = {name: getattr(self, name) for name in names}
        return {name: take(value) for name, value in values.items() if value is not None}

    def with_regions_by_class(self) -> DetectionDataset:
        """The data set with a crowd of each class for each region, where regions are not known."""
        if self.is_region is None:
            return self
        count = len(self.categories)
        rows = np.repeat(np.arange(len(self.labels)), np.where(self.is_region, count, 1))
        image_of = self.image_of[rows]
        result = self._with_rows(rows, np.searchsorted(image_of, np.arange(len(self) + 1)))
        is_region = self.is_region[rows]
        label = np.arange(len(rows)) - np.searchsorted(rows, rows)
        ids = np.array([category.id for category in self.categories], np.int64)
        is_labelled = is_region & (result.labels >= 0)
        return dataclasses.replace(
            result,
            labels=np.where(is_labelled, label, result.labels).astype(np.int32),
            category_ids=np.where(is_region, ids[label * is_region], result.category_ids),
            is_region=None,
        )

    def ground_truth(self) -> dict[str, list[dict[str, Any]]]:
        """The annotations as the dictionary of a COCO JSON file, as pycocotools takes it.

        Regions have an `every_category` of 1, which pycocotools does not know.
        """
        images: list[dict[str, Any]] = [
            {"id": int(i), "file_name": f, "height": int(h), "width": int(w)}
            for i, f, (h, w) in zip(self.image_ids, self.files, self.sizes, strict=True)
        ]
        for key, lists in (
            ("neg_category_ids", self.negatives),
            ("not_exhaustive_category_ids", self.not_exhaustive),
        ):
            for image, listed in zip(images, lists or (), strict=False):
                image[key] = list(listed)
        annotations = self._annotations()
        for row in () if self.is_region is None else np.flatnonzero(self.is_region).tolist():
            annotations[row]["every_category"] = 1
        return {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": c.id, "name": c.name} for c in self.categories],
        }

    def _annotations(self) -> list[dict[str, Any]]:
        image_ids = self.image_ids[self.image_of]  # [t]
        return [
            {
                "id": row + 1,  # pycocotools takes id 0 for "no match"
                "image_id": int(image_ids[row]),
                "category_id": int(self.category_ids[row]),
                "bbox": self.annotated_xywh[row].tolist(),
                "area": float(self.areas[row]),
                "iscrowd": int(self.is_crowd[row]),
            }
            for row in range(len(self.labels))
        ]
