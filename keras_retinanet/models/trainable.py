"""The training step: the paper's objective on a global batch, one device's or several replicas'."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from keras_retinanet.losses import FocalLoss, SmoothL1
from keras_retinanet.models.objective import loss_sums

LOGS = ("loss", "class_loss", "box_loss", "positives_per_image")


class TrainableDetector(keras.Model):
    """`compile` and `fit` of a detector with the model `network` inside.

    `network` maps images to three lists with an entry for each of P3 to P7: {"class_logits": of
    [B, N_l, K], "box_deltas": of [B, N_l, 4], "anchors": of [N_l, 4]}.
    """

    network: keras.Model
    precision: str  # name of the policy
    box_coding: str  # a key of geometry.boxes.BOX_CODINGS

    def __init__(self, inputs: Any, outputs: Any, name: str) -> None:
        super().__init__(inputs, outputs, name=name)
        self._log_means = {log: keras.metrics.Mean(name=log) for log in LOGS}

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "sgd",
        loss: None = None,
        *,
        class_loss: keras.losses.Loss | None = None,
        box_loss: keras.losses.Loss | None = None,
        loss_weights: Mapping[str, float] | None = None,
        l2: float = 0.0,
        clip_norm: float | None = None,
        metrics: None = None,
        weighted_metrics: None = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: bool | str = "auto",
    ) -> None:
        """Prepares for `fit`, whose logs are `LOGS`.

        Args:
            optimizer: as in Keras. Its own clipping is refused under several replicas, where it
                would clip each replica's part of the gradient.
            class_loss: labels [B, N], logits [B, N, K] -> [B, N]; default `FocalLoss()`.
            box_loss: true, predicted deltas [P, 4] -> [P] (`SmoothL1`, the default), or boxes if
                its `on_boxes` is true (`GIoULoss`).
            loss_weights: factors of the two losses in the loss that is trained,
                {"class_loss": 1.0, "box_loss": 1.0} by default. "loss" is logged with them,
                "class_loss" and "box_loss" without, so that runs can be compared.
            l2: weight decay of the paper's kind, added to the gradient of the convolution kernels
                (not to biases and norms). `SGD(weight_decay=...)` of Keras is another, weaker one.
            clip_norm: highest global norm of the gradient of the global batch.
            run_eagerly: whether to run step by step in Python, for debugging; nothing is compiled.
            steps_per_execution: batches to each call of the compiled step.
            jit_compile: "auto" has XLA compile the optimizer's update, on one device; False
                nothing at all. True is refused: XLA does not take the dynamic shapes of matching,
                and is slower for convolutions on CPUs.
            loss, metrics, weighted_metrics: of Keras, refused if given.

        Raises:
            ValueError: naming the argument, the optimizer's setting or the layer's regulariser that
                this training step cannot honour.
        """
        _refuse(loss=loss, metrics=metrics, weighted_metrics=weighted_metrics)
        if jit_compile not in ("auto", False):
            raise ValueError(
                f"compile: jit_compile is {jit_compile!r}; XLA does not take the dynamic shapes of "
                "matching: leave it out, or say False to have nothing compiled by it"
            )
        optimizer = keras.optimizers.get(optimizer)
        if self.precision == "mixed_float16" and not hasattr(optimizer, "inner_optimizer"):
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        if self.distribute_strategy.num_replicas_in_sync > 1:
            _refuse_own_clipping(optimizer)
        _refuse_regularizers(self.trainable_variables)
        self.loss_weights = _checked_weights(loss_weights or {})
        super().compile(
            optimizer=optimizer,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution,
            jit_compile=False,
        )
        self.class_loss = class_loss or FocalLoss()
        self.box_loss = box_loss or SmoothL1()
        self.l2 = l2
        self.clip_norm = clip_norm
        self.compiles_update = jit_compile == "auto"
        with self.distribute_strategy.scope():
            self.optimizer.build(self.trainable_variables)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The means of `LOGS`, in this order; Keras would add a "loss" of its own to them."""
        return list(self._log_means.values())

    def heads(self, images: tf.Tensor, *, training: bool = False) -> dict[str, tf.Tensor]:
        """The raw outputs for all anchors of images [B, H, W, 3], as `join_levels` gives them."""
        return join_levels(self.network(images, training=training))

    def _batch_loss(self, data: Any, *, training: bool) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """This replica's part of the loss and the global batch's logs, scalars."""
        images, targets, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if sample_weight is not None:
            raise ValueError(
                "fit and evaluate: sample weights are not used; loss_weights of compile weighs the "
                "two losses, and label -2 leaves regions out"
            )
        class_loss, box_loss, positives = loss_sums(
            **self.heads(images, training=training),
            targets=targets,
            class_loss=self.class_loss,
            box_loss=self.box_loss,
            box_coding=self.box_coding,
        )
        positives = _sum_over_replicas(positives)
        # Gradients are summed over the replicas, so with the divisor of the global batch nothing
        # else is needed for several replicas to train as one.
        divisor = tf.maximum(positives, 1.0)
        class_loss, box_loss = class_loss / divisor, box_loss / divisor
        loss = self.loss_weights["class_loss"] * class_loss
        loss += self.loss_weights["box_loss"] * box_loss
        batch = tf.cast(tf.shape(images)[0], tf.float32)
        *losses, batch = tf.unstack(
            _sum_over_replicas(tf.stack([loss, class_loss, box_loss, batch]))
        )
        return loss, dict(zip(LOGS, (*losses, positives / batch), strict=True))

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step of the optimizer on a batch; the means of `LOGS` so far, scalars."""
        variables = self.trainable_variables
        with tf.GradientTape() as tape:
            loss, logs = self._batch_loss(data, training=True)
            loss = self.optimizer.scale_loss(loss)
        # Whatever looks at a whole gradient needs that of the global batch: clipping, and the
        # search for numbers that overflowed in float16, which Keras makes in the first one only.
        gradients = _sum_over_replicas(tape.gradient(loss, variables))
        gradients = self._decay(self._clip(gradients), variables)
        self._update(gradients, variables)
        return self._log(logs)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        """The means of `LOGS` so far, scalars, without training."""
        return self._log(self._batch_loss(data, training=False)[1])

    def _clip(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        """The gradients, shaped [...] as their variables, with `clip_norm` at most in all."""
        if self.clip_norm is None:
            return gradients
        limit = self.optimizer.scale_loss(tf.constant(self.clip_norm))
        return tf.clip_by_global_norm(gradients, limit)[0]

    def _decay(self, gradients: list[tf.Tensor], variables: list[Any]) -> list[tf.Tensor]:
        """The gradients with the decay of the kernels, shaped [...] as their variables."""
        if not self.l2:
            return gradients
        l2 = self.optimizer.scale_loss(tf.constant(self.l2))
        # A separable convolution has a "depthwise_kernel" and a "pointwise_kernel".
        return [
            gradient + l2 * variable if variable.name.endswith("kernel") else gradient
            for gradient, variable in zip(gradients, variables, strict=True)
        ]

    def _update(self, gradients: list[tf.Tensor], variables: list[Any]) -> None:
        """The optimizer's step; on one device compiled by XLA, which has no collective operations.

        A gradient has the shape of its variable, [...].

        Keras composes AdamW of a dozen passes over the memory of all weights, XLA fuses them into
        one: 0.03 s instead of 0.10 s for the 12 million of ResNet-18-FPN with averages (two cores).
        """
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        if replicas > 1:
            # `apply_gradients` sums over the replicas, which all hold the whole gradient by now.
            gradients = [gradient / replicas for gradient in gradients]

        def apply(*given: tf.Tensor) -> None:  # of any shapes [...]
            self.optimizer.apply_gradients(zip(given, variables, strict=True))

        scales_loss = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        if self.compiles_update and not (self.run_eagerly or replicas > 1 or scales_loss):
            apply = tf.function(apply, jit_compile=True)
        apply(*gradients)

    def _log(self, logs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The means of the epoch with `logs` counted in, scalars."""
        for name, value in logs.items():
            self._log_means[name].update_state(value)
        results = {name: mean.result() for name, mean in self._log_means.items()}
        if isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
            # Keras 3.15 takes the mean of logs over the workers along a first axis.
            return {name: result[tf.newaxis] for name, result in results.items()}
        return results

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Nothing is left to build: `compile` built the optimizer, and all else was made whole.

        Keras 3.15 would average a batch of images over the replicas to build by, which it cannot
        do across workers, and which takes a batch from the data.
        """

    def get_compile_config(self) -> dict[str, Any] | None:
        """The arguments of `compile`, or None before it."""
        if getattr(self, "optimizer", None) is None:
            return None
        arguments = {
            "optimizer": self.optimizer,
            "class_loss": self.class_loss,
            "box_loss": self.box_loss,
            "loss_weights": self.loss_weights,
            "l2": self.l2,
            "clip_norm": self.clip_norm,
            "run_eagerly": self.run_eagerly,
            "steps_per_execution": self.steps_per_execution,
            "jit_compile": "auto" if self.compiles_update else False,
        }
        return keras.saving.serialize_keras_object(arguments)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as the model that was saved."""
        self.compile(**keras.saving.deserialize_keras_object(config))


def join_levels(outputs: dict[str, list[tf.Tensor]]) -> dict[str, tf.Tensor]:
    """The outputs of a `network` for all N anchors: one float32 tensor for each list.

    "class_logits" [B, N, K], "box_deltas" [B, N, 4] and "anchors" [N, 4]. Of symbolic tensors too.
    """
    return {
        name: keras.ops.cast(keras.ops.concatenate(levels, axis=-2), "float32")
        for name, levels in outputs.items()
    }


def _sum_over_replicas(values: Any) -> Any:
    """A tensor [...], or each of a list, summed over the replicas: the same on each of them."""
    replica = tf.distribute.get_replica_context()
    if replica.num_replicas_in_sync == 1:
        return values
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, values)


_INSTEAD = {
    "loss": "class_loss= and box_loss= choose the two losses",
    "metrics": f"{', '.join(LOGS)} are logged, and kr.callbacks.CocoEvaluation scores detections",
    "weighted_metrics": "there are no sample weights",
}


def _refuse(**given: Any) -> None:
    for name, value in given.items():
        if value:
            raise ValueError(f"compile: {name} is not taken by a RetinaNet: {_INSTEAD[name]}")


def _refuse_own_clipping(optimizer: keras.optimizers.Optimizer) -> None:
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    for name in ("clipnorm", "global_clipnorm", "clipvalue"):
        if getattr(inner, name) is not None:
            raise ValueError(
                f"compile: the optimizer's {name} would clip each replica's part of the gradient; "
                "clip_norm= of compile clips the whole"
            )


def _refuse_regularizers(variables: list[Any]) -> None:
    regularized = [v.path for v in variables if getattr(v, "regularizer", None) is not None]
    if regularized:
        raise ValueError(
            f"compile: {regularized[0]} has a regulariser, which the training step does not add to "
            "the loss; make the layer without it, and use l2= of compile"
        )


def _checked_weights(given: Mapping[str, float]) -> dict[str, float]:
    weights = {"class_loss": 1.0, "box_loss": 1.0}
    for name, weight in given.items():
        if name not in weights:
            known = " and ".join(map(repr, weights))
            raise ValueError(f"compile: loss_weights names {name!r}; it takes {known}")
        if not 0.0 <= weight < math.inf:
            raise ValueError(f"compile: the weight of {name} is {weight}; it must be at least 0")
    return {**weights, **given}
