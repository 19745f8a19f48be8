"""What is said of COCO files that cannot be trained on."""

import json
import math

import pytest

from keras_retinanet.datasets.formats.coco import read_coco
from keras_retinanet.errors import DataError
from tests.datasets.formats.coco.make import fault, good, one_fault

# --- Files that are no COCO file ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("contents", "expected"),
    [
        (b"", "the file is empty (zero bytes)"),
        (b" \n", "not JSON (Expecting value: line 2 column 1 (char 2))"),
        (b'{"images": [}', "not JSON (Expecting value: line 1 column 13 (char 12))"),
        (b"id,name\n1,a", "not JSON"),
        (b"\xff\xfe{\0}\0", "not UTF-8 text (byte 0)"),
        (b'{"images": "caf\xe9"}', "not UTF-8 text (byte 15)"),
        (b"[" * 200_000, "not JSON (maximum recursion depth exceeded"),
        (b"[" + b"9" * 5000 + b"]", "not JSON (Exceeds the limit"),
        (b"[]", "at its top must be an object with the lists images, annotations, categories"),
        (b'"text"', "not a COCO detection file"),
    ],
)
def test_what_is_no_coco_file_is_said_in_one_line(file, folder, contents, expected):
    file.write_bytes(contents)
    with pytest.raises(DataError) as caught:
        read_coco(file, folder)
    assert str(caught.value).startswith(f"{file}: ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_place_of_an_error_is_that_in_the_file(file, folder):
    text = json.dumps({"annotations": [{"segmentation": [[1, 2, 3]]}]})[:-1] + ", }"
    file.write_text(text)
    with pytest.raises(DataError, match=rf"\(char {len(text) - 1}\)"):
        read_coco(file, folder)


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
@pytest.mark.parametrize(("value", "expected"), [(None, "is missing"), ({}, "is not a list")])
def test_a_missing_list(file, folder, key, value, expected):
    content = good()
    del content[key]
    if value is not None:
        content[key] = value
    assert one_fault(file, folder, content) == f'not a COCO detection file: "{key}" {expected}'


@pytest.mark.parametrize("key", ["images", "categories"])
def test_an_empty_data_set(file, folder, key):
    message = one_fault(file, folder, good() | {key: []})
    assert message == f'the data set is empty: "{key}" lists nothing'


def test_missing_paths(file, folder, tmp_path):
    with pytest.raises(DataError, match=r"instances.json: cannot be read \(No such file"):
        read_coco(file, folder)
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory"):
        read_coco(tmp_path, folder)
    file.write_text(json.dumps(good()))
    with pytest.raises(DataError, match="nowhere: no such folder; name the one with the images of"):
        read_coco(file, tmp_path / "nowhere")


def test_the_wrong_folder_is_one_fault(file, tmp_path):
    message = one_fault(file, tmp_path, good())
    assert message == (
        "none of its 2 images (image id 7, sub/a20x30.png, and so on) is in the folder "
        f"{tmp_path}; name the folder that the names of the images start from"
    )


# --- Faulty records -----------------------------------------------------------------------------

NOT_IDS = [("3", '"3"'), (3.0, "3.0"), (True, "true"), (None, "null"), (2**63, str(2**63))]
NOT_BOXES = [
    ([1, 2, math.nan, 4], "[1, 2, NaN, 4]"),
    ([1, 2, 3, math.inf], "[1, 2, 3, Infinity]"),
    ([-math.inf, 2, 3, 4], "[-Infinity, 2, 3, 4]"),
    ([1, 2, 3, 10**400], "[1, 2, 3, 1000"),
    ([1, 2, "3", 4], '[1, 2, "3", 4]'),
    ([1, 2, None, 4], "[1, 2, null, 4]"),
    ([1, 2, True, 4], "[1, 2, true, 4]"),
    ([1, 2, 3], "[1, 2, 3]"),
    ([1, 2, 3, 4, 5], "[1, 2, 3, 4, 5]"),
    ([[1, 2], [3, 4]], "[[1, 2], [3, 4]]"),
    ([], "[]"),
    (None, "null"),
    ("1 2 3 4", '"1 2 3 4"'),
]
OUTSIDE = [
    [30, 0, 5, 5],
    [0, 20, 5, 5],
    [-5, 0, 5, 5],
    [0, -9, 5, 5],
    [1e6, 0, 1, 1],
    [31, 0, 0, 0],
    [0, -1, 5, 0],
]


@pytest.mark.parametrize(("value", "text"), NOT_IDS)
@pytest.mark.parametrize("key", ["id", "image_id", "category_id"])
def test_an_annotation_with_a_faulty_id(file, folder, key, value, text):
    content = good()
    content["annotations"][1][key] = value
    name = "annotation number 2" if key == "id" else "annotation id 2"
    message = f"{name}: {key} must be a whole number, but is {text}"
    assert one_fault(file, folder, content) == message


@pytest.mark.parametrize(("value", "text"), NOT_IDS)
@pytest.mark.parametrize(
    ("kind", "name"), [("images", "image number 2"), ("categories", "category number 2")]
)
def test_a_record_with_a_faulty_id(file, folder, kind, name, value, text):
    content = good() | {"annotations": []}
    content[kind][1]["id"] = value
    message = f"{name}: id must be a whole number, but is {text}"
    assert one_fault(file, folder, content) == message


@pytest.mark.parametrize(
    ("kind", "key", "name"),
    [
        ("annotations", "id", "annotation number 2: id must be a whole number"),
        ("annotations", "image_id", "annotation id 2: image_id must be a whole number"),
        ("annotations", "category_id", "annotation id 2: category_id must be a whole number"),
        (
            "annotations",
            "bbox",
            "annotation id 2: bbox must be four finite numbers (x, y, width, height), the last two "
            "from 0 on",
        ),
        ("images", "file_name", "image id 5: file_name must be a text"),
        ("categories", "name", "category id 3: name must be a text"),
    ],
)
def test_a_missing_field(file, folder, kind, key, name):
    content = good()
    del content[kind][1][key]
    assert one_fault(file, folder, content) == f"{name}, but is missing"


@pytest.mark.parametrize("kind", ["images", "annotations", "categories"])
@pytest.mark.parametrize("record", [None, 3, "text", [1]])
def test_a_record_that_is_no_object(file, folder, kind, record):
    content = good()
    content[kind].append(record)
    name = {"images": "image", "annotations": "annotation", "categories": "category"}[kind]
    assert one_fault(file, folder, content) == (
        f"{name} number {len(content[kind])}: must be a JSON object, but is {json.dumps(record)}"
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"image_id": 8},
            ", bbox [0.0, 0.0, 30.0, 20.0]: no image has the id 8; add it or remove the annotation",
        ),
        (
            {"category_id": 4},
            ", bbox [0.0, 0.0, 30.0, 20.0]: no category has the id 4; add it or remove the "
            "annotation",
        ),
        *[
            (
                {"bbox": bbox},
                ": bbox must be four finite numbers (x, y, width, height), the last two from 0 on, "
                f"but is {bbox}",
            )
            for bbox in ([5, 5, -1, 3], [5, 5, 3, -0.5])
        ],
        *[
            (
                {"bbox": bbox},
                ": bbox must be four finite numbers (x, y, width, height), the last two from 0 on, "
                f"but is {text}",
            )
            for bbox, text in NOT_BOXES
        ],
        *[
            (
                {"bbox": bbox},
                f", bbox {[float(v) for v in bbox]}: the box lies wholly outside its image "
                "(image id 7, {folder}/sub/a20x30.png, of 30 x 20 pixels); correct or remove it",
            )
            for bbox in OUTSIDE
        ],
        *[
            ({"area": area}, f": area must be a number from 0 on, but is {json.dumps(area)}")
            for area in (-1, math.nan, "9", [9])
        ],
        *[
            ({"iscrowd": crowd}, f": iscrowd must be 0 or 1, but is {json.dumps(crowd)}")
            for crowd in (2, "0", [], 0.5)
        ],
        (
            {"iscrowd": 1, "every_category": 2},
            ": every_category must be 0, or 1 of a crowd, but is 2",
        ),
        (
            {"every_category": 1},
            ", bbox [0.0, 0.0, 30.0, 20.0]: every_category must be 0, or 1 of a crowd, but is 1",
        ),
    ],
)
def test_a_faulty_annotation(file, folder, changes, expected):
    content = good()
    content["annotations"][1] |= changes
    message = one_fault(file, folder, content).removeprefix("annotation id 2").lstrip()
    expected = expected.replace("{folder}", str(folder))
    assert message.startswith(expected)
    assert message == expected or "1000" in message  # which is cut


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"file_name": ""}, 'file_name must be a text, but is ""'),
        ({"file_name": 7}, "file_name must be a text, but is 7"),
        (
            {"file_name": "gone.jpg"},
            "{folder}/gone.jpg: no such file; put it there or leave it out of the data",
        ),
        (
            {"file_name": "truncated.jpg"},
            "{folder}/truncated.jpg: the JPEG file is truncated; "
            "replace it or leave it out of the data",
        ),
        (
            {"file_name": "text.jpg"},
            "{folder}/text.jpg: not an image (JPEG, PNG, GIF, BMP, WebP, TIFF, AVIF and HEIC can "
            "be read); replace it or leave it out of the data",
        ),
        (
            {"file_name": "empty.jpg"},
            "{folder}/empty.jpg: the file is empty (zero bytes); replace "
            "it or leave it out of the data",
        ),
        (
            {"file_name": "sub"},
            "{folder}/sub: cannot be read (Is a directory); replace it or leave it out of the data",
        ),
        (
            {"file_name": "sub/a1x1.png"},
            "{folder}/sub/a1x1.png: the record says 30 x 20 pixels, the "
            "file 1 x 1; use the image that was annotated, or correct the record",
        ),
        (
            {"file_name": "turned.jpg", "height": 99},
            "{folder}/turned.jpg: the record says 30 x 99 "
            "pixels, the file 30 x 20 (20 x 30 by its EXIF rotation); use the image that was "
            "annotated, or correct the record",
        ),
        (
            {"file_name": "./sub//a30x20.png", "height": 30, "width": 20},
            "{folder}/sub/a30x20.png: another image record has this file too; merge the records",
        ),
        ({"height": "20"}, 'height must be a whole number of pixels, but is "20"'),
        ({"height": 20.5}, "height must be a whole number of pixels, but is 20.5"),
        ({"width": math.nan}, "width must be a whole number of pixels, but is NaN"),
        (
            {"neg_category_ids": [3, "90"]},
            'neg_category_ids must be a list of whole numbers, but is [3, "90"]',
        ),
        (
            {"not_exhaustive_category_ids": 3},
            "not_exhaustive_category_ids must be a list of whole numbers, but is 3",
        ),
        ({"file_name": None, "coco_url": 3}, "coco_url must be a text, but is 3"),
        ({"width": True}, "width must be a whole number of pixels, but is true"),
        (
            {"width": 0},
            "{folder}/sub/a20x30.png: the record says 0 x 20 pixels, the file 30 x 20; "
            "use the image that was annotated, or correct the record",
        ),
    ],
)
def test_a_faulty_image_is_one_fault_though_annotations_refer_to_it(
    file, folder, changes, expected
):
    content = good()
    content["annotations"][1]["bbox"] = [0, 0, 1, 1]
    content["images"][0] |= changes
    message = one_fault(file, folder, content)
    name = "image id 5: " if "merge" in expected else "image id 7: "
    assert message == name + expected.replace("{folder}", str(folder))


@pytest.mark.parametrize(
    ("kind", "changes", "expected"),
    [
        (
            "annotations",
            {"id": 9},
            "annotation id 9: the id occurs twice; give each annotation its own",
        ),
        ("images", {"id": 7}, "image id 7: the id occurs twice; give each image its own"),
        (
            "categories",
            {"id": 90},
            "category id 90: the id occurs twice; give each category its own",
        ),
        (
            "categories",
            {"name": "toothbrush"},
            'category id 3: another one is named "toothbrush" too; rename or merge them',
        ),
        *[
            ("categories", {"name": name}, f"category id 3: name must be a text, but is {text}")
            for name, text in [("", '""'), (" ", '" "'), (3, "3"), (None, "null")]
        ],
    ],
)
def test_what_must_be_unique_and_named(file, folder, kind, changes, expected):
    content = good()
    content[kind][1] |= changes
    if "id" in changes and kind != "annotations":
        content["annotations"] = []
    assert one_fault(file, folder, content) == expected


def test_a_reference_to_none_of_the_text_ids(file, folder):
    content = good()
    for image, id_ in zip(content["images"], "ab", strict=True):
        image["id"] = id_
    for annotation, id_ in zip(content["annotations"], ("b", "c", 1), strict=True):
        annotation["image_id"] = id_
    assert fault(file, folder, content).split("\n  ")[1:] == [
        'annotation id 2: no image has the id "c"; add it or remove the annotation',
        "annotation id 9: no image has the id 1; add it or remove the annotation",
    ]


def test_text_ids_that_occur_twice(file, folder):
    content = good() | {"annotations": []}
    for image in content["images"]:
        image["id"] = "9"
    message = one_fault(file, folder, content)
    assert message == "image id 9: the id occurs twice; give each image its own"


@pytest.mark.parametrize("value", [None, 1.5, [1], {}, True])
def test_ids_that_are_all_faulty_are_listed(file, folder, value):
    content = good() | {"annotations": []}
    for image in content["images"]:
        image["id"] = value
    assert fault(file, folder, content).split("\n  ")[1:] == [
        f"image number {i}: id must be a whole number, but is {json.dumps(value)}" for i in (1, 2)
    ]


def test_all_faults_are_listed_at_once(file, folder):
    content = good()
    content["categories"][1]["name"] = ""
    content["images"][0]["file_name"] = "gone.jpg"
    content["annotations"][0]["image_id"] = 6
    content["annotations"][2]["bbox"][0] = math.nan
    first, *lines = fault(file, folder, content).split("\n")
    assert first == f"{file}: 4 faults"
    starts = [
        "category id 3: ",
        "annotation id 9: ",
        "image id 7: ",
        "annotation id 1, bbox [1.5, 2.25, 10.0, 20.5]: no image has the id 6; ",
    ]
    assert all(line.startswith(f"  {start}") for line, start in zip(lines, starts, strict=True))


def test_no_more_than_20_faults_are_listed(file, folder):
    content = good()
    content["annotations"] = [
        {"id": i, "image_id": i, "category_id": 3, "bbox": [0, 0, 1, 1]} for i in range(100, 130)
    ]
    first, *lines, last = fault(file, folder, content).split("\n")
    assert first == f"{file}: 30 faults"
    assert [line.split(":")[0] for line in lines] == [
        f"  annotation id {i}, bbox [0.0, 0.0, 1.0, 1.0]" for i in range(100, 120)
    ]
    assert last == "  and 10 more"
