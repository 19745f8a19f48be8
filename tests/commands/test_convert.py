"""retinanet-convert as its users run it, and what it prints, used as it stands."""

import contextlib
import os
import shlex

import pytest

from keras_retinanet.commands import convert as command
from keras_retinanet.datasets.formats.coco import read_coco
from keras_retinanet.datasets.formats.registry import read_dataset
from tests.commands.here import error_here
from tests.commands.test_commands import ROOT, run
from tests.datasets.make import objects, write_coco


@pytest.mark.slow
def test_what_is_printed_reads_what_was_written(tmp_path):
    file, images = write_coco(tmp_path / "data", count=4)
    coco = ["--annotations", "data/annotations.json", "--images", "data/images"]
    out, _ = run("convert", *coco, "--to", "voc", "--output_dir", "my voc", cwd=tmp_path)
    lines = out.splitlines()
    assert lines[0] == "4 images and 4 objects of 2 classes in my voc; read it with"
    assert lines[1] == (
        "  --format voc --annotations 'my voc/Annotations' --images 'my voc/JPEGImages' "
        "--classes 'my voc/classes.csv'"
    )
    command.FLAGS(["retinanet-convert", *shlex.split(lines[1])])
    with contextlib.chdir(tmp_path):
        voc = read_dataset(command.FLAGS.data_source())
    assert objects(voc) == objects(read_coco(file, images))
    again = ["convert", *coco, "--to", "voc", "--output_dir", "my voc"]
    assert "voc exists and is not empty" in error_here(*again, cwd=tmp_path)


def test_bad_input_is_one_line_and_nothing_is_written(tmp_path):
    to = ["--to", "coco", "--output_dir", "out"]
    assert "name the data set to convert" in error_here("convert", *to, cwd=tmp_path)
    (tmp_path / "a.csv").write_text("b.jpg,1,2,3,4,dog\n")
    message = error_here("convert", "--annotations", "a.csv", *to, cwd=tmp_path)
    assert "a.csv: line 1: b.jpg: no such file" in message
    assert "not understood" in error_here("convert", "more", *to, cwd=tmp_path)
    to = ["--to", "png", "--output_dir", "out"]
    line = error_here("convert", *to, cwd=tmp_path, code=2)
    assert "value should be one of <coco|voc|csv" in line
    assert os.listdir(tmp_path) == ["a.csv"]


def test_the_script_in_bin_does_nothing_when_it_is_imported():
    """As the processes that write shards import it."""
    script = ROOT / "bin" / "retinanet-convert"
    assert os.access(script, os.X_OK)
    exec(compile(script.read_text(), script, "exec"), {"__name__": "x", "__file__": str(script)})
