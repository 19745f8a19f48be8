"""retinanet-check as its users run it: text, JSON, page, exit code."""

import json
import os
import re

import pytest

import keras_retinanet as kr
from keras_retinanet.config import load_config
from tests.commands.here import error_here, run_here
from tests.commands.test_commands import data_arguments, run
from tests.datasets.make import write_coco


@pytest.mark.slow
def test_a_good_data_set_in_an_empty_folder(tmp_path):
    write_coco(tmp_path / "data", count=6)
    out, _ = run("check", "--config", "small", *data_arguments("data"), cwd=tmp_path)
    lines = out.splitlines()
    assert lines[0].startswith("train: 6 images, 1 of them without objects; 7 objects of 2 classes")
    assert lines[-1] == "0 fatal, 0 fixed, 1 noted"
    assert os.listdir(tmp_path) == ["data"]
    flags = ("--annotations", "data/annotations.json", "--images", "data/images")
    again, _ = run_here("check", "--config", "small", *flags, cwd=tmp_path)
    assert again == out
    val = ("data.val.annotations=data/annotations.json", "data.val.images=data/images")
    both, _ = run_here("check", "--format", "coco", *flags, *val, cwd=tmp_path)
    assert "noted: image in both parts: 6" in both


def test_faults_are_listed_and_end_with_1(tmp_path):
    file, _ = write_coco(tmp_path / "data", count=30)
    content = json.loads(file.read_text())
    for annotation in content["annotations"]:
        annotation["bbox"][2] = -5
    file.write_text(json.dumps(content))
    out, _ = run_here(
        *("check", "--json", "report.json", "--html", "report.html", *data_arguments("data")),
        cwd=tmp_path,
        code=1,
    )
    count = len(content["annotations"])
    assert f"fatal: cannot be read: {count}\n" in out
    assert "train: annotation id 1: bbox must be four finite numbers" in out
    assert f"  and {count - 20} more, which --json lists" in out
    report = json.loads((tmp_path / "report.json").read_text())
    found = [finding for finding in report["findings"] if finding["kind"] == "cannot be read"]
    assert report["errors"] is True and len(found) == count
    assert found[-1]["text"].startswith(f"annotation id {count}: bbox")
    assert report["parts"]["train"]["objects"] == 0 and report["anchors"] is None
    assert "fatal: no object to train on: 1\n" in out
    assert "cannot be read" in (tmp_path / "report.html").read_text()


def test_two_parts_the_page_and_better_anchors(tmp_path):
    file, images = write_coco(tmp_path / "data", count=6)
    arguments = [
        *data_arguments("data"),
        f"data.val.annotations={file}",
        f"data.val.images={images}",
    ]
    out, _ = run_here(
        *("check", "--fit_anchors", "--json", "r.json", "--html", "r.html", "--config", "small"),
        *("data.min_side=64", "data.max_side=96", *arguments),
        cwd=tmp_path,
    )
    assert "noted: image in both parts: 6" in out
    settings = re.search(r"train with\n  (.*)\n", out).group(1).split()
    anchors = load_config("small", settings).model.anchors
    assert len(anchors.sizes) == 5
    report = json.loads((tmp_path / "r.json").read_text())
    before, after = (report[key]["overall"] for key in ("anchors", "proposed_anchors"))
    assert after["mean"] > before["mean"]
    assert report["proposed_anchors"]["settings"] == settings
    page = (tmp_path / "r.html").read_text()
    assert page.count("data:image/png") == 3  # the plots
    assert page.count("data:image/jpeg") == len(report["counts"]) >= 2  # examples of each kind
    assert "the same image as" in page and "http" not in page


def test_anchors_are_those_of_the_weights(tmp_path):
    write_coco(tmp_path / "data", count=6)
    anchors = kr.AnchorSettings(sizes=(9, 18, 36, 72, 144), whole_pixels=True, fit_strides=True)
    settings = {"backbone": "resnet10_w32", "pyramid_channels": 32, "head_depth": 1}
    kr.RetinaNet(5, **settings, anchors=anchors).save(tmp_path / "m.keras")
    words = ("model.weights=m.keras", *data_arguments("data"))
    flags = ("--config", "small", "--json", "r.json", "--fit_anchors")
    out, _ = run_here("check", *flags, *words, cwd=tmp_path)
    assert "no anchors proposed. The anchors are those of model.weights" in out
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["anchors"]["settings"][0] == "model.anchors.sizes=[9,18,36,72,144]"
    words = ("model.weights=n.keras", *data_arguments("data"))
    for command in (["check"], ["debug", "--output_dir", "seen"]):
        assert "there is no file of weights n.keras" in error_here(*command, *words, cwd=tmp_path)
    assert not (tmp_path / "seen").exists()


def test_a_validation_part_with_other_classes(tmp_path):
    write_coco(tmp_path / "data", count=3)
    other, images = write_coco(tmp_path / "other", count=3)
    other.write_text(other.read_text().replace('"blue"', '"green"'))
    val = [f"data.val.annotations={other}", f"data.val.images={images}"]
    out, _ = run_here("check", *data_arguments("data"), *val, cwd=tmp_path, code=1)
    assert "fatal: other classes than in training: 1" in out


def test_bad_settings_are_one_line(tmp_path):
    assert "did you mean 'data.min_side'" in error_here("check", "data.minside=3", cwd=tmp_path)
    out, _ = run_here("check", cwd=tmp_path, code=1)
    assert "data.train.annotations is not set" in out
