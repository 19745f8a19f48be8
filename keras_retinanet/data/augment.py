"""What happens to each picture of a training batch, decided in numbers before a pixel is touched.

One place draws all random numbers and moves all boxes; `data.pipeline` then only renders. So a
batch is a pure function of the seed and the step, and boxes can be tested without pictures.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_retinanet.data.dataset import DetectionDataset
from keras_retinanet.data.resize import SIZE_DIVISOR, resized_size

# An object of which a crop leaves less than this share is not trained on, and what is left of it is
# a region to ignore: neither an example of its class nor background.
MIN_VISIBLE = 0.25


@dataclasses.dataclass(frozen=True)
class AugmentSettings:
    """How pictures are resized and varied.

    Attributes:
        min_side, max_side: the image size rule, see `data.resize.resized_size`.
        square: whether every canvas is max_side x max_side, for hardware that wants fixed shapes,
            instead of just as large as the batch needs.
        flip: whether half of the pictures are mirrored left to right.
        scale_jitter: lowest and highest factor of the size; a picture that outgrows its canvas is
            cropped at random.
        color_jitter: largest change of brightness, contrast and saturation, as a share.
        stretch: whether pictures are resized to max_side x max_side, whatever their shape.
    """

    min_side: int = 800
    max_side: int = 1333
    square: bool = False
    flip: bool = True
    scale_jitter: tuple[float, float] = (1.0, 1.0)
    color_jitter: float = 0.0
    stretch: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class BatchPlan:
    """The pictures of one batch; B of them.

    Attributes:
        indices: int64 [B], into the data set.
        crops: int32 [B, 4], y, x, height, width in the stored picture.
        sizes: int32 [B, 2], height and width that the crop is resized to.
        flips: bool [B], whether it is then mirrored.
        colors: float32 [B, 3], factors of brightness, contrast and saturation; 1 changes nothing.
        canvas: int32 [2], height and width of the batch.
        boxes: float32 [B, M, 4], xyxy in pixels of the canvas; padding 0.
        labels: int32 [B, M], a class, -1 padding, -2 a region to ignore.
    """

    indices: np.ndarray
    crops: np.ndarray
    sizes: np.ndarray
    flips: np.ndarray
    colors: np.ndarray
    canvas: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


def plan_batch(
    dataset: DetectionDataset,
    stored_sizes: np.ndarray,
    indices: np.ndarray,
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> BatchPlan:
    """Decides on a batch of the pictures `indices` [B]; `stored_sizes` [n, 2] are those of all."""
    batch = len(indices)
    stored = stored_sizes[indices]
    full = _resized(stored, settings)
    low, high = np.log(settings.scale_jitter)
    scales = np.exp(rng.uniform(low, high, batch))
    scaled = np.maximum((full * scales[:, None]).astype(np.int32), 1)
    sizes = np.minimum(scaled, full)
    crops = _random_crops(stored, sizes / scaled, rng)
    flips = (rng.random(batch) < 0.5) & settings.flip
    spread = settings.color_jitter
    colors = rng.uniform(1.0 - spread, 1.0 + spread, (batch, 3)).astype(np.float32)
    canvas = np.array([settings.max_side] * 2) if settings.square else sizes.max(axis=0)
    canvas = -(-canvas // SIZE_DIVISOR) * SIZE_DIVISOR
    targets = [
        move_boxes(*_objects(dataset, index, stored_sizes), crop, size, flip)
        for index, crop, size, flip in zip(indices, crops, sizes, flips, strict=True)
    ]
    boxes, labels = _pad_rows(targets)
    return BatchPlan(
        indices,
        crops,
        sizes.astype(np.int32),
        flips,
        colors,
        canvas.astype(np.int32),
        boxes,
        labels,
    )


def _resized(stored: np.ndarray, settings: AugmentSettings) -> np.ndarray:
    return resized_size(
        stored, settings.min_side, settings.max_side, stretch=settings.stretch
    ).numpy()


def _random_crops(stored: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Windows of `shares` [B, 2] of pictures of `stored` sizes [B, 2], in whole pixels."""
    window = np.clip(np.round(stored * shares), 1, stored).astype(np.int32)
    corner = (rng.random(stored.shape) * (stored - window + 1)).astype(np.int32)
    return np.concatenate([corner, window], axis=1)


def _objects(
    dataset: DetectionDataset, index: int, stored_sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The boxes of a picture in the pixels it is stored in, and their labels for training."""
    rows = dataset.rows(index)
    labels = np.where(dataset.is_crowd[rows], -2, dataset.labels[rows])
    usable = dataset.labels[rows] >= 0
    ratio = (stored_sizes[index] / dataset.sizes[index])[[1, 0, 1, 0]]
    return dataset.boxes[rows][usable] * ratio, labels[usable]


def move_boxes(
    boxes: np.ndarray, labels: np.ndarray, crop: np.ndarray, size: np.ndarray, flip: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Takes boxes through crop, resize and flip.

    Args:
        boxes: [M, 4], xyxy in pixels of the stored picture.
        labels: [M].
        crop: y, x, height, width.
        size: height, width after resizing.
        flip: whether the result is mirrored left to right.

    Returns:
        float32 [m, 4] and int32 [m]: what lies in the crop, cut off at its borders. An object less
        than `MIN_VISIBLE` of whose area is left has the label -2.
    """
    y, x, height, width = crop
    cut = np.clip(boxes - [x, y, x, y], 0, [width, height, width, height])
    visible = np.prod(cut[:, 2:] - cut[:, :2], axis=1)
    share = visible / np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    labels = np.where(share < MIN_VISIBLE, -2, labels)
    ratio = np.array([size[1] / width, size[0] / height] * 2)
    moved = cut * ratio
    if flip:
        moved[:, [0, 2]] = size[1] - moved[:, [2, 0]]
    kept = visible > 0
    return moved[kept].astype(np.float32), labels[kept].astype(np.int32)


def _pad_rows(targets: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    most = max(1, *(len(labels) for _, labels in targets), 1)
    boxes = np.zeros((len(targets), most, 4), np.float32)
    padded_labels = np.full((len(targets), most), -1, np.int32)
    for row, (image_boxes, labels) in enumerate(targets):
        boxes[row, : len(labels)] = image_boxes
        padded_labels[row, : len(labels)] = labels
    return boxes, padded_labels
