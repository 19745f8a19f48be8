"""Fetching the weights that torchvision publishes."""

from __future__ import annotations

import hashlib
import pathlib

import keras

from keras_retinanet.weights.arrays import WeightsError, import_torch

_BASE = "https://download.pytorch.org/models/"

# The end of each name is the beginning of the file's SHA-256.
DETECTORS = {
    "coco_v1": "retinanet_resnet50_fpn_coco-eeacb38b.pth",
    "coco_v2": "retinanet_resnet50_fpn_v2_coco-5905b1c5.pth",
}
# Classifiers of ImageNet; the later of two recipes where there are two.
BACKBONES = {
    "resnet18": "resnet18-f37072fd.pth",
    "resnet34": "resnet34-b627a593.pth",
    "resnet50": "resnet50-11ad3fa6.pth",
    "resnet101": "resnet101-cd907fc2.pth",
    "resnet152": "resnet152-f82ba261.pth",
    "resnext50_32x4d": "resnext50_32x4d-1a0047aa.pth",
    "resnext101_32x8d": "resnext101_32x8d-110c445d.pth",
    "wide_resnet50_2": "wide_resnet50_2-9ba9bcbe.pth",
    "wide_resnet101_2": "wide_resnet101_2-d733dc28.pth",
}


def fetch(name: str) -> pathlib.Path:
    """The published file `name`, downloaded into the cache of Keras if it is not there.

    Raises:
        WeightsError: if it cannot be downloaded, or is another file than was published.
        ImportError: if PyTorch is needed to read it and missing.
    """
    if name.endswith(".pth"):
        import_torch(name)  # before 150 MB are fetched that could not be read
    try:
        path = pathlib.Path(keras.utils.get_file(name, _BASE + name, cache_subdir="models"))
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise WeightsError(
            f"the published weights {name} could not be fetched ({error}); go online once, or give "
            "a .keras file that retinanet-import made"
        ) from error
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    expected = path.stem.rpartition("-")[2]
    if not digest.startswith(expected):
        raise WeightsError(
            f"{path} is not what was published: its SHA-256 begins with {digest[:8]}, not "
            f"{expected}; delete it and try again"
        )
    return path
