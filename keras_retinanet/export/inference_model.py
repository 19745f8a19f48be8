"""A copy of a model that answers faster and cannot be trained: what goes into an export."""

from __future__ import annotations

from keras_retinanet.export.constant_weights import ConstantWeights
from keras_retinanet.export.folding import fold_normalizations
from keras_retinanet.models.retinanet import RetinaNet

# The precision policy of each precision that an export can have.
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def inference_model(model: RetinaNet, precision: str) -> RetinaNet:
    """A copy of `model` with its normalisations folded, see `folding`, and weights as constants.

    Constant are those of the pyramid and the subnets, which each image is laid through five times;
    see `ConstantWeights`. Those of the backbone, the most, stay variables: as constants they made
    ResNet-50 no faster between pixels and boxes, and took twice the memory (benchmarks/README.md).

    Args:
        model: left as it is.
        precision: "float32" or "bfloat16", of the convolutions; the rest is float32 in both. A
            backbone that the user built keeps the precision that it was built with.
    """
    copy = type(model).from_config({**model.get_config(), "dtype": PRECISIONS[precision]})
    copy.set_weights(model.get_weights())
    network = fold_normalizations(copy.network)
    backbone = {id(v) for v in network.get_layer(copy.backbone.name).variables}
    copy.network = ConstantWeights(network, [v for v in network.variables if id(v) not in backbone])
    return copy
