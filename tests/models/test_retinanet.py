import itertools
import math
import pathlib
import subprocess
import sys
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_retinanet as kr
from keras_retinanet.layers.detector_settings import PyramidSettings
from keras_retinanet.models.backbones import image_normalization
from keras_retinanet.models.pyramid import UpsampleLike, feature_pyramid
from tests.models.make import images, small


def test_parameter_counts_of_torchvisions_two_retinanets():
    """34,014,999 and 38,198,935 there, where statistics of norms are not counted; here they are."""
    v1 = kr.RetinaNet(91, backbone="resnet50", p6_from="p5", backbone_norm="frozen")
    assert v1.count_params() == 34_014_999 + 4 * 26_560
    assert sum(math.prod(v.shape) for v in v1.trainable_variables) == 34_014_999
    v2 = kr.RetinaNet(91, backbone="resnet50", head_norm="group")
    assert v2.count_params() == 38_198_935 + 2 * 26_560
    assert sum(math.prod(v.shape) for v in v2.trainable_variables) == 38_198_935


# torchvision's classification models less their last layer: parameters without statistics
@pytest.mark.parametrize(
    ("name", "parameters", "last"),
    [
        ("resnet18", 11_689_512 - 513_000, 512),
        ("resnet34", 21_797_672 - 513_000, 512),
        ("resnet50", 25_557_032 - 2_049_000, 2048),
        ("resnet101", 44_549_160 - 2_049_000, 2048),
        ("resnet152", 60_192_808 - 2_049_000, 2048),
        ("resnext50_32x4d", 25_028_904 - 2_049_000, 2048),
        ("resnext101_32x8d", 88_791_336 - 2_049_000, 2048),
        ("wide_resnet50_2", 68_883_240 - 2_049_000, 2048),
        ("wide_resnet101_2", 126_886_696 - 2_049_000, 2048),
    ],
)
def test_backbones_have_torchvisions_parameters(name, parameters, last):
    backbone = small(backbone=name).backbone
    assert sum(math.prod(v.shape) for v in backbone.trainable_variables) == parameters
    assert [output.shape[-1] for output in backbone.outputs] == [last // 4, last // 2, last]


@pytest.mark.parametrize(("height", "width"), [(64, 96), (65, 97), (1, 1), (1, 300), (33, 160)])
def test_any_size_has_an_output_for_every_anchor(height, width):
    model = small()
    batch = images(2, height, width)
    outputs = model.heads(batch)
    grids = [(math.ceil(height / s), math.ceil(width / s)) for s in (8, 16, 32, 64, 128)]
    levels = model.network(batch)["anchors"]
    assert [len(level) for level in levels] == [9 * h * w for h, w in grids]
    total = sum(9 * h * w for h, w in grids)
    assert outputs["class_logits"].shape == (2, total, 3)
    assert outputs["box_deltas"].shape == (2, total, 4)


@pytest.mark.parametrize("side", [5, 6, 25])
def test_upsampling_takes_each_cell_from_its_half_place(side):
    coarse = np.arange((side + 1) // 2, dtype=np.float32)[None, :, None, None]
    fine = np.zeros((1, side, 1, 7), np.float32)
    found = UpsampleLike()([coarse, fine])
    np.testing.assert_array_equal(found[0, :, 0, 0], np.arange(side) // 2)


@pytest.mark.parametrize("padding", ["symmetric", "same"])
def test_padding_of_the_coarse_levels_decides_what_they_see(padding):
    """Of 4 rows, the first window of a 3x3 with stride 2 holds the third only if none is above."""
    features = keras.Input((None, None, 1))
    settings = PyramidSettings(pyramid_channels=1, pyramid_padding=padding)
    pyramid = feature_pyramid(features, features, features, settings)
    p6 = keras.Model(features, pyramid[3])
    rows = np.zeros((1, 4, 4, 1), np.float32)
    rows[0, 2] = 1.0  # the third row
    p6.get_layer("p6").set_weights([np.ones((3, 3, 1, 1)), np.zeros(1)])
    assert (p6(rows)[0, 0, 0, 0] > 0) == (padding == "same")


@pytest.mark.parametrize("channels", [16, 256])
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("padding", ["symmetric", "same"])
def test_the_coarsest_levels_of_narrow_images(padding, dtype, channels):
    """In bfloat16 on AMX, a result of one column came from what memory held before (oneDNN)."""
    features = keras.Input((None, None, channels))
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        settings = PyramidSettings(pyramid_channels=channels, pyramid_padding=padding)
        maps = feature_pyramid(features, features, features, settings)
    finally:
        keras.config.set_dtype_policy(before)
    model = keras.Model(features, maps[3:])
    kernels = [model.get_layer(name).kernel.numpy() for name in ("p6", "p7")]
    ends = "SAME" if padding == "same" else [[0, 0], [1, 1], [1, 1], [0, 0]]
    run = tf.function(model, reduce_retracing=True)
    rng = np.random.default_rng(0)
    for height, width in itertools.product((1, 2, 3, 5, 9), (1, 2, 3, 4, 7)):
        given = tf.constant(rng.standard_normal((1, height, width, channels)), tf.float32)
        p6 = tf.nn.conv2d(given, kernels[0], 2, ends)
        p7 = tf.nn.conv2d(tf.nn.relu(p6), kernels[1], 2, ends)
        junk = [np.full(2**size, np.nan, np.float32) for size in range(6, 20) for _ in range(8)]
        del junk  # where it was, memory that is not written to holds NaN
        for level, right in zip(run(given), (p6, p7), strict=True):
            atol = (1e-5 if dtype == "float32" else 0.02) * np.abs(right).max()
            np.testing.assert_allclose(tf.cast(level, tf.float32), right, rtol=0, atol=atol)


def test_prior_is_on_the_class_head_only():
    model = small(prior=0.02)
    outputs = model(images())
    # N(0, 0.01) weights move the logits little from -log(0.98 / 0.02)
    np.testing.assert_allclose(outputs["class_logits"], -math.log(0.98 / 0.02), atol=0.5)
    np.testing.assert_allclose(outputs["box_deltas"], 0.0, atol=0.5)
    biases = {v.path: v.numpy() for v in model.variables if v.path.endswith(".output/bias")}
    assert {p.split(".")[0]: set(np.round(b, 4)) for p, b in biases.items()} == {
        "class_subnet": {np.float32(-3.8918)},
        "box_subnet": {np.float32(0.0)},
    }


def test_initialisation_is_the_papers():
    model = kr.RetinaNet(5, backbone="resnet18", pyramid_channels=128)
    kernels = {v.path: v.numpy() for v in model.trainable_variables if v.name == "kernel"}
    for path, kernel in kernels.items():
        if "subnet" in path:
            assert kernel.std() == pytest.approx(0.01, rel=0.1), path
            assert abs(kernel.mean()) < 1e-3, path
    xavier = math.sqrt(6 / (9 * 128 + 9 * 128))
    assert np.abs(kernels["p3/kernel"]).max() == pytest.approx(xavier, rel=0.01)


def test_subnets_are_shared_over_levels_but_not_with_each_other():
    model = small(head_depth=2)
    paths = [v.path for v in model.variables if "subnet" in v.path]
    assert len(paths) == len(set(paths)) == 2 * 3 * 2  # two subnets, three convolutions each


def test_float_and_uint8_images_give_the_same():
    model = small()
    batch = images()
    for name, value in model(batch).items():
        np.testing.assert_array_equal(value, model(batch.astype(np.float32))[name])


def test_bfloat16_keeps_the_outputs_and_the_anchors_in_float32():
    model = small(dtype="mixed_bfloat16")
    batch = images(1, 600, 700) + np.float32(0.25)
    assert {value.dtype for value in model.heads(batch).values()} == {tf.float32}
    anchors = model.network(batch)["anchors"][0]
    assert anchors.dtype == tf.float32
    centers = (anchors[:, 0] + anchors[:, 2]) / 2
    assert float(tf.reduce_max(centers)) == pytest.approx(8 * 87 + 4)
    assert model.backbone.get_layer("conv1").compute_dtype == "bfloat16"
    assert keras.config.dtype_policy().name == "float32"


def test_predict_takes_any_batch_and_pads():
    model = small(max_detections=5, score_threshold=0.0)
    batch = images(3)
    found = model.predict(batch, batch_size=2, verbose=0)
    assert {k: v.shape for k, v in found.items()} == {
        "boxes": (3, 5, 4),
        "scores": (3, 5),
        "labels": (3, 5),
        "num_detections": (3,),
    }
    alone = model.predict(batch[2:], verbose=0)
    np.testing.assert_allclose(found["boxes"][2], alone["boxes"][0], atol=1e-2)
    assert found["boxes"].max() <= 96


def test_detect_maps_back_and_ignores_neighbours():
    model = small(score_threshold=0.0, max_detections=10)
    sizes = [(40, 80), (200, 100), (40, 80), (1, 1), (3, 500)]
    batch = [images(1, *size)[0] for size in sizes]
    found = model.detect(batch)
    assert len(found) == 5
    for image, result, (height, width) in zip(batch, found, sizes, strict=True):
        assert (result["boxes"] <= [width, height, width, height]).all()
        assert (result["boxes"] >= 0).all()
        assert (np.diff(result["scores"]) <= 0).all()
        alone = model.detect([image])[0]
        np.testing.assert_allclose(result["boxes"], alone["boxes"], atol=1e-2)
        np.testing.assert_allclose(result["scores"], alone["scores"], atol=1e-5)


def test_stretched_images_are_mapped_back_side_by_side():
    model = small(score_threshold=0.0, max_detections=10, min_side=64, max_side=64, stretch=True)
    image = images(1, 32, 128)[0]
    prepared, size = model.detector.prepare(tf.constant(image))
    assert prepared.shape == (64, 64, 3) and size.numpy().tolist() == [64, 64]
    (found,) = model.detect([image])
    inside = model.predict(prepared[None], verbose=0)["boxes"][0]
    np.testing.assert_allclose(found["boxes"], inside * [2.0, 0.5, 2.0, 0.5], atol=1e-3)


class CountedImages:
    """Images that are made when they are asked for; counts how many exist at a time."""

    def __init__(self, count):
        self.count, self.alive, self.most = count, 0, 0

    def __iter__(self):
        for number in range(self.count):
            image = np.full((90 + number, 120, 3), number, np.uint8)
            self.alive += 1
            self.most = max(self.most, self.alive)
            weakref.finalize(image, self._forget)
            yield image
            del image

    def _forget(self):
        self.alive -= 1


def test_detect_holds_a_few_images_at_a_time():
    counted = CountedImages(60)
    found = small(max_detections=1, score_threshold=0.0).detect(counted)
    assert len(found) == 60
    assert [int(r["boxes"].max()) <= max(90 + i, 120) for i, r in enumerate(found)] == [True] * 60
    assert counted.most < 20


@pytest.mark.parametrize("wrap", [str, pathlib.Path, lambda file: np.asarray(Image.open(file))])
def test_one_image_alone_needs_no_list(wrap, tmp_path):
    file = tmp_path / "photo.png"
    Image.fromarray(images(1, 40, 80)[0]).save(file)
    model = small(max_detections=3, score_threshold=0.0)
    alone, listed = model.detect(wrap(file)), model.detect([file])
    assert len(alone) == len(listed) == 1
    np.testing.assert_array_equal(alone[0]["boxes"], listed[0]["boxes"])


def test_detect_names_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(kr.DataError, match=r"missing\.jpg"):
        small().detect([images()[0], tmp_path / "missing.jpg"])


def test_detect_refuses_what_is_no_rgb_image():
    with pytest.raises(ValueError, match=r"image 1 has the shape \(8, 8\)"):
        small().detect([images()[0], np.zeros((8, 8))])


def test_changed_thresholds_take_effect_and_are_saved(tmp_path):
    model = small(score_threshold=0.0, max_detections=50)
    assert len(model.detect([images()[0]])[0]["scores"]) == 50
    model.set_inference(max_detections=3)
    assert len(model.detect([images()[0]])[0]["scores"]) == 3
    model.save(tmp_path / "m.keras")
    assert (
        keras.saving.load_model(tmp_path / "m.keras").select_detections.settings.max_detections == 3
    )


def test_residual_stages_are_tapped_after_their_sums():
    outputs = small(backbone="keras:ConvNeXtTiny").backbone.outputs
    kinds = [type(output._keras_history.operation).__name__ for output in outputs]
    assert kinds == ["Add", "Add", "LayerNormalization"]
    assert [output.shape[-1] for output in outputs] == [192, 384, 768]


def test_every_application_is_normalised_or_refused():
    names = [name for name in dir(keras.applications) if name[:1].isupper()]
    refused = set()
    for name in names:
        try:
            image_normalization(f"keras:{name}")
        except ValueError as error:
            assert f"keras:{name} cannot be a backbone: " in str(error)
            refused.add(name)
    assert len(names) > 30
    assert refused == {"InceptionV3", "InceptionResNetV2", "NASNetLarge", "NASNetMobile"}


@pytest.mark.parametrize("norm", [None, "trainable", "frozen"])
def test_a_model_of_the_users_keeps_what_is_frozen_unless_told(norm, tmp_path):
    features = inputs = keras.Input((None, None, 3))
    maps = []
    for stride in (8, 2, 2):
        features = keras.layers.Conv2D(8, 3, strides=stride, padding="same")(features)
        features = keras.layers.BatchNormalization()(features)
        maps.append(features)
    backbone = keras.Model(inputs, maps)
    norms = [n for n in backbone.layers if isinstance(n, keras.layers.BatchNormalization)]
    norms[0].trainable = False
    small(backbone=backbone, backbone_norm=norm).save(tmp_path / "m.keras")
    loaded = keras.saving.load_model(tmp_path / "m.keras").backbone.layers
    for layers in (norms, [n for n in loaded if isinstance(n, keras.layers.BatchNormalization)]):
        expected = [False, True, True] if norm is None else [norm == "trainable"] * 3
        assert [layer.trainable for layer in layers] == expected


def strided(*strides):
    """A backbone of a user's own: a convolution of each of these strides to C3, C4 and C5."""
    x = inputs = keras.Input((None, None, 3))
    maps = []
    for stride in strides:
        x = keras.layers.Conv2D(4, 3, strides=stride, padding="same")(x)
        maps.append(x)
    return keras.Model(inputs, maps)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_classes": 0}, "num_classes is 0"),
        ({"backbone": "resnet51"}, "did you mean 'resnet50'"),
        ({"backbone": "keras:ResNet51"}, "did you mean 'ResNet50'"),
        ({"backbone": "keras:resnet50"}, "no model 'resnet50'; did you mean 'ResNet50'"),
        ({"backbone": "keras:Foo"}, "keras.applications has no model 'Foo'$"),
        ({"backbone": keras.Sequential([keras.Input((8, 8, 3)), keras.layers.ReLU()])}, "three"),
        ({"weights": "imagenet"}, "keras:ResNet50"),
        ({"backbone_norm": "frozn"}, "frozen"),
        ({"head_norm": "batch"}, "five levels share the subnets.*head_norm='group'"),
        ({"backbone": strided(4, 2, 2)}, "C3 of 64x64 cells from 256x256 pixels.*so 32x32"),
        ({"backbone": strided(8, 2, 1)}, "C5 of 16x16 cells"),
        ({"backbone": strided(8, 2, 2), "weights": "imagenet"}, "published for named backbones"),
        ({"pyramid_padding": "valid"}, "pyramid_padding is 'valid'"),
        ({"box_coding": "corner"}, "box_coding is 'corner'"),
        ({"prior": 1.0}, "prior"),
        ({"head_norm": "group", "pyramid_channels": 48}, "multiples of 32, not 48"),
        ({"categories": [(1, "a")]}, "1 categories for num_classes=3"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        small(**settings)


def test_images_with_their_channels_first_are_refused():
    keras.config.set_image_data_format("channels_first")
    try:
        with pytest.raises(ValueError, match="image_data_format='channels_first'"):
            small()
    finally:
        keras.config.set_image_data_format("channels_last")


def test_the_export_of_keras_is_refused(tmp_path):
    with pytest.raises(NotImplementedError, match=r"kr\.export_saved_model"):
        small().export(tmp_path / "export")
    assert not list(tmp_path.iterdir())


def test_weights_that_cannot_be_fetched_are_one_clear_error(monkeypatch):
    def offline(**settings):
        raise Exception("URL fetch failure: no route to host")

    monkeypatch.setattr(keras.applications, "ResNet50", offline)
    with pytest.raises(ValueError, match="ImageNet weights of ResNet50 could not be fetched"):
        small(backbone="keras:ResNet50", weights="imagenet")


def test_another_backend_is_one_clear_error():
    run = subprocess.run(
        [sys.executable, "-c", "import keras_retinanet"],
        env={"KERAS_BACKEND": "jax"},
        cwd=".",
        capture_output=True,
        text=True,
    )
    assert run.returncode != 0
    assert "keras_retinanet runs on TensorFlow only" in run.stderr.splitlines()[-1]
