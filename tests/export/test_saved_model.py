"""The export against `model.detect`, through a session in a fresh process, as a server loads it."""

import io
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_retinanet as kr
from keras_retinanet.export.saved_model import ExportError

CATEGORIES = [(3, "red"), (17, "light blue"), (90, "Grün")]
RNG = np.random.default_rng(0)

ASK = """
import sys, numpy as np
from keras_retinanet.export.session import SessionModel
folder = sys.argv[1]
given = np.load(f"{folder}/given.npz", allow_pickle=True)
model = SessionModel(f"{folder}/export/1")
answers = {"bytes": model("serving_bytes", image_bytes=list(given["encoded"])),
           "alone": model("serving_bytes", image_bytes=list(given["encoded"])[1:2]),
           "pixels": model("serving_default", input_tensor=given["pixels"])}
np.savez(f"{folder}/answers.npz",
         **{f"{k}/{n}": v for k, answer in answers.items() for n, v in answer.items()})
"""


@pytest.fixture(scope="module")
def model():
    model = kr.RetinaNet(
        3,
        backbone="resnet10_w32",
        pyramid_channels=16,
        head_depth=1,
        categories=CATEGORIES,
        min_side=64,
        max_side=100,
        score_threshold=0.0,
        max_detections=20,
    )
    # Untrained logits are all alike; spread out, the order of the detections means something.
    for variable in model.trainable_variables:
        if variable.path.endswith(".output/kernel"):
            variable.assign(variable * 30.0)
    return model


def photograph(height, width):
    blocks = RNG.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3))
    return np.kron(blocks, np.ones((8, 8, 1)))[:height, :width].astype(np.uint8)


def encode(pixels, kind, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


@pytest.fixture(scope="module")
def answers(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("export")
    exif = Image.Exif()
    exif[0x0112] = 6
    files = [
        encode(photograph(90, 120), "JPEG"),
        encode(photograph(50, 200), "PNG"),
        encode(photograph(130, 60), "JPEG", exif=exif),  # lies on its side
        encode(photograph(1, 40), "PNG"),
    ]
    paths = []
    for i, encoded in enumerate(files):
        paths.append(folder / f"{i}.img")
        paths[-1].write_bytes(encoded)
    pixels = np.stack([photograph(70, 90) for _ in range(2)])
    np.savez(folder / "given.npz", encoded=np.array(files, object), pixels=pixels)
    assert kr.export_saved_model(model, folder / "export", version=1) == folder / "export" / "1"
    subprocess.run([sys.executable, "-c", ASK, folder], check=True)
    return folder, paths, pixels, dict(np.load(folder / "answers.npz"))


def assert_same(found, answer, row, size):
    height, width = size
    count = int(answer["num_detections"][row])
    assert count == len(found["scores"])
    y0, x0, y1, x1 = answer["detection_boxes"][row, :count].T
    boxes = np.stack([x0 * width, y0 * height, x1 * width, y1 * height], axis=1)
    np.testing.assert_allclose(boxes, found["boxes"], atol=0.01)
    np.testing.assert_allclose(answer["detection_scores"][row, :count], found["scores"], atol=1e-4)
    ids = np.array([id_ for id_, _ in CATEGORIES])
    np.testing.assert_array_equal(answer["detection_classes"][row, :count], ids[found["labels"]])
    assert not answer["detection_boxes"][row, count:].any()
    assert not answer["detection_classes"][row, count:].any()


def part(answers, name):
    return {key.split("/")[1]: value for key, value in answers.items() if key.startswith(name)}


@pytest.mark.slow
def test_files_give_the_boxes_of_detect(model, answers):
    _, paths, _, values = answers
    sizes = [(90, 120), (50, 200), (60, 130), (1, 40)]
    found = model.detect(paths)
    assert sum(len(f["scores"]) for f in found) > 20
    for row, size in enumerate(sizes):
        assert_same(found[row], part(values, "bytes"), row, size)


@pytest.mark.slow
def test_pixels_give_the_boxes_of_detect(model, answers):
    _, _, pixels, values = answers
    for row, found in enumerate(model.detect(list(pixels))):
        assert_same(found, part(values, "pixels"), row, (70, 90))


@pytest.mark.slow
def test_an_image_gets_the_same_answer_alone_and_in_a_batch(answers):
    _, _, _, values = answers
    together, alone = part(values, "bytes"), part(values, "alone")
    for name, value in alone.items():
        np.testing.assert_array_equal(value[0], together[name][1])


@pytest.mark.slow
def test_outputs_are_float32_with_a_leading_batch_dimension(answers):
    for key, value in answers[3].items():
        assert value.dtype == np.float32, key
        assert value.shape[0] == {"bytes": 4, "alone": 1, "pixels": 2}[key.split("/")[0]], key


@pytest.mark.slow
def test_labels_are_an_asset(answers):
    labels = (answers[0] / "export" / "1" / "assets" / "labels.txt").read_text("utf-8")
    assert labels == "3 red\n17 light blue\n90 Grün\n"


def test_an_existing_version_is_refused_and_left_alone(model, tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "mine").write_text("keep")
    with pytest.raises(ExportError, match="1 exists; choose another version"):
        kr.export_saved_model(model, tmp_path, version=1)
    assert (tmp_path / "1" / "mine").read_text() == "keep"


@pytest.mark.slow
def test_overwriting_and_encoded_images_as_the_default(model, tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "old").write_text("goes")
    kr.export_saved_model(model, tmp_path, version=1, overwrite=True, default_signature="bytes")
    assert not (tmp_path / "1" / "old").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["1"]
    served = tf.saved_model.load(str(tmp_path / "1")).signatures["serving_default"]
    (spec,) = served.structured_input_signature[1].values()
    assert (spec.name, spec.dtype) == ("input_tensor", tf.string)


def test_a_failing_export_leaves_nothing(model, tmp_path, monkeypatch):
    def fail(model, folder, default_signature):
        folder.mkdir()
        (folder / "half").write_text("written")
        raise RuntimeError("disk full")

    monkeypatch.setattr("keras_retinanet.export.saved_model._write", fail)
    with pytest.raises(RuntimeError, match="disk full"):
        kr.export_saved_model(model, tmp_path / "base", version=1)
    assert list((tmp_path / "base").iterdir()) == []


def test_a_negative_version_is_refused(model, tmp_path):
    with pytest.raises(ExportError, match="negative"):
        kr.export_saved_model(model, tmp_path, version=-1)
