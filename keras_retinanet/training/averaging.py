"""The moving average of the weights, put in their place for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Inside, the model holds its optimizer's moving averages (`use_ema=True`); afterwards its own.

    Does nothing for an optimizer without averages.
    """
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if optimizer is None or not optimizer.use_ema or not optimizer.iterations.numpy():
        yield
        return
    variables = optimizer._trainable_variables
    own = [variable.numpy() for variable in variables]
    _assign(variables, optimizer._model_variables_moving_average)
    try:
        yield
    finally:
        _assign(variables, own)


def _assign(variables: list, values: list) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
