"""retinanet-import: a published checkpoint as a model of ours."""

from __future__ import annotations

import functools
import pathlib
from typing import TYPE_CHECKING

from keras_retinanet.commands import common
from keras_retinanet.config import ConfigError
from keras_retinanet.files import write_atomically
from keras_retinanet.weights.arrays import WeightsError, read_arrays
from keras_retinanet.weights.coco import COCO_80
from keras_retinanet.weights.fizyr import read_fizyr

if TYPE_CHECKING:
    import keras

    from keras_retinanet.models.published_detectors import Imported

USAGE = """Makes a .keras file of a published checkpoint: a detector that finds what its authors'
finds, or a backbone to train on.

  retinanet-import --source torchvision --weights retinanet_resnet50_fpn_coco.pth --output m.keras
  retinanet-import --source torchvision --weights resnet50.pth --output resnet50.keras
  retinanet-import --source fizyr --weights resnet50_coco_best_v2.1.0.h5 --output m.keras
  retinanet-train --output_dir run model.weights=m.keras ...

--source torchvision takes state dicts of its RetinaNets (both versions) and classification ResNets,
as .pth (with PyTorch: pip install 'retinanet-keras[import]'), .safetensors or .npz.
--source fizyr takes the .h5 files of fizyr/keras-retinanet with a ResNet-50, -101 or -152."""

FLAGS = common.CommandFlags()
FLAGS.define_choice("source", "Which project made the file.", ["torchvision", "fizyr"])
FLAGS.define_text("weights", "The file.")
FLAGS.define_output("output", "Where the model goes, a .keras file.")
FLAGS.define_number(
    "classes", "80 leaves out what torchvision's 91 COCO outputs have beyond the real classes."
)


def _main(words: list[str]) -> int:
    common.refuse(words)
    output = pathlib.Path(FLAGS.output)
    if output.suffix != ".keras" or not output.parent.is_dir():
        raise ConfigError(f"--output {output} must be a .keras file in a folder that exists")
    imported = _chosen_classes(_read())
    model = _build(imported)
    with write_atomically(output) as temporary:
        model.save(temporary)
    kind = f"a backbone {imported.settings['backbone']} with"
    if imported.is_detector:
        kind = f"a RetinaNet with {len(imported.categories)} classes and"
    print(f"{kind} {model.count_params():,} parameters is in {output}")
    return 0


def _read() -> Imported:
    from keras_retinanet.models.published_detectors import fizyr_checkpoint, torchvision_checkpoint

    if FLAGS.source == "fizyr":
        return fizyr_checkpoint(read_fizyr(FLAGS.weights), FLAGS.weights)
    return torchvision_checkpoint(read_arrays(FLAGS.weights), FLAGS.weights)


def _chosen_classes(imported: Imported) -> Imported:
    if FLAGS.classes is None or FLAGS.classes == len(imported.categories):
        return imported
    if FLAGS.classes != len(COCO_80) or not set(COCO_80) <= set(imported.categories):
        raise WeightsError(
            f"--classes {FLAGS.classes}: {FLAGS.weights} has {len(imported.categories)} classes, "
            f"of which only COCO's {len(COCO_80)} can be chosen"
        )
    return imported.with_categories(COCO_80)


def _build(imported: Imported) -> keras.Model:
    from keras_retinanet.models.resnet import batch_norm, resnet
    from keras_retinanet.models.retinanet import RetinaNet
    from keras_retinanet.weights.checkpoint import fill

    if imported.is_detector:
        categories = imported.categories
        model = RetinaNet(
            len(categories), categories=categories, backbone_norm="frozen", **imported.settings
        )
    else:
        model = resnet(imported.settings["backbone"], batch_norm("frozen"))
    fill(model.weights, imported.checkpoint)
    return model


run = functools.partial(common.run, _main, FLAGS, USAGE, required=("source", "weights", "output"))
