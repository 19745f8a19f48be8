"""YOLO's annotation format: data.yaml, a folder of images, and a text file for each image."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Sequence
from typing import Any

import yaml

from keras_retinanet.datasets.builder import Classes, Records
from keras_retinanet.datasets.dataset import Category, DetectionDataset
from keras_retinanet.datasets.formats.yolo_keypoints import (
    KeypointShape,
    PoseGuess,
    read_keypoint_shape,
)
from keras_retinanet.datasets.parsing import (
    UNREAD_SUFFIXES,
    finite_numbers,
    image_path,
    read_text,
    unread_image,
)
from keras_retinanet.datasets.validate import repeats
from keras_retinanet.datasets.writing import left_out_crowds, written_objects
from keras_retinanet.errors import DataError, Faults, show
from keras_retinanet.images.header import IMAGE_SUFFIXES
from keras_retinanet.yaml_text import load_yaml

_KIND = "YOLO's data.yaml"

# Class, then the centre and the sides of the box; longer lines are the corners of an outline.
_BOX_COLUMNS = 5


def read_yolo(annotations: str | os.PathLike[str], split: str) -> DetectionDataset:
    """Reads a split of a data set in the layout of Ultralytics YOLO.

    data.yaml holds `names` (a list, or a mapping from 0 on), perhaps `path`, and for each split a
    folder of images, several, or a text file that lists images. The labels of images/a/1.jpg are in
    labels/a/1.txt (the last folder "images" of the path counts), or beside the image where the path
    has no such folder. Each line is a class number and the box's centre, width and height, or the
    corners of an outline, all as fractions of the sides of the upright image. Where data.yaml has
    `kpt_shape`, keypoints follow the box, and are not looked at. An image without a label file,
    or with an empty one, has no objects; category ids are the class numbers. A label file in the
    folder that belongs to a folder of images, but to none of its images, is a fault.

    Relative paths start from the folder of data.yaml. One that begins with "../" and is not there
    is looked for without that: Roboflow writes them so.

    Args:
        annotations: data.yaml.
        split: "train", "val" or "test".

    Raises:
        DataError: naming file, line and remedy, for all faults at once.
    """
    source = os.fspath(annotations)
    content = parse_yolo(source, read_text(source, _KIND))
    records = Records(source, yolo_classes(source, content), unit="line", relative=True)
    images = _images(source, content, split, records.faults)
    return _read_images(content, [(image, label_file(image)) for image in images], records)


def read_yolo_images(
    source: str,
    content: dict[Any, Any],
    pairs: Sequence[tuple[pathlib.Path, pathlib.Path]],
    others: Sequence[pathlib.Path] = (),
) -> DetectionDataset:
    """Reads images whose label files are known; see `read_yolo`.

    Args:
        source: what lists them, for messages.
        content: what data.yaml says, `names` among it.
        pairs: of at least one image its file and that of its labels, which need not be there.
        others: what else lies in their folders; images that are not read and labels are faults.

    Raises:
        DataError: naming file, line and remedy, for all faults at once.
    """
    records = Records(source, yolo_classes(source, content), unit="line", relative=True)
    unread = [path for path in others if path.suffix.lower() in UNREAD_SUFFIXES]
    for path in unread:
        records.faults.add(unread_image(path))
    known = {path.stem for path in unread}
    for path in others:
        if path.suffix == ".txt" and path.stem not in known and _has_labels(path):
            records.faults.add(f"{path}: no image is named so; add it or remove this")
    return _read_images(content, pairs, records)


def _read_images(
    content: dict[Any, Any],
    pairs: Sequence[tuple[pathlib.Path, pathlib.Path]],
    records: Records,
) -> DetectionDataset:
    source, guess = records.faults.source, PoseGuess()
    shape = read_keypoint_shape(source, content)
    has_labels = False
    for image, labels in pairs:
        row = records.add_image(str(image), name=str(labels))
        has_labels |= labels.is_file()
        if not labels.is_file():
            continue
        try:
            text = read_text(labels, "a YOLO label file")
        except DataError as error:
            records.faults.add(str(error))
            continue
        for line, words in enumerate(map(str.split, text.splitlines()), start=1):
            if words:
                _read_object(words, row, line, records, shape, guess)
    if "kpt_shape" not in content:
        guess.check(source)
    if not has_labels:
        raise DataError(
            f"{source}: none of the {len(pairs)} images has a label file ({pairs[0][1]}, and so "
            "on); put them there"
        )
    return records.dataset(os.path.dirname(source))


def label_file(image: pathlib.PurePath) -> pathlib.Path:
    """Where the labels of an image lie."""
    parts = list(image.parts)
    if "images" in parts[:-1]:
        parts[len(parts) - 2 - parts[-2::-1].index("images")] = "labels"
    return pathlib.Path(*parts).with_suffix(".txt")


def parse_yolo(source: str, text: str) -> dict[Any, Any]:
    """What data.yaml says, `names` among it.

    Raises:
        DataError: if it is no YAML or has no names.
    """
    try:
        content = load_yaml(text)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{source}: not YAML ({reason}); give {_KIND}") from None
    if not isinstance(content, dict) or "names" not in content:
        raise DataError(f'{source}: not a YOLO data set: "names", the list of classes, is missing')
    return content


def yolo_classes(source: str, content: dict[Any, Any]) -> Classes:
    """The classes by their numbers, from `names` of data.yaml: a list, or a mapping from 0 on.

    Raises:
        DataError: if they have gaps, or names that are empty or occur twice.
    """
    names = content["names"]
    named = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(named, dict) or not named:
        raise DataError(f'{source}: "names" must be a list of classes, but is {show(names)}')
    if set(named) != set(range(len(named))) or any(type(number) is not int for number in named):
        raise DataError(f'{source}: "names" must count from 0 without a gap, but is {show(names)}')
    texts = [str(named[number]).strip() for number in range(len(named))]
    for number in repeats(texts):
        raise DataError(f'{source}: "names" has {show(texts[number])} twice; rename or merge them')
    if not all(texts):
        raise DataError(f'{source}: "names" has a class without a name')
    if content.get("nc", len(texts)) != len(texts):
        raise DataError(f'{source}: "nc" is {show(content["nc"])}, but "names" has {len(texts)}')
    return {str(number): Category(number, name) for number, name in enumerate(texts)}


def _images(source: str, content: dict[Any, Any], split: str, faults: Faults) -> list[pathlib.Path]:
    """The images of a split, in the order of the list or of their names."""
    entries = content.get(split)
    if entries is None:
        known = ", ".join(key for key in ("train", "val", "test") if content.get(key))
        raise DataError(f"{source}: there is no split {split!r}; it has {known or 'none'}")
    entries = entries if isinstance(entries, list) else [entries]
    root = content.get("path") or "."
    if not all(isinstance(entry, str) and entry for entry in (root, *entries)):
        raise DataError(f'{source}: "path" and "{split}" must be texts, but are {show(entries)}')
    images: list[pathlib.Path] = []
    for entry in entries:
        images += _images_of(source, pathlib.Path(os.path.dirname(source), root), entry, faults)
    if not images:
        faults.raise_if_any()
        raise DataError(f"{source}: the data set is empty: {split} ({show(entries)}) has no images")
    return images


def _images_of(source: str, root: pathlib.Path, entry: str, faults: Faults) -> list[pathlib.Path]:
    path = root / entry
    try:
        if not path.exists() and entry.startswith("../"):
            path = root / entry.removeprefix("../")
        if path.is_dir():
            return _images_below(path, faults)
        is_list = path.suffix == ".txt" and path.is_file()
    except (OSError, ValueError):  # a name too long, or one that no file can have
        is_list = False
    if not is_list:
        raise DataError(
            f"{source}: {path} is neither a folder of images nor a .txt that lists them"
        )
    lines = read_text(path, "a list of images").splitlines()
    names = [line.strip() for line in lines if line.strip()]
    return [pathlib.Path(image_path(str(path.parent), name)) for name in names]


def _images_below(folder: pathlib.Path, faults: Faults) -> list[pathlib.Path]:
    """The images of a folder; what of it and of its labels would be left out is a fault."""
    files = sorted(path for path in folder.rglob("*") if not path.name.startswith("."))
    images = [path for path in files if path.suffix.lower() in IMAGE_SUFFIXES]
    unread = [path for path in files if path.suffix.lower() in UNREAD_SUFFIXES]
    for path in unread:
        faults.add(unread_image(path))
    known = set(map(label_file, (*images, *unread)))
    if not images:
        return []
    labels = label_file(folder / "any.txt").parent
    for path in sorted(labels.rglob("*.txt")):
        if path not in known and not path.name.startswith(".") and _has_labels(path):
            faults.add(f"{path}: none of the images of {folder} is named so; add it or remove this")
    return images


def _has_labels(file: pathlib.Path) -> bool:
    """Whether a text file looks like labels, not like a list of classes or of images."""
    try:
        words = read_text(file, "a YOLO label file").split("\n", 1)[0].split()
    except DataError:
        return False
    return len(words) >= _BOX_COLUMNS and finite_numbers(words) is not None


def _read_object(
    words: list[str],
    row: int,
    line: int,
    records: Records,
    shape: KeypointShape | None,
    guess: PoseGuess,
) -> None:
    numbers = finite_numbers(words)
    if numbers is not None:
        guess.add(numbers[1:])
    if shape is None:
        is_outline = len(words) > _BOX_COLUMNS + 1 and len(words) % 2 == 1
        longer, is_longer = "the corners of an outline", is_outline
    else:
        is_outline, is_longer = False, len(words) == shape.columns + 1
        longer = f"the same and {shape.points} keypoints, as kpt_shape says"
    if numbers is None or not (len(words) == _BOX_COLUMNS or is_longer):
        problem = f"must be a class number and x, y, width, height or {longer}"
        records.add_fault(row, line, f"{problem}, but is {show(' '.join(words))}")
    elif numbers[0] != int(numbers[0]):
        records.add_fault(row, line, f"the class must be a whole number, but is {words[0]}")
    else:
        name = str(int(numbers[0]))
        columns = slice(1, None if is_outline else _BOX_COLUMNS)
        records.add_object(row, line, name, _corners(numbers[columns], is_outline))


def _corners(numbers: list[float], is_outline: bool) -> tuple[float, float, float, float]:
    if is_outline:
        xs, ys = numbers[::2], numbers[1::2]
        return min(xs), min(ys), max(xs), max(ys)
    x, y, half_width, half_height = numbers[0], numbers[1], numbers[2] / 2, numbers[3] / 2
    return x - half_width, y - half_height, x + half_width, y + half_height


def write_yolo(dataset: DetectionDataset, names: Sequence[str], folder: pathlib.Path) -> list[str]:
    """Writes data.yaml, with all images as its split "train", and labels/train/.

    Crowds are left out, and category ids become class numbers. See `registry.Format`.
    """
    (folder / "labels" / "train").mkdir(parents=True)
    for index, name in enumerate(names):
        height, width = dataset.sizes[index].tolist()
        lines = []
        for written in written_objects(dataset, index):
            if not written.is_crowd:
                x_min, y_min, x_max, y_max = written.corners
                x_center, y_center = (x_min + x_max) / 2 / width, (y_min + y_max) / 2 / height
                sides = (x_max - x_min) / width, (y_max - y_min) / height
                numbers = " ".join(f"{value:.9f}" for value in (x_center, y_center, *sides))
                lines.append(f"{written.label} {numbers}\n")
        file = folder / "labels" / "train" / f"{os.path.splitext(name)[0]}.txt"
        file.write_text("".join(lines), encoding="utf-8")
    # Without "path", which other readers take relative to a folder of their own.
    content = {"train": "images/train", "names": [c.name for c in dataset.categories]}
    text = yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
    (folder / "data.yaml").write_text(text, encoding="utf-8")
    return left_out_crowds(dataset)
