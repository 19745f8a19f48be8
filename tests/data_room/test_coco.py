"""COCO files: what is read from good ones, what is mended, and what is said of faulty ones."""

import json
import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from keras_retinanet.data.coco import read_coco
from keras_retinanet.data.dataset import Category, DataError

SIZES = [(1, 1), (20, 30), (30, 20), (40, 40)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images named after their height and width, and three of 20 x 30 stored for orientation 6."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "sub").mkdir()
    for height, width in SIZES:
        for copy in "ab":
            Image.new("RGB", (width, height)).save(folder / "sub" / f"{copy}{height}x{width}.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("turned.jpg", "turned2.jpg", "turned3.jpg"):
        Image.new("RGB", (30, 20)).save(folder / name, exif=exif)
    contents = (folder / "turned.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(contents[:-50])
    (folder / "text.jpg").write_text("no image")
    (folder / "empty.jpg").touch()
    return folder


def good():
    """A data set without faults: two images of 20 x 30 and 30 x 20, three annotations."""
    return {
        "images": [
            {"id": 7, "file_name": "sub/a20x30.png", "height": 20, "width": 30},
            {"id": 5, "file_name": "sub/a30x20.png", "height": 30, "width": 20},
        ],
        "annotations": [
            {"id": 1, "image_id": 5, "category_id": 90, "bbox": [1.5, 2.25, 10, 20.5], "area": 99},
            {"id": 2, "image_id": 7, "category_id": 3, "bbox": [0, 0, 30, 20]},
            {"id": 9, "image_id": 5, "category_id": 3, "bbox": [4, 5, 6, 7], "iscrowd": 1},
        ],
        "categories": [{"id": 90, "name": "toothbrush"}, {"id": 3, "name": "car"}],
    }


@pytest.fixture
def file(tmp_path):
    return tmp_path / "instances.json"


def read(file, folder, content):
    file.write_text(json.dumps(content), encoding="utf-8")
    return read_coco(file, folder)


def fault(file, folder, content):
    """The message that reading ends in."""
    with pytest.raises(DataError) as caught:
        read(file, folder, content)
    return str(caught.value)


def one_fault(file, folder, content):
    message = fault(file, folder, content)
    assert "\n" not in message
    assert message.startswith(f"{file}: ")
    return message.removeprefix(f"{file}: ")


# --- Good files ---------------------------------------------------------------------------------


def test_every_field_of_a_good_file(file, folder):
    dataset = read(file, folder, good())
    assert dataset.name == str(file)
    assert dataset.categories == (Category(3, "car"), Category(90, "toothbrush"))
    assert dataset.files == (f"{folder}/sub/a20x30.png", f"{folder}/sub/a30x20.png")
    assert dataset.encoded is None
    assert dataset.notes == ()
    expected = {
        "image_ids": np.array([7, 5]),
        "sizes": np.array([[20, 30], [30, 20]], np.int32),
        "apply_exif": np.array([True, True]),
        "row_splits": np.array([0, 1, 3]),
        "boxes": np.float32([[0, 0, 30, 20], [1.5, 2.25, 11.5, 22.75], [4, 5, 10, 12]]),
        "labels": np.array([0, 1, 0], np.int32),
        "is_crowd": np.array([False, False, True]),
        "annotated_xywh": np.array([[0, 0, 30, 20], [1.5, 2.25, 10, 20.5], [4, 5, 6, 7]]),
        "areas": np.array([600.0, 99.0, 42.0]),
        "category_ids": np.array([3, 90, 3]),
    }
    for name, array in expected.items():
        assert getattr(dataset, name).dtype == array.dtype, name
        np.testing.assert_array_equal(getattr(dataset, name), array, name)


@st.composite
def coco_files(draw):
    """Whole COCO dictionaries whose boxes lie inside their images."""
    ids = st.integers(-(2**63), 2**63 - 1)
    names = st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip)
    categories = draw(
        st.lists(
            st.fixed_dictionaries({"id": ids, "name": names}, optional={"supercategory": names}),
            min_size=1,
            max_size=4,
            unique_by=(lambda c: c["id"], lambda c: c["name"]),
        )
    )
    pictures = draw(
        st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(SIZES)), min_size=1, unique=True)
    )
    image_ids = draw(st.lists(ids, min_size=len(pictures), max_size=len(pictures), unique=True))
    images = []
    for image_id, (copy, (height, width)) in zip(image_ids, pictures, strict=True):
        image = {"id": image_id, "file_name": f"sub/{copy}{height}x{width}.png"}
        if draw(st.booleans()):
            image |= {"height": height, "width": draw(st.sampled_from([width, float(width)]))}
        images.append(image)
    annotations = []
    for annotation_id in draw(st.lists(ids, max_size=8, unique=True)):
        row = draw(st.integers(0, len(images) - 1))
        height, width = pictures[row][1]
        x, w = sorted(
            draw(st.tuples(st.integers(0, 8), st.integers(0, 8)).filter(lambda p: p[0] != p[1]))
        )
        y, h = sorted(
            draw(st.tuples(st.integers(0, 8), st.integers(0, 8)).filter(lambda p: p[0] != p[1]))
        )
        corners = np.array([x, y, w, h]) / 8 * [width, height, width, height]
        annotation = {
            "id": annotation_id,
            "image_id": image_ids[row],
            "category_id": draw(st.sampled_from(categories))["id"],
            "bbox": [*corners[:2].tolist(), *(corners[2:] - corners[:2]).tolist()],
        }
        annotation |= draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "iscrowd": st.sampled_from([0, 1]),
                    "area": st.floats(0, 1e6),
                    "segmentation": st.sampled_from(
                        [[], [[1, 2.5, 3e1]], {"counts": "ab]", "size": [1, 2]}, None]
                    ),
                },
            )
        )
        annotations.append(annotation)
    return {"images": images, "annotations": annotations, "categories": categories}


@hypothesis.settings(deadline=None, max_examples=100)
@hypothesis.given(content=coco_files())
def test_any_good_file_comes_back(tmp_path_factory, folder, content):
    file = tmp_path_factory.getbasetemp() / "any.json"
    dataset = read(file, folder, content)
    assert [(c.id, c.name) for c in dataset.categories] == sorted(
        (c["id"], c["name"]) for c in content["categories"]
    )
    assert dataset.notes == ()
    assert len(dataset.labels) == len(content["annotations"])
    for index, image in enumerate(content["images"]):
        assert dataset.image_ids[index] == image["id"]
        assert dataset.files[index] == f"{folder}/{image['file_name']}"
        assert f"{dataset.sizes[index, 0]}x{dataset.sizes[index, 1]}." in dataset.files[index]
        expected = [a for a in content["annotations"] if a["image_id"] == image["id"]]
        rows = dataset.rows(index)
        assert dataset.annotated_xywh[rows].tolist() == [a["bbox"] for a in expected]
        categories = [dataset.categories[label].id for label in dataset.labels[rows]]
        assert categories == [a["category_id"] for a in expected]
        assert dataset.category_ids[rows].tolist() == categories
        assert dataset.is_crowd[rows].tolist() == [a.get("iscrowd", 0) == 1 for a in expected]
        areas = [a.get("area", a["bbox"][2] * a["bbox"][3]) for a in expected]
        assert dataset.areas[rows].tolist() == areas
        corners = [[x, y, x + w, y + h] for x, y, w, h in dataset.annotated_xywh[rows]]
        np.testing.assert_allclose(dataset.boxes[rows], np.reshape(corners, (-1, 4)), rtol=1e-6)


def test_pycocotools_reads_the_ground_truth_as_it_reads_the_file(file, folder):
    theirs, ours = COCO(), COCO()
    theirs.dataset, ours.dataset = good(), read(file, folder, good()).ground_truth()
    theirs.createIndex()
    ours.createIndex()
    assert sorted(theirs.imgs) == sorted(ours.imgs)
    assert {i: c["name"] for i, c in theirs.cats.items()} == {
        i: c["name"] for i, c in ours.cats.items()
    }
    for image_id in theirs.imgs:
        pairs = zip(theirs.imgToAnns[image_id], ours.imgToAnns[image_id], strict=True)
        for their, our in pairs:
            assert their["bbox"] == our["bbox"]
            assert their["category_id"] == our["category_id"]


def test_no_annotation_at_all_is_left_to_the_trainer(file, folder):
    dataset = read(file, folder, good() | {"annotations": []})
    assert dataset.boxes.shape == (0, 4)
    assert dataset.row_splits.tolist() == [0, 0, 0]


def test_verified_absences_of_lvis_are_kept(file, folder):
    content = good()
    assert read(file, folder, content).negatives is None
    content["images"][1]["neg_category_ids"] = [90, 3]
    assert read(file, folder, content).negatives == ((), (90, 3))


def test_a_byte_order_mark_and_a_path_object(file, folder):
    file.write_text(json.dumps(good()), encoding="utf-8-sig")
    assert len(read_coco(file, folder)) == len(read_coco(str(file), str(folder))) == 2


def test_an_absolute_file_name_stands_for_itself(file, folder, tmp_path):
    content = good()
    content["images"][0]["file_name"] = str(folder / "sub" / "a20x30.png")
    assert read(file, folder, content).files[0] == str(folder / "sub" / "a20x30.png")


def test_polygons_are_not_looked_at_wherever_they_stand(file, folder):
    content = good()
    content["annotations"][0]["segmentation"] = [[1.5, -2e-3, 3], [4, 5]]
    content["annotations"][1] = {"segmentation": [[1, 2]], **content["annotations"][1]}
    content["annotations"][2]["segmentation"] = [[math.nan, None, "]"]]
    content["categories"][0]["name"] = 'a "segmentation": [[1, 2]], "b": 3 \\'
    dataset = read(file, folder, content)
    assert dataset.categories[1].name == content["categories"][0]["name"]
    np.testing.assert_array_equal(dataset.boxes, read(file, folder, good()).boxes)


# --- The frame of the boxes ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected", "apply_exif"),
    [
        ({"height": 30, "width": 20}, [30, 20], True),  # the frame that a viewer shows
        ({"height": 20, "width": 30}, [20, 30], False),  # the frame that is stored
        ({}, [30, 20], True),
        ({"height": None, "width": None}, [30, 20], True),
        ({"width": 20}, [30, 20], True),
    ],
)
def test_the_size_tells_whether_the_rotation_applies(file, folder, size, expected, apply_exif):
    content = good()
    content["images"][0] = {"id": 7, "file_name": "turned.jpg", **size}
    content["annotations"][1]["bbox"] = [0, 0, 5, 5]
    dataset = read(file, folder, content)
    assert dataset.sizes[0].tolist() == expected
    assert dataset.apply_exif.tolist() == [apply_exif, True]
    assert len(dataset.notes) == (0 if apply_exif else 1)


def test_the_stored_frame_is_noted(file, folder):
    names = ("turned.jpg", "turned2.jpg", "turned3.jpg")
    images = [{"id": i, "file_name": f, "height": 20, "width": 30} for i, f in enumerate(names)]
    images[1] |= {"height": 30, "width": 20}
    (note,) = read(file, folder, good() | {"images": images, "annotations": []}).notes
    assert note.startswith("images annotated as they are stored, so that their EXIF orientation is")
    assert f": 2 (the first: image id 0, {folder}/turned.jpg, of 30 x 20 pixels)" in note


# --- Boxes that are mended ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bbox", "box"),
    [
        ([-3, -4, 10, 10], [0, 0, 7, 6]),
        ([25, 15, 10, 10], [25, 15, 30, 20]),
        ([-5, -5, 100, 100], [0, 0, 30, 20]),
        ([29, 0, 1.02, 20], [29, 0, 30, 20]),
    ],
)
def test_an_overhanging_box_is_clipped_and_noted(file, folder, bbox, box):
    content = good()
    content["annotations"][1]["bbox"] = bbox
    dataset = read(file, folder, content)
    assert dataset.boxes[0].tolist() == box
    assert dataset.labels[0] == 0
    assert dataset.annotated_xywh[0].tolist() == bbox
    (note,) = dataset.notes
    assert note == (
        "overhanging boxes clipped to their image: 1 (the first: annotation id 2, bbox "
        f"{[float(v) for v in bbox]}, image id 7, {folder}/sub/a20x30.png, of 30 x 20 pixels)"
    )


def test_rounding_to_two_decimals_is_clipped_without_a_word(file, folder):
    content = good()
    content["annotations"][1]["bbox"] = [29.01, 0, 1.0, 20.01]
    dataset = read(file, folder, content)
    assert dataset.notes == ()
    assert dataset.boxes[0].tolist() == np.float32([29.01, 0, 30, 20]).tolist()


@pytest.mark.parametrize(
    "bbox",
    [
        [3, 4, 0, 5],
        [3, 4, 5, 0],
        [0, 0, 0, 0],
        [30, 20, 0, 0],
        [29.9999999, 0, 5, 5],  # nothing that float32 can tell is left inside
        [3, 4, 1e-30, 5],
    ],
)
def test_an_empty_box_is_dropped_but_kept_for_the_evaluator(file, folder, bbox):
    content = good()
    content["annotations"][1]["bbox"] = bbox
    dataset = read(file, folder, content)
    assert dataset.labels.tolist() == [-1, 1, 0]
    assert dataset.category_ids.tolist() == [3, 90, 3]
    assert dataset.annotated_xywh[0].tolist() == bbox
    (note,) = dataset.notes
    assert note.startswith("empty boxes dropped: 1 (the first: annotation id 2, bbox [")


def test_each_kind_is_counted_in_a_note_of_its_own(file, folder):
    content = good()
    boxes = [[0, 0, 0, 1], [-1, 0, 9, 9], [5, 5, 0, 0], [20, 0, 11, 1], [0, 19, 1, 2]]
    content["annotations"] = [
        {"id": i, "image_id": 7, "category_id": 3, "bbox": bbox} for i, bbox in enumerate(boxes)
    ]
    clipped, dropped = read(file, folder, content).notes
    assert clipped.startswith(
        "overhanging boxes clipped to their image: 3 (the first: annotation id 1,"
    )
    assert dropped.startswith("empty boxes dropped: 2 (the first: annotation id 0,")


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
            "annotation id 2: bbox must be four finite numbers (x, y, width, height)",
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
                f": bbox {bbox} is inverted; give x, y, width, height, the last two from 0 on",
            )
            for bbox in ([5, 5, -1, 3], [5, 5, 3, -0.5])
        ],
        *[
            (
                {"bbox": bbox},
                f": bbox must be four finite numbers (x, y, width, height), but is {text}",
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
            "{folder}/text.jpg: not an image (JPEG, PNG, GIF and BMP can be "
            "read); replace it or leave it out of the data",
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
