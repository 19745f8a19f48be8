"""From a data set to training batches, and to the stream of pictures that evaluation reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_retinanet.data.augment import AugmentSettings, BatchPlan, plan_batch
from keras_retinanet.data.dataset import DetectionDataset
from keras_retinanet.data.images import decode_image
from keras_retinanet.data.pipeline_calls import called_by_pipeline, until_the_end
from keras_retinanet.data.render import paint
from keras_retinanet.data.resize import resize_images, resized_size

Loader = Callable[[tf.Tensor], tf.Tensor]


def steps_per_epoch(dataset: DetectionDataset, batch_size: int) -> int:
    """Batches in one pass; what does not fill a batch is left for another pass."""
    return max(1, len(dataset) // batch_size)


def epoch_batches(sizes: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The pictures of each batch of one pass, in an order that only `seed` and `epoch` decide.

    Upright and lying pictures go into batches of their own as far as they can, since one of each
    makes a canvas that is half padding. A data set smaller than a batch fills it by repetition.

    Args:
        sizes: [n, 2], heights and widths.

    Returns:
        `steps_per_epoch` arrays int64 [batch_size].
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(sizes))
    order = np.resize(order, max(1, len(sizes) // batch_size) * batch_size)
    upright = (sizes[order, 0] > sizes[order, 1]).astype(int)
    groups = [order[upright == 0], order[upright == 1]]
    full = [group[: len(group) // batch_size * batch_size] for group in groups]
    rest = np.concatenate([group[len(part) :] for group, part in zip(groups, full, strict=True)])
    batches = np.concatenate([*full, rest]).reshape(-1, batch_size)
    return list(batches[rng.permutation(len(batches))])


def _plans(
    dataset: DetectionDataset,
    stored_sizes: np.ndarray,
    settings: AugmentSettings,
    batch_size: int,
    seed: int,
    start_step: int,
) -> Iterator[BatchPlan]:
    """The plans of the run from `start_step` on, without end."""
    epoch, first = divmod(start_step, steps_per_epoch(dataset, batch_size))
    while True:
        batches = epoch_batches(stored_sizes, batch_size, seed, epoch)
        for step in range(first, len(batches)):
            rng = np.random.default_rng([seed, epoch, step])
            yield plan_batch(dataset, stored_sizes, batches[step], settings, rng)
        epoch, first = epoch + 1, 0


def training_batches(
    dataset: DetectionDataset,
    settings: AugmentSettings,
    *,
    batch_size: int,
    padding_color: Sequence[float],
    seed: int = 0,
    start_step: int = 0,
    cache_mib: int = 2048,
    input_context: tf.distribute.InputContext | None = None,
) -> tf.data.Dataset:
    """Endless batches for `RetinaNet.fit`: (uint8 [B, H, W, 3], {"boxes", "labels"}).

    Decided by the seed alone, whatever the machine's speed; `start_step` continues a run. On
    several workers each makes its own rows of every batch, and only decodes pictures of these:

        strategy.distribute_datasets_from_function(
            lambda context: training_batches(..., input_context=context)
        )

    Args:
        dataset: what to train on, whole on every worker.
        settings: how pictures are resized and varied.
        batch_size: B, of the global batch.
        padding_color: RGB, see `RetinaNet.padding_color`.
        seed: of order and augmentation.
        start_step: batches to pass over.
        cache_mib: decoded pictures are kept in memory if they need no more than this.
        input_context: which part of each batch this worker makes, one element for each of its
            replicas; None for all of it in one.

    Raises:
        ValueError: if the replicas cannot share `batch_size` evenly.
        tf.errors.InvalidArgumentError: while caching or iterating, if a picture cannot be decoded;
            `data.image_faults.undecodable_named` tells which.
    """
    own_rows, replica_batch = _share(batch_size, input_context or tf.distribute.InputContext())
    load, stored_sizes = _image_store(dataset, settings, cache_mib)

    def rows() -> Iterator[tuple]:
        for plan in _plans(dataset, stored_sizes, settings, batch_size, seed, start_step):
            for row in own_rows:
                picture = tuple(getattr(plan, field)[row] for field in _PICTURE_FIELDS)
                yield picture, plan.canvas, {"boxes": plan.boxes[row], "labels": plan.labels[row]}

    plans = tf.data.Dataset.from_generator(
        lambda: until_the_end(rows()),
        output_signature=(
            _picture_signature(settings.tiles, settings.cutout),
            tf.TensorSpec([2], tf.int32),
            {
                "boxes": tf.TensorSpec([None, 4], tf.float32),
                "labels": tf.TensorSpec([None], tf.int32),
            },
        ),
    )

    def render(picture: tuple, canvas: tf.Tensor, targets: dict) -> tuple:
        blank = tf.zeros([1, 1, 3], tf.uint8)
        stored = [
            tf.cond(index >= 0, lambda i=index: load(i), lambda: blank)
            for index in tf.unstack(picture[0])
        ]
        image = tf.numpy_function(
            _painter(settings.tiles, padding_color), [*stored, *picture[1:], canvas], tf.uint8
        )
        return tf.ensure_shape(image, [None, None, 3]), targets

    return (
        plans.map(render, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(replica_batch, drop_remainder=True)
        .prefetch(2)
    )


def _share(batch_size: int, context: tf.distribute.InputContext) -> tuple[range, int]:
    """The rows of a global batch that one worker makes, and how many of them a replica takes."""
    replica_batch = context.get_per_replica_batch_size(batch_size)
    count = batch_size // context.num_input_pipelines
    start = context.input_pipeline_id * count
    return range(start, start + count), replica_batch


# The fields of a `BatchPlan` that say how one picture is painted; the first says which are loaded.
_PICTURE_FIELDS = (
    "indices",
    "crops",
    "sizes",
    "flips",
    "colors",
    "warps",
    "offsets",
    "weights",
    "holes",
)


def _picture_signature(tiles: int, holes: int) -> tuple[tf.TensorSpec, ...]:
    """Shapes and dtypes of `_PICTURE_FIELDS`, without the batch dimension."""
    return (
        tf.TensorSpec([tiles], tf.int64),
        tf.TensorSpec([tiles, 4], tf.int32),
        tf.TensorSpec([tiles, 2], tf.int32),
        tf.TensorSpec([tiles], tf.bool),
        tf.TensorSpec([tiles, 3], tf.float32),
        tf.TensorSpec([tiles, 2, 3], tf.float32),
        tf.TensorSpec([tiles, 2], tf.int32),
        tf.TensorSpec([tiles], tf.float32),
        tf.TensorSpec([holes, 4], tf.int32),
    )


def _painter(tiles: int, fill: Sequence[float]) -> Callable[..., np.ndarray]:
    """`paint` for arrays one after the other: the images, `_PICTURE_FIELDS[1:]`, the canvas."""

    @called_by_pipeline
    def run(*arrays: np.ndarray) -> np.ndarray:
        images, fields, canvas = arrays[:tiles], arrays[tiles:-1], arrays[-1]
        named = dict(zip(_PICTURE_FIELDS[1:], fields, strict=True))
        return paint(images, **named, canvas=canvas, fill=fill)

    return run


def image_loader(dataset: DetectionDataset) -> Loader:
    """A graph function from an index of `dataset` to its picture, uint8 [H, W, 3]."""
    apply_exif = tf.constant(dataset.apply_exif)
    if dataset.encoded is not None:
        encoded = tf.constant(list(dataset.encoded))
        return lambda index: decode_image(encoded[index], apply_exif[index])
    files = tf.constant(list(dataset.files))
    return lambda index: decode_image(tf.io.read_file(files[index]), apply_exif[index])


def image_stream(dataset: DetectionDataset) -> tf.data.Dataset:
    """All pictures in order: (index int64, uint8 [H, W, 3])."""
    load = image_loader(dataset)
    return tf.data.Dataset.range(len(dataset)).map(
        lambda index: (index, load(index)), num_parallel_calls=tf.data.AUTOTUNE
    )


def _image_store(
    dataset: DetectionDataset, settings: AugmentSettings, cache_mib: int
) -> tuple[Loader, np.ndarray]:
    """How to come by a picture, and the sizes [n, 2] in which pictures come.

    Where all pictures fit into `cache_mib` they are decoded once, and shrunk to the largest size
    that training will ask for; otherwise each is decoded anew every time.
    """
    largest = resized_size(
        dataset.sizes,
        settings.largest_side,
        settings.max_side,
        max(1.0, settings.scale_jitter[1]),
        stretch=settings.stretch,
    ).numpy()
    stored_sizes = np.minimum(dataset.sizes, largest)
    lengths = stored_sizes.astype(np.int64).prod(axis=1) * 3
    if lengths.sum() > cache_mib * 2**20:
        return image_loader(dataset), dataset.sizes
    starts = np.concatenate([[0], np.cumsum(lengths)])
    pixels = np.empty(starts[-1], np.uint8)
    for index, image in _shrunk_images(dataset, stored_sizes):
        pixels[starts[index] : starts[index + 1]] = image.numpy().ravel()
    return _cached_loader(tf.constant(pixels), starts, stored_sizes), stored_sizes


def _shrunk_images(dataset: DetectionDataset, stored_sizes: np.ndarray) -> Any:
    sizes = tf.constant(stored_sizes, tf.int32)

    def shrink(index: tf.Tensor, image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        size = sizes[index]
        smaller = tf.reduce_any(size < tf.shape(image)[:2])
        resize = lambda: tf.cast(tf.round(resize_images(image, size)), tf.uint8)  # noqa: E731
        return index, tf.cond(smaller, resize, lambda: image)

    return image_stream(dataset).map(shrink, num_parallel_calls=tf.data.AUTOTUNE)


def _cached_loader(pixels: tf.Tensor, starts: np.ndarray, sizes: np.ndarray) -> Loader:
    first, shapes = tf.constant(starts), tf.constant(sizes, tf.int32)

    def load(index: tf.Tensor) -> tf.Tensor:
        flat = pixels[first[index] : first[index + 1]]
        return tf.reshape(flat, tf.concat([shapes[index], [3]], axis=0))

    return load
