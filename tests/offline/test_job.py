"""Jobs over many images: the right numbers, whatever kills them, and in every form."""

import json
import os
import pickle
import shutil
import signal
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from PIL import Image

import keras_retinanet as kr
from keras_retinanet.commands import predict
from keras_retinanet.models.saving import load_model
from keras_retinanet.offline import job
from keras_retinanet.offline import parts as parts_module
from keras_retinanet.offline.detect import detect_listed
from keras_retinanet.offline.inputs import list_images
from tests.commands.here import error_here, run_here, save_model
from tests.commands.test_commands import start
from tests.datasets.formats.test_tfrecord import example

COUNT = 11  # readable images


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A model; images of several sizes in a folder, a TFRecord file and memory, three bad."""
    folder = tmp_path_factory.mktemp("work")
    save_model(folder / "m.keras", score_threshold=0.0, max_detections=5)
    rng = np.random.default_rng(0)
    (folder / "photos" / "sub").mkdir(parents=True)
    for index, (height, width) in enumerate([(40, 50), (64, 64), (9, 90), (50, 40)] * 2):
        pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
        sub = "sub" if index % 2 else "."
        Image.fromarray(pixels).save(folder / "photos" / sub / f"{index}.png")
    (folder / "photos" / "empty.jpg").touch()
    (folder / "photos" / "text.jpg").write_text("no image")
    encoded = [(folder / "photos" / f"{index}.png").read_bytes() for index in (0, 2)]
    with tf.io.TFRecordWriter(str(folder / "x.tfrecord")) as writer:
        for index, contents in enumerate((encoded[0], b"no image", encoded[1])):
            writer.write(example(encoded=contents, filename=f"r{index}.png"))
    tf.io.gfile.makedirs("ram://job")
    with tf.io.gfile.GFile("ram://job/c.png", "wb") as file:
        file.write(encoded[1])
    return folder


WORDS = ("photos/**/*.??g", "x.tfrecord", "ram://job")
EXACT = ("--precision", "float32")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(parts_module, "IMAGES_PER_PART", 4)


def call(work, output, *more, fails=True):
    """The faults that the command ends with."""
    arguments = ("--model", "m.keras", "--output_dir", output, *WORDS, *EXACT, *more)
    out, err = run_here("predict", *arguments, cwd=work, code=int(fails))
    assert f"in {COUNT + 3} images" in out
    return out, err


@pytest.fixture(scope="module")
def whole(work):
    """The results of a job that nothing interrupted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts_module, "IMAGES_PER_PART", 4)
        _, err = call(work, "whole")
    lines = err.splitlines()
    assert lines[0] == "error: images that cannot be read: 3 faults"
    faulty = ("photos/empty.jpg: ", "photos/text.jpg: ", "x.tfrecord, record 2: ")
    assert all(line.strip().startswith(name) for name, line in zip(faulty, lines[1:], strict=True))
    return work / "whole"


def test_every_image_gets_what_detect_gives_it_alone(work, whole):
    model = load_model(work / "m.keras")
    images = json.loads((whole / "images.json").read_text())
    rows = json.loads((whole / "detections.json").read_text())
    assert [image["id"] for image in images] == list(range(1, COUNT + 4))
    names = [image["file_name"] for image in images]
    assert names[-4:] == ["r0.png", "x.tfrecord, record 2", "r2.png", "ram://job/c.png"]
    assert [row["image_id"] for row in rows] == sorted(row["image_id"] for row in rows)
    copies = {"r0.png": "photos/0.png", "r2.png": "photos/2.png", "ram://job/c.png": "photos/2.png"}
    read = [image for image in images if "error" not in image]
    assert len(read) == COUNT and {len(image) for image in images} == {3, 5}
    assert sorted(image["drawn"] for image in read) == sorted(f.name for f in whole.glob("*.jpg"))
    for image in read:
        file = work / copies.get(image["file_name"], image["file_name"])
        with Image.open(file) as drawn:
            assert (image["width"], image["height"]) == drawn.size
        (expected,) = model.detect([file])
        mine = [row for row in rows if row["image_id"] == image["id"]]
        corners = np.array([row["bbox"] for row in mine])
        corners[:, 2:] += corners[:, :2]
        np.testing.assert_allclose(corners, expected["boxes"], atol=1e-3)
        np.testing.assert_allclose([row["score"] for row in mine], expected["scores"], atol=1e-6)
        ids = [model.categories[label][0] for label in expected["labels"]]
        assert [row["category_id"] for row in mine] == ids
    assert len(list(whole.glob("*.jpg"))) == COUNT
    assert not list(whole.glob(".*"))


@pytest.mark.long
def test_an_interrupted_job_ends_with_the_same_bytes(work, whole, monkeypatch):
    draw, left = predict._draw, [6]

    def fail(images, targets, detector, found):
        left[0] -= 1
        if left[0] == 0:
            (work / "again" / ".tmp-0123abcd.jpg").touch()  # as a kill leaves it
            raise KeyboardInterrupt
        return draw(images, targets, detector, found)

    monkeypatch.setattr(predict, "_draw", fail)
    arguments = ("--model", "m.keras", "--output_dir", "again", *WORDS, *EXACT)
    _, err = run_here("predict", *arguments, cwd=work, code=130)
    assert "interrupted" in err
    assert sorted(os.listdir(work / "again" / ".parts")) == ["000000.parquet", "job.json"]
    for change in (
        ["--nodraw"],
        ["--batch_size", 1],
        ["--precision", "bfloat16"],
        ["photos/0.png"],
    ):
        line = error_here("predict", *arguments, *change, cwd=work)
        name = "--draw" if change == ["--nodraw"] else change[0]
        assert "holds an unfinished job with other values for " in line
        assert ("the images" if name == "photos/0.png" else name) in line
    monkeypatch.setattr(predict, "_draw", draw)
    out, _ = call(work, "again")
    assert f"going on after 4 of {COUNT + 3} images" in out
    assert sorted(os.listdir(work / "again")) == sorted(os.listdir(whole))
    for file in whole.iterdir():
        assert (work / "again" / file.name).read_bytes() == file.read_bytes()


@pytest.mark.parametrize("more", [["--batch_size", 1], ["--batch_size", 3]])
def test_batches_change_no_answer(work, whole, more):
    output = f"batch{more[-1]}"
    call(work, output, "--nodraw", *more)
    rows, expected = (
        json.loads((work / folder / "detections.json").read_text()) for folder in (output, "whole")
    )
    for key in ("image_id", "category_id"):
        assert [row[key] for row in rows] == [row[key] for row in expected]
    np.testing.assert_allclose(
        [row["bbox"] for row in rows], [row["bbox"] for row in expected], atol=1e-3
    )
    assert sorted(os.listdir(work / output)) == ["detections.json", "images.json"]


def test_a_table_holds_the_same(work, whole):
    call(work, "table", "--nodraw", "--format", "parquet")
    table = pq.read_table(work / "table" / "detections.parquet").to_pylist()
    rows = json.loads((whole / "detections.json").read_text())
    images = {image["id"]: image for image in json.loads((whole / "images.json").read_text())}
    for row, expected in zip(table, rows, strict=True):
        x, y, width, height = expected["bbox"]
        assert (row["image_id"], row["category_id"]) == (
            expected["image_id"],
            expected["category_id"],
        )
        assert row["category"] == {3: "red", 17: "blue"}[row["category_id"]]
        corners = [row[key] for key in ("x_min", "y_min", "x_max", "y_max")]
        np.testing.assert_allclose(corners, [x, y, x + width, y + height], rtol=1e-6)
        assert row["score"] == expected["score"]
        image = images[row["image_id"]]
        assert all(row[key] == image[key] for key in ("file_name", "height", "width"))


def test_an_export_finds_what_its_model_finds(work, whole):
    kr.export_saved_model(load_model(work / "m.keras"), work / "served", version=1)
    arguments = ("--model", "served", "--nodraw", "--output_dir", "asked", *WORDS)
    _, err = run_here("predict", *arguments, cwd=work, code=1)
    assert err.startswith("error: images that cannot be read: 3 faults")
    rows, expected = (
        json.loads((work / folder / "detections.json").read_text()) for folder in ("asked", "whole")
    )
    assert [row["image_id"] for row in rows] == [row["image_id"] for row in expected]
    np.testing.assert_allclose(
        [row["score"] for row in rows], [row["score"] for row in expected], atol=1e-4
    )
    asked, drawn = (
        json.loads((work / folder / "images.json").read_text()) for folder in ("asked", "whole")
    )
    assert asked == [{k: v for k, v in image.items() if k != "drawn"} for image in drawn]


def test_a_part_of_unreadable_images_only(work, tmp_path):
    for index in range(9):
        (tmp_path / f"{index}.jpg").write_bytes(b"no image")
    shutil.copy(work / "photos" / "0.png", tmp_path / "4.jpg")
    images = list_images([str(tmp_path)])
    model = load_model(work / "m.keras")
    found = list(detect_listed(model, images, [range(0, 4), range(4, 8), range(8, 9)]))
    assert [bool(image.error) for image in found] == [True] * 4 + [False] + [True] * 4
    assert {image.index for image in found[:4]} == {0, 1, 2, 3}
    assert found[4].index == 4 and len(found[4].detections["boxes"]) == 5


def test_workers_of_a_pipeline_write_the_same(work, whole, monkeypatch):
    """Without Beam, which needs an environment of its own: tests/beam_check.py."""
    done = []

    def map_here(function, items, options):
        for item in reversed(items):
            pickle.loads(pickle.dumps(function))(pickle.loads(pickle.dumps(item)))
            done.append(options)

    monkeypatch.setattr(job, "map_on_beam", map_here)
    beam = ("--beam_runner", "DirectRunner", "--beam_options", "--a=b --c")
    call(work, "beam", "--nodraw", *beam)
    assert done == [("--runner=DirectRunner", "--a=b", "--c")] * 4
    assert (work / "beam" / "detections.json").read_bytes() == (
        whole / "detections.json"
    ).read_bytes()


def test_beam_is_asked_for_in_one_line(work, monkeypatch):
    arguments = ("--model", "m.keras", "--output_dir", "none", "photos")
    line = error_here("predict", *arguments, "--beam_runner", "DirectRunner", cwd=work)
    assert "Apache Beam draws no images; say --nodraw" in line
    line = error_here("predict", *arguments, "--beam_options", "--a", cwd=work)
    assert "--beam_options goes with --beam_runner" in line
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    arguments += ("--nodraw", "--beam_runner", "DirectRunner")
    line = error_here("predict", *arguments, cwd=work)
    assert "Apache Beam is missing: pip install '.[beam]'" in line


@pytest.mark.long
@pytest.mark.slow
def test_a_killed_process_goes_on(work, whole):
    arguments = ("--model", "m.keras", "--nodraw", "--batch_size", 1, "--output_dir", "killed")
    shutil.copytree(work / "photos", work / "many" / "0")
    for index in range(1, 60):
        (work / "many" / str(index)).symlink_to(work / "many" / "0", target_is_directory=True)
    process = start("predict", *arguments, "many", cwd=work)
    deadline = time.monotonic() + 240
    while not list((work / "killed").glob(".parts/[0-9]*.parquet")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    for output in ("killed", "alive"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(parts_module, "IMAGES_PER_PART", 128)  # as in the other process
            out, _ = run_here("predict", *arguments[:-1], output, "many", cwd=work, code=1)
        assert ("going on after" in out) == (output == "killed")
    for name in ("detections.json", "images.json"):
        assert (work / "killed" / name).read_bytes() == (work / "alive" / name).read_bytes()
