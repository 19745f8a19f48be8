"""Two steps of training on a data set in each format, by the command line."""

import re

import pytest

from keras_retinanet.datasets.formats.coco import read_coco
from keras_retinanet.datasets.formats.convert import convert
from keras_retinanet.datasets.formats.registry import FORMATS
from tests.commands.here import run_here
from tests.commands.test_commands import TINY
from tests.datasets.make import write_coco


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    file, images = write_coco(
        tmp_path_factory.mktemp("data"), count=6, side=32
    )  # two steps are one epoch
    return read_coco(file, images)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [name if name == "coco" else pytest.param(name, marks=pytest.mark.long) for name in FORMATS],
)
def test_two_steps_on_each_format(data, name, tmp_path):
    source, _ = convert(data, name, tmp_path / "data")
    fields = {
        "data.train.annotations": source.annotations,
        "data.train.images": source.images,
        "data.train.split": source.split,
        "data.name": source.name,
        "data.classes": source.classes,
    }
    settings = [f"{key}={value}" for key, value in fields.items() if value is not None]
    out, _ = run_here(
        *("train", "--config", "small", "--output_dir", "run", *settings, *TINY),
        *("train.steps=2", "train.evaluations=0", "train.ema=null", "model.pyramid_channels=8"),
        *("model.head_norm=null", "data.min_side=32", "data.max_side=48"),
        *("train.optimizer=sgd", "train.clip_norm=null"),  # half the time to trace
        cwd=tmp_path,
    )
    (val,) = re.findall(r"no data.val: ([12]) of 6 images are split off", out)
    assert f"{6 - int(val)} training and {val} validation images, 2 classes" in out
    assert "anchors: " in out
    assert (tmp_path / "run" / "last.keras").exists()
