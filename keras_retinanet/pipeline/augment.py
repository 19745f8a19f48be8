"""Augmentation: what happens to each image of a batch, decided before a pixel is touched.

One module draws all random numbers and moves all boxes; `pipeline.render` then only renders. So a
batch is a pure function of the seed and the step, and boxes can be tested without images.
"""

from __future__ import annotations

import dataclasses
import operator

import numpy as np

from keras_retinanet.config import AugmentSettings
from keras_retinanet.datasets.dataset import DetectionDataset
from keras_retinanet.geometry.matching import BACKGROUND, IGNORED
from keras_retinanet.images.size_rule import resized_sizes
from keras_retinanet.pipeline.box_transforms import (
    MIN_VISIBLE,
    SOURCE_DTYPE,
    UNWARPED,
    SourceImage,
    affine,
    hidden_fractions,
    move_boxes,
    random_window,
)

# Where the four images of a mosaic meet, and how large they are, as fractions of their usual sizes.
_MOSAIC_CENTER = (0.3, 0.7)
_MOSAIC_SCALE = (0.5, 1.0)
_MIXUP_WEIGHT = 0.5  # of each of the two
_HOLE_SIDE = (0.05, 0.25)  # of a hole of cutout, as a fraction of the image's side
# What RandAugment does at full strength (Cubuk et al. 2019): factors 1 +- this for colours,
# degrees, gradients and fractions of the side for the rest.
_RAND_COLOR, _RAND_DEGREES, _RAND_SHEAR, _RAND_SHIFT = 0.9, 30.0, 0.3, 0.3
_RAND_OPERATIONS = 8

NO_SOURCE = -1  # in place of the index of a stored image


@dataclasses.dataclass(frozen=True, eq=False)
class BatchPlan:
    """The B images of one batch, each of up to T sources.

    Attributes:
        sources: `SOURCE_DTYPE` [B, T]; where there is none, the index `NO_SOURCE` and the weight 0.
        holes: int32 [B, H, 4], y, x, height, width in pixels of the batch; 0 pads.
        padded_size: int32 [2], height and width of the batch.
        boxes: float32 [B, M, 4], xyxy in pixels of the batch; padding 0.
        labels: int32 [B, M], a class, `BACKGROUND` in padding rows, `IGNORED` for regions.
    """

    sources: np.ndarray
    holes: np.ndarray
    padded_size: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


def plan_batch(
    dataset: DetectionDataset,
    stored_sizes: np.ndarray,
    indices: np.ndarray,
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> BatchPlan:
    """Plans a batch of the images `indices` [B]; `stored_sizes` [n, 2] are those of all."""
    min_side = int(rng.choice(settings.min_sides)) if settings.min_sides else settings.min_side
    planner = _Planner(stored_sizes, settings, rng)
    shown = [planner.companions(index) for index in indices]
    all_shown = stored_sizes[np.concatenate(shown)]
    full = resized_sizes(all_shown, min_side, settings.max_side, stretch=settings.stretch)
    per_image = np.split(full, np.cumsum([len(row) for row in shown])[:-1])
    images = [planner.sources(row, sizes) for row, sizes in zip(shown, per_image, strict=True)]
    extents = np.array([np.max([t.offset + t.size for t in sources], axis=0) for sources in images])
    padded_size = np.array([settings.max_side] * 2) if settings.square else extents.max(axis=0)
    padded_size = -(-padded_size // settings.canvas_step) * settings.canvas_step
    holes = [planner.holes(extent) for extent in extents]
    boxes, labels = _targets(dataset, stored_sizes, images, holes)
    return BatchPlan(
        sources=_stack(images, settings.sources),
        holes=np.array(holes, np.int32).reshape(len(indices), settings.cutout, 4),
        padded_size=padded_size.astype(np.int32),
        boxes=boxes,
        labels=labels,
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Planner:
    """Random decisions about the images of a batch.

    Attributes:
        stored_sizes: [n, 2], of all images of the data set.
        settings: the limits of what is drawn.
        rng: draws it.
    """

    stored_sizes: np.ndarray
    settings: AugmentSettings
    rng: np.random.Generator

    def companions(self, index: int) -> np.ndarray:
        """`index` and those of the images that are shown with it: int64 [T]."""
        others = 0
        if self.settings.mosaic and self.rng.random() < self.settings.mosaic:
            others = 3
        elif self.settings.mixup and self.rng.random() < self.settings.mixup:
            others = 1
        drawn = self.rng.integers(0, len(self.stored_sizes), others)
        return np.concatenate([[index], drawn]).astype(np.int64)

    def sources(self, indices: np.ndarray, full: np.ndarray) -> list[SourceImage]:
        """The sources `indices` [T] of one training image; `full` [T, 2] are their usual sizes."""
        if len(indices) == 4:
            return self._mosaic(indices, full)
        weight = 1.0 if len(indices) == 1 else _MIXUP_WEIGHT
        sources = []
        for index, size in zip(indices, full, strict=True):
            scale, corner = self._scale(), np.zeros(2)
            if self.settings.expand > 1.0 and self.rng.random() < 0.5:
                scale = scale / self.rng.uniform(1.0, self.settings.expand)
                corner = self.rng.random(2)
            source = self._source(index, size, size, scale)
            offset = (corner * (size - source.size + 1)).astype(np.int64)
            sources.append(dataclasses.replace(source, offset=offset, weight=weight))
        return sources

    def _mosaic(self, indices: np.ndarray, full: np.ndarray) -> list[SourceImage]:
        """Four images about a point, clipped to the size of the first; each touches the point.

        `indices` are [4], `full` [4, 2].
        """
        height, width = full[0]
        middle = (full[0] * self.rng.uniform(*_MOSAIC_CENTER, 2)).astype(np.int64)
        center = np.maximum(middle, 1)
        sources = []
        for quadrant, index in enumerate(indices):
            is_low, is_right = quadrant >= 2, quadrant % 2 == 1
            room = np.where([is_low, is_right], [height, width] - center, center)
            scale = self._scale() * self.rng.uniform(*_MOSAIC_SCALE)
            source = self._source(index, full[quadrant], np.maximum(room, 1), scale)
            offset = np.where([is_low, is_right], center, np.maximum(center - source.size, 0))
            sources.append(dataclasses.replace(source, offset=offset))
        return sources

    def _scale(self) -> float:
        return float(np.exp(self.rng.uniform(*np.log(self.settings.scale_jitter))))

    def _source(
        self, index: int, full: np.ndarray, window: np.ndarray, scale: float
    ) -> SourceImage:
        """An image at `scale` times its usual size `full` [2], or what fits `window` [2] of it."""
        jitter, rotation = self.settings.color_jitter, self.settings.rotation
        scaled = np.maximum((full * scale).astype(np.int64), 1)
        crop, size = random_window(self.stored_sizes[index], scaled, window, self.rng)
        flip = bool(self.rng.random() < 0.5) and self.settings.flip
        colors = self.rng.uniform(1.0 - jitter, 1.0 + jitter, 3)
        warp = affine(size, degrees=self.rng.uniform(-rotation, rotation)) if rotation else UNWARPED
        if self.settings.rand_augment:
            colors, warp = self._rand_augment(colors, warp, size)
        return SourceImage(int(index), crop, size, flip, colors, warp)

    def _rand_augment(
        self, colors: np.ndarray, warp: np.ndarray, size: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Adds to colours [3] and warp [2, 3] what the operations drawn amount to, up or down."""
        count = min(self.settings.rand_augment, _RAND_OPERATIONS)
        signs = np.zeros(_RAND_OPERATIONS)
        chosen = self.rng.choice(_RAND_OPERATIONS, count, replace=False)
        signs[chosen] = self.rng.choice([-1.0, 1.0], len(chosen))
        amounts = signs * self.settings.rand_strength
        colors = colors * (1.0 + _RAND_COLOR * amounts[:3])
        if not amounts[3:].any():
            return colors, warp
        further = affine(
            size,
            degrees=_RAND_DEGREES * amounts[3],
            shear=(_RAND_SHEAR * amounts[4], _RAND_SHEAR * amounts[5]),
            shift=(_RAND_SHIFT * amounts[6], _RAND_SHIFT * amounts[7]),
        )
        return colors, further @ np.concatenate([warp, [[0.0, 0.0, 1.0]]])

    def holes(self, extent: np.ndarray) -> np.ndarray:
        """int [cutout, 4], of which 0 to all are holes within `extent` (height, width)."""
        most = self.settings.cutout
        holes = np.zeros((most, 4), np.int64)
        for row in range(self.rng.integers(0, most + 1) if most else 0):
            sides = np.maximum((extent * self.rng.uniform(*_HOLE_SIDE, 2)).astype(np.int64), 1)
            corner = (self.rng.random(2) * (extent - sides + 1)).astype(np.int64)
            holes[row] = [*corner, *sides]
        return holes


def _targets(
    dataset: DetectionDataset,
    stored_sizes: np.ndarray,
    images: list[list[SourceImage]],
    holes: list[np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """`BatchPlan.boxes` [B, M, 4] and `labels` [B, M]; slivers are `IGNORED`."""
    sources = [source for row in images for source in row]
    rows, source_of = _usable_rows(dataset, sources)
    indices = np.array([source.index for source in sources])
    ratios = (stored_sizes[indices] / dataset.sizes[indices])[:, [1, 0, 1, 0]]
    boxes, visible = move_boxes(dataset.boxes[rows] * ratios[source_of], source_of, sources)
    kept = visible > 0
    rows, boxes, visible = rows[kept], boxes[kept], visible[kept]
    image_of = np.repeat(np.arange(len(images)), [len(row) for row in images])
    image_of = image_of[source_of[kept]]
    for image, its_holes in enumerate(holes):
        if its_holes.any():
            own = image_of == image
            visible[own] *= 1.0 - hidden_fractions(boxes[own], its_holes)
    is_ignored = dataset.is_crowd[rows] | (visible < MIN_VISIBLE)
    labels = np.where(is_ignored, IGNORED, dataset.labels[rows])
    return _pad_rows(boxes, labels, image_of, len(images))


def _usable_rows(
    dataset: DetectionDataset, sources: list[SourceImage]
) -> tuple[np.ndarray, np.ndarray]:
    """The rows [M] of all objects to train on in the sources, and the source [M] of each."""
    spans = [dataset.rows(source.index) for source in sources]
    rows = np.concatenate([np.arange(span.start, span.stop) for span in spans])
    source_of = np.repeat(np.arange(len(sources)), [span.stop - span.start for span in spans])
    usable = dataset.labels[rows] >= 0
    return rows[usable], source_of[usable]


def _pad_rows(
    boxes: np.ndarray, labels: np.ndarray, image_of: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes [M, 4] and labels [M], in the order of their images, as a row for each image."""
    counts = np.bincount(image_of, minlength=count)
    most = max(1, counts.max())
    columns = np.arange(len(image_of)) - (np.cumsum(counts) - counts)[image_of]
    padded_boxes = np.zeros((count, most, 4), np.float32)
    padded_labels = np.full((count, most), BACKGROUND, np.int32)
    padded_boxes[image_of, columns] = boxes
    padded_labels[image_of, columns] = labels
    return padded_boxes, padded_labels


_BLANK = SourceImage(NO_SOURCE, np.array([0, 0, 1, 1]), np.ones(2, np.int64), weight=0.0)


def _stack(images: list[list[SourceImage]], most: int) -> np.ndarray:
    """The sources of all B images, filled up to `most`: `BatchPlan.sources` [B, T]."""
    values = operator.attrgetter(*(SOURCE_DTYPE.names or ()))
    rows = [sources + [_BLANK] * (most - len(sources)) for sources in images]
    return np.array([[values(source) for source in sources] for sources in rows], SOURCE_DTYPE)
