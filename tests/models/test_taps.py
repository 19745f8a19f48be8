"""Where the pyramid stands on the networks of `keras.applications`."""

import keras
import pytest

from keras_retinanet.layers.detector_settings import BackboneSettings
from keras_retinanet.models.backbones import build_backbone, freeze_stages

# The outputs of the last blocks of three stages, or the wide layers that the next blocks begin
# with; networks of one family differ in depth and width only.
TAPS = {
    "VGG16": {"block4_conv3": 512, "block5_conv3": 512, "block5_pool": 512},
    "ResNet50": {"conv3_block4_out": 512, "conv4_block6_out": 1024, "conv5_block3_out": 2048},
    "ResNet50V2": {
        "conv3_block4_preact_relu": 512,
        "conv4_block6_preact_relu": 1024,
        "post_relu": 2048,
    },
    "DenseNet121": {"pool3_conv": 256, "pool4_conv": 512, "relu": 1024},
    "MobileNet": {"conv_pw_5_relu": 256, "conv_pw_11_relu": 512, "conv_pw_13_relu": 1024},
    "MobileNetV2": {"block_6_expand_relu": 192, "block_13_expand_relu": 576, "out_relu": 1280},
    "MobileNetV3Small": {"activation": 96, "activation_": 288, "activation__": 576},
    "EfficientNetB0": {
        "block4a_expand_activation": 240,
        "block6a_expand_activation": 672,
        "top_activation": 1280,
    },
    "EfficientNetV2B0": {
        "block4a_expand_activation": 192,
        "block6a_expand_activation": 672,
        "top_activation": 1280,
    },
    "ConvNeXtTiny": {"add": 192, "add_": 384, "layer_normalization": 768},
    "Xception": {
        "block4_sepconv2_bn": 728,
        "block13_sepconv2_bn": 1024,
        "block14_sepconv2_act": 2048,
    },
}


def backbone(name):
    settings = BackboneSettings(backbone=f"keras:{name}", backbone_norm="trainable")
    return build_backbone(settings, imagenet_weights=False)


@pytest.mark.parametrize("name", TAPS)
def test_the_pyramid_stands_on_the_right_layers(name):
    outputs = backbone(name).outputs
    assert [output.shape[-1] for output in outputs] == list(TAPS[name].values())
    names = [output._keras_history.operation.name for output in outputs]
    for found, right in zip(names, TAPS[name], strict=True):
        # Layers without a name of their own are numbered through the process.
        assert found == right or found.rstrip("0123456789_") == right.rstrip("_")


def test_stages_of_resnet_v2_can_be_frozen():
    model = backbone("ResNet50V2")
    freeze_stages(model, 2)
    frozen = {layer.name for layer in model.layers if layer.weights and not layer.trainable}
    assert "conv1_conv" in frozen and "conv2_block3_3_conv" in frozen
    assert not any(name.startswith(("conv3", "conv4", "conv5", "post")) for name in frozen)
    freeze_stages(model, 5)
    assert not model.trainable_variables


def test_every_family_is_looked_at():
    """A network of a later Keras needs a line above, or a reason why it cannot be a backbone."""
    names = {name for name in dir(keras.applications) if name[:1].isupper()}
    families = ("ConvNeXt", "DenseNet", "EfficientNetB", "EfficientNetV2", "MobileNet", "ResNet")
    unfit = ("Inception", "NASNet")
    others = {name for name in names if not name.startswith((*families, *unfit))}
    assert others == {"VGG16", "VGG19", "Xception"}
