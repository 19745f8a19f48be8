"""From images of any size to detections in their own pixels.

`RetinaNet.detect`, the evaluation, the commands and the exported SavedModel all come through here,
so they cannot differ.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_retinanet.geometry.boxes import rescale_boxes
from keras_retinanet.images.resize import pad_images, resize_images, resized_size
from keras_retinanet.images.size_rule import padded_size
from keras_retinanet.layers.detector_settings import SizeRule
from keras_retinanet.layers.select_detections import SelectDetections

# What a batch may hold. On a CPU two of the paper's largest images take a fifth less CPU time each
# than one alone, and more of them no less (benchmarks/batch_size.py).
BATCH_PIXELS_CPU = 2 * 800 * 1344
BATCH_PIXELS_GPU = 2**24

Detections = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Detector:
    """A network, what it is given and what is made of its outputs.

    Attributes:
        network: images float32 [B, h, w, 3] -> lists of each level's "class_logits" [B, N_l, K],
            "box_deltas" [B, N_l, 4] and "anchors" [N_l, 4].
        selection: the layer that makes detections of them.
        size_rule: what images are resized to.
        padding_color: RGB, what they are padded with.
    """

    network: Callable[..., dict[str, list[tf.Tensor]]]  # of [B, h, w, 3]
    selection: SelectDetections
    size_rule: SizeRule
    padding_color: tuple[float, ...]

    def prepare(self, images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Resizes images [..., H, W, 3] of 0 to 255 by the size rule and pads them.

        Each image is padded to the next multiple of the rule's divisor and no further, whatever it
        is batched with: padding reaches the features near it, so a shared padded size would let
        neighbours change an answer.

        Returns:
            float32 [..., h, w, 3], and the size within the padding, int32 [2].
        """
        rule = self.size_rule
        size = resized_size(
            tf.shape(images)[-3:-1],
            rule.min_side,
            rule.max_side,
            rounds=rule.round_sides,
            stretch=rule.stretch,
        )
        padded = padded_size(size, rule.size_divisor)
        return pad_images(resize_images(images, size), padded, self.padding_color), size

    def select(self, images: tf.Tensor, sizes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Detections in the pixels of prepared images [B, h, w, 3], as `SelectDetections`.

        `sizes`, int32 [B, 2], are heights and widths of the images within their padding.
        """
        return self.selection(**self.network(images, training=False), image_sizes=sizes)

    def detect_prepared(
        self, images: tf.Tensor, sizes: tf.Tensor, original_sizes: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """As `select`, in pixels of the images as they came: of `original_sizes` int32 [B, 2]."""
        detections = self.select(images, sizes)
        return {**detections, "boxes": rescale_boxes(detections["boxes"], sizes, original_sizes)}

    def detect_images(self, images: tf.Tensor) -> dict[str, tf.Tensor]:
        """Detections in images [B, H, W, 3] of one size, in their own pixels."""
        prepared, size = self.prepare(images)
        original = tf.shape(images)
        sizes = [tf.tile(side[None], [original[0], 1]) for side in (size, original[1:3])]
        return self.detect_prepared(prepared, *sizes)  # [B, 2] each

    @functools.cached_property
    def _detect_traced(self) -> Any:
        """`detect_prepared`, traced once for all sizes."""
        sizes = tf.TensorSpec([None, 2], tf.int32)
        images = tf.TensorSpec([None, None, None, 3], tf.float32)
        return tf.function(self.detect_prepared, input_signature=[images, sizes, sizes])

    def batches(self, images: tf.data.Dataset, batch_size: int | None = None) -> tf.data.Dataset:
        """Prepares single images and batches those that are padded to one size.

        Args:
            images: of pairs (int64 scalar, image [H, W, 3] of 0 to 255).
            batch_size: images to a batch; None for as many as the device has use for.

        Returns:
            Batches of the numbers, the prepared images, and what else `detect_prepared` takes.
        """
        is_gpu = tf.config.list_physical_devices("GPU")
        batch_pixels = BATCH_PIXELS_GPU if is_gpu else BATCH_PIXELS_CPU

        def prepare(number: tf.Tensor, image: tf.Tensor) -> tuple[tf.Tensor, ...]:
            prepared, size = self.prepare(image)  # [h, w, 3], [2]
            return number, prepared, size, tf.shape(image)[:2]

        def padded_key(_: tf.Tensor, prepared: tf.Tensor, *__: tf.Tensor) -> tf.Tensor:
            height, width = tf.unstack(tf.shape(prepared, tf.int64)[:2])  # scalars
            return height * 2**32 + width

        def window(key: tf.Tensor) -> tf.Tensor:
            if batch_size is not None:
                return tf.constant(batch_size, tf.int64)  # scalar
            return tf.maximum(batch_pixels // ((key // 2**32) * (key % 2**32)), 1)

        return images.map(prepare, num_parallel_calls=tf.data.AUTOTUNE).group_by_window(
            padded_key, lambda key, group: group.batch(batch_size or 64), window_size_func=window
        )

    def detect_batches(
        self, batches: tf.data.Dataset
    ) -> Iterator[tuple[int, tuple[int, int], Detections]]:
        """Detections in the images of `batches`.

        Yields:
            The number that came with an image, its height and width, and its detections as numpy
            arrays without padding: "boxes" float32 [D, 4], "scores" float32 [D], "labels" int32
            [D], best first. The order is not that of the stream.
        """
        for numbers, prepared, sizes, original_sizes in batches:
            detections = self._detect_traced(prepared, sizes, original_sizes)
            arrays = {name: value.numpy() for name, value in detections.items()}
            counts = arrays.pop("num_detections")
            for row, (number, (height, width)) in enumerate(
                zip(numbers.numpy().tolist(), original_sizes.numpy().tolist(), strict=True)
            ):
                found = {name: array[row, : counts[row]] for name, array in arrays.items()}
                yield number, (height, width), found

    def detect_dataset(self, images: tf.data.Dataset) -> Iterator[tuple[int, Detections]]:
        """The numbers and detections of a stream of single images, as `batches` takes it."""
        for number, _, found in self.detect_batches(self.batches(images).prefetch(1)):
            yield number, found

    def detect_arrays(self, images: Iterable[np.ndarray]) -> Iterator[tuple[int, Detections]]:
        """As `detect_dataset`, over RGB arrays [H, W, 3] of 0 to 255, taken and numbered in turn.

        Raises:
            ValueError: if one is not [height, width, 3], naming its number; and whatever `images`
                raises.
        """
        failures: list[Exception] = []

        def numbered() -> Iterator[tuple[int, np.ndarray]]:
            try:
                for number, image in enumerate(images):
                    _check_image(image, number)
                    yield number, np.asarray(image, np.float32)  # [H, W, 3]
            except Exception as error:  # TensorFlow would raise another, with this one as text
                failures.append(error)

        pair = (tf.TensorSpec([], tf.int64), tf.TensorSpec([None, None, 3], tf.float32))
        yield from self.detect_dataset(
            tf.data.Dataset.from_generator(numbered, output_signature=pair)
        )
        if failures:
            raise failures[0]


def _check_image(image: np.ndarray, number: int) -> None:
    """ValueError unless `image` is [height, width, 3]."""
    shape = np.shape(image)
    if len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ValueError(
            f"image {number} has the shape {shape}; an RGB image is [height, width, 3]"
        )
