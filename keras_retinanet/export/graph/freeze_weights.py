"""The copy of a model that is exported: batch norms folded, weights frozen where that is faster."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import tensorflow as tf

from keras_retinanet.export.graph.fold_batch_norm import fold_normalizations
from keras_retinanet.models.precision import copied
from keras_retinanet.models.retinanet import RetinaNet

Heads = dict[str, list[tf.Tensor]]

# The precision policy of each precision that an export can have.
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}

# What TensorFlow holds in several copies for each signature that is asked: in all, ResNet-50 in
# bfloat16 (76 MB) makes a server of 3.1 GB, its pyramid and subnets alone (29 MB) one of 1.6.
MAX_CONSTANT_BYTES = 2**27


def inference_model(model: RetinaNet, precision: str) -> RetinaNet:
    """A copy of `model` with its normalisations folded, see `fold_batch_norm`, and weights frozen.

    All weights become constants, see `ConstantWeights`, if they are no more than
    `MAX_CONSTANT_BYTES`. Otherwise only those of the pyramid and of the subnets do, which all five
    levels are laid through, and those of the backbone stay variables.

    Args:
        model: left as it is.
        precision: "float32" or "bfloat16", see `copied`.
    """
    copy = copied(model, PRECISIONS[precision])
    network = fold_normalizations(copy.network)
    constant = network.variables
    if sum(variable.numpy().nbytes for variable in constant) > MAX_CONSTANT_BYTES:
        backbone = {id(v) for v in network.get_layer(copy.backbone.name).variables}
        constant = [v for v in constant if id(v) not in backbone]
    copy.network = ConstantWeights(network, constant)
    return copy


class ConstantWeights:
    """A network for inference in graphs, in which some of its weights are constants.

    oneDNN computes on weights in layouts of its own. A constant it rearranges once. A variable
    could change, so it rearranges it for each image, and for each level again, or takes a slower
    way. In turn TensorFlow copies constants as it makes a graph ready, for each signature anew.

    Args:
        network: from images float32 [B, H, W, 3] to the network's outputs.
        constant: those of its variables that become constants, with their values of now.

    Attributes:
        variables: the others.
    """

    def __init__(self, network: keras.Model, constant: Sequence[keras.Variable]) -> None:
        values = {id(variable): variable.numpy() for variable in constant}
        self.variables = [v for v in network.variables if id(v) not in values]

        def read(variables: Sequence[keras.Variable]) -> list[tf.Tensor]:  # each [...]
            return [tf.constant(values[id(v)]) if id(v) in values else v.value for v in variables]

        # One function for whatever calls it: all signatures of a file share its constants.
        @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.float32)])
        def call(images: tf.Tensor) -> Heads:
            weights = (read(network.trainable_variables), read(network.non_trainable_variables))
            # For each level class_logits [B, N_l, K], box_deltas [B, N_l, 4], anchors [N_l, 4].
            return network.stateless_call(*weights, images, training=False)[0]

        self._call = call

    def __call__(self, images: tf.Tensor, training: bool = False) -> Heads:
        """The outputs of the network for images float32 [B, H, W, 3].

        Raises:
            ValueError: in training; constants cannot learn.
        """
        if training:
            raise ValueError("weights that are constants cannot be trained")
        return self._call(images)
