"""Reads a data set of TensorFlow Datasets by name, the built-in `shapes` among them."""

from __future__ import annotations

import contextlib
import difflib
import io
import os
import sys
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from absl import logging
from PIL import Image

import keras_retinanet.data.shapes  # noqa: F401 - makes `shapes` known to TensorFlow Datasets
from keras_retinanet.data.assemble import repeats
from keras_retinanet.data.dataset import Category, DataError, DetectionDataset

# TFDS keeps a box as float32 shares of the image's sides. Rounding to this many decimals of a
# pixel takes the noise of that out again, for sides up to 8,000 pixels: coordinates that were
# annotated in whole pixels or hundredths come back as they were.
_DECIMALS = 3

# Marks of what training and scoring pass over: those of coco, of voc, and of open_images_v4.
_CROWD = ("is_crowd", "is_difficult", "is_group_of")


def read_tfds(name: str, split: str, data_dir: str | None = None) -> DetectionDataset:
    """Reads one split of a data set of TensorFlow Datasets, building it first if need be.

    Any data set is read that has an `image`, and `objects` with `bbox` and `label`: coco/2017,
    voc/2012, `shapes`. `is_crowd`, `area`, `image/id` and `image/filename` are used where they are
    there. TFDS has no category ids, so label i gets the id i + 1. Objects that VOC marks as
    difficult are crowds, as `data.voc` reads them.

    The encoded images stay in memory, as the data set holds them: 43 MB for the training part of
    `shapes`, 19 GB for that of coco/2017. Boxes lie in the frame of the stored image: TFDS knows
    no EXIF rotation, and none is applied.

    Args:
        name: as `tfds.load` takes it, "voc/2012" or "shapes/tiny"; or the folder of a version, as
            `retinanet-convert` writes it.
        split: "train", or a part of a split in TFDS' notation, "train[:10%]".
        data_dir: where built data sets lie and are written to; None for TFDS' own default.

    Raises:
        DataError: for an unknown name or split, an empty split, a data set that cannot be built or
            lacks those features, faulty boxes and unreadable images.
    """
    with _quiet():
        builder = _open_builder(name, data_dir)
        _check_features(name, builder.info.features)
        is_built = builder.is_prepared()
    if not is_built:
        logging.info("Building the data set %s in %s, this once.", name, builder.data_dir)
        with _quiet():
            builder = _build(builder, name, data_dir)
    with _quiet():
        examples = _examples(name, builder, split)
    # Asked only now: coco/2017 learns the names of its classes while it is built.
    classes = builder.info.features["objects"].feature["label"].names
    _check_classes(name, classes)
    return _assemble(f"{name}/{split}", classes, examples)


@contextlib.contextmanager
def _one_line_errors(what: str) -> Iterator[None]:
    """Turns whatever TFDS raises (its errors have no base class in common) into a DataError."""
    try:
        yield
    except Exception as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise DataError(f"{what}: {lines[0] if lines else type(error).__name__}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Holds back TFDS' reports on stdout, its warnings of its own deprecations, and its progress
    bars where stderr is no terminal."""
    is_terminal = sys.stderr.isatty()
    bars = contextlib.nullcontext() if is_terminal else contextlib.redirect_stderr(io.StringIO())
    verbosity = logging.get_verbosity()
    logging.set_verbosity(min(verbosity, logging.ERROR))
    try:
        with contextlib.redirect_stdout(io.StringIO()), bars:
            yield
    finally:
        logging.set_verbosity(verbosity)


def _nearest(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _open_builder(name: str, data_dir: str | None) -> tfds.core.DatasetBuilder:
    if os.path.isdir(name):
        with _one_line_errors(f"{name} is no folder of a data set of TensorFlow Datasets"):
            return tfds.builder_from_directory(name)
    dataset, config = _parts(name)
    try:
        return tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        hint = _nearest(dataset, tfds.list_builders(with_community_datasets=False))
        raise DataError(f"TensorFlow Datasets knows no data set {dataset}{hint}") from error
    except Exception:
        with _one_line_errors(f"TensorFlow Datasets cannot open {name!r}"):
            known = list(tfds.builder_cls(dataset).builder_configs)
            if not config or config in known:
                raise
        hint = _nearest(config, known) or f"; it has {', '.join(known) or 'none'}"
        raise DataError(f"the data set {dataset} has no configuration {config}{hint}") from None


def _parts(name: str) -> tuple[str, str]:
    """Data set and configuration of "data_set/configuration:1.0.0"; "" where there is none."""
    dataset, _, config = name.partition(":")[0].partition("/")
    return dataset, "" if "=" in config else config


def _build(
    builder: tfds.core.DatasetBuilder, name: str, data_dir: str | None
) -> tfds.core.DatasetBuilder:
    """Downloads or draws the data set; nothing is left in its place if that fails midway."""
    # Google's bucket of prepared data sets is not asked: a host that cannot reach it would wait.
    config = tfds.download.DownloadConfig(try_download_gcs=False)
    try:
        with _one_line_errors(f"{builder.data_dir} cannot be built"):
            builder.download_and_prepare(download_config=config)
    except DataError:
        # The last step is a rename, which fails if another process was faster.
        builder = _open_builder(name, data_dir)
        if not builder.is_prepared():
            raise
    return builder


def _check_features(name: str, features: tfds.features.FeaturesDict) -> None:
    """Raises a DataError that says what keeps the data set from being one for detection."""
    image, objects = (dict(features).get(key) for key in ("image", "objects"))
    fields = dict(objects.feature) if isinstance(objects, tfds.features.Sequence) else {}
    box, label = fields.get("bbox"), fields.get("label")
    missing = []
    if not isinstance(image, tfds.features.Image) or image.np_dtype != np.uint8:
        missing.append("'image' of 8 bits")
    if not isinstance(box, tfds.features.BBoxFeature) or not _is_relative_yxyx(box):
        missing.append("'objects/bbox' in relative yxyx")
    if not isinstance(label, tfds.features.ClassLabel) or not label.num_classes:
        missing.append("'objects/label' as a ClassLabel")
    if missing:
        raise DataError(f"the data set {name} cannot train a detector: no {', no '.join(missing)}")


def _check_classes(name: str, classes: list[str]) -> None:
    """Raises a DataError unless each class has a name of its own."""
    for place in repeats(classes):
        raise DataError(f"the data set {name} has two classes that are named {classes[place]!r}")
    if not all(text.strip() for text in classes):
        raise DataError(f"the data set {name} has a class without a name")


def _is_relative_yxyx(box: tfds.features.BBoxFeature) -> bool:
    layout = getattr(box.bbox_format, "value", box.bbox_format)
    return layout in (None, "REL_YXYX")  # None in data sets that an older TFDS wrote


def _examples(name: str, builder: tfds.core.DatasetBuilder, split: str) -> list[dict[str, Any]]:
    """The split's examples as NumPy arrays: what is needed of them only, the images encoded."""
    with _one_line_errors(f"the data set {name}"):
        count = builder.info.splits[split].num_examples
    if not count:
        raise DataError(f"the split {split} of the data set {name} holds no images")
    features = dict(builder.info.features)
    fields = dict(features["objects"].feature)
    wanted: dict[str, Any] = {
        key: True for key in ("image", "image/id", "image/filename") if key in features
    }
    wanted["objects"] = {key: True for key in ("bbox", "label", *_CROWD, "area") if key in fields}
    decoding = tfds.decode.PartialDecoding(wanted, decoders={"image": tfds.decode.SkipDecoding()})
    config = tfds.ReadConfig(try_autocache=False)
    with _one_line_errors(f"the data set {name} in {builder.data_dir} cannot be read"):
        dataset = builder.as_dataset(split=split, decoders=decoding, read_config=config)
        return list(tfds.as_numpy(dataset))


def _file_name(example: dict[str, Any], index: int) -> str:
    """What messages call the example; TFDS keeps no path to find it by."""
    return example["image/filename"].decode() if "image/filename" in example else f"{index:06d}"


def _size(file: str, encoded: bytes) -> tuple[int, int]:
    """Height and width from the header of an encoded image."""
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            return image.height, image.width
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{file}: the image is truncated or of an unknown format") from error


def _check_lengths(files: list[str], examples: list[dict[str, Any]]) -> None:
    """Raises a DataError for the first image whose lists are not of one entry for each object."""
    for file, example in zip(files, examples, strict=True):
        lengths = {key: len(values) for key, values in example["objects"].items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"{file}: its lists of objects differ in length: {lengths}")


def _rows(examples: list[dict[str, Any]], key: str, dtype: type) -> np.ndarray:
    """One field of all objects of all images, end to end."""
    return np.concatenate([example["objects"][key] for example in examples]).astype(dtype)


def absolute_boxes(relative: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Relative yxyx to absolute xyxy, float64 [t, 4]; `sizes` [t, 2] are heights and widths."""
    return np.round(relative * np.tile(sizes, 2), _DECIMALS)[:, [1, 0, 3, 2]]


def _check_objects(
    files: list[str], relative: np.ndarray, labels: np.ndarray, class_count: int
) -> None:
    """Raises a DataError for the first object with an impossible box or label.

    TFDS checks boxes where they are written, but not in the layout that has no name.

    Args:
        files: t names, of the image that each object is in.
        relative: [t, 4], yxyx.
        labels: [t].
        class_count: one more than the highest label.
    """
    in_order = relative[:, :2] <= relative[:, 2:]
    inside = (relative >= 0) & (relative <= 1)
    for row in np.flatnonzero(~(in_order.all(axis=1) & inside.all(axis=1))):
        raise DataError(f"{files[row]}: the box {relative[row].tolist()} (relative yxyx) is faulty")
    for row in np.flatnonzero((labels < 0) | (labels >= class_count)):
        raise DataError(
            f"{files[row]}: the label {labels[row]} is not one of {class_count} classes"
        )


def _is_crowd(examples: list[dict[str, Any]], fields: Collection[str], count: int) -> np.ndarray:
    """bool [count], by any of the marks of a crowd among `fields`."""
    columns = [_rows(examples, key, np.bool_) for key in _CROWD if key in fields]
    return np.any([np.zeros(count, np.bool_), *columns], axis=0)


def _image_ids(name: str, examples: list[dict[str, Any]]) -> np.ndarray:
    """The data set's own ids, or 1, 2, 3 and so on."""
    if not isinstance(examples[0].get("image/id"), np.integer):  # none, or a string
        return np.arange(1, len(examples) + 1)
    ids = np.array([example["image/id"] for example in examples], np.int64)
    found, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise DataError(f"{name}: more than one image has the id {found[counts > 1][0]}")
    return ids


def _assemble(name: str, classes: list[str], examples: list[dict[str, Any]]) -> DetectionDataset:
    """Puts the examples, at least one, into the form that all data is read into."""
    files = [f"{name}/{_file_name(example, i)}" for i, example in enumerate(examples, start=1)]
    encoded = tuple(example["image"] for example in examples)
    _check_lengths(files, examples)
    sizes = np.array([_size(*pair) for pair in zip(files, encoded, strict=True)], np.int32)
    counts = [len(example["objects"]["label"]) for example in examples]
    relative = _rows(examples, "bbox", np.float64).reshape(-1, 4)
    labels = _rows(examples, "label", np.int32)
    _check_objects([str(f) for f in np.repeat(files, counts)], relative, labels, len(classes))
    boxes = absolute_boxes(relative, np.repeat(sizes, counts, axis=0))
    sides = np.round(boxes[:, 2:] - boxes[:, :2], _DECIMALS)
    empty = (sides <= 0).any(axis=1)
    fields = examples[0]["objects"]
    areas = _rows(examples, "area", np.float64) if "area" in fields else sides.prod(axis=1)
    for row in np.flatnonzero(~((areas >= 0) & (areas < np.inf))):
        raise DataError(f"{np.repeat(files, counts)[row]}: the area {areas[row]} is faulty")
    return DetectionDataset(
        name=name,
        categories=tuple(Category(i, text) for i, text in enumerate(classes, start=1)),
        image_ids=_image_ids(name, examples),
        files=tuple(files),
        encoded=encoded,
        sizes=sizes,
        apply_exif=np.zeros(len(examples), np.bool_),
        row_splits=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        boxes=boxes.astype(np.float32),
        labels=np.where(empty, -1, labels).astype(np.int32),
        is_crowd=_is_crowd(examples, fields, len(labels)),
        annotated_xywh=np.concatenate([boxes[:, :2], sides], axis=1),
        areas=areas,
        category_ids=labels.astype(np.int64) + 1,
        notes=(f"boxes without area, not trained on: {empty.sum()}",) if empty.any() else (),
    )
