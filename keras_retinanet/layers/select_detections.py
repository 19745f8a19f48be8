"""From ~100,000 scored anchors to the few detections of an image (paper, 4, "Inference")."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from keras_retinanet.geometry.matching import PADDING
from keras_retinanet.layers.decode_boxes import DecodeBoxes
from keras_retinanet.layers.detector_settings import SelectionSettings


@keras.saving.register_keras_serializable("keras_retinanet")
class SelectDetections(keras.layers.Layer):
    """Threshold, top-k of each level, decoding of those only, then NMS of each class.

    Candidates are pairs of an anchor and a class, so one anchor may be reported for several
    classes. A candidate is suppressed by a better one of its class that it overlaps by more than
    `nms_iou`.

    Called with a list of each level's class_logits [B, N_l, K] and box_deltas [B, N_l, 4] in any
    float type, of its anchors float32 [N_l, 4], and with image_sizes int32 [B, 2] (height, width)
    at whose borders boxes are clipped. Returns, best first,
        boxes: float32 [B, D, 4], xyxy in pixels; padding 0.
        scores: float32 [B, D]; padding 0.
        labels: int32 [B, D]; padding `PADDING`, -1.
        num_detections: int32 [B].

    Args:
        decode_boxes: the layer that makes boxes of deltas.
        settings: the fields of `SelectionSettings`; D is `max_detections`.
    """

    def __init__(
        self,
        *,
        decode_boxes: DecodeBoxes | None = None,
        name: str = "select_detections",
        **settings: Any,
    ) -> None:
        super().__init__(name=name, dtype="float32", autocast=False, trainable=False)
        self.settings = SelectionSettings(**settings)
        self.decode_boxes = decode_boxes or DecodeBoxes()

    def call(
        self,
        class_logits: list[tf.Tensor],
        box_deltas: list[tf.Tensor],
        anchors: list[tf.Tensor],
        image_sizes: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        """Levels of [B, N_l, K], [B, N_l, 4], [N_l, 4] -> the detections, see the class."""
        levels = zip(class_logits, box_deltas, anchors, strict=True)
        candidates = [self._level_candidates(*level) for level in levels]
        logits, labels, deltas, boxes = (
            tf.concat(parts, axis=1)  # [B, C] twice, [B, C, 4] twice
            for parts in zip(*candidates, strict=True)
        )
        scores = tf.sigmoid(logits)
        boxes = self.decode_boxes(deltas, boxes, image_sizes)
        detections = tf.map_fn(
            lambda image: self._suppress(*image),
            (boxes, scores, labels),
            fn_output_signature=(tf.float32, tf.float32, tf.int32, tf.int32),
        )
        return dict(zip(("boxes", "scores", "labels", "num_detections"), detections, strict=True))

    def _level_candidates(
        self, logits: tf.Tensor, deltas: tf.Tensor, anchors: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """The best pairs of a level: logits, labels [B, C], their deltas and anchors [B, C, 4].

        C is what the image with the most has; logits are -inf where another has fewer. Ranked by
        logit, which orders as the score does, so that only the survivors see a sigmoid.
        """
        # Of millions of pairs only the few that may be reported are looked at any further: anchors
        # first, as finding single pairs takes longer. Sorting all pairs took a fifth of the time of
        # the whole network in bfloat16.
        lowest = tf.constant(self._lowest_logit, logits.dtype, name="lowest_logit")
        rows = tf.where(tf.reduce_any(logits > lowest, axis=2))  # image, anchor
        row_logits = tf.gather_nd(logits, rows)
        pairs = tf.where(row_logits > lowest)  # row, class
        indices, table = _table_of_images(
            tf.gather(rows[:, 0], pairs[:, 0]),
            tf.cast(tf.gather_nd(row_logits, pairs), tf.float32),
            tf.shape(logits)[0],
        )
        count = tf.minimum(self.settings.candidates_per_level, tf.shape(table)[1])
        top_logits, columns = tf.math.top_k(table, count)
        best = tf.gather(pairs, tf.gather(indices, columns, batch_dims=1))
        best_rows = tf.gather(rows, best[..., 0])
        return (
            top_logits,
            tf.cast(best[..., 1], tf.int32),
            tf.gather_nd(deltas, best_rows),
            tf.gather(anchors, best_rows[..., 1]),
        )

    @property
    def _lowest_logit(self) -> float:
        """A little below that of the threshold, so that no rounding, of bfloat16 too, hides one."""
        score = self.settings.score_threshold
        if score == 0.0:
            return -math.inf
        logit = math.log(score / (1.0 - score))
        return logit - 0.01 * (1.0 + abs(logit))

    def _suppress(
        self, boxes: tf.Tensor, scores: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """NMS for one image: boxes [C, 4], scores and labels [C] -> the layer's outputs."""
        settings, rows = self.settings, self.settings.max_detections
        # Named, as is the other one, so that `export.forced_detections` finds them in a graph.
        threshold = tf.constant(settings.score_threshold, name="score_threshold")
        above = tf.where(scores > threshold)[:, 0]
        boxes, scores, labels = (tf.gather(part, above) for part in (boxes, scores, labels))
        apart = boxes if settings.class_agnostic else _set_classes_apart(boxes, labels)
        kept = tf.image.non_max_suppression(apart, scores, rows, settings.nms_iou)
        count = tf.size(kept)
        missing = rows - count
        boxes, scores, labels = (tf.gather(part, kept) for part in (boxes, scores, labels))
        return (
            tf.ensure_shape(tf.pad(boxes, [[0, missing], [0, 0]]), [rows, 4]),
            tf.ensure_shape(tf.pad(scores, [[0, missing]]), [rows]),
            tf.ensure_shape(tf.pad(labels, [[0, missing]], constant_values=PADDING), [rows]),
            count,
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments, for `from_config`."""
        config = {"name": self.name, **vars(self.settings), "decode_boxes": self.decode_boxes}
        return keras.saving.serialize_keras_object(config)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SelectDetections:
        """The layer of a `get_config`."""
        return cls(**keras.saving.deserialize_keras_object(config))


def _table_of_images(
    images: tf.Tensor, values: tf.Tensor, batch: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The values of each image in a row, so that one operation ranks them all.

    Args:
        images: int64 [P] of 0 to batch - 1, ascending: the image of each value.
        values: float32 [P].

    Returns:
        int32 [batch, C], indices into `values`, and float32 [batch, C], the values there. C is the
        most that an image has; where one has fewer the indices are of others, the values -inf.
    """
    of_image = tf.cast(images, tf.int32) == tf.range(batch)[:, None]
    counts = tf.reduce_sum(tf.cast(of_image, tf.int32), axis=1, keepdims=True)
    columns = tf.range(tf.reduce_max(tf.concat([counts, [[0]]], axis=0)))
    indices = tf.cumsum(counts, exclusive=True) + columns
    indices = tf.minimum(indices, tf.size(values) - 1)
    return indices, tf.where(columns < counts, tf.gather(values, indices), -math.inf)


# Classes a row of the grid below.
_COLUMNS = 8


def _set_classes_apart(boxes: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Moves the boxes [C, 4] of each class to an area of their own, so one NMS serves them all.

    The areas form a grid and not a row: the farther a box is moved, the fewer bits float32 leaves
    for its sides, and with 91 classes a row moves it eight times as far.
    """
    extent = tf.reduce_max(boxes) + 1.0  # boxes are clipped, so none lies below 0
    column, row = labels % _COLUMNS, labels // _COLUMNS
    shift = tf.cast(tf.stack([column, row, column, row], axis=-1), boxes.dtype) * extent
    return boxes + shift
