"""The SavedModel that TensorFlow Serving takes: uint8 pixels or encoded images in, boxes out.

The outputs keep the names of the TensorFlow Object Detection API, so that its clients work as they
are. Everything between a file's bytes and its boxes is inside the graph.
"""

from __future__ import annotations

import os
import pathlib
import shutil
from typing import Any

import keras
import tensorflow as tf

from keras_retinanet.data.images import decode_image
from keras_retinanet.files import write_atomically
from keras_retinanet.geometry.boxes import normalized_yxyx
from keras_retinanet.models.inference import detect_images
from keras_retinanet.models.retinanet import RetinaNet

LABELS_FILE = "labels.txt"


class ExportError(ValueError):
    """The model cannot be exported there."""


def export_saved_model(
    model: RetinaNet,
    base: str | os.PathLike,
    version: int,
    *,
    overwrite: bool = False,
    default_signature: str = "tensor",
) -> pathlib.Path:
    """Writes `base`/`version`/, or nothing at all.

    Signatures, all with outputs float32 of a leading batch dimension: `num_detections` [B],
    `detection_boxes` [B, D, 4] (ymin, xmin, ymax, xmax in shares of the original image),
    `detection_scores` [B, D] and `detection_classes` [B, D] (the data set's own category ids);
    unused rows are 0.
        serving_default: `input_tensor` uint8 [B, H, W, 3].
        serving_bytes: `image_bytes` string [B], JPEG, PNG, GIF or BMP of any sizes.
    assets/labels.txt holds "id name" lines.

    Args:
        model: thresholds and image size rule are fixed as they are set in it.
        base: folder of all versions, as the server's --model_base_path.
        version: at least 0.
        overwrite: whether an existing version is replaced.
        default_signature: "tensor", or "bytes" to have serving_default take encoded images as
            `input_tensor`.

    Returns:
        The folder of the version.

    Raises:
        ExportError: if the version exists or is negative.
    """
    target = pathlib.Path(base) / str(version)
    if version < 0:
        raise ExportError(f"version {version} is negative; TensorFlow Serving takes 0 and above")
    if target.exists() and not overwrite:
        raise ExportError(f"{target} exists; choose another version, or overwrite it")
    target.parent.mkdir(parents=True, exist_ok=True)
    # The server polls the folder and would load a half-written version.
    with write_atomically(target) as temporary:
        _write(model, temporary, default_signature)
        if target.exists():
            shutil.rmtree(target)
    return target


def _write(model: RetinaNet, folder: pathlib.Path, default_signature: str) -> None:
    pixels = tf.TensorSpec([None, None, None, 3], tf.uint8, name="input_tensor")
    archive = keras.export.ExportArchive()
    archive.track(model)

    def from_pixels(input_tensor: tf.Tensor) -> dict[str, tf.Tensor]:
        return _serve(model, input_tensor)

    def from_bytes(encoded: tf.Tensor) -> dict[str, tf.Tensor]:
        # One by one: the images have different sizes, and none may change another's answer.
        return tf.map_fn(
            lambda image: {k: v[0] for k, v in _serve(model, decode_image(image)[None]).items()},
            encoded,
            fn_output_signature=_output_signature(model),
            parallel_iterations=1,
        )

    def bytes_spec(name: str) -> tf.TensorSpec:
        return tf.TensorSpec([None], tf.string, name=name)

    if default_signature == "bytes":
        archive.add_endpoint("serving_default", from_bytes, [bytes_spec("input_tensor")])
    else:
        archive.add_endpoint("serving_default", from_pixels, [pixels])
    archive.add_endpoint("serving_bytes", from_bytes, [bytes_spec("image_bytes")])
    archive.write_out(str(folder), verbose=False)
    labels = "".join(f"{id_} {name}\n" for id_, name in model.categories)
    (folder / "assets").mkdir(exist_ok=True)
    (folder / "assets" / LABELS_FILE).write_text(labels, encoding="utf-8")


def _serve(model: RetinaNet, images: tf.Tensor) -> dict[str, tf.Tensor]:
    """Detections in images [B, H, W, 3] of one size, as the signatures give them."""
    found = detect_images(model, images)
    sizes = tf.tile(tf.shape(images)[None, 1:3], [tf.shape(images)[0], 1])
    # Padding rows have the label -1; id 0 stands in front so that they come out as 0.
    ids = tf.constant([0, *(id_ for id_, _ in model.categories)], tf.float32)
    return {
        "num_detections": tf.cast(found["num_detections"], tf.float32),
        "detection_boxes": normalized_yxyx(found["boxes"], sizes),
        "detection_scores": found["scores"],
        "detection_classes": tf.gather(ids, found["labels"] + 1),
    }


def _output_signature(model: RetinaNet) -> dict[str, Any]:
    rows = model.select_detections.max_detections
    return {
        "num_detections": tf.TensorSpec([], tf.float32),
        "detection_boxes": tf.TensorSpec([rows, 4], tf.float32),
        "detection_scores": tf.TensorSpec([rows], tf.float32),
        "detection_classes": tf.TensorSpec([rows], tf.float32),
    }
