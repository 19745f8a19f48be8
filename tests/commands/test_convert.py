"""retinanet-convert as its users run it, and what it prints, used as it stands."""

import os
import shlex

import pytest

from keras_retinanet.commands import common
from keras_retinanet.commands import convert as command
from keras_retinanet.data.formats import read_dataset
from tests.commands.test_commands import ROOT, error_line, run
from tests.data_room.make import objects, write_coco


@pytest.mark.slow
def test_there_and_back_by_the_lines_it_prints(tmp_path):
    write_coco(tmp_path / "data", count=4)
    coco = ["--annotations", "data/annotations.json", "--images", "data/images"]
    out, _ = run("convert", *coco, "--to", "voc", "--output_dir", "voc", cwd=tmp_path)
    lines = out.splitlines()
    assert lines[0] == "4 images and 4 objects of 2 classes in voc; read it with"
    assert lines[1] == (
        "  --format voc --annotations voc/Annotations --images voc/JPEGImages "
        "--classes voc/classes.csv"
    )
    assert "exists and is not empty" in error_line(
        "convert", *coco, "--to", "voc", "--output_dir", "voc", cwd=tmp_path
    )
    values = command.FLAGS
    values(["retinanet-convert", *shlex.split(lines[1])])
    os.chdir(tmp_path)
    voc = read_dataset(common.data_source(values))
    values(["retinanet-convert", *coco, "--format", "auto"])
    values["classes"].value = None
    assert objects(voc) == objects(read_dataset(common.data_source(values)))


@pytest.mark.slow
def test_bad_input_is_one_line_and_nothing_is_written(tmp_path):
    to = ["--to", "coco", "--output_dir", "out"]
    assert "name the data set to convert" in error_line("convert", *to, cwd=tmp_path)
    (tmp_path / "a.csv").write_text("b.jpg,1,2,3,4,dog\n")
    message = error_line("convert", "--annotations", "a.csv", *to, cwd=tmp_path)
    assert "a.csv: line 1: b.jpg: no such file" in message
    assert os.listdir(tmp_path) == ["a.csv"]
    line = error_line("convert", "--to", "png", "--output_dir", "out", cwd=tmp_path, code=2)
    assert "value should be one of <coco|voc|csv" in line
    assert "not understood" in error_line("convert", "more", *to, cwd=tmp_path)


def test_the_script_in_bin_does_nothing_when_it_is_imported():
    text = (ROOT / "bin" / "retinanet-convert").read_text()
    assert os.access(ROOT / "bin" / "retinanet-convert", os.X_OK)
    exec(
        compile(text, "retinanet-convert", "exec"),
        {"__name__": "x", "__file__": str(ROOT / "bin/x")},
    )
