"""retinanet-predict: draws what a model sees in your images."""

from __future__ import annotations

import pathlib
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import tensorflow as tf
import tqdm
from absl import flags
from PIL import Image

from keras_retinanet.commands import common
from keras_retinanet.config import ConfigError
from keras_retinanet.data.dataset import DataError
from keras_retinanet.data.image_faults import undecodable_named
from keras_retinanet.data.images import IMAGE_SUFFIXES, decode_image, read_header
from keras_retinanet.evaluation.drawing import draw_detections
from keras_retinanet.export.client import ServerModel
from keras_retinanet.export.session import read_labels
from keras_retinanet.files import write_atomically, write_json
from keras_retinanet.models.inference import Detections, detect_dataset
from keras_retinanet.models.retinanet import RetinaNet

USAGE = """Draws the detections of a model and writes them as COCO results.

  retinanet-predict --model run --output_dir seen photo.jpg holiday/
  retinanet-predict --server http://localhost:8501/v1/models/detector --output_dir seen photo.jpg

Images are JPEG, PNG, GIF or BMP files, or folders that are searched for them."""

_IMAGES = "images.json"

Categories = Sequence[tuple[int, str]]

FLAGS = common.new_flags()
common.define_model(FLAGS)
flags.DEFINE_string(
    "server",
    None,
    "Instead of --model: URL of a model on TensorFlow Serving or retinanet-serve.",
    flag_values=FLAGS,
)
flags.DEFINE_string(
    "labels",
    None,
    "With --server: the assets/labels.txt of the export, for the names of the categories.",
    flag_values=FLAGS,
)
flags.DEFINE_string("output_dir", None, "Where pictures and detections.json go.", flag_values=FLAGS)
flags.DEFINE_float(
    "score_threshold",
    0.3,
    "Lowest score to draw; detections.json holds all that the model reports.",
    lower_bound=0.0,
    upper_bound=1.0,
    flag_values=FLAGS,
)


def main(words: list[str]) -> int:
    files = find_images(words)
    model = _model()
    output = pathlib.Path(FLAGS.output_dir)
    for file in files:
        read_header(file)
    targets = find_targets(files, output)
    results: dict[int, list[dict]] = {}
    stream = model.detect(files) if isinstance(model, ServerModel) else _detect(model, files)
    for index, found in tqdm.tqdm(stream, total=len(files), unit="image", disable=None):
        if not results:
            _begin(output, files)
        results[index] = _as_coco(index + 1, found, model.categories)
        _draw(files[index], targets[index], found, model.categories)
    write_json(
        output / "detections.json", [row for index in range(len(files)) for row in results[index]]
    )
    count = sum(map(len, results.values()))
    print(f"{count} detections in {len(files)} images; pictures and detections.json in {output}")
    return 0


def _model() -> RetinaNet | ServerModel:
    if (FLAGS.model is None) == (FLAGS.server is None):
        raise ConfigError("one of --model and --server is needed")
    if FLAGS.labels and FLAGS.server is None:
        raise ConfigError("--labels goes with --server; a model of --model knows its categories")
    if FLAGS.server is None:
        return common.load_model_here(FLAGS.model)
    return ServerModel(FLAGS.server, read_labels(FLAGS.labels) if FLAGS.labels else {})


def find_images(words: Sequence[str]) -> list[pathlib.Path]:
    """The image files that `words` name, those in folders sorted by name.

    Raises:
        DataError: if there are none, or a word names nothing.
    """
    files: list[pathlib.Path] = []
    for word in words:
        path = pathlib.Path(word)
        if path.is_dir():
            files += sorted(f for f in path.rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES)
        elif path.exists():
            files.append(path)
        else:
            raise DataError(f"there is no file or folder {word}")
    if not files:
        raise DataError("no image is named, or the folders hold none (JPEG, PNG, GIF, BMP)")
    return files


def find_targets(files: Sequence[pathlib.Path], output: pathlib.Path) -> list[pathlib.Path]:
    """Where the picture of each image goes, a JPEG file in `output` of its own name.

    With the image's place in the name where several share one.

    Raises:
        DataError: if a picture would replace one of the images, or any file that is not there from
            an earlier call.
    """
    names = [file.stem for file in files]
    # Two names that differ in capitals are one on some file systems.
    shared = Counter(name.casefold() for name in names)
    if max(shared.values()) > 1:
        placed = [f"{name}-{place}" for place, name in enumerate(names, start=1)]
        chosen = [p if shared[n.casefold()] > 1 else n for n, p in zip(names, placed, strict=True)]
        is_clear = len({name.casefold() for name in chosen}) == len(files)
        names = chosen if is_clear else placed
    targets = [output / f"{name}.jpg" for name in names]
    images = {file.resolve() for file in files}
    is_ours = (output / _IMAGES).is_file()
    for file, target in zip(files, targets, strict=True):
        if target.resolve() in images or (target.exists() and not is_ours):
            raise DataError(
                f"the picture of {file} would replace the file {target}; name another --output_dir"
            )
    return targets


def _begin(output: pathlib.Path, files: Sequence[pathlib.Path]) -> None:
    """Makes the folder and writes which images it is about, by which it is known again."""
    output.mkdir(parents=True, exist_ok=True)
    rows = [{"id": place, "file_name": str(file)} for place, file in enumerate(files, start=1)]
    write_json(output / _IMAGES, rows, indent=1)


def _detect(model: RetinaNet, files: Sequence[pathlib.Path]) -> Iterator[tuple[int, Detections]]:
    with undecodable_named([str(file) for file in files]):
        yield from detect_dataset(model, _stream(files))


def _stream(files: Sequence[pathlib.Path]) -> tf.data.Dataset:
    paths = tf.data.Dataset.from_tensor_slices([str(file) for file in files])
    return paths.enumerate().map(
        lambda index, path: (index, decode_image(tf.io.read_file(path))),
        num_parallel_calls=tf.data.AUTOTUNE,
    )


def _as_coco(image_id: int, found: Detections, categories: Categories) -> list[dict]:
    ids = [id_ for id_, _ in categories]
    corners = found["boxes"].astype(float)
    boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
    return [
        {
            "image_id": image_id,
            "category_id": ids[label],
            "bbox": box.tolist(),
            "score": float(score),
        }
        for box, score, label in zip(boxes, found["scores"], found["labels"], strict=True)
    ]


def _draw(
    file: pathlib.Path, target: pathlib.Path, found: Detections, categories: Categories
) -> None:
    with undecodable_named([str(file)]):  # a server may have read what we cannot
        image = decode_image(tf.io.read_file(str(file))).numpy()
    shown = {
        name: values[found["scores"] >= FLAGS.score_threshold] for name, values in found.items()
    }
    names = [name for _, name in categories]
    picture = draw_detections(image, names=names, **shown)
    with write_atomically(target) as temporary:
        Image.fromarray(picture).save(temporary, quality=92)


def run() -> None:
    """The console entry point."""
    common.run(main, FLAGS, USAGE, required=("output_dir",))
