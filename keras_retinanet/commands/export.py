"""retinanet-export: a SavedModel for TensorFlow Serving, or a file for another runtime."""

from __future__ import annotations

import functools
import pathlib
import re
from typing import TYPE_CHECKING

import numpy as np
from absl import flags

from keras_retinanet.commands import common
from keras_retinanet.config import ConfigError
from keras_retinanet.datasets.parsing import list_folder
from keras_retinanet.errors import DataError
from keras_retinanet.export.portable.formats import FORMATS
from keras_retinanet.export.signature_names import DEFAULT_SIGNATURES, MAX_BATCH
from keras_retinanet.images.faults import undecodable_named
from keras_retinanet.images.header import IMAGE_SUFFIXES, read_header

if TYPE_CHECKING:
    from keras_retinanet.models.retinanet import RetinaNet

USAGE = """Writes BASE/N/, a SavedModel that TensorFlow Serving takes as it is.

  retinanet-export --model run --output_dir served/detector --version 1
  retinanet-export --model run --output_dir onnx/detector --version 1 --format onnx
  retinanet-export --model run --output_dir vino/detector --version 1 --format openvino \\
    --image_size 800x1333"""

# Enough: on `shapes`, AP with 100 was 0.002 below that of float32.
_CALIBRATION_IMAGES = 100

FLAGS = common.CommandFlags()
FLAGS.define_model()
FLAGS.define_output("output_dir", "BASE, the folder of all versions.")
FLAGS.define_number("version", "N.", lower_bound=0)
FLAGS.define_switch("overwrite", "Replace the version if it is there.")
FLAGS.define_choice(
    "format",
    "What runs it: TensorFlow or another runtime.",
    ["saved_model", *FORMATS],
    "saved_model",
)
FLAGS.define_text(
    "image_size", "Of other formats: HEIGHTxWIDTH of the only images to take; ONNX can do without."
)
FLAGS.define_number("batch_size", "With --image_size: images at a time.", 1, lower_bound=1)
FLAGS.define_choice(
    "outputs",
    "Of other formats: with NMS inside (default), or raw outputs (default of litert).",
    ["detections", "heads"],
)
FLAGS.define_text(
    "calibration_images",
    "For int8: folder of images of the kind that it will see; up to 100 of them are taken.",
)
FLAGS.define_choice(
    "default_signature",
    "Of a SavedModel: what serving_default takes, pixels or encoded images.",
    ["tensor", "bytes"],
    "tensor",
)
flags.DEFINE_list(
    "signatures",
    None,
    "Of a SavedModel: those to write, of serving_default, serving_bytes, serving_examples and "
    "debug (raw outputs, for development); by default all but debug.",
    flag_values=FLAGS,
)
FLAGS.define_number(
    "max_batch",
    "Of a SavedModel: the most images in a request; more are refused.",
    MAX_BATCH,
    lower_bound=1,
)
FLAGS.define_choice(
    "precision",
    "Of the convolutions; bfloat16 (SavedModel) is faster on CPUs and GPUs that have it, int8 "
    "(ONNX, OpenVINO) needs --calibration_images.",
    ["float32", "bfloat16", "int8"],
    "float32",
)
FLAGS.define_fraction("score_threshold", "Lowest score to report.")
FLAGS.define_fraction("nms_iou", "Highest IoU of two detections of a class.")
FLAGS.define_number("max_detections", "Detections an image.")


def _main(words: list[str]) -> int:
    common.refuse(words)
    _check_flags()
    model = common.load_model_here(FLAGS.model)
    names = ("score_threshold", "nms_iou", "max_detections")
    given = {name: FLAGS[name].value for name in names if FLAGS[name].value is not None}
    model.set_inference(**given)
    print(f"exported to {_export(model)}")
    return 0


def _check_flags() -> None:
    """Refuses flags that do not go with the format."""
    of_saved_model = ["default_signature", "signatures", "max_batch"]
    of_others = ["image_size", "batch_size", "outputs", "calibration_images"]
    for name in of_others if FLAGS.format == "saved_model" else of_saved_model:
        if FLAGS[name].present:
            raise ConfigError(f"--{name} does not go with --format {FLAGS.format}; leave it out")
    if FLAGS.format == "saved_model" and FLAGS.precision == "int8":
        raise ConfigError("--precision int8 goes with --format onnx and openvino")


def _export(model: RetinaNet) -> pathlib.Path:
    from keras_retinanet.export.portable.export import export_portable
    from keras_retinanet.export.saved_model.export import export_saved_model

    target = {"version": FLAGS.version, "overwrite": FLAGS.overwrite}
    if FLAGS.format == "saved_model":
        return export_saved_model(
            model,
            FLAGS.output_dir,
            **target,
            signatures=DEFAULT_SIGNATURES if FLAGS.signatures is None else FLAGS.signatures,
            default_signature=FLAGS.default_signature,
            max_batch=FLAGS.max_batch,
            precision=FLAGS.precision,
        )
    return export_portable(
        model,
        FLAGS.output_dir,
        **target,
        format=FLAGS.format,
        outputs=FLAGS.outputs,
        image_size=_image_size(FLAGS.image_size),
        batch_size=FLAGS.batch_size,
        precision=FLAGS.precision,
        calibration_images=_read_images(FLAGS.calibration_images),
    )


def _image_size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d+)x(\d+)", text, re.ASCII)
    if not match:
        raise ConfigError(f"--image_size is {text!r}; it takes HEIGHTxWIDTH, such as 800x1333")
    return int(match[1]), int(match[2])


def _read_images(folder: str | None) -> list[np.ndarray]:
    """Up to a hundred images of a folder, from all over it: uint8 [height, width, 3] each."""
    if folder is None:
        return []
    import tensorflow as tf

    from keras_retinanet.images.decode import decode_image

    names = list_folder(folder, "calibration images", IMAGE_SUFFIXES)
    if not names:
        raise DataError(f"{folder}: the folder holds no images ({', '.join(IMAGE_SUFFIXES)})")
    chosen = names[:: -(-len(names) // _CALIBRATION_IMAGES)]
    images = []
    for file in (pathlib.Path(folder) / name for name in chosen):
        read_header(file)
        with undecodable_named([str(file)]):
            images.append(decode_image(tf.io.read_file(str(file))).numpy())
    return images


run = functools.partial(common.run, _main, FLAGS, USAGE, ("model", "output_dir", "version"))
