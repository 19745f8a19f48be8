"""retinanet-evaluate: the COCO metrics of a model."""

from __future__ import annotations

import functools
import math
import pathlib
from collections.abc import Sequence

import tqdm

from keras_retinanet.commands import common
from keras_retinanet.datasets.dataset import Category, DetectionDataset
from keras_retinanet.datasets.discovery.discover import Layout
from keras_retinanet.datasets.discovery.whole_folder import read_parts
from keras_retinanet.datasets.formats.registry import read_dataset
from keras_retinanet.errors import DataError
from keras_retinanet.files import write_json

USAGE = """Scores a model: the 12 COCO numbers, the AP of each class, metrics.json and
detections.json.

  retinanet-evaluate --model run
  retinanet-evaluate --model run FOLDER|ZIP
  retinanet-evaluate --model run/last.keras --annotations val.json --images images

Of a folder or a .zip the part test is scored, or val where there is none; --split names another."""

FLAGS = common.CommandFlags()
FLAGS.define_model()
FLAGS.define_data(default=" Default: the run's validation part.")
FLAGS.define_precision("float32", "metrics.json says which.")
FLAGS.define_output(
    "output_dir", "Where metrics.json and detections.json go; default: the folder of the model."
)


def _main(words: list[str]) -> int:
    layout = common.open_folder(FLAGS, words)
    from keras_retinanet.evaluation.evaluate import check_categories, detect_all

    path = pathlib.Path(FLAGS.model)
    model = common.load_model_here(path, FLAGS.precision)
    folder = path if path.is_dir() else path.parent
    known = [Category(*category) for category in model.categories]
    dataset = _dataset(folder, known) if layout is None else _scored(layout, known)
    check_categories(model, dataset)
    output = pathlib.Path(FLAGS.output_dir) if FLAGS.output_dir else folder
    output.mkdir(parents=True, exist_ok=True)
    evaluator, images = detect_all(model, dataset)
    for _ in tqdm.tqdm(images, total=len(dataset), unit="image", disable=None):
        pass
    metrics = evaluator.compute()
    write_json(output / "detections.json", evaluator.results())
    scored = {"precision": model.precision, **metrics.as_dict()}
    write_json(output / "metrics.json", scored, indent=2)
    for name, ap in metrics.per_class.items():
        print(f" AP of {name}: {'no objects' if math.isnan(ap) else f'{ap:.3f}'}")
    print(metrics.summary)
    return 0


def _scored(layout: Layout, known: Sequence[Category]) -> DetectionDataset:
    """The part of a folder that is scored, by the classes of the model."""
    wanted = [part for part in ("test", "val") if part in layout.parts]
    if layout.is_whole:
        wanted.append("train")
    if FLAGS.split is None and not wanted:
        raise DataError(f"{layout.tree.path} has no part test or val; --split train scores train")
    part = FLAGS.split or wanted[0]
    dataset = read_parts(layout, [part], known, FLAGS.classes)[part]
    print(f"scoring {'everything' if layout.is_whole else part}: {len(dataset)} images")
    return dataset


def _dataset(folder: pathlib.Path, known: Sequence[Category]) -> DetectionDataset:
    from keras_retinanet.training.run_data import load_run_datasets
    from keras_retinanet.training.run_folder import RunFolder

    if (source := FLAGS.data_source()) is not None:
        return read_dataset(source, known, "--{}".format)
    run = RunFolder(folder)
    if not run.config.is_file():
        raise DataError(
            f"{folder} is not a run folder, so say what to score on: --annotations FILE "
            "--images FOLDER"
        )
    return load_run_datasets(run)[1]


run = functools.partial(common.run, _main, FLAGS, USAGE, required=("model",))
