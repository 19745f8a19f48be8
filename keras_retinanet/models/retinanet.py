"""RetinaNet (Lin et al. 2017, arXiv 1708.02002): the paper's Figure 3 as a Keras model."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias, cast

import keras
import numpy as np
import tensorflow as tf

from keras_retinanet.geometry.anchor_settings import AnchorSettings
from keras_retinanet.images.decode import decode_image
from keras_retinanet.images.faults import undecodable_named
from keras_retinanet.images.header import read_header
from keras_retinanet.layers.anchors import Anchors
from keras_retinanet.layers.decode_boxes import DecodeBoxes
from keras_retinanet.layers.detector_settings import DetectorSettings, SelectionSettings, SizeRule
from keras_retinanet.layers.select_detections import SelectDetections
from keras_retinanet.models.backbones import build_backbone, freeze_stages, image_normalization
from keras_retinanet.models.frozen_layers import freeze_only, frozen_layers
from keras_retinanet.models.heads import box_subnet, class_subnet
from keras_retinanet.models.inference import Detections, Detector
from keras_retinanet.models.pretrained import fill_from, load_start
from keras_retinanet.models.pyramid import feature_pyramid
from keras_retinanet.models.trainable import TrainableDetector, join_levels

Image: TypeAlias = str | os.PathLike[str] | np.ndarray


def level_outputs(
    images: keras.KerasTensor, backbone: keras.Model, num_classes: int, settings: DetectorSettings
) -> dict[str, list[keras.KerasTensor]]:
    """The paper's Figure 3: from normalised images [B, H, W, 3] to the outputs of P3 to P7.

    Level l has H_l rows and W_l columns, ceil(H / stride) and ceil(W / stride), and an anchor of
    each of A shapes at every cell: N_l = H_l * W_l * A.
    """
    c3, c4, c5 = backbone(images)  # (a) [B, H_l, W_l, any] each
    pyramid = feature_pyramid(c3, c4, c5, settings)  # (b) five of [B, H_l, W_l, channels]
    classify = class_subnet(num_classes, settings)  # (c), for all levels
    regress = box_subnet(settings)  # (d), too
    return {
        "class_logits": [classify(features) for features in pyramid],  # [B, N_l, K]
        "box_deltas": [regress(features) for features in pyramid],  # [B, N_l, 4]
        "anchors": Anchors(**vars(settings.anchors))(pyramid),  # [N_l, 4]
    }


@keras.saving.register_keras_serializable("keras_retinanet")
class RetinaNet(TrainableDetector):
    """A functional `keras.Model`: images -> {"class_logits": [B, N, K], "box_deltas": [B, N, 4]}.

    Images are RGB of 0 to 255, [B, H, W, 3], any dtype and any size; N is the number of anchors,
    9 to a cell of P3 to P7. `model(images)` and `predict` work in the pixels of the images given;
    `detect` resizes by the model's rule and maps back. Train it with `compile` and `fit` on batches
    `(images, {"boxes": [B, M, 4], "labels": [B, M]})`, boxes xyxy in pixels, labels 0 to K - 1, -1
    in padding rows and -2 for regions to ignore.

    Args:
        num_classes: K, foreground classes only.
        weights: None for random ones, "imagenet" for the published weights of the backbone,
            "coco_v1" or "coco_v2" for torchvision's detectors, or a `.keras` file of a RetinaNet or
            of a backbone that `retinanet-import` wrote; see `models.pretrained`.
        categories: (id, name) of each class, such as the `categories` of a data set; by default
            1, 2, ... and "class 1", ...
        dtype: precision policy of the convolutions, such as "mixed_bfloat16"; by default the global
            one. Anchors, boxes, losses and NMS are float32 under any.
        settings: every field of `detector_settings.DetectorSettings`, which says what they mean.
            What is not given is as in the weights of a detector, or else in the paper.

    Attributes:
        network: images -> what `level_outputs` gives. Training and detection need the levels:
            joining them would cost detection a pass over millions of logits.
        backbone: the model of C3, C4 and C5 within it.
        select_detections: the layer that makes detections of its outputs.
        size_rule: what `detect` resizes images to.
        padding_color: RGB, what it pads them with.

    Raises:
        ValueError: if an argument is out of range, or the backbone or the weights cannot be had.
        TypeError: if there is no such argument.
        ImportError: if PyTorch is needed to read published weights and missing.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        weights: str | os.PathLike[str] | None = None,
        categories: Sequence[tuple[int, str]] | None = None,
        dtype: Any = None,
        name: str = "retinanet",
        **settings: Any,
    ) -> None:
        _check_image_data_format()
        start = None
        if weights is not None and weights != "imagenet":
            start = load_start(weights, num_classes, categories, given=settings)
            categories = start.categories or categories
            settings = {**start.settings, **settings}
        categories = categories or [(i + 1, f"class {i + 1}") for i in range(num_classes)]
        _check_classes(num_classes, categories)
        if weights or not isinstance(settings.get("backbone"), keras.Model):
            default = "frozen" if weights else "trainable"
            settings["backbone_norm"] = settings.get("backbone_norm") or default
        chosen = DetectorSettings(**settings)
        policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())

        with _default_policy(policy):
            images = keras.Input((None, None, 3), dtype="float32", name="images")
            normalize = image_normalization(chosen.backbone)
            backbone = build_backbone(chosen, imagenet_weights=weights == "imagenet")
            freeze_stages(backbone, chosen.frozen_stages)
            levels = level_outputs(normalize(images), backbone, num_classes, chosen)
        with _default_policy(keras.DTypePolicy("float32")):
            outputs = {name: levels[name] for name in ("class_logits", "box_deltas")}
            super().__init__(images, join_levels(outputs), name=name)
            self.network = keras.Model(images, levels)
        self.backbone = backbone
        self.padding_color = normalize.padding_color
        self.categories = tuple((int(id_), str(name)) for id_, name in categories)
        self.size_rule = chosen.part(SizeRule)
        self.box_coding = chosen.box_coding
        self.select_detections = SelectDetections(
            **vars(chosen.part(SelectionSettings)), decode_boxes=DecodeBoxes(chosen.box_coding)
        )
        self.precision = policy.name
        self._chosen = chosen
        self._detector: Detector | None = None
        if start is not None:
            fill_from(start, self)

    # --- detection --------------------------------------------------------------------------------

    @property
    def detector(self) -> Detector:
        """What `detect` does, for streams and graphs: of the network and the settings of now."""
        now = Detector(self.network, self.select_detections, self.size_rule, self.padding_color)
        if self._detector is None or self._detector != now:
            self._detector = now
        return self._detector

    def predict_step(self, data: Any) -> dict[str, tf.Tensor]:
        """Detections in a batch of images [B, H, W, 3] as they are, without resizing."""
        images = data[0] if isinstance(data, tuple) else data
        shape = tf.shape(images)
        return self.detector.select(images, tf.tile(shape[None, 1:3], [shape[0], 1]))

    def detect(self, images: Image | Iterable[Image]) -> list[Detections]:
        """Detects objects in images of any sizes.

        Args:
            images: file paths or RGB arrays [height, width, 3] of 0 to 255, or one alone. They are
                read as the network gets to them, so that memory holds a few only.

        Returns:
            For each image, also for one alone, best first and without padding: "boxes" float32
            [D, 4], xyxy in pixels of the image as it is looked at (after its EXIF rotation),
            "scores" float32 [D], "labels" int32 [D].

        Raises:
            ValueError: if an array is not [height, width, 3].
            DataError: if a file is not an image that can be read, naming it.
        """
        is_alone = isinstance(images, (str, os.PathLike)) or getattr(images, "ndim", None) == 3
        several = cast("Iterable[Image]", [images] if is_alone else images)
        results = self.detector.detect_arrays(map(_read, several))
        return [found for _, found in sorted(results, key=lambda result: result[0])]

    def set_inference(self, **settings: Any) -> None:
        """Changes fields of `SelectionSettings`, such as `score_threshold=0.3`."""
        config = {**self.select_detections.get_config(), **settings}
        self.select_detections = SelectDetections.from_config(config)
        self.predict_function = None

    # --- saving -----------------------------------------------------------------------------------

    def export(self, *args: Any, **settings: Any) -> None:
        """Refused: it would export raw outputs for each anchor, of which nobody makes boxes.

        Raises:
            NotImplementedError: naming what to call instead.
        """
        raise NotImplementedError(
            "RetinaNet.export would write the raw outputs of the subnets; call "
            "kr.export_saved_model(model, folder, version=1) for TensorFlow Serving, or "
            "kr.export_portable for ONNX, OpenVINO and LiteRT"
        )

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments that make this model anew, but for its weights."""
        return {
            "num_classes": len(self.categories),
            **vars(self._chosen),
            **vars(self.select_detections.settings),
            "categories": self.categories,
            "dtype": self.precision,
            "name": self.name,
        }

    def get_config(self) -> dict[str, Any]:
        """`settings` as text and numbers, and the layers that are not trained."""
        config = {**self.settings, "frozen_layers": frozen_layers(self.network)}
        if isinstance(config["backbone"], keras.Model):
            config["backbone"] = keras.saving.serialize_keras_object(config["backbone"])
        return {**config, "anchors": dataclasses.asdict(config["anchors"])}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> RetinaNet:
        """The model of a `get_config`, of version 0.1.0 too.

        Raises:
            ValueError: if it asks for weights.
        """
        if "weights" in config:
            # They would be fetched, or a file of any path opened, by loading a stranger's file.
            raise ValueError("the file asks for weights from elsewhere; a model holds its own")
        settings = {**config, "anchors": AnchorSettings(**config["anchors"])}
        frozen = settings.pop("frozen_layers", None)  # not in files of version 0.1.0
        if isinstance(settings["backbone"], dict):
            settings["backbone"] = keras.saving.deserialize_keras_object(
                settings["backbone"], custom_objects
            )
        model = cls(**settings)
        if frozen is not None:
            freeze_only(model.network, set(frozen))
        return model


def _read(image: Image) -> np.ndarray:
    """An image or that of a file, [H, W, 3]."""
    if not isinstance(image, (str, os.PathLike)):
        return image
    read_header(image)
    with undecodable_named([os.fspath(image)]):
        return decode_image(tf.io.read_file(os.fspath(image))).numpy()


@contextlib.contextmanager
def _default_policy(policy: keras.DTypePolicy) -> Iterator[None]:
    """Sets the precision policy of the layers made inside; `keras.applications` has no argument."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _check_image_data_format() -> None:
    if keras.config.image_data_format() != "channels_last":
        raise ValueError(
            "Keras is set to image_data_format='channels_first'; RetinaNet takes images as "
            "[batch, height, width, 3]: call keras.config.set_image_data_format('channels_last'), "
            "or set it in keras.json"
        )


def _check_classes(num_classes: int, categories: Sequence[tuple[int, str]]) -> None:
    if num_classes < 1:
        raise ValueError(f"num_classes is {num_classes}; a detector needs at least 1")
    if len(categories) != num_classes:
        raise ValueError(f"{len(categories)} categories for num_classes={num_classes}")


def _flat_signature() -> inspect.Signature:
    """That of `RetinaNet.__init__` with its settings one by one, for `help` and for editors."""
    own = inspect.signature(RetinaNet.__init__)
    settings = inspect.signature(DetectorSettings).parameters.values()
    parameters = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
    return own.replace(parameters=[*parameters, *settings])


RetinaNet.__init__.__signature__ = _flat_signature()  # type: ignore[attr-defined]
