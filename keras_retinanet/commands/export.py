"""retinanet-export: a SavedModel for TensorFlow Serving."""

from __future__ import annotations

from absl import flags

from keras_retinanet.commands import common
from keras_retinanet.config import ConfigError
from keras_retinanet.export.saved_model import export_saved_model

USAGE = """Writes BASE/N/, a SavedModel that TensorFlow Serving takes as it is.

  retinanet-export --model run --output_dir served/detector --version 1"""

FLAGS = common.new_flags()
common.define_model(FLAGS)
flags.DEFINE_string("output_dir", None, "BASE, the folder of all versions.", flag_values=FLAGS)
flags.DEFINE_integer("version", None, "N.", lower_bound=0, flag_values=FLAGS)
flags.DEFINE_bool("overwrite", False, "Replace the version if it is there.", flag_values=FLAGS)
flags.DEFINE_enum(
    "default_signature",
    "tensor",
    ["tensor", "bytes"],
    "What serving_default takes: pixels or encoded images.",
    flag_values=FLAGS,
)
flags.DEFINE_enum(
    "precision",
    "float32",
    ["float32", "bfloat16"],
    "Of the convolutions; bfloat16 is faster on CPUs and GPUs that have it.",
    flag_values=FLAGS,
)
flags.DEFINE_float("score_threshold", None, "Lowest score to report.", flag_values=FLAGS)
flags.DEFINE_float("nms_iou", None, "Highest IoU of two detections of a class.", flag_values=FLAGS)
flags.DEFINE_integer("max_detections", None, "Detections an image.", flag_values=FLAGS)


def main(words: list[str]) -> int:
    if words:
        raise ConfigError(f"{words[0]!r} is not understood; --help shows the usage")
    model = common.load_model_here(FLAGS.model)
    settings = {
        name: FLAGS[name].value
        for name in ("score_threshold", "nms_iou", "max_detections")
        if FLAGS[name].value is not None
    }
    model.set_inference(**settings)
    path = export_saved_model(
        model,
        FLAGS.output_dir,
        version=FLAGS.version,
        overwrite=FLAGS.overwrite,
        default_signature=FLAGS.default_signature,
        precision=FLAGS.precision,
    )
    print(f"exported to {path}")
    return 0


def run() -> None:
    """The console entry point."""
    common.run(main, FLAGS, USAGE, required=("model", "output_dir", "version"))
