"""The fast way to read Open Images' CSV against the careful one."""

import dataclasses

import numpy as np
import pytest

from keras_retinanet.datasets.builder import Records
from keras_retinanet.datasets.dataset import Category
from keras_retinanet.datasets.formats import open_images
from keras_retinanet.datasets.formats.open_images import read_open_images
from keras_retinanet.datasets.parsing import ImageFolder
from keras_retinanet.errors import DataError
from tests.datasets.make import write_image

HEADER = "ImageID,Source,LabelName,XMin,XMax,YMin,YMax,IsGroupOf"
LINES = (
    "b,x,/m/2,0.1,0.5,0.25,1.5,0",
    "a,x,/m/1,0,1,0,0.5,1",
    "b,x,/m/1,0.5,0.5,0.25,0.75,-1",
    "b,x,/m/2,1e-1,.5,0.5,0.75,0",
)


def write(folder, *lines, header=HEADER):
    for name in "ab":
        write_image(folder / "images" / f"{name}.png", height=100, width=200)
    file = folder / "train-annotations-bbox.csv"
    file.write_text("\n".join((header, *lines)) + "\n")
    return file, folder / "images"


def is_clean(file, images):
    records = Records(str(file), None, relative=True)
    rows = open_images._Rows(ImageFolder(images), records, skip_missing=False)
    return open_images._add_columns(str(file), rows, None)


@pytest.mark.parametrize(
    "classes", [None, {"/m/2": Category(4, "two"), "/m/1": Category(9, "one")}]
)
def test_the_fast_and_the_careful_way_read_the_same(tmp_path, monkeypatch, classes):
    file, images = write(tmp_path, *LINES)
    labels = "ImageID,LabelName,Confidence\na,/m/2,0\na,/m/1,1\n"
    (tmp_path / "train-annotations-human-imagelabels.csv").write_text(labels)
    assert is_clean(file, images)
    fast = read_open_images(file, images, classes)
    monkeypatch.setattr(open_images, "_add_columns", lambda source, rows, classes: False)
    careful = read_open_images(file, images, classes)
    for field in dataclasses.fields(fast):
        np.testing.assert_equal(getattr(fast, field.name), getattr(careful, field.name))
    assert [file[-5:] for file in fast.files] == ["b.png", "a.png"]
    assert fast.is_crowd.tolist() == [False, False, False, True] and len(fast.notes) == 2
    assert "line 2, box" in fast.notes[0] and "line 4, box" in fast.notes[1]


@pytest.mark.parametrize(
    "line",
    [
        *("b,x,/m/2,0.5,0.1,0.25,0.5,0", "b,x,/m/2,0.1,nan,0.25,0.5,0", "b,x,,0.1,0.5,0.2,0.5,0"),
        *("b,x,/m/2,0.1,1e999,0.2,0.5,0", "b,x,/m/2,0.1,,0.2,0.5,0", "b,x,/m/2,0.1,0.5,0.2,0.5,2"),
        *("c,x,/m/2,0.1,0.5,0.2,0.5", "b,x,/m/2,0.1,1_0,0.2,0.5,0", "b,x,/m/2,0.1,0.5,0.2,0.5,0.5"),
    ],
)
def test_a_faulty_line_is_left_to_the_careful_way(tmp_path, line):
    file, images = write(tmp_path, *LINES, line)
    assert not is_clean(file, images)
    with pytest.raises(DataError, match="line 6"):
        read_open_images(file, images)


@pytest.mark.parametrize(
    "line", ["", '"b",x,/m/2,0.1,0.5,0.2,0.5,0', "b ,x,/m/2,0.1,0.5,0.2,0.5,0"]
)
def test_unusual_lines_are_read_by_the_careful_way(tmp_path, line):
    file, images = write(tmp_path, *LINES, line, LINES[0])
    assert not is_clean(file, images)
    assert len(read_open_images(file, images).labels) == 6 - (not line)


def test_an_unknown_class_is_named_by_its_line(tmp_path):
    file, images = write(tmp_path, *LINES)
    with pytest.raises(DataError, match="line 2: no class is called"):
        read_open_images(file, images, {"/m/1": Category(1, "one")})
