"""The .h5 files of fizyr's keras-retinanet: a ResNet of keras-resnet below, two nested models."""

from __future__ import annotations

import os
import pathlib
import re
from typing import Any

import h5py
import numpy as np

from keras_retinanet.weights.arrays import (
    Arrays,
    WeightsError,
    as_float32,
    check_numeric,
    check_size,
)
from keras_retinanet.weights.checkpoint import Checkpoint

_SUBNETS = {
    "class_subnet": ("classification_submodel", "pyramid_classification"),
    "box_subnet": ("regression_submodel", "pyramid_regression"),
}
_NESTED = {nested for nested, _ in _SUBNETS.values()}
_LAYERS = {
    "conv1": "conv1",
    "bn1": "bn_conv1",
    **{f"lateral{level}": f"C{level}_reduced" for level in (3, 4, 5)},
    **{f"p{level}": f"P{level}" for level in (3, 4, 5, 6, 7)},
}
_BLOCK = re.compile(r"res([2-5])([a-z]|b\d+)_branch")


def read_fizyr(file: str | os.PathLike[str]) -> Arrays:
    """The weights of a file under "layer/part", such as "res2a_branch2a/kernel".

    By the names of the layers, since the file may be of the model for training, of the one for
    inference, or of the weights alone, and they stand in another order in each.

    Raises:
        WeightsError: if the file is not there or no HDF5 file, two weights have one name, or one
            holds NaN; if it takes data from elsewhere, or claims far more than it holds.
    """
    path = pathlib.Path(file)
    if not path.is_file():
        raise WeightsError(f"there is no file of weights {path}")
    try:
        with h5py.File(path) as content:
            return _read_datasets(path, _find_datasets(path, content))
    except (OSError, RuntimeError, KeyError) as error:
        raise WeightsError(f"{path} is not a whole .h5 file: {error}") from error


def _find_datasets(path: pathlib.Path, content: h5py.File) -> dict[str, h5py.Dataset]:
    """The datasets of the weights by their paths, which all lie in the file itself."""
    # Before anything is opened, since that follows links; a visit ends where something is returned.
    link = content.visititems_links(
        lambda name, link: None if isinstance(link, h5py.HardLink) else name
    )
    if link is not None:
        raise WeightsError(f"{path}: {link} is a link; weights are read from the file itself")
    items: dict[str, Any] = {}
    content.get("model_weights", content).visititems(items.__setitem__)
    found = {n: item for n, item in items.items() if isinstance(item, h5py.Dataset) and "/" in n}
    for name, item in found.items():
        if item.external or item.is_virtual:
            raise WeightsError(f"{path}: {name} takes its numbers from another file")
    return found


def _read_datasets(path: pathlib.Path, datasets: dict[str, h5py.Dataset]) -> Arrays:
    check_size(sum(item.nbytes for item in datasets.values()), path)
    arrays: Arrays = {}
    for name, item in datasets.items():
        words = name.split("/")
        layer = words[-2] if words[0] in _NESTED else words[0]
        entry = f"{layer}/{words[-1].partition(':')[0]}"
        if entry in arrays:
            raise WeightsError(f"{path}: {entry} is there twice, once as {name}")
        check_numeric(item.dtype, f"{path}: {entry}")
        arrays[entry] = as_float32(np.asarray(item), f"{path}: {entry}")
    return arrays


def block_names(arrays: Arrays) -> dict[int, list[str]]:
    """What the blocks of the stages 1 to 4 are called, in order.

    "a", "b", "c", ... in short stages, and "a", "b1", "b2", ... in the long ones of ResNet-101 and
    -152.
    """
    blocks = {(int(match[1]) - 1, match[2]) for name in arrays if (match := _BLOCK.match(name))}
    ordered = sorted(blocks, key=lambda block: (len(block[1]), block[1]))  # "b10" behind "b9"
    return {stage: [name for at, name in ordered if at == stage] for stage in (1, 2, 3, 4)}


def fizyr_checkpoint(arrays: Arrays, source: str) -> Checkpoint:
    """The entries that `read_fizyr` found."""
    is_numbered = {
        stage: any(len(name) > 1 for name in names) for stage, names in block_names(arrays).items()
    }

    def name_of(path: str) -> str:
        layer, part = path.split("/")
        return f"{_layer_name(layer, is_numbered)}/{part}"

    return Checkpoint(source, arrays, name_of)


def _layer_name(layer: str, is_numbered: dict[int, bool]) -> str:
    subnet, _, inner = layer.partition(".")
    if layer in _LAYERS:
        return _LAYERS[layer]
    if subnet in _SUBNETS:
        name = _SUBNETS[subnet][1]
        return name if inner == "output" else f"{name}_{inner.removeprefix('conv')}"
    stage, block, module, *index_in_module = layer.removeprefix("layer").split(".")
    index = int(block)
    letter = f"b{index}" if index and is_numbered[int(stage)] else chr(ord("a") + index)
    if module == "downsample":
        is_convolution, branch = index_in_module == ["0"], "1"
    else:
        is_convolution, branch = module.startswith("conv"), f"2{'abc'[int(module[-1]) - 1]}"
    kind = "res" if is_convolution else "bn"
    return f"{kind}{int(stage) + 1}{letter}_branch{branch}"
