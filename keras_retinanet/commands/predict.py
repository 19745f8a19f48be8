"""retinanet-predict: what a model sees in your images, drawn and as a file of results."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tqdm
from PIL import Image

from keras_retinanet.commands import common
from keras_retinanet.config import ConfigError
from keras_retinanet.errors import DataError
from keras_retinanet.files import made, write_atomically
from keras_retinanet.images.drawing import draw_detections, fit_jpeg
from keras_retinanet.offline import outputs
from keras_retinanet.offline.earlier import check_replaced, earlier_files
from keras_retinanet.offline.lock import locked
from keras_retinanet.offline.targets import find_targets

if TYPE_CHECKING:
    from keras_retinanet.offline.detect import Found
    from keras_retinanet.offline.inputs import ListedImage
    from keras_retinanet.offline.parts import Parts
    from keras_retinanet.serving.predictors import Predictor, PredictorSource

USAGE = """Draws the detections of a model and writes them as COCO results or as a Parquet table.

  retinanet-predict --model run --output_dir seen photo.jpg holiday/
  retinanet-predict --model run --output_dir seen --nodraw --format parquet 'photos/**/*.jpg'
  retinanet-predict --model served/detector/1 --output_dir seen shards/ gs://bucket/more
  retinanet-predict --server http://localhost:8501/v1/models/detector --output_dir seen photo.jpg

Images are JPEG, PNG, GIF, BMP, WebP, TIFF, AVIF or (with the package pillow-heif) HEIC files,
TFRecord files of them, folders that are searched for both, or patterns.
After a kill the same command goes on where it was."""

FLAGS = common.CommandFlags()
FLAGS.define_text(
    "model",
    "Run folder (its best.keras, else last.keras), .keras file, BASE or BASE/N of an export.",
)
FLAGS.define_text(
    "server", "Instead of --model: URL of a model on TensorFlow Serving or retinanet-serve."
)
FLAGS.define_text(
    "labels", "With --server: the assets/labels.txt of the export, for the names of the categories."
)
FLAGS.define_output("output_dir", "Where drawn images and results go.")
FLAGS.define_choice(
    "format", "detections.json as COCO results, or detections.parquet.", outputs.WRITERS, "coco"
)
FLAGS.define_switch("draw", "Draw the detections of each image.", default=True)
FLAGS.define_fraction(
    "score_threshold", "Lowest score to draw; the results hold all that the model reports.", 0.3
)
FLAGS.define_number(
    "batch_size",
    "Images of one shape that run together; by default 2 megapixels on a CPU, 16 on a GPU.",
    lower_bound=1,
)
FLAGS.define_precision("auto", "An export or a server has its own.")
FLAGS.define_beam()


def _main(words: list[str]) -> int:
    from keras_retinanet.offline import job
    from keras_retinanet.offline.inputs import list_images
    from keras_retinanet.offline.parts import Parts

    beam = FLAGS.beam_options()
    if beam is not None and FLAGS.draw:
        raise ConfigError("Apache Beam draws no images; say --nodraw")
    source = _source()
    images = list_images(words)
    predictor = None if beam is not None else common.load_predictor(source)
    output = pathlib.Path(FLAGS.output_dir)
    targets = find_targets(images, output) if FLAGS.draw else []
    parts = Parts(output, images, _settings(source))
    with made(output), locked(output):
        _begin(parts, targets)
        numbers = parts.missing()
        done = len(images) - sum(len(parts.ranges[number]) for number in numbers)
        if done:
            print(f"going on after {done} of {len(images)} images")
        if predictor is not None:
            draw = functools.partial(_draw, images, targets, predictor) if FLAGS.draw else None
            steps = job.run_parts(predictor, images, parts, numbers, FLAGS.batch_size, draw)
            with tqdm.tqdm(total=len(images), initial=done, unit="image", disable=None) as bar:
                for count in steps:
                    bar.update(count)
        else:
            job.run_on_beam(source, images, parts, numbers, beam or ())
        summary = job.finish(parts, FLAGS.format, targets)
    kinds = "drawn images and results" if FLAGS.draw else "results"
    print(f"{summary.detections} detections in {len(images)} images; {kinds} in {output}")
    if summary.faults.count == 1:
        raise DataError(summary.faults.lines[0])
    summary.faults.raise_if_any()
    return 0


def _begin(parts: Parts, targets: Sequence[pathlib.Path]) -> None:
    """Begins the job, or goes on with it, unless that would replace files that are not its own."""
    parts.check()
    names = (outputs.IMAGES_FILE, outputs.RESULT_FILES[FLAGS.format])
    written = [parts.output / name for name in names]
    if not parts.has_drawn():
        written += targets
    check_replaced(written, earlier_files(parts.output))
    parts.begin()


def _source() -> PredictorSource:
    from keras_retinanet.serving.client import pin_version
    from keras_retinanet.serving.predictors import PredictorSource

    if (FLAGS.model is None) == (FLAGS.server is None):
        raise ConfigError("one of --model and --server is needed")
    if FLAGS.labels and FLAGS.server is None:
        raise ConfigError("--labels goes with --server; a model of --model knows its categories")
    source = PredictorSource(FLAGS.model, FLAGS.server, FLAGS.labels, FLAGS.batch_size)
    if source.is_trained_model:
        return dataclasses.replace(source, policy=common.resolve_policy(FLAGS.precision))
    if FLAGS["precision"].present:
        raise ConfigError("--precision goes with a run or a .keras file; others have their own")
    if source.server is not None:
        # It may take up a new version at any time, and a job is of one.
        source = dataclasses.replace(source, server=pin_version(source.server))
    return source


def _settings(source: PredictorSource) -> dict[str, Any]:
    """What the results depend on beside the images, as a resumed job must have it again."""
    from keras_retinanet.offline.parts import DRAW

    return {
        **source.contents(),
        DRAW: FLAGS.draw,
        "--score_threshold": FLAGS.score_threshold if FLAGS.draw else None,
    }


def _draw(
    images: Sequence[ListedImage],
    targets: Sequence[pathlib.Path],
    predictor: Predictor,
    found: Found,
) -> pathlib.Path:
    import tensorflow as tf

    from keras_retinanet.images.decode import decode_image
    from keras_retinanet.offline.inputs import read_listed

    _, encoded = read_listed(images[found.index])
    shown = {
        name: values[found.detections["scores"] >= FLAGS.score_threshold]
        for name, values in found.detections.items()
    }
    names = [name for _, name in predictor.categories]
    drawn = draw_detections(decode_image(tf.constant(encoded)).numpy(), names=names, **shown)
    with write_atomically(targets[found.index], durable=False) as temporary:
        Image.fromarray(fit_jpeg(drawn)).save(temporary, quality=92)
    return targets[found.index]


run = functools.partial(common.run, _main, FLAGS, USAGE, required=("output_dir",))
