"""The training pipeline of this package: `kr.training_batches`, as `retinanet-train` calls it."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Iterator

from worker import BATCH, GRAY, JITTER, serve

import keras_retinanet as kr


def batches(folder: pathlib.Path) -> Iterator[int]:
    dataset = kr.read_coco(folder / "annotations.json", folder)
    settings = kr.AugmentSettings(min_side=800, max_side=1333, scale_jitter=JITTER)
    # Nothing is cached: a data set of any size is read at this rate.
    for images, _ in kr.training_batches(
        dataset, settings, batch_size=BATCH, padding_color=GRAY, cache_mib=0
    ):
        yield images.shape[0]


if __name__ == "__main__":
    serve(batches(pathlib.Path(sys.argv[1])))
