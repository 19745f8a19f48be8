"""retinanet-convert: a data set in another annotation format."""

from __future__ import annotations

import functools
import shlex

from keras_retinanet.commands import common
from keras_retinanet.datasets.discovery.discover import Layout
from keras_retinanet.datasets.discovery.whole_folder import read_parts
from keras_retinanet.datasets.formats.convert import convert, convert_parts
from keras_retinanet.datasets.formats.registry import FORMATS, read_dataset
from keras_retinanet.datasets.writing import Sharding
from keras_retinanet.errors import DataError

USAGE = """Writes a data set, images included, into a new folder in another format.

  retinanet-convert --to coco --output_dir converted FOLDER|ZIP
  retinanet-convert --annotations data.yaml --split train --to coco --output_dir converted
  retinanet-convert --annotations train.json --images images --to tfrecord --output_dir shards
  retinanet-convert --annotations train.json --images images --to tfds --output_dir D --shards 64
  retinanet-convert --name voc/2012 --split train --to yolo --output_dir voc

Of a folder or a .zip all parts are written, each into a folder of its name, or that of --split.
Image files are linked, not copied, where the file system allows it."""

FLAGS = common.CommandFlags()
FLAGS.define_data()
FLAGS.define_choice("to", "The format to write.", FORMATS)
FLAGS.define_output("output_dir", "The folder to write, new or empty.")
FLAGS.define_number(
    "shards",
    "Files that tfrecord and tfds are written in; by default one to 1,000 images.",
    lower_bound=1,
)
FLAGS.define_number(
    "processes",
    "Processes that write shards; by default one to each core. What is written is the same.",
    lower_bound=1,
)
FLAGS.define_beam()


def _main(words: list[str]) -> int:
    layout = common.open_folder(FLAGS, words)
    sharding: Sharding | None = Sharding(FLAGS.shards, FLAGS.processes, FLAGS.beam_options())
    if sharding == Sharding():
        sharding = None
    if layout is not None:
        _convert_folder(layout, sharding)
        return 0
    source = FLAGS.data_source()
    if source is None:
        raise DataError(
            "name the data set to convert: its folder, --annotations, or --name and --split"
        )
    dataset = read_dataset(source, spell="--{}".format)
    written, notes = convert(dataset, FLAGS.to, FLAGS.output_dir, sharding)
    for note in (*dataset.notes, *notes):
        print(note)
    print(
        f"{len(dataset)} images and {(dataset.labels >= 0).sum()} objects of "
        f"{len(dataset.categories)} classes in {FLAGS.output_dir}; read it with"
    )
    named = [
        (f"--{name}", str(value)) for name, value in vars(written).items() if value is not None
    ]
    print(" ", shlex.join(word for pair in named for word in pair))
    return 0


def _convert_folder(layout: Layout, sharding: Sharding | None) -> None:
    """Writes the parts of a folder, or the one that --split names."""
    wanted = [FLAGS.split] if FLAGS.split is not None else list(layout.parts)
    parts = read_parts(layout, wanted, classes=FLAGS.classes)
    if len(parts) == 1:
        (dataset,) = parts.values()
        _, notes = convert(dataset, FLAGS.to, FLAGS.output_dir, sharding)
    else:
        notes = convert_parts(parts, FLAGS.to, FLAGS.output_dir, sharding)
    for note in (*(note for dataset in parts.values() for note in dataset.notes), *notes):
        print(note)
    counts = ", ".join(f"{len(dataset)} images of {part}" for part, dataset in parts.items())
    print(f"{counts} in {FLAGS.output_dir}, which commands take as a folder")


run = functools.partial(common.run, _main, FLAGS, USAGE, required=("to", "output_dir"))
