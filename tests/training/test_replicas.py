"""A whole run on two replicas: pipeline, averages, scores, files, resume."""

import csv

import numpy as np
import pytest

from keras_retinanet.config import load_config
from keras_retinanet.models.saving import load_model
from keras_retinanet.training import build, train
from tests.datasets.make import write_coco
from tests.training.make import two_replicas

SETTINGS = (
    "model.backbone=resnet10_w32",
    "model.pyramid_channels=32",
    "model.head_depth=1",
    "data.train.annotations=data/annotations.json",
    "data.train.images=data/images",
    "data.min_side=64",
    "data.max_side=96",
    "train.batch_size=4",
    "train.precision=float32",
    "train.ema=0.5",
    "train.clip_norm=1.0",
    "inference.score_threshold=0.001",
)


def choose_two_replicas():
    return two_replicas(), ["CPU:0", "CPU:1"]


@pytest.mark.long
@pytest.mark.slow
def test_a_run_on_two_replicas_is_one_like_any_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_coco(tmp_path / "data", count=10)
    lines = []
    with monkeypatch.context() as patch:  # then one device
        patch.setattr(build, "choose_strategy", choose_two_replicas)
        train.train(load_config("small", [*SETTINGS, "train.epochs=2"]), "run", say=lines.append)
    assert "devices: CPU:0, CPU:1" in lines[0]
    train.resume("run", ["train.epochs=3"], say=lines.append)
    assert load_config("run/config.yaml").train.epochs == 3
    with open("run/metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [2, 4, 6]
    assert all(np.isfinite(float(row["loss"])) for row in rows)
    image = np.full((64, 80, 3), 128, np.uint8)
    assert len(load_model("run").detect([image])) == 1


def test_a_batch_that_cannot_be_shared_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "choose_strategy", choose_two_replicas)
    monkeypatch.chdir(tmp_path)
    write_coco(tmp_path / "data", count=4)
    config = load_config("small", [*SETTINGS, "train.batch_size=3"])
    with pytest.raises(ValueError, match="batch_size=3 cannot be shared evenly by 2 devices"):
        train.train(config, "run")
    assert not (tmp_path / "run").exists()
