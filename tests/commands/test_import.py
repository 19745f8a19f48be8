"""retinanet-import as its users run it."""

import numpy as np
import pytest
import safetensors.numpy

from keras_retinanet.config import load_config
from keras_retinanet.models.saving import load_model
from tests.commands.here import error_here, run_here
from tests.commands.test_commands import error_line, run
from tests.datasets.make import write_coco
from tests.weights import goldens
from tests.weights.test_fizyr import make_weights, write_h5

STATE = goldens.detector_state("v1", width=8, channels=32)
IMPORT = ("--source", "torchvision", "--output", "m.keras")


@pytest.mark.slow
def test_a_detector_is_imported_whatever_file_it_lies_in(tmp_path):
    np.savez(tmp_path / "state.npz", **STATE)
    out, _ = run("import_", *IMPORT, "--weights", "state.npz", cwd=tmp_path)
    assert "a RetinaNet with 91 classes" in out and "m.keras" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.keras", "state.npz"]
    first = load_model(tmp_path / "m.keras")
    assert first.categories[1] == (1, "person")
    assert first.select_detections.settings.max_detections == 300

    safetensors.numpy.save_file(goldens.old_form(STATE), tmp_path / "old.safetensors")
    arguments = ("--weights", "old.safetensors", "--classes", 80)
    out, _ = run("import_", *IMPORT, *arguments, cwd=tmp_path)
    assert "a RetinaNet with 80 classes" in out
    second = load_model(tmp_path / "m.keras")
    assert second.categories[0] == (1, "person") and second.categories[79] == (90, "toothbrush")
    for a, b in zip(first.backbone.weights, second.backbone.weights, strict=True):
        np.testing.assert_array_equal(a, b, err_msg=a.path)
    image = goldens.image(0, 96, 160)[None]
    expected = first(image)["class_logits"].numpy()[..., 1:12]  # 1 to 11 have no gap
    np.testing.assert_allclose(second(image)["class_logits"][..., :11], expected, atol=1e-5)


@pytest.mark.slow
def test_what_does_not_fit_is_one_line_and_nothing_is_written(tmp_path):
    key = "head.regression_head.conv.2.0.weight"
    np.savez(tmp_path / "state.npz", **{**STATE, key: STATE[key][:-1]})
    line = error_line("import_", *IMPORT, "--weights", "state.npz", cwd=tmp_path)
    assert f"state.npz: {key} has the shape (31, 32, 3, 3), the model takes (32, 32, 3, 3)" in line
    line = error_line("import_", *IMPORT, "--weights", "state.npz", "--classes", 20, cwd=tmp_path)
    assert "--classes 20: state.npz has 91 classes" in line
    assert [path.name for path in tmp_path.iterdir()] == ["state.npz"]


@pytest.mark.long
@pytest.mark.slow
def test_a_recipe_fine_tunes_what_was_imported(tmp_path):
    np.savez(tmp_path / "state.npz", **STATE)
    run_here("import_", *IMPORT, "--weights", "state.npz", cwd=tmp_path)
    write_coco(tmp_path / "data", count=6)
    data = ("data.train.annotations=data/annotations.json", "data.train.images=data/images")
    sizes = ("data.min_side=64", "data.max_side=96", "train.batch_size=2", "train.steps=2")
    out, _ = run(
        *("train", "--output_dir", "run", "model.weights=m.keras", "model.frozen_stages=2"),
        *(*data, *sizes, "train.precision=float32", "train.box_loss=l1"),
        "inference.max_detections=100",  # the default, but the weights say 300
        cwd=tmp_path,
    )
    assert "kept backbone, pyramid, box subnet, class subnet; new: class output" in out
    model = load_model(tmp_path / "run" / "last.keras")
    assert model.categories == ((3, "red"), (17, "blue"))
    assert model.settings["anchors"].fit_strides and model.settings["frozen_stages"] == 2
    kernel = model.backbone.get_layer("conv1").kernel
    key = "backbone.body.conv1.weight"
    np.testing.assert_array_equal(kernel, STATE[key].transpose(2, 3, 1, 0))
    assert model.select_detections.settings.max_detections == 100
    config = load_config(str(tmp_path / "run" / "config.yaml"))
    assert (config.model.backbone, config.model.pyramid_channels) == ("resnet50_w8", 32)
    assert config.model.anchors.fit_strides and config.inference.max_detections == 100

    # The run goes on when the weights that it started from are gone.
    (tmp_path / "m.keras").unlink()
    go_on = ("train", "--output_dir", "run", "--resume")
    line = error_here(*go_on, "model.head_depth=2", cwd=tmp_path)
    assert "the run in run cannot change to model.head_depth=2" in line
    out, _ = run_here(*go_on, "model.weights=m.keras", "train.steps=3", cwd=tmp_path)
    assert "resuming run at epoch 2, step 2" in out
    again = load_model(tmp_path / "run" / "last.keras")
    assert again.settings == model.settings


@pytest.mark.slow
def test_fizyrs_file_is_imported_and_detects(tmp_path):
    write_h5(tmp_path / "m.h5", make_weights())
    arguments = ("--source", "fizyr", "--weights", "m.h5", "--output", "m.keras")
    out, _ = run("import_", *arguments, cwd=tmp_path)
    assert "a RetinaNet with 3 classes" in out
    model = load_model(tmp_path / "m.keras")
    assert (model.box_coding, model.size_rule.round_sides, model.size_rule.size_divisor) == (
        "corners",
        True,
        1,
    )
    assert model.select_detections.decode_boxes.coding == "corners"
    assert model.padding_color == (123.68, 116.779, 103.939)
