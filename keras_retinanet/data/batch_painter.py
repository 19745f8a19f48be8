"""The Python side of the training pipeline: planned batches are painted picture by picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf

from keras_retinanet.data.augment import BatchPlan
from keras_retinanet.data.canvases import Canvases
from keras_retinanet.data.pipeline_calls import called_by_pipeline
from keras_retinanet.data.render import paint

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


class BatchPainter:
    """Paints batches, several at once and of several iterators.

    A batch goes through the pipeline as the number under which its memory is known here; its
    pixels stay where they are.

    Args:
        tiles: T, how many stored pictures one picture may show.
        holes: H, how many holes one may have.
        fill: RGB of what no tile covers.
    """

    def __init__(self, tiles: int, holes: int, fill: Sequence[float]) -> None:
        self._tiles, self._holes, self._fill = tiles, holes, fill
        self._canvases = Canvases()
        self.paint_row = called_by_pipeline(self._paint_row)
        self.finish = called_by_pipeline(self._finish)

    def begin_all(self, plans: Iterator[BatchPlan], parts: Sequence[slice]) -> Iterator[tuple]:
        """What to paint and where, for each of `parts` of each batch planned; see `signature`."""
        begun: list[int] = []
        try:
            for plan in plans:
                for rows in parts:
                    count = rows.stop - rows.start
                    number = self._canvases.begin(count, plan.canvas)
                    begun = [*filter(self._canvases.is_open, begun), number]
                    place = np.stack([np.full(count, number), np.arange(count)], axis=1)
                    picture = tuple(getattr(plan, field)[rows] for field in _PICTURE_FIELDS)
                    yield place, picture, {"boxes": plan.boxes[rows], "labels": plan.labels[rows]}
        finally:  # reached when the iterator goes, and with it what was never finished
            self._canvases.drop(begun)

    @property
    def signature(self) -> tuple:
        """Of what `begin_all` yields: places [B, 2] (batch, row), pictures, targets.

        The pictures are their rows of a `BatchPlan`, in the order of its fields.
        """
        picture = (
            tf.TensorSpec([None, self._tiles], tf.int64),
            tf.TensorSpec([None, self._tiles, 4], tf.int32),
            tf.TensorSpec([None, self._tiles, 2], tf.int32),
            tf.TensorSpec([None, self._tiles], tf.bool),
            tf.TensorSpec([None, self._tiles, 3], tf.float32),
            tf.TensorSpec([None, self._tiles, 2, 3], tf.float32),
            tf.TensorSpec([None, self._tiles, 2], tf.int32),
            tf.TensorSpec([None, self._tiles], tf.float32),
            tf.TensorSpec([None, self._holes, 4], tf.int32),
        )
        targets = {
            "boxes": tf.TensorSpec([None, None, 4], tf.float32),
            "labels": tf.TensorSpec([None, None], tf.int32),
        }
        return tf.TensorSpec([None, 2], tf.int64), picture, targets

    def _paint_row(self, place: np.ndarray, *arrays: np.ndarray) -> np.ndarray:
        """Paints one picture to its place: the T stored pictures, then its row of the plan.

        Returns:
            int64, the number of its batch.
        """
        images, fields = arrays[: self._tiles], arrays[self._tiles :]
        named = dict(zip(_PICTURE_FIELDS[1:], fields, strict=True))
        paint(self._canvases.row(*place.tolist()), images, **named, fill=self._fill)
        return place[0]

    def _finish(self, number: np.ndarray) -> np.ndarray:
        """The pixels of a batch all of whose rows are painted, uint8 [B, height, width, 3]."""
        return self._canvases.finish(int(number))
