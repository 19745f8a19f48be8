"""A copy of a model that answers faster and cannot be trained: what goes into an export."""

from __future__ import annotations

from keras_retinanet.export.folding import fold_batch_norm
from keras_retinanet.models.retinanet import RetinaNet

# The precision policy of each precision that an export can have.
PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16"}


def inference_model(model: RetinaNet, precision: str) -> RetinaNet:
    """A copy of `model` with batch normalisation folded.

    Its variables stay variables: as constants they were no faster once biases were other than 0 (an
    untrained network's are 0, and are then left out), and took three times the memory.

    Args:
        model: left as it is.
        precision: "float32" or "bfloat16", of the convolutions; the rest is float32 in both. A
            backbone that the user built keeps the precision that it was built with.
    """
    copy = type(model).from_config({**model.get_config(), "dtype": PRECISIONS[precision]})
    copy.set_weights(model.get_weights())
    copy.network = fold_batch_norm(copy.network)
    return copy
