"""The training step: the paper's objective on a global batch, one device's or several replicas'."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from keras_retinanet.losses import FocalLoss, SmoothL1
from keras_retinanet.models.objective import loss_sums

LOGS = ("loss", "class_loss", "box_loss", "positives_per_image")


class TrainableDetector(keras.Model):
    """What `compile` and `fit` do, for a detector with the model `network` inside.

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
        *,
        class_loss: keras.losses.Loss | None = None,
        box_loss: keras.losses.Loss | None = None,
        l2: float = 0.0,
        clip_norm: float | None = None,
        **settings: Any,
    ) -> None:
        """Prepares for `fit`.

        Args:
            optimizer: as in Keras. Leave its own clipping off under several replicas: it would clip
                each replica's share of the gradient.
            class_loss: labels [B, N], logits [B, N, K] -> [B, N]; default `FocalLoss()`.
            box_loss: true, predicted deltas [P, 4] -> [P] (`SmoothL1`, the default), or boxes if
                its `on_boxes` is true (`GIoULoss`).
            l2: weight decay of the paper's kind, added to the gradient of the convolution kernels
                (not to biases and norms). `SGD(weight_decay=...)` of Keras is another, weaker one.
            clip_norm: highest global norm of the gradient of the global batch.
            settings: further arguments of `keras.Model.compile`.
        """
        optimizer = keras.optimizers.get(optimizer)
        if self.precision == "mixed_float16" and not hasattr(optimizer, "inner_optimizer"):
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        # XLA does not take the dynamic shapes of matching, and is slower for convolutions on CPUs.
        super().compile(optimizer=optimizer, **{"jit_compile": False, **settings})
        self.class_loss = class_loss or FocalLoss()
        self.box_loss = box_loss or SmoothL1()
        self.l2 = l2
        self.clip_norm = clip_norm
        with self.distribute_strategy.scope():
            self.optimizer.build(self.trainable_variables)

    def heads(self, images: tf.Tensor, *, training: bool = False) -> dict[str, tf.Tensor]:
        """What the network says of all anchors; see `join_levels`."""
        return join_levels(self.network(images, training=training))

    def _batch_losses(
        self, images: tf.Tensor, targets: dict[str, tf.Tensor], training: bool
    ) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
        """This replica's part of the class and box loss, and what to log of the global batch."""
        class_loss, box_loss, positives = loss_sums(
            **self.heads(images, training=training),
            targets=targets,
            class_loss=self.class_loss,
            box_loss=self.box_loss,
            box_coding=self.box_coding,
        )
        replica = tf.distribute.get_replica_context()
        positives = replica.all_reduce(tf.distribute.ReduceOp.SUM, positives)
        # Gradients are summed over the replicas, so with the divisor of the global batch nothing
        # else is needed for several replicas to train as one.
        divisor = tf.maximum(positives, 1.0)
        class_loss, box_loss = class_loss / divisor, box_loss / divisor
        batch = tf.cast(tf.shape(images)[0], tf.float32)
        class_log, box_log, batch = tf.unstack(
            replica.all_reduce(tf.distribute.ReduceOp.SUM, tf.stack([class_loss, box_loss, batch]))
        )
        logs = (class_log + box_log, class_log, box_log, positives / batch)
        return class_loss, box_loss, dict(zip(LOGS, logs, strict=True))

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        images, targets, _ = keras.utils.unpack_x_y_sample_weight(data)
        variables = self.trainable_variables
        with tf.GradientTape() as tape:
            class_loss, box_loss, logs = self._batch_losses(images, targets, training=True)
            loss = self.optimizer.scale_loss(class_loss + box_loss)
        gradients = tape.gradient(loss, variables)
        gradients = self._decay(self._clip(gradients), variables)
        self._update(gradients, variables)
        return self._log(logs)

    def test_step(self, data: Any) -> dict[str, tf.Tensor]:
        images, targets, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self._log(self._batch_losses(images, targets, training=False)[2])

    def _clip(self, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
        """Clips the gradient of the global batch, of which each replica goes on with its share."""
        if self.clip_norm is None:
            return gradients
        replica = tf.distribute.get_replica_context()
        replicas = replica.num_replicas_in_sync
        if replicas > 1:
            gradients = replica.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        limit = self.optimizer.scale_loss(tf.constant(self.clip_norm))
        gradients, _ = tf.clip_by_global_norm(gradients, limit)
        return [gradient / replicas for gradient in gradients]

    def _decay(self, gradients: list[tf.Tensor], variables: list[Any]) -> list[tf.Tensor]:
        if not self.l2:
            return gradients
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        l2 = self.optimizer.scale_loss(tf.constant(self.l2 / replicas))
        return [
            gradient + l2 * variable if variable.name == "kernel" else gradient
            for gradient, variable in zip(gradients, variables, strict=True)
        ]

    def _update(self, gradients: list[tf.Tensor], variables: list[Any]) -> None:
        """The optimizer's step; on one device compiled by XLA, which has no collective operations.

        Keras composes AdamW of a dozen passes over the memory of all weights, XLA fuses them into
        one: 0.03 s instead of 0.10 s for the 12 million of ResNet-18-FPN with averages (two cores).
        """

        def apply(*given: tf.Tensor) -> None:
            self.optimizer.apply_gradients(zip(given, variables, strict=True))

        alone = tf.distribute.get_strategy().num_replicas_in_sync == 1
        if alone and not isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            apply = tf.function(apply, jit_compile=True)
        apply(*gradients)

    def _log(self, logs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        for name, value in logs.items():
            self._log_means[name].update_state(value)
        results = {name: mean.result() for name, mean in self._log_means.items()}
        if isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
            # Keras 3.15 takes the mean of logs over the workers along a first axis.
            return {name: result[tf.newaxis] for name, result in results.items()}
        return results

    def _maybe_symbolic_build(self, iterator: Any = None, data_batch: Any = None) -> None:
        """Nothing is left to build: `compile` built the optimizer, and all else was made whole.

        Keras 3.15 would average a batch of pictures over the replicas to build by, which it cannot
        do across workers, and which takes a batch from the data.
        """

    def get_compile_config(self) -> dict[str, Any] | None:
        if getattr(self, "optimizer", None) is None:
            return None
        objects = {
            "optimizer": self.optimizer,
            "class_loss": self.class_loss,
            "box_loss": self.box_loss,
        }
        config = {k: keras.saving.serialize_keras_object(v) for k, v in objects.items()}
        return {**config, "l2": self.l2, "clip_norm": self.clip_norm}

    def compile_from_config(self, config: dict[str, Any]) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))


def join_levels(outputs: dict[str, list[tf.Tensor]]) -> dict[str, tf.Tensor]:
    """The outputs of a `network` for all N anchors: one float32 tensor for each list.

    "class_logits" [B, N, K], "box_deltas" [B, N, 4] and "anchors" [N, 4].
    """
    return {
        name: tf.cast(tf.concat(levels, axis=-2), tf.float32) for name, levels in outputs.items()
    }
