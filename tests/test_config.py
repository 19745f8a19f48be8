import dataclasses

import numpy as np
import pytest

from keras_retinanet.config import (
    ConfigError,
    config_names,
    load_config,
    save_config,
    setting_lines,
)
from keras_retinanet.training.learning_rate import learning_rate_factor


def test_defaults_are_the_papers():
    config = load_config("coco_r50_1x")
    assert config.train.steps == 90_000
    assert (config.train.batch_size, config.train.learning_rate) == (16, 0.01)
    assert config.train.milestones == [60 / 90, 80 / 90]
    assert (config.train.optimizer, config.train.weight_decay) == ("sgd", 1e-4)
    assert (config.train.focal_alpha, config.train.focal_gamma) == (0.25, 2.0)
    assert (config.model.prior, config.model.head_depth, config.model.p6_from) == (0.01, 4, "c5")
    assert (config.data.min_side, config.data.max_side) == (800, 1333)
    assert config.data.flip and config.data.scale_jitter == [1.0, 1.0]


@pytest.mark.parametrize("name", config_names())
def test_every_recipe_is_short_and_survives_a_round_trip(name, tmp_path):
    config = load_config(name)
    durations = [config.train.steps, config.train.epochs, config.train.minutes]
    assert sum(value is not None for value in durations) == 1
    save_config(config, tmp_path / "again.yaml")
    assert load_config(str(tmp_path / "again.yaml")) == config


def test_the_recipes_of_the_contract_are_there():
    expected = {"shapes", "small", "coco_r50_1x", "coco_r50_3x", "coco_r101_3x", "custom"}
    expected |= {"mlperf_x50_openimages", "coco_x101_paper", "coco_r50_torchvision_v2"}
    assert expected <= set(config_names())


def test_torchvisions_recipe_decays_in_tens_after_16_and_22_of_26_epochs():
    train = load_config("coco_r50_torchvision_v2").train
    assert [round(fraction * 26, 2) for fraction in train.milestones] == [16.0, 22.0]
    assert (train.optimizer, train.weight_decay, train.box_loss) == ("adamw", 0.05, "giou")
    factors = [learning_rate_factor(train, 10**6, (epoch + 0.5) / 26) for epoch in (15, 16, 21, 22)]
    np.testing.assert_allclose(factors, [1.0, 0.1, 0.1, 0.01])


def test_torchvisions_recipe_draws_the_shorter_side_and_leaves_the_limit_of_the_longer_one():
    settings = load_config("coco_r50_torchvision_v2").data
    assert settings.min_sides == list(range(480, 801, 32))
    assert (settings.largest_side, settings.max_side) == (800, 1333)
    assert settings.scale_jitter == [1.0, 1.0]


def test_mlperfs_rate_stays_after_its_warm_up():
    train = load_config("mlperf_x50_openimages").train
    assert learning_rate_factor(train, 4570, 0.01) == 1.0
    assert learning_rate_factor(train, 2285, 0.01) == pytest.approx(0.5, rel=1e-3)
    assert learning_rate_factor(train, 36_000, 0.99) == 1.0


def test_overrides_are_read_by_type():
    config = load_config(
        "small",
        [
            "train.batch_size=4",
            "train.learning_rate=3e-4",
            "data.scale_jitter=[0.5, 2]",
            "data.flip=false",
            "train.ema=null",
            "model.anchors.sizes=[16,32,64,128,256]",
        ],
    )
    assert config.train.batch_size == 4
    assert config.train.learning_rate == 3e-4
    assert config.data.scale_jitter == [0.5, 2.0]
    assert config.data.flip is False
    assert config.train.ema is None
    assert config.model.anchors.sizes == [16, 32, 64, 128, 256]


@pytest.mark.parametrize("text", ["007", "on", "/x #y", "/a: b", "[1", "{}", "a=b", " x ", "1e5"])
def test_text_is_taken_as_typed(text):
    assert load_config("small", [f"data.train.images={text}"]).data.train.images == text
    assert load_config("small", [f"data.name={text}"]).data.name == text


@pytest.mark.parametrize("word", ["null", "none", "None", "NULL", "~", ""])
@pytest.mark.parametrize("where", ["typed", "in a recipe"])
def test_every_optional_setting_is_unset_by_the_same_words(word, where, tmp_path):
    optional = {
        "model.weights": "imagenet",
        "model.backbone_norm": "frozen",
        "data.classes": "classes.csv",
        "train.clip_norm": "1",
        "train.ema": "0.5",
        "train.focal_alpha": "0.5",
        "train.hard_examples": "3",
    }
    settings = [f"{key}={value}" for key, value in optional.items()]
    unset = [f"{key}={word}" for key in optional]
    if where == "in a recipe":
        lines = [override.replace("=", ": ") for override in unset]
        groups = {
            group: [x for x in lines if x.startswith(group)] for group in ("model", "data", "train")
        }
        text = [
            f"{g}:\n" + "".join(f"  {x.removeprefix(g + '.')}\n" for x in of)
            for g, of in groups.items()
        ]
        (tmp_path / "recipe.yaml").write_text("".join(text))
        config = load_config(str(tmp_path / "recipe.yaml"))
    else:
        config = load_config("coco_r50_1x", [*settings, *unset])
    for key in optional:
        group, name = key.split(".")
        assert getattr(getattr(config, group), name) is None, key


def test_weights_of_none_leave_the_recipes_backbone():
    config = load_config("coco_r50_1x", ["model.weights=None"])
    assert (config.model.weights, config.model.backbone) == (None, "keras:ResNet50")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("data.min_side=0300", 300),  # octal in YAML
        ("train.learning_rate=1e-4", 1e-4),  # text in YAML
        ("train.warmup_steps=1_000", 1000),
        ("data.flip=off", False),
        ("data.flip=On", True),
        ("data.flip=NO", False),
        ("data.images_of=x", ConfigError),
        ("train.warmup_steps=1:30", ConfigError),  # 90 in YAML
        ("train.batch_size=0x10", ConfigError),
        ("train.batch_size=2.0", ConfigError),
        ("train.batch_size=true", ConfigError),
        ("train.batch_size=none", ConfigError),  # it cannot be unset
        ("data.flip=2", ConfigError),
        ("data.min_sides=640", ConfigError),
        ("data.min_sides=[640, x]", ConfigError),
        ("data.min_sides=[[640]]", ConfigError),
        ("data.min_sides=[0320, 352]", [320, 352]),
    ],
)
def test_the_setting_decides_how_its_text_is_read(override, expected, tmp_path):
    key, text = override.split("=")
    group, name = key.split(".")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"{group}: {{{name}: {text}}}\n")
    for arguments in (("small", [override]), (str(recipe), [])):
        if expected is ConfigError:
            with pytest.raises(ConfigError, match=f"{name}") as error:
                load_config(*arguments)
            assert "\n" not in str(error.value)
        else:
            assert getattr(getattr(load_config(*arguments), group), name) == expected


def test_text_of_a_recipe_is_taken_as_written(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data: {train: {images: 0640, annotations: no, split: 2026-11-26}}\n")
    train = load_config(str(recipe)).data.train
    assert (train.images, train.annotations, train.split) == ("0640", "no", "2026-11-26")


def test_a_recipe_cannot_multiply_itself(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    lines = ["a0: &a0 {k: v}"]
    lines += [
        f"a{i}: &a{i} {{{', '.join(f'k{j}: *a{i - 1}' for j in range(9))}}}" for i in range(1, 12)
    ]
    recipe.write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=r"the alias \*a0 is not read"):
        load_config(str(recipe))
    recipe.write_text("data: " + "[" * 5000)
    with pytest.raises(ConfigError, match="not a YAML file of settings") as error:
        load_config(str(recipe))
    assert "\n" not in str(error.value)


def test_one_duration_clears_the_others():
    config = load_config("small", ["train.epochs=3"])
    assert (config.train.steps, config.train.epochs, config.train.minutes) == (None, 3, None)
    config = load_config("custom", ["train.minutes=1.5"])
    assert (config.train.steps, config.train.epochs, config.train.minutes) == (None, None, 1.5)


def test_what_is_given_is_known_and_no_setting_itself(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text("model: {head_depth: 4, anchors: {offset: 0.5}}\n")
    config = load_config(str(file), ["inference.max_detections=100"])
    assert config.given == {
        "model.head_depth",
        "model.anchors.offset",
        "inference.max_detections",
    }
    assert config == load_config(str(file))
    save_config(config, tmp_path / "saved.yaml")
    assert "given" not in (tmp_path / "saved.yaml").read_text()
    with pytest.raises(ConfigError, match="no setting 'given'"):
        load_config(str(file), ["given=[]"])


def test_the_same_weights_once_more_clear_nothing(tmp_path):
    file = tmp_path / "recipe.yaml"
    file.write_text("model: {weights: m.keras, head_depth: 2}\n")
    assert load_config(str(file), ["model.weights=m.keras"]).model.head_depth == 2
    config = load_config(str(file), ["model.weights=n.keras"])
    assert config.model.head_depth == 4
    assert config.given == {"model.weights"}


def test_weights_of_a_detector_clear_the_recipes_model():
    config = load_config("custom", ["model.weights=coco_v2", "model.backbone_norm=sync"])
    assert (config.model.weights, config.model.backbone) == ("coco_v2", "resnet50")
    assert config.model.backbone_norm == "sync"
    assert config.data.min_side == 512
    assert load_config("small", ["model.weights=none"]).model.pyramid_channels == 64


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["train.epoch=3"], "did you mean 'train.epochs'"),
        (["modle.backbone=x"], "did you mean 'model.backbone'"),
        (["train.batch_size=abc"], "train.batch_size=abc"),
        (["train.batch_size=0"], r"train.batch_size is 0; it must lie in \[1, inf\)"),
        (["train.steps=0"], r"train.steps is 0; it must lie in \(0, inf\)"),
        (["train.minutes=-1"], "train.minutes is -1.0"),
        (["train.minutes=null"], "set one of train.steps, train.epochs, train.minutes"),
        (["data.val_fraction=2"], r"data.val_fraction is 2.0; it must lie in \(0, 1\)"),
        (["train.ema=3"], r"it must lie in \[0, 1\)"),
        (["train.ema=1"], r"it must lie in \[0, 1\)"),
        (["train.learning_rate=-1"], "train.learning_rate is -1.0"),
        (["train.learning_rate=.nan"], "train.learning_rate is nan"),
        (["train.learning_rate=.inf"], "train.learning_rate is inf"),
        (["train.clip_norm=-1"], "train.clip_norm is -1.0"),
        (["train.milestones=[5]"], r"train.milestones is \[5.0\]; it must lie in \(0, 1\]"),
        (["train.seed=-1"], "train.seed is -1"),
        (["model.frozen_stages=6"], r"it must lie in \[0, 5\]"),
        (["model.anchors.ratios=[1, 0]"], r"model.anchors.ratios is \[1.0, 0.0\]"),
        (["inference.nms_iou=0"], r"it must lie in \(0, 1\]"),
        (["train.epochs=2", "train.steps=3"], "not two"),
        (["train.optimizer=sdg"], "did you mean 'sgd'"),
        (["train"], "key=value"),
        (["data.min_side=900", "data.max_side=800"], "exceeds"),
        (["data.scale_jitter=[2,1]"], "rising"),
        (["data.scale_jitter=[0.8]"], r"data.scale_jitter is \[0.8\]; it takes two rising"),
    ],
)
def test_mistakes_are_errors(overrides, message):
    with pytest.raises(ConfigError, match=message) as error:
        load_config("small", overrides)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "word", ["train.ema=0", "train.milestones=[1]", "train.milestones=[]", "train.clip_norm=null"]
)
def test_the_ends_of_an_interval_are_told_apart(word):
    load_config("small", [word])


def test_unknown_recipes_and_broken_files(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'shapes'"):
        load_config("shape")
    with pytest.raises(ConfigError, match="no config file"):
        load_config(str(tmp_path / "none.yaml"))
    broken = tmp_path / "broken.yaml"
    for text in ("train: [", "- 1\n- 2\n", "just words"):
        broken.write_text(text)
        with pytest.raises(ConfigError, match=r"broken\.yaml") as error:
            load_config(str(broken))
        assert "\n" not in str(error.value)
    broken.write_text("train: {epochz: 3}\n")
    with pytest.raises(ConfigError, match=r"'train\.epochz'; did you mean 'train\.epochs'"):
        load_config(str(broken))


def test_config_is_plain_dataclasses():
    assert dataclasses.is_dataclass(load_config("small").model.anchors)


def test_every_setting_is_listed_as_it_can_be_typed(tmp_path):
    lines = setting_lines()
    assert {"train.steps=90000", "model.backbone=resnet50", "data.val.images=null"} <= set(lines)
    empty = tmp_path / "empty.yaml"
    empty.write_text("")
    assert load_config(str(empty), lines) == load_config(str(empty))
