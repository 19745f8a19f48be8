"""The table of formats: what is found by itself, what each needs, and what training makes of it."""

import dataclasses

import pytest

from keras_retinanet.config import DataConfig, DataPart
from keras_retinanet.datasets.dataset import Category
from keras_retinanet.datasets.formats.registry import (
    FORMATS,
    DataSource,
    detect_format,
    read_dataset,
)
from keras_retinanet.errors import DataError
from keras_retinanet.training.train_val import load_datasets
from tests.datasets.make import one_fault, write_image


def test_the_setting_knows_every_format():
    (setting,) = (field for field in dataclasses.fields(DataConfig) if field.name == "format")
    assert setting.metadata["choices"] == ("auto", *FORMATS)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.json", "{}", "coco"),
        ("a.csv", "b.jpg,1,2,3,4,dog\n", "csv"),
        ("a.csv", "ImageID,Source,LabelName,XMin\n", "open_images"),
        ("data.yaml", "", "yolo"),
        ("train.txt", "", "voc"),
        ("a.tfrecord", "", "tfrecord"),
        ("a.record-00000-of-00010", "", "tfrecord"),
        ("folder/a.xml", "", "voc"),
        ("folder/a.json", "", "labelme"),
        ("folder/000000.txt", "", "kitti"),
        ("folder/a.tfrecord-00000-of-00010", "", "tfrecord"),
    ],
)
def test_formats_found_by_themselves(tmp_path, name, text, expected):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    path = tmp_path / name.split("/")[0]
    assert detect_format(DataSource(annotations=str(path))) == expected


VOC_FILE = "<annotation><object><name>dog</name><bndbox></bndbox></object></annotation>"
KITTI_LINE = "Car 0.00 0 -1.57 1 2 3 4 1.5 1.6 3.6 1.8 1.6 26.9 -1.6\n"


@pytest.mark.parametrize(
    ("file", "content", "stray", "expected"),
    [
        ("a.xml", VOC_FILE, "labelmap.txt", "voc"),
        ("a.xml", VOC_FILE, "README.roboflow.txt", "voc"),
        ("a.xml", VOC_FILE, "meta.json", "voc"),
        ("a.xml", "<annotation><object><polygon/></object></annotation>", "classes.txt", "labelme"),
        ("a.json", '{"version": "5", "shapes": [], "imagePath": "a.jpg"}', "a.txt", "labelme"),
        ("000001.txt", KITTI_LINE, "classes.txt", "kitti"),
    ],
)
def test_stray_files_do_not_decide(tmp_path, file, content, stray, expected):
    (tmp_path / file).write_text(content)
    (tmp_path / stray).write_text("{}" if stray.endswith(".json") else "cat\ndog\n")
    assert detect_format(DataSource(annotations=str(tmp_path))) == expected


def test_a_folder_of_other_text_is_not_taken_for_kitti(tmp_path):
    (tmp_path / "a.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "classes.txt").write_text("cat\n")
    message = one_fault(detect_format, DataSource(annotations=str(tmp_path)))
    assert "is of no format known by that; say format=" in message


def test_patterns_and_names():
    assert detect_format(DataSource(annotations="train-*")) == "tfrecord"
    assert detect_format(DataSource(name="shapes")) == "tfds"


def test_what_does_not_tell(tmp_path):
    (tmp_path / "a.xml").touch()
    (tmp_path / "a.xml").write_text("<annotation><object><bndbox/></object></annotation>")
    (tmp_path / "a.txt").write_text("Car" + 14 * " 1" + "\n")
    message = one_fault(detect_format, DataSource(annotations=str(tmp_path)))
    assert message == (
        f"{tmp_path} may be kitti or voc; say format=... with one of coco, voc, csv, yolo, kitti, "
        "open_images, labelme, tfrecord, tfds"
    )
    assert "is not there" in one_fault(detect_format, DataSource(annotations="gone"))
    (tmp_path / "a.docx").touch()
    message = one_fault(detect_format, DataSource(annotations=str(tmp_path / "a.docx")))
    assert "a.docx is of no format known by that; say format=" in message


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"format": "coco"}, "--annotations is not set; the format coco needs --annotations=... "),
        (
            {"annotations": "a.json"},
            "--images is not set; the format coco needs --annotations=... ",
        ),
        ({"annotations": "a.yaml"}, "--split is not set; the format yolo needs --annotations=... "),
        ({"format": "tfds", "name": "x"}, "--split is not set; the format tfds needs --name=... "),
        (
            {"annotations": "a.json", "images": "b", "classes": "c"},
            "--classes is set, but the format coco has no use for it; leave it out",
        ),
        (
            {"annotations": "a.csv", "split": "train"},
            "--split is set, but the format csv has no use",
        ),
    ],
)
def test_missing_and_superfluous_fields(fields, expected):
    with pytest.raises(DataError, match="^" + expected.replace(".", r"\.")):
        read_dataset(DataSource(**fields), spell=lambda field: f"--{field}")


@pytest.fixture
def csv_files(tmp_path):
    for name in "abcd":
        write_image(tmp_path / f"{name}.jpg")
    (tmp_path / "train.csv").write_text("a.jpg,1,2,3,4,dog\nb.jpg,1,2,3,4,cat\n")
    (tmp_path / "val.csv").write_text("c.jpg,1,2,3,4,dog\n")
    return tmp_path


def parts(folder, **fields):
    train, val = (DataPart(annotations=str(folder / f"{part}.csv")) for part in ("train", "val"))
    return DataConfig(train=train, val=val, **fields)


def test_validation_knows_the_classes_of_training(csv_files):
    train, val, _ = load_datasets(parts(csv_files))
    assert val.categories == train.categories == (Category(1, "cat"), Category(2, "dog"))
    assert val.labels.tolist() == [1]
    (csv_files / "val.csv").write_text("c.jpg,1,2,3,4,dgo\n")
    message = one_fault(load_datasets, parts(csv_files))
    assert message == (
        f'{csv_files}/val.csv: line 1: no class is called "dgo"; did you mean "dog"?'
    )


def test_a_list_of_classes_serves_both_parts(csv_files):
    (csv_files / "classes.csv").write_text("dog,0\ncat,1\nbird,2\n")
    train, val, _ = load_datasets(parts(csv_files, classes=str(csv_files / "classes.csv")))
    assert [c.name for c in val.categories] == ["dog", "cat", "bird"]
    assert train.labels.tolist() == [0, 1]


def test_settings_are_named_as_they_are_typed(csv_files):
    config = DataConfig(train=DataPart(annotations=str(csv_files / "a.json")))
    message = one_fault(load_datasets, config)
    assert message == (
        "data.train.images is not set; the format coco needs data.train.annotations=... "
        "data.train.images=..."
    )
    assert one_fault(load_datasets, DataConfig()) == (
        "data.train.annotations is not set; say data.train.annotations=FILE "
        "data.train.images=FOLDER"
    )
    message = one_fault(load_datasets, parts(csv_files, name="shapes"))
    assert message == "data.name is set, but the format csv has no use for it; leave it out"


def test_another_split_lies_in_the_same_annotations(tmp_path):
    for part in ("train", "val"):
        write_image(tmp_path / "images" / part / f"{part}.jpg")
        (tmp_path / "labels" / part).mkdir(parents=True)
        (tmp_path / "labels" / part / f"{part}.txt").write_text("0 0.5 0.5 1 1\n")
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [dog]\n")
    train = DataPart(annotations=str(tmp_path / "data.yaml"), split="train")
    train, val, _ = load_datasets(DataConfig(train=train, val=DataPart(split="val")))
    assert [train.files, val.files] == [
        (f"{tmp_path}/images/{part}/{part}.jpg",) for part in ("train", "val")
    ]


def test_a_data_set_of_tensorflow_datasets_is_read_by_name_and_split(monkeypatch):
    asked = {}
    tfds = dataclasses.replace(
        FORMATS["tfds"], read=lambda name, split: asked.update(name=name, split=split)
    )
    monkeypatch.setitem(FORMATS, "tfds", tfds)
    read_dataset(DataSource(name="voc/2012", split="train"), known=[Category(1, "dog")])
    assert asked == {"name": "voc/2012", "split": "train"}
