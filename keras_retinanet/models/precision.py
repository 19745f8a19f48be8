"""The precision in which a trained model computes."""

from __future__ import annotations

from keras_retinanet.models.retinanet import RetinaNet


def with_policy(model: RetinaNet, policy: str) -> RetinaNet:
    """The model, or a copy of it if it has another precision policy than this.

    See `copied`.
    """
    return model if model.precision == policy else copied(model, policy)


def copied(model: RetinaNet, policy: str) -> RetinaNet:
    """A copy of the model that computes by this precision policy, not compiled.

    The weights are those of `model`; under "mixed_bfloat16" only convolutions compute in less than
    float32. A backbone that the user built keeps the precision that it was built with.
    """
    copy = type(model).from_config({**model.get_config(), "dtype": policy})
    copy.set_weights(model.get_weights())
    return copy
