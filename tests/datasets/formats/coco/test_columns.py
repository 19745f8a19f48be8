"""COCO's JSON converted as a whole against record by record."""

import dataclasses
import json
import math

import numpy as np
import pytest

from keras_retinanet.datasets.formats.coco import read_coco
from keras_retinanet.errors import DataError
from tests.datasets.formats.coco.make import one_by_one
from tests.datasets.make import write_coco


def unusual(tmp_path):
    """A file without a fault that has all that a file may have, or lack."""
    file, images = write_coco(tmp_path)
    content = json.loads(file.read_text())
    first, second, third, *_ = content["annotations"]
    del first["area"], first["iscrowd"]
    first["segmentation"] = [[1.5, 2e0, 3, -4]]
    second |= {"area": None, "iscrowd": 1, "every_category": 1, "bbox": [0, 1.25, 3, 0]}
    third |= {"iscrowd": None, "segmentation": {"counts": "]", "size": [1, 2]}}
    records = content["images"]
    records[0] |= {"width": float(records[0]["width"]), "neg_category_ids": [3], "more": [{}]}
    del records[1]["width"], records[2]["height"]
    return file, images, content


def test_the_fast_and_the_careful_way_read_the_same(tmp_path, monkeypatch):
    file, images, content = unusual(tmp_path)
    file.write_text(json.dumps(content))
    with monkeypatch.context() as patch:
        patch.delattr(json, "loads")  # of the careful way
        fast = read_coco(file, images)
    one_by_one(monkeypatch)
    careful = read_coco(file, images)
    for field in dataclasses.fields(fast):
        np.testing.assert_equal(getattr(fast, field.name), getattr(careful, field.name))
    assert fast.negatives[0] == (3,) and fast.is_crowd.sum() == 1 and fast.notes


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        *(("annotations", {key: None}) for key in ("id", "image_id", "category_id", "bbox")),
        *(("annotations", {"id": value}) for value in (1.0, True, "1", 2**63, 3)),
        *(("annotations", {"bbox": box}) for box in ([1, 2, 3], [1, 2, 3, "4"], [1, 2, -3, 4])),
        *(("annotations", {"bbox": [v, 2, 3, 4]}) for v in (math.nan, math.inf, 1e15, True, None)),
        *(("annotations", {"area": area}) for area in (-1, 1e15, "1")),
        *(("annotations", {"iscrowd": crowd}) for crowd in (2, -1, 0.5, "0")),
        *(("annotations", {"every_category": value}) for value in (1, 2, "0")),
        *(("images", {"id": value}) for value in (1.0, None, 2**63, 15)),
        *(("images", {"file_name": name}) for name in ("", None, 3)),
        *(("images", {"width": width}) for width in (1.5, 1e15, "3")),
        *(("images", {"neg_category_ids": ids}) for ids in (None, ["3"], [1.5])),
    ],
)
def test_both_ways_say_the_same_of_a_faulty_record(tmp_path, kind, change, monkeypatch):
    file, images, content = unusual(tmp_path)
    content[kind][0] |= change
    file.write_text(json.dumps(content))
    with pytest.raises(DataError) as first:
        read_coco(file, images)
    one_by_one(monkeypatch)
    with pytest.raises(DataError) as second:
        read_coco(file, images)
    assert str(first.value) == str(second.value)
