"""What is read from COCO files, and what in them is fixed."""

import json
import math
import os

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from keras_retinanet.datasets.dataset import Category
from keras_retinanet.datasets.formats.coco import read_coco
from tests.datasets.formats.coco.make import SIZES, good, one_by_one, read

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
        "orientations": np.array([1, 1], np.int8),
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
    files = draw(
        st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(SIZES)), min_size=1, unique=True)
    )
    image_ids = draw(st.lists(ids, min_size=len(files), max_size=len(files), unique=True))
    images = []
    for image_id, (copy, (height, width)) in zip(image_ids, files, strict=True):
        image = {"id": image_id, "file_name": f"sub/{copy}{height}x{width}.png"}
        if draw(st.booleans()):
            image |= {"height": height, "width": draw(st.sampled_from([width, float(width)]))}
        images.append(image)
    annotations = []
    for annotation_id in draw(st.lists(ids, max_size=8, unique=True)):
        row = draw(st.integers(0, len(images) - 1))
        height, width = files[row][1]
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


# --- Boxes that are fixed -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bbox", "box"),
    [
        ([-3, -4, 10, 10], [0, 0, 7, 6]),
        ([25, 15, 10, 10], [25, 15, 30, 20]),
        ([-5, -5, 100, 100], [0, 0, 30, 20]),
        ([29, 0, 1.02, 20], [29, 0, 30, 20]),
    ],
)
def test_a_box_that_exceeds_its_image_is_clipped_and_noted(file, folder, bbox, box):
    content = good()
    content["annotations"][1]["bbox"] = bbox
    dataset = read(file, folder, content)
    assert dataset.boxes[0].tolist() == box
    assert dataset.labels[0] == 0
    assert dataset.annotated_xywh[0].tolist() == bbox
    (note,) = dataset.notes
    assert note == (
        "boxes that exceed their image clipped to it: 1 (the first: annotation id 2, bbox "
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
        "boxes that exceed their image clipped to it: 3 (the first: annotation id 1,"
    )
    assert dropped.startswith("empty boxes dropped: 2 (the first: annotation id 0,")


# --- Ids that are texts -------------------------------------------------------------------------


def with_text_ids(spell):
    content = good()
    for key in ("images", "annotations", "categories"):
        for record in content[key]:
            for field in {"id", "image_id", "category_id"} & record.keys():
                record[field] = spell(record[field])
    return content


@pytest.mark.parametrize("key", ["images", "annotations", "categories", ""])
def test_text_ids_that_spell_numbers_are_those(file, folder, key):
    content = with_text_ids(str) if not key else good() | {key: with_text_ids(str)[key]}
    dataset, expected = read(file, folder, content), read(file, folder, good())
    assert dataset.ground_truth() == expected.ground_truth()
    assert dataset.categories == expected.categories


def test_other_text_ids_are_numbered_in_their_order(file, folder):
    dataset = read(file, folder, with_text_ids("x{:02}".format))
    assert dataset.image_ids.tolist() == [1, 2]
    # Toothbrush, which was 90, stands first in the file.
    assert [tuple(category) for category in dataset.categories] == [(1, "toothbrush"), (2, "car")]
    assert dataset.annotated_xywh[:, 2].tolist() == [30, 10, 6]
    assert dataset.category_ids.tolist() == [2, 1, 2]


def test_one_text_that_spells_no_number_numbers_all(file, folder):
    content = good()
    for image, id_ in zip(content["images"], ("9", "09"), strict=True):
        image["id"] = id_
    for annotation, id_ in zip(content["annotations"], ("09", "9", "09"), strict=True):
        annotation["image_id"] = id_
    dataset = read(file, folder, content)
    assert dataset.image_ids.tolist() == [1, 2]
    assert dataset.annotated_xywh[:, 2].tolist() == [30, 10, 6]


# --- LVIS v1 ------------------------------------------------------------------------------------


@pytest.mark.parametrize("nested", [True, False])
def test_lvis_names_images_by_their_address(file, tmp_path, nested, monkeypatch):
    content = good()
    for image in content["images"]:
        image["coco_url"] = f"http://images.cocodataset.org/train2017/{image['id']:012}.png"
        size = image["width"], image["height"]
        root = tmp_path / "train2017" if nested else tmp_path
        root.mkdir(exist_ok=True)
        Image.new("RGB", size).save(root / f"{image['id']:012}.png")
        del image["file_name"]
        image |= {"neg_category_ids": [90], "not_exhaustive_category_ids": [3]}
    dataset = read(file, tmp_path, content)
    assert [os.path.dirname(path) for path in dataset.files] == [str(root)] * 2
    assert (dataset.negatives, dataset.not_exhaustive) == (((90,),) * 2, ((3,),) * 2)
    one_by_one(monkeypatch)
    careful = read(file, tmp_path, content)
    assert careful.ground_truth() == dataset.ground_truth()
    assert dataset.ground_truth()["images"][0]["not_exhaustive_category_ids"] == [3]
