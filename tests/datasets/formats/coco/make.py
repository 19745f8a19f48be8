"""COCO files as contents, and what reading them comes to."""

import json

import msgspec
import pytest

from keras_retinanet.datasets.formats.coco import read_coco
from keras_retinanet.errors import DataError

SIZES = [(1, 1), (20, 30), (30, 20), (40, 40)]


def good():
    """A data set without faults: two images of 20 x 30 and 30 x 20, three annotations."""
    return {
        "images": [
            {"id": 7, "file_name": "sub/a20x30.png", "height": 20, "width": 30},
            {"id": 5, "file_name": "sub/a30x20.png", "height": 30, "width": 20},
        ],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 90, "bbox": [1.5, 2.25, 10, 20.5], "area": 99},
            {"id": 2, "image_id": 7, "category_id": 3, "bbox": [0, 0, 30, 20]},
            {"id": 9, "image_id": 5, "category_id": 3, "bbox": [4, 5, 6, 7], "iscrowd": 1},
        ],
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 3, "name": "car"}],
    }


def read(file, folder, content):
    file.write_text(json.dumps(content), encoding="utf-8")
    return read_coco(file, folder)


def fault(file, folder, content):
    """The message that reading ends in."""
    with pytest.raises(DataError) as caught:
        read(file, folder, content)
    return str(caught.value)


def one_fault(file, folder, content):
    message = fault(file, folder, content)
    assert "\n" not in message
    assert message.startswith(f"{file}: ")
    return message.removeprefix(f"{file}: ")


def one_by_one(monkeypatch):
    """From here on records are converted one by one, as if some were faulty."""

    def decode(text, type):
        raise msgspec.ValidationError

    monkeypatch.setattr(msgspec.json, "decode", decode)
