"""Exports are written whole or not at all, and only if a session computes what the model does."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_retinanet as kr
from keras_retinanet.export.comparison import SelfTestError
from keras_retinanet.export.forced_detections import copy_without_threshold
from keras_retinanet.export.graph.freeze_weights import inference_model
from keras_retinanet.export.saved_model.operations import OperationError
from keras_retinanet.export.saved_model.self_test import expected_answers, sample_image
from keras_retinanet.export.saved_model.session import SessionModel
from keras_retinanet.export.versions import ExportError
from keras_retinanet.layers import grouped_convolution
from tests.export.make import random_image, shuffle_statistics, small_model


def test_an_existing_version_is_refused_and_left_alone(model, tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "mine").write_text("keep")
    with pytest.raises(ExportError, match="1 exists; choose another version"):
        kr.export_saved_model(model, tmp_path, version=1)
    assert (tmp_path / "1" / "mine").read_text() == "keep"


def test_a_failing_export_leaves_nothing(model, tmp_path, monkeypatch):
    def fail(model, folder, functions):
        folder.mkdir()
        (folder / "half").write_text("written")
        raise RuntimeError("disk full")

    monkeypatch.setattr("keras_retinanet.export.saved_model.export._write", fail)
    with pytest.raises(RuntimeError, match="disk full"):
        kr.export_saved_model(model, tmp_path / "new" / "base", version=1)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "base" / "1").mkdir(parents=True)
    (tmp_path / "base" / "1" / "old").write_text("stays")
    with pytest.raises(RuntimeError, match="disk full"):
        kr.export_saved_model(model, tmp_path / "base", version=1, overwrite=True)
    assert [path.name for path in (tmp_path / "base").rglob("*")] == ["1", "old"]


@pytest.mark.long
@pytest.mark.slow
def test_an_export_that_answers_otherwise_than_its_model_leaves_nothing(
    model, tmp_path, monkeypatch
):
    other = small_model()
    other.set_weights([weight + 0.01 for weight in model.get_weights()])
    monkeypatch.setattr(
        "keras_retinanet.export.saved_model.export.inference_model",
        lambda model, precision: inference_model(other, precision),
    )
    monkeypatch.setenv("PYTHONOPTIMIZE", "1")  # which removes all that `assert` says
    differs = r"nothing is written: \d+ of 40 detections of image 0 \(serving_\w+\) differ"
    with pytest.raises(SelfTestError, match=differs):
        kr.export_saved_model(model, tmp_path, version=1)
    assert list(tmp_path.iterdir()) == []


@keras.saving.register_keras_serializable("tests")
class Doubled(keras.layers.Layer):
    """Works in this process only, which no loading in it would show."""

    def call(self, features):
        doubled = tf.numpy_function(lambda x: 2 * x, [features], tf.float32)
        return tf.ensure_shape(doubled, features.shape)


@pytest.mark.slow
def test_an_operation_that_a_server_has_not_is_refused(tmp_path):
    images = keras.Input((None, None, 3))
    maps = [
        keras.layers.Conv2D(8, 3, strides=stride, padding="same")(images) for stride in (8, 16, 32)
    ]
    backbone = keras.Model(images, [*maps[:2], Doubled()(maps[2])])
    model = kr.RetinaNet(3, backbone=backbone, pyramid_channels=8, head_depth=1, min_side=64)
    with pytest.raises(OperationError, match="the operations PyFunc, which a TensorFlow server"):
        kr.export_saved_model(model, tmp_path, version=1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
@pytest.mark.slow
def test_a_model_in_another_precision_is_exported_too(tmp_path):
    mixed = small_model(dtype="mixed_bfloat16")
    kr.export_saved_model(mixed, tmp_path, version=1)
    signatures = SessionModel(tmp_path / "1").signatures
    assert signatures.keys() == {"serving_default", "serving_bytes", "serving_examples"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "tolerance", "gradients_of_our_own"),
    [("float32", 1e-4, True), ("bfloat16", 0.03, False)],
)
def test_a_session_runs_grouped_convolutions(
    precision, tolerance, gradients_of_our_own, tmp_path, monkeypatch
):
    """Once folded, a session joins convolution, bias and ReLU into one operation; groups too?"""
    if gradients_of_our_own:  # as where oneDNN is off; they have no place in an export
        monkeypatch.setattr(grouped_convolution, "_has_gradients", lambda dtype: False)
    model = small_model(backbone="resnext50_32x4d_w16")
    shuffle_statistics(model)
    kr.export_saved_model(model, tmp_path, version=1, precision=precision, signatures=["debug"])
    image = random_image(64, 96)
    expected = model.heads(tf.constant(image[None], tf.float32))
    raw = SessionModel(tmp_path / "1")("debug", input_tensor=image[None])
    logits = expected["class_logits"].numpy()
    np.testing.assert_allclose(raw["class_logits"], logits, atol=tolerance * np.abs(logits).max())


SUMS = """
import sys
import numpy as np, tensorflow as tf
graph, v1 = tf.Graph(), tf.compat.v1
with graph.as_default(), v1.Session() as session:
    signature = v1.saved_model.load(session, ["serve"], sys.argv[1]).signature_def["debug"]
    session.run(
        [output.name for output in signature.outputs.values()],
        {signature.inputs["input_tensor"].name: np.zeros([1, 90, 70, 3], np.uint8)},
        options=v1.RunOptions(output_partition_graphs=True),
        run_metadata=(record := v1.RunMetadata()),
    )
for node in record.partition_graphs[0].node:
    fused = b"+".join(node.attr["fused_ops"].list.s).decode()
    if "Add" in (fused.split("+") or node.op) or node.op in ("Add", "AddV2", "AddN"):
        print(node.op, fused, node.name)
"""


@pytest.mark.slow
def test_a_session_adds_shortcuts_within_convolutions(tmp_path):
    """Strides and upsampling do not stop it: four blocks, and two levels of the pyramid."""
    model = small_model()
    shuffle_statistics(model)
    for variable in model.variables:
        if variable.path.startswith("lateral") and variable.path.endswith("bias"):
            variable.assign(variable + 0.5)  # adding 0 would be left out, and nothing be fused
    kr.export_saved_model(model, tmp_path, version=1, signatures=["debug"])
    found = subprocess.run(
        [sys.executable, "-c", SUMS, tmp_path / "1"],
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    sums = [line for line in found if ".add" in line or "merge" in line or ".relu" in line]
    assert len(sums) == 6 and all("BiasAdd+Add" in line for line in sums), found


@pytest.mark.parametrize(
    ("category", "message"),
    [
        ((16_777_217, "cat"), "'cat' has the id 16777217; .* 0 to 16,777,216"),
        ((-1, "cat"), "'cat' has the id -1"),
        ((4, "cat\ndog"), r"the category 4 is called 'cat\\ndog'"),
        ((4, "cat\u2028dog"), "a name of one line"),
        ((4, ""), "the category 4 is called ''"),
    ],
)
def test_categories_that_cannot_be_answered_with_are_refused(category, message, tmp_path):
    model = small_model(categories=[(1, "a"), (2, "b"), category])
    with pytest.raises(ExportError, match=message) as error:
        kr.export_saved_model(model, tmp_path / "base", version=1)
    assert "\n" not in str(error.value) and list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_self_test_sees_what_a_threshold_hides(model, export, tmp_path):
    """Without its threshold an export reports D boxes an image, whatever their scores."""
    model.set_inference(score_threshold=0.99)
    try:
        (expected,) = expected_answers(model, [(60, 90)])
        assert model.select_detections.settings.score_threshold == 0.99  # as it was
    finally:
        model.set_inference(score_threshold=0.0)
    assert expected["num_detections"] == [20]
    copy_without_threshold(export / "1", tmp_path / "1")
    found = SessionModel(tmp_path / "1")("serving_default", input_tensor=sample_image(60, 90)[None])
    np.testing.assert_allclose(found["detection_scores"], expected["detection_scores"], atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"signatures": ["serving_bytes", "raw"]}, "serving_bytes, raw; there are serving_default"),
        ({"signatures": []}, "the signatures are missing"),
        (
            {"signatures": ["debug"], "default_signature": "bytes"},
            "bytes needs the signature serving_default",
        ),
        ({"default_signature": "pixels"}, "'pixels'; it is tensor or bytes"),
        ({"max_batch": 0}, "max_batch is 0; it must be at least 1"),
    ],
)
def test_what_a_server_cannot_have_is_refused(arguments, message, model, tmp_path):
    with pytest.raises(ExportError, match=message):
        kr.export_saved_model(model, tmp_path / "base", version=1, **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("export_it", [kr.export_saved_model, kr.export_portable])
def test_a_url_is_no_folder(export_it, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = {} if export_it is kr.export_saved_model else {"format": "onnx"}
    with pytest.raises(ExportError, match="gs://bucket/x: only folders of this machine"):
        export_it(model, "gs://bucket/x", 1, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_negative_version_is_refused(model, tmp_path):
    with pytest.raises(ExportError, match="negative"):
        kr.export_saved_model(model, tmp_path, version=-1)
