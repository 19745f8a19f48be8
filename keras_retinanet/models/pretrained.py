"""Starting a detector from the weights of another one, or from those of a backbone."""

from __future__ import annotations

import dataclasses
import logging
import os
import pathlib
from typing import Any

import keras

from keras_retinanet.errors import first_line
from keras_retinanet.layers.detector_settings import BackboneSettings, HeadSettings, PyramidSettings
from keras_retinanet.models.published_detectors import (
    CLASS_OUTPUT,
    Categories,
    Imported,
    coco_categories,
    torchvision_checkpoint,
)
from keras_retinanet.models.resnet import find_network
from keras_retinanet.models.trainable import TrainableDetector
from keras_retinanet.weights.arrays import WeightsError, read_arrays
from keras_retinanet.weights.checkpoint import Checkpoint, check_distinct_paths, fill
from keras_retinanet.weights.published import DETECTORS, fetch

_LOG = logging.getLogger(__name__)

# The settings that no weights decide.
_OWN = ("num_classes", "categories", "prior", "backbone_norm", "frozen_stages", "dtype", "name")
# Those that variables are made for. The others that come with the weights of a detector, how it
# resizes and selects, may be changed.
_STRUCTURE = [
    field.name
    for group in (BackboneSettings, PyramidSettings, HeadSettings)
    for field in dataclasses.fields(group)
    if field.name not in _OWN
]


def load_start(
    weights: str | os.PathLike[str],
    num_classes: int,
    categories: Categories | None,
    given: dict[str, Any],
) -> Imported:
    """What `RetinaNet(weights=...)` starts from: the settings, the categories, what fills it.

    The class output is kept where all classes are among those of the weights (COCO's 80 or 91 are
    taken to be meant if there are as many and no `categories`); else it starts anew.

    Args:
        weights: a published detector or a file.
        num_classes, categories: of the new model.
        given: other arguments for it.

    Raises:
        WeightsError: if they cannot be had, or were made for another structure than is `given`.
        ImportError: if PyTorch is needed and missing.
    """
    start = load_weights(weights)
    _check_structure(given, start, str(weights))
    return _fit_classes(start, num_classes, categories) if start.is_detector else start


def load_weights(weights: str | os.PathLike[str]) -> Imported:
    """The checkpoint that `RetinaNet(weights=...)` names.

    Raises:
        WeightsError: if there is none of this name, it cannot be fetched or read.
        ImportError: if PyTorch is needed and missing.
    """
    if weights in DETECTORS:
        return torchvision_checkpoint(read_arrays(fetch(DETECTORS[weights])), str(weights))
    path = pathlib.Path(weights)
    if path.suffix != ".keras":
        known = ", ".join(map(repr, ("imagenet", *DETECTORS)))
        raise WeightsError(
            f"weights is {str(weights)!r}; it must be None, {known}, or a .keras file, which "
            "retinanet-import makes of other files"
        )
    if not path.is_file():
        raise WeightsError(f"there is no file of weights {path}")
    return _saved_model(path)


def open_model(file: pathlib.Path, error: type[ValueError]) -> keras.Model:
    """The model of a `.keras` file, not compiled; an `error` if it cannot be loaded."""
    try:
        return keras.saving.load_model(file, compile=False)
    except Exception as cause:  # Keras raises many kinds: of zip, HDF5, JSON, its own
        raise error(f"{file} is not a model that can be loaded: {first_line(cause)}") from cause


def _saved_model(path: pathlib.Path) -> Imported:
    model = open_model(path, WeightsError)
    check_distinct_paths(model.weights, str(path))
    entries = {variable.path: variable.numpy() for variable in model.weights}
    checkpoint = Checkpoint(str(path), entries, lambda path: path)
    if isinstance(model, TrainableDetector):
        settings = {name: value for name, value in model.settings.items() if name not in _OWN}
        return Imported(checkpoint, settings, model.categories)
    if find_network(model.name) is None:
        raise WeightsError(
            f"{path} holds neither a RetinaNet nor one of our backbones; a model of your own is "
            "given as backbone=keras.saving.load_model(...)"
        )
    return Imported(checkpoint, {"backbone": model.name}, is_detector=False)


def _check_structure(given: dict[str, Any], start: Imported, weights: str) -> None:
    """WeightsError where a setting that is given contradicts what the weights were made for."""
    for name in _STRUCTURE:
        if name not in given or name not in start.settings:
            continue
        theirs, ours = start.settings[name], given[name]
        if isinstance(theirs, keras.Model) and isinstance(ours, keras.Model):
            continue  # their variables will be compared one by one
        if theirs != ours:
            raise WeightsError(
                f"weights={weights!r} are of a model with {name}={theirs!r}, not {ours!r}; leave "
                "the setting out, or start from other weights"
            )


def _fit_classes(start: Imported, num_classes: int, categories: Categories | None) -> Imported:
    """`start` with the class outputs that are wanted, or without any."""
    if not categories:
        is_same = len(start.categories) == num_classes
        categories = start.categories if is_same else coco_categories(num_classes)
    categories = tuple((int(id_), str(name)) for id_, name in categories or ())
    are_known = set(categories) <= set(start.categories)
    return start.with_categories(categories if are_known else ())


def fill_from(start: Imported, model: Any) -> None:
    """Fills what `start` has weights for, and logs what was kept and what is new."""
    parts = ["backbone", "pyramid", "box subnet", "class subnet", "class output"]
    if not start.is_detector:
        variables, kept = model.backbone.weights, 1
    elif start.categories:
        variables, kept = model.weights, 5
    else:
        variables, kept = [v for v in model.weights if not v.path.startswith(CLASS_OUTPUT)], 4
    fill(variables, start.checkpoint)
    new = ", ".join(parts[kept:]) or "nothing"
    _LOG.info("weights %s: kept %s; new: %s", start.checkpoint.source, ", ".join(parts[:kept]), new)
