"""LabelMe's shapes become boxes, and every fault by its line."""

import json

import pytest

from keras_retinanet.datasets.formats.labelme import read_labelme
from tests.datasets.make import objects, one_fault, write_image


def shape(label, points, kind="rectangle", **fields):
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, **fields}


def content(*shapes, name="a.jpg", **fields):
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": list(shapes),
        "imagePath": name,
        "imageData": None,
        "imageHeight": 20,
        "imageWidth": 30,
        **fields,
    }


@pytest.fixture
def folder(tmp_path):
    for name in "ab":
        write_image(tmp_path / f"{name}.jpg")
    return tmp_path


def write(folder, *contents):
    for number, value in enumerate(contents):
        text = value if isinstance(value, str) else json.dumps(value)
        (folder / f"{number}.json").write_text(text)
    return folder


def test_every_shape_is_enclosed_by_its_box(folder):
    write(
        folder,
        content(
            shape("dog", [[11, 12], [1.5, 2]]),  # drawn from the lower right
            shape("cat", [[3, 4], [9, 5], [6, 10]], "polygon"),
            shape("dog", [[10, 10], [13, 14]], "circle"),  # of radius 5
            shape("cat", [[1, 1], [4, 5]], "mask", flags={"iscrowd": True}, mask="..."),
        ),
        content(name="b.jpg", imageHeight=None),
    )
    assert objects(read_labelme(folder)) == {
        "a.jpg": [
            ("dog", [1.5, 2, 11, 12], False),
            ("cat", [3, 4, 9, 10], False),
            ("dog", [5, 5, 15, 15], False),
            ("cat", [1, 1, 4, 5], True),
        ],
        "b.jpg": [],
    }


def test_shapes_of_a_group_are_one_object(folder):
    write(
        folder,
        content(
            shape("dog", [[1, 2], [3, 4]], group_id=7),
            shape("cat", [[1, 1], [2, 2]], group_id=7),
            shape("dog", [[8, 1], [9, 3]], group_id=7),
            shape("dog", [[1, 1], [2, 2]], group_id=8),
        ),
    )
    assert objects(read_labelme(folder))["a.jpg"] == [
        ("dog", [1, 1, 9, 4], False),
        ("cat", [1, 1, 2, 2], False),
        ("dog", [1, 1, 2, 2], False),
    ]


@pytest.mark.parametrize("crowd", [0, 1])
def test_a_group_is_a_crowd_if_any_of_its_shapes_is(folder, crowd):
    shapes = [shape("dog", [[1, 2], [3, 4]], group_id=7) for _ in range(2)]
    shapes[crowd]["flags"] = {"iscrowd": True}
    write(folder, content(*shapes))
    assert objects(read_labelme(folder))["a.jpg"] == [("dog", [1, 2, 3, 4], True)]


def test_paths_of_windows_and_another_folder(folder, tmp_path):
    write_image(tmp_path / "photos" / "sub" / "c.jpg")
    dog = shape("dog", [[1, 2], [3, 4]])
    write(folder, content(dog, name="sub\\c.jpg"))
    assert list(objects(read_labelme(folder, tmp_path / "photos"))) == ["c.jpg"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "1.json: not JSON (Expecting value: line 1 column 1 (char 0)); write it anew"),
        ("[" * 100_000, "1.json: not JSON (maximum recursion depth exceeded"),
        ("[]", "1.json: not a LabelMe file: must be a JSON object, but is []"),
        ({"shapes": []}, "1.json: not a LabelMe file: imagePath must be a text, but is missing"),
        (
            content(imageHeight="x"),
            '1.json: imageHeight and imageWidth must be whole, but are ["x"',
        ),
        (content(imageHeight=1.5), "must be whole, but are [1.5, 30]"),
        (content(imageHeight=21, name="b.jpg"), "1.json: {folder}/b.jpg: the record says 30 x 21"),
        (content(name="c.jpg"), "1.json: {folder}/c.jpg: no such file; put it there"),
        (content(), "1.json: {folder}/a.jpg: another image record has this file too"),
        (content(3, name="b.jpg"), "1.json, object 1: must be a JSON object, but is 3"),
        (content({}, name="b.jpg"), "1.json, object 1: label must be a text, but is missing"),
        (content(shape("", [[1, 1], [2, 2]]), name="b.jpg"), "object 1: the name of the class is"),
        (
            content(shape("dog", [[1, 1]], "point"), name="b.jpg"),
            'draw a rectangle or remove it), but is "point"',
        ),
        (
            content(shape("dog", [[1, 1]]), name="b.jpg"),
            "a rectangle takes 2 points or more, but has 1",
        ),
        (content(shape("dog", [[1, 1], [2, "x"]]), name="b.jpg"), "points must be pairs of finite"),
        (
            content(shape("dog", None), name="b.jpg"),
            "points must be pairs of finite numbers, but is",
        ),
        (content(shape("dog", [[1, 1], [2]]), name="b.jpg"), "points must be pairs"),
        (content(shape("dog", [[1, 1], [2, 2]], group_id="x"), name="b.jpg"), "group_id must be"),
        (content(shape("dog", [[1, 1], [2, 2]], flags=[]), name="b.jpg"), "flags must be a JSON"),
        (content(shape("dog", [[31, 1], [32, 2]]), name="b.jpg"), "the box lies wholly outside"),
    ],
)
def test_a_fault_is_one_line(folder, value, expected):
    write(folder, content(shape("dog", [[1, 2], [3, 4]])), value)
    message = one_fault(read_labelme, folder)
    assert message.startswith(f"{folder}: ")
    assert expected.replace("{folder}", str(folder)) in message


def test_an_empty_folder(folder):
    assert "holds no JSON files" in one_fault(read_labelme, folder)
