"""Whether the anchors fit the objects: before an hour of training is spent on those that do not."""

from __future__ import annotations

import dataclasses

import numpy as np

from keras_retinanet.datasets.dataset import DetectionDataset
from keras_retinanet.geometry.anchor_settings import NEGATIVE_IOU, POSITIVE_IOU, AnchorSettings
from keras_retinanet.images.size_rule import padded_size, resized_sizes

# Training warns if a smaller fraction of the objects reaches `POSITIVE_IOU`.
LOWEST_FRACTION = 0.98

FIXED_ANCHORS = "The anchors are those of model.weights, which fixes them"

# COCO's size classes, in square pixels of the original image.
_SIZE_LIMITS = (32.0**2, 96.0**2)
SIZE_NAMES = ("small", "medium", "large")

# What `fit_anchors` works on at most: more objects change nothing but the time it takes.
_SAMPLE = 4000


@dataclasses.dataclass(frozen=True)
class TrainedObjects:
    """The objects that are trained on, crowds not among them, at the size that they are trained at.

    Attributes:
        rows: int64 [t], into the arrays of the data set.
        boxes: float64 [t, 4], xyxy in pixels of the resized image.
        padded_sizes: int64 [t, 2], height and width of the image that each is in, padded.
    """

    rows: np.ndarray
    boxes: np.ndarray
    padded_sizes: np.ndarray


def trained_objects(
    dataset: DetectionDataset, min_side: int, max_side: int, *, stretch: bool = False
) -> TrainedObjects:
    """The objects of a data set after the image size rule, see `images.size_rule.resized_sizes`."""
    sizes = dataset.sizes.reshape(-1, 2)
    resized = resized_sizes(sizes, min_side, max_side, stretch=stretch)
    padded_sizes = padded_size(resized).astype(np.int64)
    rows = np.flatnonzero((dataset.labels >= 0) & ~dataset.is_crowd)
    images = dataset.image_of[rows]
    ratio = np.tile((resized / sizes)[images][:, ::-1], 2)
    boxes = dataset.boxes[rows].astype(np.float64) * ratio
    return TrainedObjects(rows, boxes, padded_sizes[images])


def best_iou(boxes: np.ndarray, padded_sizes: np.ndarray, anchors: AnchorSettings) -> np.ndarray:
    """The highest IoU that any anchor has with each box: float64 [t].

    No image's anchors are enumerated. Of all anchors of one shape, the one whose centre is nearest
    overlaps a box most: the overlap falls with the distance in x and in y, each by itself.

    Args:
        boxes: float64 [t, 4], xyxy in pixels.
        padded_sizes: int64 [t, 2], height and width of the padded image that each box is in.
        anchors: where anchors stand and what they look like.
    """
    centers, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    best = np.zeros(len(boxes))
    for level, size in enumerate(anchors.sizes):
        cells, strides = _grid(padded_sizes[:, ::-1], anchors, level)
        cell = np.clip(np.round(centers / strides - anchors.offset), 0, cells - 1)
        distance = np.abs(centers - (cell + anchors.offset) * strides)
        for shape in anchors.cell(size).astype(np.float64):
            anchor_sides = shape[2:] - shape[:2]
            overlap = (sides + anchor_sides) / 2 - distance
            overlap = np.clip(overlap, 0, np.minimum(sides, anchor_sides)).prod(axis=1)
            union = sides.prod(axis=1) + anchor_sides.prod() - overlap
            best = np.maximum(best, overlap / union)
    return best


def _grid(
    padded_sizes: np.ndarray, anchors: AnchorSettings, level: int
) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of a feature map, and pixels between them: [t, 2] each, x before y."""
    stride = anchors.strides[level]
    cells = -(-padded_sizes // stride)
    strides = np.full_like(padded_sizes, stride)
    if anchors.fit_strides:  # see `layers.anchors.Anchors`: P5 tells the padded side
        padded = -(-padded_sizes // anchors.strides[2]) * anchors.strides[2]
        strides = np.minimum(strides, padded // cells)
    return cells, strides


@dataclasses.dataclass(frozen=True)
class AnchorFit:
    """How well anchors fit some objects.

    Attributes:
        objects: how many there are.
        positive: the fraction, 0 to 1, that an anchor overlaps by `POSITIVE_IOU`.
        near: the fraction that an anchor overlaps by `NEGATIVE_IOU`.
        mean: the mean of the highest IoU.
    """

    objects: int
    positive: float
    near: float
    mean: float


def anchor_fit(iou: np.ndarray) -> AnchorFit:
    """Sums up what `best_iou` gives, [t]; of no objects, all are covered."""
    if not len(iou):
        return AnchorFit(0, 1.0, 1.0, 1.0)
    positive, near = (float((iou >= limit).mean()) for limit in (POSITIVE_IOU, NEGATIVE_IOU))
    return AnchorFit(len(iou), positive, near, float(iou.mean()))


def size_classes(areas: np.ndarray) -> np.ndarray:
    """int64 [t], the indices in `SIZE_NAMES` of objects of some areas in square pixels."""
    return np.digitize(areas, _SIZE_LIMITS)


def anchor_fit_line(objects: TrainedObjects, anchors: AnchorSettings, *, are_fixed: bool) -> str:
    """What training says of its anchors, in one line; a warning below `LOWEST_FRACTION`.

    Args:
        objects: what is trained on.
        anchors: the anchors of the run.
        are_fixed: whether they are those of the weights that it starts from.
    """
    found = anchor_fit(best_iou(objects.boxes, objects.padded_sizes, anchors))
    line = (
        f"anchors: {percent(found.positive)} of {found.objects} objects overlap one by "
        f"{POSITIVE_IOU}, {percent(found.near)} by {NEGATIVE_IOU}"
    )
    if found.positive >= LOWEST_FRACTION:
        return line
    others = "retinanet-check --fit_anchors proposes others for the same settings"
    remedy = FIXED_ANCHORS if are_fixed else others
    return f"warning: {line}; the others train by their best anchor alone. {remedy}"


def percent(fraction: float) -> str:
    """A fraction in words that never say 100 % for less."""
    return f"{np.floor(1000 * fraction) / 10:.1f} %"


def fit_anchors(
    boxes: np.ndarray, padded_sizes: np.ndarray, anchors: AnchorSettings, seed: int = 0
) -> AnchorSettings:
    """Sizes, ratios and scales that fit objects better, as many as `anchors` has.

    Anchors are a product of sizes, ratios and scales, so that clusters of boxes by IoU (Redmon and
    Farhadi 2017, section 2) would be no such product. Instead the ratios are the centres of k-means
    on the logarithms of the objects' ratios, half way to which the present ones are tried as well,
    the scales part an octave evenly, and the sizes are those octaves from a base that is searched
    over. Of all these the one with the highest mean IoU wins, if that beats the present anchors.

    Args:
        boxes: float64 [t, 4], xyxy in pixels at the trained size, at least one.
        padded_sizes: int64 [t, 2], see `best_iou`.
        anchors: the present ones; their strides and offset stay.
        seed: of the sample that is taken of many objects.
    """
    if len(boxes) > _SAMPLE:
        chosen = np.random.default_rng(seed).choice(len(boxes), _SAMPLE, replace=False)
        boxes, padded_sizes = boxes[chosen], padded_sizes[chosen]
    sides = boxes[:, 2:] - boxes[:, :2]
    present = np.log(np.sort(anchors.ratios))
    clustered = _cluster(np.log(sides[:, 1] / sides[:, 0]), len(present))
    count = len(anchors.scales)
    scales = tuple(2 ** (i / count) for i in range(count))
    candidates = [anchors]
    for ratios in (present, clustered, (present + clustered) / 2):
        rounded = tuple(float(f"{ratio:.3g}") for ratio in np.exp(ratios))
        for base in np.geomspace(4, 64, 25):
            sizes = tuple(float(round(base * 2**level, 1)) for level in range(len(anchors.sizes)))
            candidates.append(
                dataclasses.replace(anchors, sizes=sizes, ratios=rounded, scales=scales)
            )
    return max(candidates, key=lambda candidate: best_iou(boxes, padded_sizes, candidate).mean())


def _cluster(values: np.ndarray, count: int) -> np.ndarray:
    """The centres [count] of k-means of values [n], in rising order; begun at quantiles."""
    centers = np.quantile(values, (np.arange(count) + 0.5) / count)
    for _ in range(50):
        nearest = np.abs(values[:, None] - centers).argmin(axis=1)
        members = [values[nearest == k] for k in range(count)]
        moved = np.array([m.mean() if len(m) else c for m, c in zip(members, centers, strict=True)])
        if np.allclose(moved, centers):
            break
        centers = moved
    return np.sort(centers)
