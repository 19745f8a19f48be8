"""Starting from published weights; a file of the test's stands for the download."""

import hashlib
import sys

import keras
import numpy as np
import pytest

import keras_retinanet as kr
from keras_retinanet.weights import published
from keras_retinanet.weights.arrays import WeightsError
from tests.weights import goldens


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Takes a state dict, which from then on is what `coco_v1` names."""

    def publish_state(state, prefix=None):
        np.savez(tmp_path / "state.npz", **state)
        content = (tmp_path / "state.npz").read_bytes()
        name = f"state-{prefix or hashlib.sha256(content).hexdigest()[:8]}.npz"
        (tmp_path / name).write_bytes(content)
        monkeypatch.setitem(published.DETECTORS, "coco_v1", name)
        monkeypatch.setattr(keras.utils, "get_file", lambda *_, **__: tmp_path / name)

    return publish_state


STATE = goldens.detector_state("v1", width=8, channels=32)


def test_published_weights_bring_their_settings_and_classes(publish, capsys):
    publish(STATE)
    model = kr.RetinaNet(91, weights="coco_v1")
    assert (
        "coco_v1: kept backbone, pyramid, box subnet, class subnet, class output; new: nothing"
        in (capsys.readouterr().out)
    )
    assert model.settings["p6_from"] == "p5" and model.settings["batch_norm_epsilon"] == 0.0
    assert model.select_detections.max_detections == 300
    assert (model.min_side, model.max_side) == (800, 1333)
    assert model.categories[90] == (90, "toothbrush")
    kernel = model.get_layer("class_subnet").get_layer("class_subnet.output").kernel
    key = "head.classification_head.cls_logits.weight"
    np.testing.assert_array_equal(kernel, STATE[key].transpose(2, 3, 1, 0))
    assert kr.RetinaNet(80, weights="coco_v1").categories[-1] == (90, "toothbrush")


def test_another_file_than_was_published_is_refused(publish):
    publish(STATE, prefix="eeacb38b")
    with pytest.raises(WeightsError, match=r"state-eeacb38b\.npz is not what was published"):
        kr.RetinaNet(91, weights="coco_v1")


def test_offline_is_one_clear_line(monkeypatch):
    def offline(*_, **__):
        raise Exception("URL fetch failure: no route to host")

    monkeypatch.setattr(keras.utils, "get_file", offline)
    monkeypatch.setattr(published, "import_torch", lambda file: None)
    with pytest.raises(
        WeightsError, match=r"retinanet_resnet50_fpn_v2_coco-5905b1c5\.pth could not"
    ) as e:
        published.fetch(published.DETECTORS["coco_v2"])
    assert "\n" not in str(e.value)


def test_nothing_is_fetched_that_could_not_be_read(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError, match=r"coco-eeacb38b\.pth is read with PyTorch, which is not"):
        kr.RetinaNet(91, weights="coco_v1")


def test_published_names_carry_the_hashes_of_the_facts():
    assert published.DETECTORS == {
        "coco_v1": "retinanet_resnet50_fpn_coco-eeacb38b.pth",
        "coco_v2": "retinanet_resnet50_fpn_v2_coco-5905b1c5.pth",
    }


@pytest.mark.parametrize("weights", ["coco_v3", "weights.pth"])
def test_unknown_weights_are_one_clear_line(weights):
    with pytest.raises(ValueError, match=f"weights is '{weights}'; it must be None, 'imagenet'"):
        kr.RetinaNet(3, weights=weights)
