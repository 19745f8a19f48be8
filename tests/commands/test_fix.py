"""retinanet-check --fix: a data set with every fault, fixed, checked again and trained on."""

import json
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_retinanet.datasets.formats.coco import read_coco
from keras_retinanet.datasets.formats.registry import DataSource, read_dataset
from tests.commands.here import error_here, run_here
from tests.commands.test_commands import TINY
from tests.datasets.make import objects

BOX = [8, 8, 24, 24]
DOG, CAT = 3, 17


def write_image(path, seed, orientation=1, size=(64, 48)):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)
    Image.fromarray(pixels).save(path, exif=exif)


def write_faulty(folder):
    """Writes train.json and val.json, which share the folder images/."""
    (images := folder / "images").mkdir()
    good = ["a", "b", "c", "d", "e", "wrong", "twice", "dupe", "val1", "val2"]
    for seed, name in enumerate([*good, "truncated", "corrupt"]):
        write_image(images / f"{name}.png", seed)
    for seed, name in enumerate(("turned", "stored"), start=50):
        write_image(images / f"{name}.jpg", seed, orientation=6)
    (images / "copy.png").write_bytes((images / "a.png").read_bytes())
    (images / "leak.png").write_bytes((images / "b.png").read_bytes())
    contents = (images / "truncated.png").read_bytes()
    (images / "truncated.png").write_bytes(contents[: len(contents) // 2])
    contents = bytearray((images / "corrupt.png").read_bytes())
    contents[60:90] = bytes(30)  # header and end are whole
    (images / "corrupt.png").write_bytes(contents)
    (images / "text.png").write_text("no image")
    names = ["a.png", "b.png", "c.png", "d.png", "e.png", "turned.jpg", "stored.jpg", "wrong.png"]
    names += ["twice.png", "twice.png", "copy.png", "truncated.png", "corrupt.png", "text.png"]
    names += ["missing.png", "dupe.png"]
    records = [{"id": i, "file_name": name} for i, name in enumerate(names)]
    records[6] |= {"width": 64, "height": 48}  # as it is stored
    records[7] |= {"width": 99, "height": 48}
    records[15]["id"] = 0  # the id of a.png
    annotations = [
        *((0, DOG, BOX), (0, DOG, BOX), (0, CAT, BOX)),  # repeated; of two classes
        *((1, DOG, [50, 8, 24, 24]), (1, CAT, [8, 8, 0, 9])),  # beyond its image, empty
        *((2, DOG, [30, 30, -9, 9]), (2, CAT, [70, 8, 9, 9]), (2, CAT, BOX)),  # inverted, outside
        *((3, 99, BOX), (3, 5, BOX), (3, DOG, [1, 2, 3]), (3, CAT, BOX)),  # unknown class; merged
        *((77, DOG, BOX), (5, CAT, BOX), (6, DOG, [0, 0, 10, 20]), (7, DOG, BOX)),
        *((8, DOG, BOX), (9, CAT, BOX), (10, DOG, BOX), (11, DOG, BOX), (12, DOG, BOX)),
        *((13, DOG, BOX), (14, DOG, BOX), (4, CAT, [8, 8, 1, 1])),  # the last is tiny
    ]
    classes = [{"id": DOG, "name": "dog"}, {"id": CAT, "name": "cat"}]
    write(folder / "train.json", records, annotations, [*classes, {"id": 5, "name": "cat"}])
    records = [{"id": i, "file_name": f"{n}.png"} for i, n in enumerate(["leak", "val1", "val2"])]
    annotations = [(0, 1, BOX), (1, 1, BOX), (1, 2, BOX), (2, 3, BOX)]
    classes = [{"id": i, "name": name} for i, name in enumerate(["cat", "dog", "bird"], start=1)]
    write(folder / "val.json", records, annotations, classes)


def write(file, images, annotations, categories):
    keys = ("image_id", "category_id", "bbox")
    rows = [dict(zip(keys, row, strict=True)) | {"id": i} for i, row in enumerate(annotations)]
    rows[-1]["id"] = rows[0]["id"]
    file.write_text(json.dumps({"images": images, "annotations": rows, "categories": categories}))


SOURCE = ("data.train.annotations=train.json", "data.train.images=images")
VAL = ("data.val.annotations=val.json", "data.val.images=images")
XYXY = [8.0, 8.0, 32.0, 32.0]


def test_every_fault_is_fixed_and_the_copy_trains(tmp_path):
    write_faulty(tmp_path)
    before = sorted(os.listdir(tmp_path / "images"))
    run_here("check", *SOURCE, *VAL, cwd=tmp_path, code=1)
    out, _ = run_here("check", *SOURCE, *VAL, "--fix", "sub/fixed", cwd=tmp_path)
    *_, said, words = out.splitlines()
    words = words.split()
    assert words == [
        "data.format=coco",
        *("data.train.annotations=sub/fixed/train/annotations.json",),
        *("data.train.images=sub/fixed/train/images",),
        *("data.val.annotations=sub/fixed/val/annotations.json",),
        *("data.val.images=sub/fixed/val/images",),
    ]
    fixed = tmp_path / "sub" / "fixed"
    assert objects(read_coco(fixed / "train" / "annotations.json", fixed / "train/images")) == {
        "a.png": [("dog", XYXY, False), ("cat", XYXY, False)],
        "b.png": [("dog", [50.0, 8.0, 64.0, 32.0], False)],
        "c.png": [("cat", XYXY, False)],
        "d.png": [("cat", XYXY, False)],  # one of two that became of one class
        "e.png": [("cat", [8.0, 8.0, 9.0, 9.0], False)],
        "turned.jpg": [("cat", XYXY, False)],
        "stored.jpg": [("dog", [28.0, 0.0, 48.0, 10.0], False)],
        "twice.png": [("dog", XYXY, False)],
    }
    assert objects(read_coco(fixed / "val" / "annotations.json", fixed / "val/images")) == {
        "val1.png": [("cat", XYXY, False), ("dog", XYXY, False)],
        "val2.png": [],
    }
    lines = (fixed / "mended.txt").read_text().splitlines()
    assert said.startswith(f"fixed {len(lines)} records, listed in sub/fixed/mended.txt")
    for text in (
        *("box that exceeds its image, fixed: images/b.png", "empty box, left out: images/b.png"),
        *("repeated box, left out: images/a.png", "from 0 on, but is [30, 30, -9, 9]"),
        *("the box lies wholly outside", "no category has the id 99", "no image has the id 77"),
        *("bbox must be four finite numbers", "the id occurs twice", "another one is named"),
        *("the record says 99 x 48 pixels", "another image record has this file"),
        *("repeated image, left out: images/copy.png", "truncated.png: the PNG file is truncated"),
        *("image that cannot be decoded, left out: images/corrupt.png", "text.png: not an image"),
        *("missing.png: no such file", "image in both parts, left out: images/leak.png"),
        *(
            "val.json has other categories than train.json, which has no bird",
            "EXIF rotation not applied, as the annotation asks, fixed",
        ),
    ):
        assert sum(text in line for line in lines) >= 1, text
    again, _ = run_here("check", *words, cwd=tmp_path)
    assert again.splitlines()[-1].startswith("0 fatal, 2 fixed, ")  # turned by EXIF
    assert "repeated" not in again and "both parts" not in again
    assert sorted(os.listdir(tmp_path / "images")) == before
    run_here(
        *("train", "--config", "small", "--output_dir", "run", *words, *TINY),
        *("train.steps=2", "train.evaluations=0", "train.ema=null", "model.pyramid_channels=8"),
        *("model.head_norm=null", "data.min_side=32", "data.max_side=48"),
        *("train.optimizer=sgd", "train.clip_norm=null"),
        cwd=tmp_path,
    )
    assert (tmp_path / "run" / "last.keras").exists()


def test_what_cannot_be_fixed_is_one_line(tmp_path):
    write_faulty(tmp_path)
    (tmp_path / "there").mkdir()
    assert "there exists; name another" in error_here(
        "check", *SOURCE, "--fix", "there", cwd=tmp_path
    )
    text = (tmp_path / "train.json").read_text()
    (tmp_path / "train.json").write_text(text[:-1])
    assert "the training part cannot be read" in error_here(
        "check", *SOURCE, "--fix", "out", cwd=tmp_path
    )
    content = json.loads(text)
    content["annotations"] = [{**row, "category_id": 99} for row in content["annotations"]]
    (tmp_path / "train.json").write_text(json.dumps(content))
    assert "no object to train on is left" in error_here(
        "check", *SOURCE, "--fix", "out", cwd=tmp_path
    )
    content["images"] = [row for row in content["images"] if row["id"] > 10]
    (tmp_path / "train.json").write_text(json.dumps(content))
    assert "train.json: no image is left" in error_here(
        "check", *SOURCE, "--fix", "out", cwd=tmp_path
    )
    assert sorted(os.listdir(tmp_path)) == ["images", "there", "train.json", "val.json"]


@pytest.mark.parametrize("ending", ["", "?.png,1,2,x,4,dog\n"])
def test_other_formats_are_fixed_too(tmp_path, ending):
    for name in "ab":
        write_image(tmp_path / f"{name}.png", ord(name))
    rows = ["a.png,8,8,32,32,dog", "a.png,32,8,8,32,dog", "b.png,8,8,32,32,cat", "c.png,,,,,"]
    (tmp_path / "a.csv").write_text("\n".join(rows) + "\n" + ending)
    run_here("check", "--annotations", "a.csv", "--fix", "out", cwd=tmp_path)
    source = DataSource(
        annotations=str(tmp_path / "out/train/annotations.json"),
        images=str(tmp_path / "out/train/images"),
    )
    expected = {"a.png": [("dog", XYXY, False)], "b.png": [("cat", XYXY, False)]}
    assert objects(read_dataset(source)) == expected
    lines = (tmp_path / "out/mended.txt").read_text()
    assert "line 2: box [32.0, 8.0, 8.0, 32.0] is inverted" in lines and "c.png: no such" in lines


def test_a_data_set_of_tfds_is_fixed_too(tmp_path):
    for name in "abc":
        write_image(tmp_path / f"{name}.png", ord(name))
    rows = [f"{name}.png,8,8,32,32,{c}" for name in "abc" for c in ("cat", "dog")]
    (tmp_path / "a.csv").write_text("\n".join(rows) + "\n")
    run_here(
        "convert", "--annotations", "a.csv", "--to", "tfds", "--output_dir", "out", cwd=tmp_path
    )
    (file,) = (tmp_path / "out").rglob("*.tfrecord*")
    records = _records(file)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for name, contents in zip("abc", records, strict=True):
            example = tf.train.Example.FromString(contents)
            features = example.features.feature
            if name == "a":
                (encoded,) = features["image"].bytes_list.value
                features["image"].bytes_list.value[:] = [encoded[:-20]]
            if name == "b":
                features["objects/label"].int64_list.value[0] = 7
            writer.write(example.SerializeToString())
    words = ("data.format=tfds", "data.name=out/converted/1.0.0", "data.train.split=train")
    out, _ = run_here("check", *words, cwd=tmp_path, code=1)
    assert out.splitlines()[-1].startswith("2 fatal, ")
    run_here("check", *words, "--fix", "fixed", cwd=tmp_path)
    data = read_coco(tmp_path / "fixed/train/annotations.json", tmp_path / "fixed/train/images")
    assert objects(data) == {
        "b.png": [("dog", XYXY, False)],
        "c.png": [("cat", XYXY, False), ("dog", XYXY, False)],
    }


def _records(file):
    """The records of a file by the names of their images."""
    records = tf.data.TFRecordDataset(str(file)).as_numpy_iterator()
    examples = ((tf.train.Example.FromString(record), record) for record in records)
    named = {e.features.feature["image/filename"].bytes_list.value[0]: r for e, r in examples}
    return [named[name] for name in sorted(named)]
