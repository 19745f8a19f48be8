"""KITTI's annotation format: a text file for each image, a line for each object."""

from __future__ import annotations

import os

from keras_retinanet.data.assemble import show
from keras_retinanet.data.dataset import DataError, DetectionDataset
from keras_retinanet.data.records import Classes, ImageFolder, Records, list_folder
from keras_retinanet.data.text import finite_numbers, read_text

# type, truncated, occluded, alpha, left, top, right, bottom, and seven numbers in three dimensions
# (the development kit of the object benchmark, readme.txt).
_COLUMNS = 15
_BOX = slice(3, 7)  # of the numbers behind the type

# The type of regions in which objects were not annotated.
DONT_CARE = "DontCare"


def read_kitti(
    annotations: str | os.PathLike[str],
    images: str | os.PathLike[str],
    classes: Classes | None = None,
) -> DetectionDataset:
    """Reads a data set of KITTI's object benchmark.

    Coordinates count from 0 and have decimals. `DontCare` is no class but a region in which objects
    were left out: it is read as a crowd of every class, which training and scoring ignore. What the
    format says of three dimensions, truncation and occlusion is not looked at. An empty file is an
    image without objects.

    Args:
        annotations: the folder of text files (label_2).
        images: the folder of the images (image_2), which are named like them.
        classes: the classes; None for those that occur.

    Raises:
        DataError: naming file, line and remedy, for all faults at once.
    """
    source = os.fspath(annotations)
    folder = ImageFolder(images)
    records = Records(
        source, classes, place=lambda row, line: f"{records.images[row].name}, line {line}"
    )
    names = list_folder(source, "text files", (".txt",))
    if not names:
        raise DataError(f"{source}: the data set is empty: the folder holds no text files")
    for name in names:
        try:
            text = read_text(os.path.join(source, name), "a KITTI label file")
            image = folder.find(os.path.splitext(name)[0])
        except DataError as error:
            records.faults.add(str(error))
            continue
        row = records.add_image(image, name=name)
        for line, content in enumerate(text.splitlines(), start=1):
            if content.strip():
                _read_object(row, line, content.split(), records)
    return records.dataset(images)


def _read_object(row: int, line: int, words: list[str], records: Records) -> None:
    numbers = finite_numbers(words[1:])
    if len(words) != _COLUMNS or numbers is None:
        problem = (
            f"must be a type and {_COLUMNS - 1} finite numbers, but is {show(' '.join(words))}"
        )
        records.add_fault(row, line, problem)
    elif words[0] == DONT_CARE:
        records.add_region(row, line, numbers[_BOX])
    else:
        records.add_object(row, line, words[0], numbers[_BOX])
