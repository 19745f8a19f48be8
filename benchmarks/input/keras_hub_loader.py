"""KerasHub's way: Keras' augmentation layers with boxes, then RetinaNet's image converter.

As its object detection guide builds the pipeline: decoded and batched by `tf.data` at one size,
with boxes padded to a fixed number, then flipped and scaled by layers, then converted.
"""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Iterator

import keras
import keras_hub
import tensorflow as tf
from worker import BATCH, LONG_SIDE, SIDE, serve

FORMAT = "xyxy"
MOST_BOXES = 16


def batches(folder: pathlib.Path) -> Iterator[int]:
    record = json.loads((folder / "annotations.json").read_text())
    files = [str(folder / image["file_name"]) for image in record["images"]]
    boxes: list[list[list[float]]] = [[] for _ in files]
    labels: list[list[int]] = [[] for _ in files]
    for row in record["annotations"]:
        x, y, width, height = row["bbox"]
        boxes[row["image_id"] - 1].append([x, y, x + width, y + height])
        labels[row["image_id"] - 1].append(row["category_id"])
    flip = keras.layers.RandomFlip("horizontal", bounding_box_format=FORMAT)
    # Zooming is its scale jitter: the window is resized back to the size it was taken from.
    zoom = keras.layers.RandomZoom((-0.2, 0.25), fill_mode="constant", bounding_box_format=FORMAT)
    convert = keras_hub.layers.RetinaNetImageConverter(
        image_size=(SIDE, LONG_SIDE),
        bounding_box_format=FORMAT,
        crop_to_aspect_ratio=False,
        pad_to_aspect_ratio=True,
    )

    def read(file: tf.Tensor, boxes: tf.Tensor, labels: tf.Tensor) -> dict:
        image = tf.io.decode_jpeg(tf.io.read_file(file), channels=3)
        image.set_shape([480, 640, 3])  # RandomZoom fails on boxes of images of unknown size
        return {"images": image, "bounding_boxes": {"boxes": boxes, "labels": labels}}

    data = tf.data.Dataset.from_tensor_slices(
        (files, tf.ragged.constant(boxes, ragged_rank=1), tf.ragged.constant(labels))
    )
    data = (
        data.repeat()
        .map(read, num_parallel_calls=tf.data.AUTOTUNE)
        .padded_batch(BATCH, drop_remainder=True)
        .map(lambda x: zoom(flip(x)), num_parallel_calls=tf.data.AUTOTUNE)
        .map(convert, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(2)
    )
    for x in data:
        yield x["images"].shape[0]


if __name__ == "__main__":
    serve(batches(pathlib.Path(sys.argv[1])))
