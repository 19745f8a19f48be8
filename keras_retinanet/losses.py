"""The focal loss (paper, section 3) and the losses of the box subnet.

Each returns one value per anchor; the model sums them and divides by the number of matched anchors
of the global batch.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_retinanet.geometry.boxes import generalized_iou
from keras_retinanet.geometry.matching import IGNORED


@keras.saving.register_keras_serializable("keras_retinanet")
class FocalLoss(keras.losses.Loss):
    """FL(p_t) = -alpha_t (1 - p_t)^gamma log(p_t), summed over the classes of an anchor.

    With p = sigmoid(logits) and y = one_hot(labels), both [..., N, K]:

        p_t = where(y, p, 1 - p)                # the probability given to what is true
        alpha_t = where(y, alpha, 1 - alpha)    # positives and negatives balanced
        loss = -alpha_t * (1 - p_t) ** gamma * log(p_t)
        return sum(loss, axis=-1)               # [..., N]

    `gamma=0` is the alpha-balanced cross entropy, `gamma=0, alpha=None` the plain one. What is
    computed, by `_focal_loss`, is the same, stable for any logit and without the one-hot labels.

    Called with labels int [..., N] (a class, -1 for background, -2 for an anchor to leave out) and
    logits float32 [..., N, K]; returns float32 [..., N].

    Args:
        alpha: weight of the true class, in [0, 1]; None for no weights.
        gamma: how fast well-classified examples fade, >= 0.
    """

    def __init__(
        self, alpha: float | None = 0.25, gamma: float = 2.0, name: str = "focal_loss"
    ) -> None:
        super().__init__(name=name, reduction=None, dtype="float32")
        if alpha is not None and not 0.0 <= alpha <= 1.0:
            raise ValueError(f"FocalLoss: alpha is {alpha}; it must lie in [0, 1] or be None")
        if gamma < 0.0:
            raise ValueError(f"FocalLoss: gamma is {gamma}; it must be at least 0")
        self.alpha = alpha
        self.gamma = gamma

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Labels [..., N] and logits [..., N, K] -> [..., N]."""
        weights = (1.0, 1.0) if self.alpha is None else (self.alpha, 1.0 - self.alpha)
        return _focal_loss(tf.cast(y_true, tf.int32), y_pred, *weights, self.gamma)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {"alpha": self.alpha, "gamma": self.gamma, "name": self.name}


def _negative_loss(logits: tf.Tensor, gamma: float) -> tuple[tf.Tensor, tf.Tensor]:
    """The unweighted loss of negatives and its derivative, both shaped as `logits` [...].

    With p = sigmoid(x): p^gamma * softplus(x), since softplus(x) = -log(1 - p), stable for any x.
    A positive costs the same at -x.
    """
    p = tf.sigmoid(logits)
    cross_entropy = tf.nn.softplus(logits)
    # A power of p multiplies the rounding error of the sigmoid, an exponential of log p does not;
    # for the square that every training uses it is small enough, and a third of the time.
    modulation = tf.square(p) if gamma == 2.0 else tf.exp(-gamma * tf.nn.softplus(-logits))
    # sigmoid(-x), since 1 - p has no bits left where it is multiplied by a large cross entropy
    derivative = modulation * (gamma * tf.sigmoid(-logits) * cross_entropy + p)
    return modulation * cross_entropy, derivative


def _focal_loss(
    labels: tf.Tensor,
    logits: tf.Tensor,
    positive_weight: float,
    negative_weight: float,
    gamma: float,
) -> tf.Tensor:
    """Every logit is costed as a negative, then the few positives are put right.

    So no one-hot labels of the size of the logits (100,000 anchors x classes an image) are ever
    made, and the gradient is written out because it shares all its parts with the value.

    Labels int32 [..., N], logits float32 [..., N, K] -> float32 [..., N].
    """
    matched = tf.where(labels >= 0)  # [P, rank of labels]
    classes = tf.cast(tf.gather_nd(labels, matched), tf.int64)  # [P]
    positives = tf.concat([matched, classes[:, None]], axis=1)  # [P, rank of logits]
    counted = tf.cast(labels != IGNORED, tf.float32)  # [..., N]

    @tf.custom_gradient
    def loss(logits: tf.Tensor) -> tuple[tf.Tensor, Any]:
        negative, negative_gradient = _negative_loss(logits, gamma)  # [..., N, K]
        positive, positive_gradient = _negative_loss(-tf.gather_nd(logits, positives), gamma)  # [P]
        # Put in place, not added as a correction: the two would cancel and leave rounding errors.
        values = tf.tensor_scatter_nd_update(
            negative_weight * negative, positives, positive_weight * positive
        )

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            gradients = tf.tensor_scatter_nd_update(  # [..., N, K]
                negative_weight * negative_gradient, positives, -positive_weight * positive_gradient
            )
            return gradients * (counted * upstream)[..., None]

        return tf.reduce_sum(values, axis=-1) * counted, gradient

    return loss(logits)


@keras.saving.register_keras_serializable("keras_retinanet")
class HardExampleLoss(keras.losses.Loss):
    """The cross entropy of the anchors of an image that cost most; all others cost nothing.

    Of several that cost the same, the first ones count.

    Online hard example mining (Shrivastava et al. 2016), what the focal loss is measured against in
    the paper's Table 1d; without the NMS among the examples that the paper puts before it. Called
    as `FocalLoss`.

    Args:
        examples: how many anchors of each image count, at least 1.
    """

    def __init__(self, examples: int = 128, name: str = "hard_example_loss") -> None:
        super().__init__(name=name, reduction=None, dtype="float32")
        if examples < 1:
            raise ValueError(f"HardExampleLoss: examples is {examples}; it must be at least 1")
        self.examples = examples
        self.cross_entropy = FocalLoss(alpha=None, gamma=0.0)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """Labels [..., N] and logits [..., N, K] -> [..., N]."""
        values = self.cross_entropy(y_true, y_pred)
        count = tf.minimum(self.examples, tf.shape(values)[-1])
        least = tf.math.top_k(values, count).values[..., -1:]
        is_harder, is_tied = values > least, values == least
        harder = tf.reduce_sum(tf.cast(is_harder, tf.int32), axis=-1, keepdims=True)
        rank_among_tied = tf.cumsum(tf.cast(is_tied, tf.int32), axis=-1)
        return tf.where(is_harder | (is_tied & (rank_among_tied <= count - harder)), values, 0.0)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {"examples": self.examples, "name": self.name}


@keras.saving.register_keras_serializable("keras_retinanet")
class SmoothL1(keras.losses.Loss):
    """Smooth L1 on box deltas, summed over the four: quadratic below `beta`, linear above.

    Girshick 2015 (Fast R-CNN) with Detectron's beta; `beta=0` is the plain L1. Called with the true
    and the predicted deltas, float32 [..., 4]; returns float32 [...].
    """

    on_boxes = False  # takes deltas

    def __init__(self, beta: float = 1.0 / 9.0, name: str = "smooth_l1") -> None:
        super().__init__(name=name, reduction=None, dtype="float32")
        if beta < 0.0:
            raise ValueError(f"SmoothL1: beta is {beta}; it must be at least 0")
        self.beta = beta

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """True and predicted deltas [..., 4] -> [...]."""
        distance = tf.abs(y_true - y_pred)
        if self.beta > 0.0:
            quadratic = 0.5 * tf.square(distance) / self.beta
            distance = tf.where(distance < self.beta, quadratic, distance - 0.5 * self.beta)
        return tf.reduce_sum(distance, axis=-1)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {"beta": self.beta, "name": self.name}


@keras.saving.register_keras_serializable("keras_retinanet")
class GIoULoss(keras.losses.Loss):
    """1 - GIoU of the true and predicted boxes, xyxy float32 [..., 4]; returns float32 [...]."""

    on_boxes = True  # takes decoded boxes

    def __init__(self, name: str = "giou") -> None:
        super().__init__(name=name, reduction=None, dtype="float32")

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """True and predicted boxes [..., 4] -> [...]."""
        return 1.0 - generalized_iou(y_true, y_pred)

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {"name": self.name}
