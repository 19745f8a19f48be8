"""Models as files: saved as they are to be used, found in a run's folder, loaded."""

from __future__ import annotations

import contextlib
import functools
import os
import pathlib
from collections.abc import Callable, Iterator

import keras

from keras_retinanet.files import write_atomically
from keras_retinanet.models.precision import copied
from keras_retinanet.models.pretrained import open_model
from keras_retinanet.models.retinanet import RetinaNet

# What a run's folder calls its best model, and that of its last epoch.
BEST, LAST = "best.keras", "last.keras"


class ModelFileError(ValueError):
    """There is no model where one is looked for, or what lies there is none of ours."""


def save_model(model: RetinaNet, file: pathlib.Path) -> None:
    """Saves the model as it is to be used: averaged weights, float32, not compiled.

    In float32 whatever it is trained in, since the machine that trains need not be the one that
    serves; without the optimizer, which would make the file three times as large.
    """
    with averaged_weights(model):
        copy = copied(model, "float32")
    with write_atomically(file) as temporary:
        copy.save(temporary)


def model_file(path: str | os.PathLike) -> pathlib.Path:
    """The file that `load_model` loads for `path`; raises as it does if there is none."""
    path = pathlib.Path(path)
    if path.is_dir():
        found = [path / name for name in (BEST, LAST) if (path / name).is_file()]
        if not found:
            raise ModelFileError(f"{path} holds neither {BEST} nor {LAST}")
        return found[0]
    if not path.is_file():
        raise ModelFileError(f"there is no model file {path}")
    return path


def load_model(path: str | os.PathLike) -> RetinaNet:
    """Loads a `.keras` file, or the best, else the last model of a run folder.

    Raises:
        ModelFileError: if there is no model, or the file is not one of ours.
    """
    file = model_file(path)
    if file.suffix != ".keras":  # older formats may hold code, which Keras would run
        raise ModelFileError(f"{file} is no .keras file; retinanet-import makes one of others")
    model = open_model(file, ModelFileError)
    if not isinstance(model, RetinaNet):
        raise ModelFileError(f"{file} holds a {type(model).__name__}, not a RetinaNet")
    return model


@contextlib.contextmanager
def averaged_weights(model: keras.Model) -> Iterator[None]:
    """Inside, the model holds its optimizer's moving averages (`use_ema=True`); afterwards its own.

    Does nothing for an optimizer without averages.
    """
    restore = put_averages(model)
    try:
        yield
    finally:
        restore()


def put_averages(model: keras.Model) -> Callable[[], None]:
    """Puts the averages in the place of the weights; calling the result puts the weights back."""
    optimizer = _averaging(model)
    if optimizer is None or not optimizer.use_ema or not optimizer.iterations.numpy():
        return lambda: None
    variables = optimizer._trainable_variables
    own = [variable.numpy() for variable in variables]
    _assign(variables, optimizer._model_variables_moving_average)
    return functools.partial(_assign, variables, own)


@contextlib.contextmanager
def own_weights_kept(model: keras.Model) -> Iterator[None]:
    """Inside, `fit` does not end by overwriting the weights by their averages.

    Keras does so to hand out the averages. A run goes on from the weights: the optimizer's moments
    belong to them.
    """
    optimizer = _averaging(model)
    assert optimizer is not None, "compile the model first"
    optimizer.finalize_variable_values = lambda variables: None
    try:
        yield
    finally:
        del optimizer.finalize_variable_values  # that of the class is seen again


def _averaging(model: keras.Model) -> keras.optimizers.Optimizer | None:
    """The optimizer that keeps the averages, within one that scales the loss."""
    return getattr(model.optimizer, "inner_optimizer", model.optimizer)


def _assign(variables: list, values: list) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
