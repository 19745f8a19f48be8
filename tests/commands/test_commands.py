"""The commands as their users run them: processes in an empty folder."""

import csv
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from keras_retinanet.datasets.formats.coco import read_coco
from keras_retinanet.datasets.formats.convert import convert
from tests.commands.here import error_here, run_here
from tests.datasets.make import add_extremes, write_coco

ROOT = pathlib.Path(__file__).resolve().parents[2]
TINY = [
    "model.backbone=resnet10_w32",
    "model.pyramid_channels=32",
    "model.head_depth=1",
    "data.min_side=64",
    "data.max_side=96",
    "train.batch_size=2",
    "train.precision=float32",
]


def start(command, *arguments, cwd):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    code = f"from keras_retinanet.commands.{command} import run; run()"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # The tests may run in a script's background, where Ctrl-C is ignored, by children too.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def run(command, *arguments, cwd, code=0):
    process = start(command, *arguments, cwd=cwd)
    out, err = process.communicate(timeout=300)
    assert process.returncode == code, out + err
    assert "Traceback" not in err
    return out, err


def error_line(command, *arguments, cwd, code=1):
    """The one line that the command fails with."""
    _, err = run(command, *arguments, cwd=cwd, code=code)
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    assert len(lines) == 1
    assert err.rstrip().endswith(lines[0])
    return lines[0]


def data_arguments(folder):
    return [
        f"data.train.annotations={folder}/annotations.json",
        f"data.train.images={folder}/images",
    ]


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with a data set in it, extreme images among it, and a finished run of two epochs."""
    folder = tmp_path_factory.mktemp("work")
    add_extremes(*write_coco(folder / "data", count=12))
    out, _ = run(
        "train",
        *("--config", "small", "--output_dir", "run"),
        *(*data_arguments("data"), *TINY, "train.epochs=2", "train.ema=0.9"),
        "inference.score_threshold=0.001",
        cwd=folder,
    )
    (folder / "out.txt").write_text(out)
    return folder


@pytest.mark.slow
def test_a_run_folder_is_complete(work):
    run_folder = work / "run"
    assert sorted(path.name for path in run_folder.iterdir()) == [
        "backup",
        "best.keras",
        "config.yaml",
        "environment.json",
        "last.keras",
        "metrics.csv",
        "predictions",
        "split",
        "tensorboard",
    ]
    out = (work / "out.txt").read_text()
    assert "devices: /device:CPU:0; precision float32" in out
    assert "no data.val: 3 of 14 images are split off" in out
    assert "Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all" in out
    with (run_folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert [row["step"] for row in rows] == ["5", "10"]
    for name in ("loss", "class_loss", "box_loss", "learning_rate", "positives_per_image"):
        assert float(rows[0][name]) > 0, name
    assert float(rows[0]["images_per_second"]) > 0
    assert "val_AP" in rows[0]
    environment = json.loads((run_folder / "environment.json").read_text())
    assert environment["packages"]["keras"]
    assert environment["seed"] == 0
    assert len(list((run_folder / "predictions").iterdir())) == 3
    assert list((run_folder / "tensorboard").rglob("events*"))
    lists = [
        (run_folder / "split" / f"{part}.txt").read_text().split() for part in ("train", "val")
    ]
    assert [len(names) for names in lists] == [11, 3]
    assert set(lists[1]) == {"2.png", "4.png", "11.png"}


@pytest.mark.slow
def test_a_finished_run_is_not_run_again(work):
    before = (work / "run" / "last.keras").stat().st_mtime_ns
    out, _ = run("train", "--output_dir", "run", "--resume", cwd=work)
    assert "is finished: 10 steps" in out
    same = ["--config", "small", *data_arguments("data"), *TINY, "train.epochs=2"]
    out, _ = run("train", "--output_dir", "run", "--resume", *same, cwd=work)
    assert "is finished: 10 steps" in out
    assert (work / "run" / "last.keras").stat().st_mtime_ns == before


@pytest.mark.slow
def test_evaluation_equals_pycocotools_on_what_it_wrote(work, capsys):
    arguments = ["--annotations", "data/annotations.json", "--images", "data/images"]
    out, _ = run(
        "evaluate", "--model", "run/last.keras", *arguments, "--output_dir", "scores", cwd=work
    )
    assert out.startswith("devices: /device:CPU:0; precision float32\n")
    metrics = json.loads((work / "scores" / "metrics.json").read_text())
    truth = COCO(str(work / "data" / "annotations.json"))
    detections = work / "scores" / "detections.json"
    found = json.loads(detections.read_text())
    assert {row["category_id"] for row in found} <= {3, 17}
    evaluation = COCOeval(truth, truth.loadRes(str(detections)), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    capsys.readouterr()
    evaluation.summarize()
    assert capsys.readouterr().out.strip("\n") in out
    assert metrics["AP"] == evaluation.stats[0]
    assert set(metrics["per_class"]) == {"red", "blue"}


@pytest.mark.slow
def test_evaluation_of_another_format_by_the_classes_of_the_model(work):
    data = work / "data"
    source, _ = convert(read_coco(data / "annotations.json", data / "images"), "csv", work / "csv")
    scores = []
    for annotations in (
        ["--annotations", source.annotations],
        ["--annotations", data / "annotations.json", "--images", data / "images"],
    ):
        run_here("evaluate", "--model", "run", *annotations, "--output_dir", "scores", cwd=work)
        scores.append(json.loads((work / "scores" / "metrics.json").read_text()))
    assert scores[0] == scores[1]
    text = (work / "csv" / "annotations.csv").read_text()
    (work / "csv" / "annotations.csv").write_text(text.replace("blue", "bleu", 1))
    line = error_here("evaluate", "--model", "run", "--annotations", source.annotations, cwd=work)
    assert 'no class is called "bleu"; did you mean "blue"?' in line


@pytest.mark.long
@pytest.mark.slow
def test_prediction_and_export(work):
    out, _ = run(
        *("predict", "--model", "run", "--output_dir", "seen", "data/images/0.png", "data/images"),
        cwd=work,
    )
    assert "in 15 images" in out
    assert (work / "seen" / "11.jpg").exists()
    assert {"0-1.jpg", "0-2.jpg"} <= {path.name for path in (work / "seen").iterdir()}
    for row in json.loads((work / "seen" / "detections.json").read_text()):
        assert set(row) == {"image_id", "category_id", "bbox", "score"}
    out, _ = run("export", "--model", "run", "--output_dir", "served", "--version", 3, cwd=work)
    assert out.startswith("devices: /device:CPU:0; precision float32\n")
    assert (work / "served" / "3" / "saved_model.pb").exists()
    extremes = [str(work / "data" / "images" / f"1x{width}.png") for width in (1, 5000)]
    out, _ = run_here(
        *("predict", "--model", "served/3", "--output_dir", "asked", *extremes), cwd=work
    )
    assert "in 2 images" in out
    assert "exists" in error_line(
        "export", "--model", "run", "--output_dir", "served", "--version", 3, cwd=work
    )


@pytest.mark.long
@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_was(tmp_path):
    write_coco(tmp_path / "data", count=12)
    arguments = [*data_arguments("data"), *TINY, "train.epochs=4"]
    process = start("train", "--config", "small", "--output_dir", "run", *arguments, cwd=tmp_path)
    state_file = tmp_path / "run" / "backup" / "state.json"
    deadline = time.monotonic() + 240
    while not state_file.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    state = json.loads(state_file.read_text())
    assert state["step"] == 4 * state["epoch"] > 0
    if state["finished"]:
        pytest.fail("the run was too short to be killed")
    out, _ = run("train", "--output_dir", "run", "--resume", cwd=tmp_path)
    assert f"resuming run at epoch {state['epoch'] + 1}, step {state['step']}" in out
    with (tmp_path / "run" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows][-1] == 16
    final = json.loads(state_file.read_text())
    assert (final["step"], final["epoch"], final["finished"]) == (16, 4, True)
    assert final["seconds"] > state["seconds"] > 0


@pytest.mark.long
@pytest.mark.slow
def test_ctrl_c_saves_and_tells_how_to_go_on(tmp_path):
    write_coco(tmp_path / "data", count=12)
    process = start(
        *("train", "--config", "small", "--output_dir", "my run"),
        *(*data_arguments("data"), *TINY, "train.minutes=30"),
        cwd=tmp_path,
    )
    while not (tmp_path / "my run" / "metrics.csv").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "retinanet-train --output_dir 'my run' --resume" in err
    assert "Traceback" not in err
    assert (tmp_path / "my run" / "last.keras").exists()
    assert (
        json.loads((tmp_path / "my run" / "backup" / "state.json").read_text())["step"] >= 4
    )  # an epoch of 9 images, 3 of 12 being split off


def train_fails(folder, *arguments, output="run"):
    line = error_line(
        "train",
        *("--config", "small", "--output_dir", output),
        *(*data_arguments("data"), *TINY, "train.steps=1", *arguments),
        cwd=folder,
    )
    assert output == "used" or not (folder / output).exists()
    return line


@pytest.mark.slow
def test_bad_input_is_one_clear_line_and_nothing_is_written(tmp_path):
    file, images = write_coco(tmp_path / "data", count=6)
    good = json.loads(file.read_text())
    assert "did you mean 'train.epochs'" in train_fails(tmp_path, "train.epoch=3")

    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine").write_text("keep")
    assert "used is not empty" in train_fails(tmp_path, output="used")
    assert (tmp_path / "used" / "mine").read_text() == "keep"

    file.write_text("")
    assert "annotations.json" in train_fails(tmp_path)

    bad = json.loads(json.dumps(good))
    bad["annotations"][1]["image_id"] = 999
    file.write_text(json.dumps(bad))
    line = train_fails(tmp_path)
    assert "annotation" in line and "999" in line

    file.write_text(json.dumps(good))
    corrupt = images / "3.png"
    pixels = bytearray(corrupt.read_bytes())
    pixels[60:80] = bytes(20)  # the header and the end are whole, the pixels are not
    corrupt.write_bytes(pixels)
    assert "3.png" in train_fails(tmp_path)
    corrupt.unlink()
    assert "3.png" in train_fails(tmp_path)


@pytest.mark.slow
def test_bad_models_and_flags_are_one_clear_line(tmp_path):
    (tmp_path / "text.keras").write_text("no model")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "image.png")
    predict = ["predict", "--output_dir", "out", "image.png", "--model"]
    assert "text.keras is not a model" in error_line(*predict, "text.keras", cwd=tmp_path)
    assert "no model file nothing.keras" in error_line(*predict, "nothing.keras", cwd=tmp_path)
    assert "holds neither best.keras" in error_line(*predict, tmp_path, cwd=tmp_path)
    assert not (tmp_path / "out").exists()
    assert "--output_dir is missing" in error_line("train", cwd=tmp_path, code=2)
    assert "modle" in error_line("evaluate", "--modle", "x", cwd=tmp_path, code=2)


def test_help_needs_nothing(tmp_path):
    out, _ = run("export", "--help", cwd=tmp_path)
    assert "--version" in out and "retinanet-export --model run" in out


def test_the_scripts_in_bin_run_their_commands():
    commands = ("train", "evaluate", "predict", "export", "serve")
    for name in (*commands, "import_", "convert", "check", "debug"):
        script = ROOT / "bin" / f"retinanet-{name.rstrip('_')}"
        assert os.access(script, os.X_OK)
        assert f"keras_retinanet.commands.{name} import run" in script.read_text()
    assert shutil.which("bash")


@pytest.mark.slow
def test_debug_draws_what_training_shows(tmp_path):
    write_coco(tmp_path / "data", count=4)
    out, _ = run(
        *("debug", "--config", "small", "--output_dir", "seen", "--pictures", 3),
        *(*data_arguments("data"), "data.mosaic=1"),
        cwd=tmp_path,
    )
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == [
        "000.png",
        "001.png",
        "002.png",
    ]
    assert "3 images: seen" in out
    wrong = ("debug", "--output_dir", "other", *data_arguments("data"), "data.rotation=90")
    assert "data.rotation is 90.0; it must lie in [0, 45]" in error_line(*wrong, cwd=tmp_path)
    assert not (tmp_path / "other").exists()
