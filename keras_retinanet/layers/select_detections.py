"""From ~100,000 scored anchors to the few detections of an image (paper, 4, "Inference")."""

from __future__ import annotations

import math
from typing import Any

import keras
import tensorflow as tf

from keras_retinanet.layers.decode_boxes import DecodeBoxes

OUTPUTS = ("boxes", "scores", "labels", "num_detections")


@keras.saving.register_keras_serializable("keras_retinanet")
class SelectDetections(keras.layers.Layer):
    """Threshold, top-k of each level, decoding of those only, then NMS of each class.

    Candidates are pairs of an anchor and a class, so an anchor may answer for several classes. A
    candidate is suppressed by a better one of its class that it overlaps by more than `nms_iou`.

    Called with a list of each level's class_logits [B, N_l, K] and box_deltas [B, N_l, 4] in any
    float type, of its anchors float32 [N_l, 4], and with image_sizes int32 [B, 2] (height, width)
    at whose borders boxes are cut off. Returns, best first,
        boxes: float32 [B, D, 4], xyxy in pixels; padding 0.
        scores: float32 [B, D]; padding 0.
        labels: int32 [B, D]; padding -1.
        num_detections: int32 [B].

    Args:
        score_threshold: lowest score to report, in [0, 1); a score must exceed it.
        nms_iou: highest IoU of two detections of a class, in (0, 1].
        max_detections: D.
        candidates_per_level: how many pairs of each level go into NMS.
        class_agnostic: whether a detection suppresses those of other classes too.
        decode_boxes: the layer that makes boxes of deltas.
    """

    def __init__(
        self,
        *,
        score_threshold: float = 0.05,
        nms_iou: float = 0.5,
        max_detections: int = 100,
        candidates_per_level: int = 1000,
        class_agnostic: bool = False,
        decode_boxes: DecodeBoxes | None = None,
        name: str = "select_detections",
    ) -> None:
        super().__init__(name=name, dtype="float32", autocast=False, trainable=False)
        if not 0.0 <= score_threshold < 1.0:
            raise ValueError(f"score_threshold is {score_threshold}; it must lie in [0, 1)")
        if not 0.0 < nms_iou <= 1.0:
            raise ValueError(f"nms_iou is {nms_iou}; it must lie in (0, 1]")
        if max_detections < 1 or candidates_per_level < 1:
            raise ValueError(
                f"max_detections is {max_detections} and candidates_per_level "
                f"{candidates_per_level}; both must be at least 1"
            )
        self.score_threshold = score_threshold
        self.nms_iou = nms_iou
        self.max_detections = max_detections
        self.candidates_per_level = candidates_per_level
        self.class_agnostic = class_agnostic
        self.decode_boxes = decode_boxes or DecodeBoxes()

    def call(
        self,
        class_logits: list[tf.Tensor],
        box_deltas: list[tf.Tensor],
        anchors: list[tf.Tensor],
        image_sizes: tf.Tensor,
    ) -> dict[str, tf.Tensor]:
        # By their places: a map over the logits themselves would first copy all of them.
        detections = tf.map_fn(
            lambda place: self.select_image(class_logits, box_deltas, anchors, image_sizes, place),
            tf.range(tf.shape(image_sizes)[0]),
            fn_output_signature=(tf.float32, tf.float32, tf.int32, tf.int32),
        )
        return dict(zip(OUTPUTS, detections, strict=True))

    def select_image(
        self,
        class_logits: list[tf.Tensor],
        box_deltas: list[tf.Tensor],
        anchors: list[tf.Tensor],
        image_sizes: tf.Tensor,
        place: tf.Tensor | int,
    ) -> tuple[tf.Tensor, ...]:
        """The outputs for the image at `place` of a batch, in the order of `OUTPUTS`."""
        candidates = [
            self._level_candidates(logits[place], deltas[place], level_anchors)
            for logits, deltas, level_anchors in zip(class_logits, box_deltas, anchors, strict=True)
        ]
        scores, labels, deltas, boxes = (
            tf.concat(parts, axis=0) for parts in zip(*candidates, strict=True)
        )
        boxes = self.decode_boxes(deltas[None], boxes[None], image_sizes[place, None])[0]
        return self._suppress(boxes, scores, labels)

    def _level_candidates(
        self, logits: tf.Tensor, deltas: tf.Tensor, anchors: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """The best pairs of a level of an image above the threshold, C at most.

        Args:
            logits: [N_l, K], in the type that the network computed in.
            deltas, anchors: [N_l, 4].

        Returns:
            Their scores and labels [C], deltas and anchors [C, 4].
        """
        # Of millions of pairs only the few that may be reported are looked at any further: anchors
        # first, as finding single pairs takes longer. Sorting all pairs took a fifth of the time of
        # the whole network in bfloat16.
        lowest = tf.constant(self._lowest_logit, logits.dtype)
        rows = tf.where(tf.reduce_any(logits > lowest, axis=1))[:, 0]
        row_logits = tf.gather(logits, rows)
        pairs = tf.where(row_logits > lowest)
        pair_logits = tf.cast(tf.gather_nd(row_logits, pairs), tf.float32)
        count = tf.minimum(self.candidates_per_level, tf.size(pair_logits))
        top_logits, places = tf.math.top_k(pair_logits, count)
        scores = tf.sigmoid(top_logits)
        places = tf.boolean_mask(places, scores > self.score_threshold)
        row, label = tf.unstack(tf.gather(pairs, places), axis=1)
        row = tf.gather(rows, row)
        return (
            scores[: tf.size(places)],
            tf.cast(label, tf.int32),
            tf.gather(deltas, row),
            tf.gather(anchors, row),
        )

    @property
    def _lowest_logit(self) -> float:
        """A little below that of the threshold, so that no rounding, of bfloat16 too, hides one."""
        if self.score_threshold == 0.0:
            return -math.inf
        logit = math.log(self.score_threshold / (1.0 - self.score_threshold))
        return logit - 0.01 * (1.0 + abs(logit))

    def _suppress(
        self, boxes: tf.Tensor, scores: tf.Tensor, labels: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
        """NMS for one image: boxes [C, 4], scores and labels [C] -> the layer's outputs."""
        apart = boxes if self.class_agnostic else _set_classes_apart(boxes, labels)
        kept = tf.image.non_max_suppression(apart, scores, self.max_detections, self.nms_iou)
        count = tf.size(kept)
        missing = self.max_detections - count
        boxes, scores, labels = (tf.gather(part, kept) for part in (boxes, scores, labels))
        return (
            tf.ensure_shape(tf.pad(boxes, [[0, missing], [0, 0]]), [self.max_detections, 4]),
            tf.ensure_shape(tf.pad(scores, [[0, missing]]), [self.max_detections]),
            tf.ensure_shape(
                tf.pad(labels, [[0, missing]], constant_values=-1), [self.max_detections]
            ),
            count,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "score_threshold": self.score_threshold,
            "nms_iou": self.nms_iou,
            "max_detections": self.max_detections,
            "candidates_per_level": self.candidates_per_level,
            "class_agnostic": self.class_agnostic,
            "decode_boxes": keras.saving.serialize_keras_object(self.decode_boxes),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> SelectDetections:
        decoder = keras.saving.deserialize_keras_object(config["decode_boxes"])
        return cls(**{**config, "decode_boxes": decoder})


# Classes a row of the grid below.
_COLUMNS = 8


def _set_classes_apart(boxes: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Moves the boxes [C, 4] of each class to a place of their own, so one NMS serves them all.

    The places form a grid and not a row: the farther a box is moved, the fewer bits float32 leaves
    for its sides, and with 91 classes a row moves it eight times as far.
    """
    extent = tf.reduce_max(boxes) + 1.0  # boxes are clipped, so none lies below 0
    column, row = labels % _COLUMNS, labels // _COLUMNS
    shift = tf.cast(tf.stack([column, row, column, row], axis=-1), boxes.dtype) * extent
    return boxes + shift
