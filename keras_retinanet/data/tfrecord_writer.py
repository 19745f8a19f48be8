"""Writes TFRecord shards of tf.Example, in parallel processes."""

from __future__ import annotations

import concurrent.futures
import math
import multiprocessing
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_retinanet.data.dataset import DetectionDataset
from keras_retinanet.data.written import written_objects

# Shards of COCO's pictures are about 160 MB then: large enough to read fast, small enough to share
# out among workers.
_IMAGES_PER_SHARD = 1000


def write_tfrecord(
    dataset: DetectionDataset, names: Sequence[str], folder: pathlib.Path
) -> list[str]:
    """Writes data.tfrecord-00000-of-00001 and so on, and label_map.pbtxt; see `convert.Writer`.

    `class/label` is the category id or, where one is below 1, which the TensorFlow Object Detection
    API does not take, the place of the category from 1. One process for each core writes shards.
    """
    ids = [category.id for category in dataset.categories]
    labels = ids if min(ids) > 0 else list(range(1, len(ids) + 1))
    count = math.ceil(len(names) / _IMAGES_PER_SHARD)
    pieces = np.array_split(np.arange(len(names)), count)
    jobs = [
        (
            str(folder / f"data.tfrecord-{shard:05d}-of-{count:05d}"),
            dataset.take(piece),
            [names[index] for index in piece],
            labels,
        )
        for shard, piece in enumerate(pieces)
    ]
    if count == 1:
        _write_shard(*jobs[0])
    else:
        # Not forked: TensorFlow's threads would be missing in the copy.
        context = multiprocessing.get_context("spawn")
        workers = min(count, os.cpu_count() or 1)
        with concurrent.futures.ProcessPoolExecutor(workers, context) as pool:
            for future in [pool.submit(_write_shard, *job) for job in jobs]:
                future.result()
    items = [
        f"item {{\n  id: {label}\n  name: {_quoted(category.name)}\n}}\n"
        for label, category in zip(labels, dataset.categories, strict=True)
    ]
    (folder / "label_map.pbtxt").write_text("".join(items), encoding="utf-8")
    return [] if labels == ids else ["class/label counts from 1: some category ids are below that"]


def _write_shard(
    file: str, dataset: DetectionDataset, names: Sequence[str], labels: Sequence[int]
) -> None:
    with tf.io.TFRecordWriter(file) as writer:
        for index, name in enumerate(names):
            writer.write(_example(dataset, index, name, labels).SerializeToString())


def _example(
    dataset: DetectionDataset, index: int, name: str, labels: Sequence[int]
) -> tf.train.Example:
    height, width = dataset.sizes[index].tolist()
    encoded = image_bytes(dataset, index)
    objects = written_objects(dataset, index)
    shares = np.array([o.corners for o in objects]).reshape(-1, 4) / [width, height, width, height]
    kind = os.path.splitext(name)[1].lower().removeprefix(".")
    values: dict[str, list[Any]] = {
        "encoded": [encoded],
        "format": ["jpeg" if kind == "jpg" else kind],
        "height": [height],
        "width": [width],
        "filename": [name],
        "source_id": [str(dataset.image_ids[index])],
        "object/class/text": [o.category.name for o in objects],
        "object/class/label": [labels[o.label] for o in objects],
        "object/is_crowd": [int(o.is_crowd) for o in objects],
        "object/area": [o.area for o in objects],
    }
    for column, key in enumerate(("xmin", "ymin", "xmax", "ymax")):
        values[f"object/bbox/{key}"] = shares[:, column].tolist()
    features = {f"image/{key}": _feature(column) for key, column in values.items()}
    return tf.train.Example(features=tf.train.Features(feature=features))


def image_bytes(dataset: DetectionDataset, index: int) -> bytes:
    """An encoded image as its file, or the data set itself, holds it."""
    if dataset.encoded is not None:
        return dataset.encoded[index]
    return pathlib.Path(dataset.files[index]).read_bytes()


def _feature(values: list[Any]) -> tf.train.Feature:
    if values and isinstance(values[0], str | bytes):
        encoded = [v.encode("utf-8") if isinstance(v, str) else v for v in values]
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))
    if values and isinstance(values[0], int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))
    return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def _quoted(name: str) -> str:
    """A name in a label map; a backslash stands before what would end it."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
