"""retinanet-debug: draws what a training would show to the model."""

from __future__ import annotations

import functools
import pathlib

from PIL import Image

from keras_retinanet.commands import common
from keras_retinanet.config import load_config
from keras_retinanet.files import write_atomically
from keras_retinanet.images.faults import undecodable_named
from keras_retinanet.training.geometry import geometry

USAGE = """Draws training images as the model will see them: resized, augmented, with their boxes.

  retinanet-debug --output_dir seen FOLDER|ZIP
  retinanet-debug --output_dir seen data.train.annotations=train.json data.train.images=images

A box is green where an anchor is matched to it, red where none is, yellow if it is a region to
ignore; the anchors are blue. Takes the --config and the settings of retinanet-train."""

FLAGS = common.CommandFlags()
FLAGS.define_config()
FLAGS.define_output("output_dir", "Where the images go.")
FLAGS.define_number("pictures", "How many are drawn.", 16, lower_bound=1)


def _main(words: list[str]) -> int:
    from keras_retinanet.inspection.training_view import draw_targets, training_anchors
    from keras_retinanet.models.backbones import image_normalization
    from keras_retinanet.pipeline.batches import training_batches
    from keras_retinanet.training.train_val import load_datasets

    config = load_config(FLAGS.config, common.settings_of(words))
    train, _, notes = load_datasets(config.data)
    for note in notes:
        print(note)
    anchors, backbone, _ = geometry(config.model)
    padding_color = image_normalization(backbone).padding_color
    output = pathlib.Path(FLAGS.output_dir)
    objects = missed = 0
    with undecodable_named(train.files, train.encoded):
        batches = training_batches(
            train, config.data, batch_size=1, padding_color=padding_color, seed=config.train.seed
        )
        shown = batches.take(FLAGS.pictures).as_numpy_iterator()
        for number, (images, targets) in enumerate(shown):
            output.mkdir(parents=True, exist_ok=True)
            placed = training_anchors(anchors, *images.shape[1:3])
            drawn, count, without = draw_targets(
                images[0], targets["boxes"][0], targets["labels"][0], placed
            )
            objects, missed = objects + count, missed + without
            with write_atomically(output / f"{number:03d}.png") as temporary:
                Image.fromarray(drawn).save(temporary)
    print(
        f"no anchor is matched to {missed} of {objects} objects; {FLAGS.pictures} images: {output}"
    )
    return 0


run = functools.partial(common.run, _main, FLAGS, USAGE, required=("output_dir",))
