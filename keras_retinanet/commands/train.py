"""retinanet-train: trains a detector on your images."""

from __future__ import annotations

import functools
import pathlib
import sys

from keras_retinanet.commands import common
from keras_retinanet.config import load_config, setting_lines

USAGE = """Trains RetinaNet and writes models, metrics and drawn predictions into a run folder.

  retinanet-train --output_dir run FOLDER|ZIP
  retinanet-train --output_dir run data.train.annotations=train.json data.train.images=images
  retinanet-train --config shapes --output_dir run train.minutes=5
  retinanet-train --output_dir run --resume

A folder or a .zip holds all of the data: format, images and parts are found and said.
Other words that are no flags are settings, key=value. These are all of them with their defaults,
the paper's; a recipe changes some, and its run folder's config.yaml has what came of it:

  """ + "\n  ".join(setting_lines())

FLAGS = common.CommandFlags()
FLAGS.define_config()
FLAGS.define_output("output_dir", "Folder of the run, new or empty.")
FLAGS.define_switch(
    "resume", "Continue the run in --output_dir with its own settings; start it if there is none."
)


def _main(words: list[str]) -> int:
    from keras_retinanet.pipeline.buffers import keep_freed_memory
    from keras_retinanet.training import train
    from keras_retinanet.training.run_folder import RunFolder

    overrides = common.settings_of(words)
    keep_freed_memory()
    try:
        if FLAGS.resume and RunFolder(pathlib.Path(FLAGS.output_dir)).load_state() is not None:
            train.resume(FLAGS.output_dir, overrides)
        else:
            train.train(load_config(FLAGS.config, overrides), FLAGS.output_dir)
    except train.Interrupted as interrupted:
        print(f"\ninterrupted; all is saved. To continue:\n  {interrupted}", file=sys.stderr)
        return 130
    return 0


run = functools.partial(common.run, _main, FLAGS, USAGE, required=("output_dir",))
