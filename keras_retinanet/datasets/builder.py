"""Gathers the records of an annotation format whose classes are names and whose boxes are corners.

That is every format but COCO's, which has ids throughout and reads whole columns at once.
"""

from __future__ import annotations

import array
import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from keras_retinanet.datasets.dataset import Category, DetectionDataset, to_xywh
from keras_retinanet.datasets.parsing import ImageFolder, list_annotations, read_text
from keras_retinanet.datasets.stored_images import StoredImage
from keras_retinanet.datasets.validate import ImageRecord, Objects, assemble, check_images
from keras_retinanet.errors import DataError, Faults, did_you_mean, show

# What a format calls each of its classes, and the class.
Classes = Mapping[str, Category]

# The label of a region that belongs to no class until `dataset` gives it to every class.
_OF_EVERY_CLASS = -1

# Fractions of a side are often float32 or have six decimals. Rounding to this many decimals of a
# pixel takes the noise of that out again: whole pixels and hundredths come back as they were.
_DECIMALS = 3


class Records:
    """The images and objects of a data set, gathered one by one, and what is wrong with them.

    Args:
        source: the file or folder that is read.
        classes: the classes that there are; None takes those that occur, sorted by name, with ids
            from 1.
        record_name: names the record of an object, from the row of its image and the number that
            it was added with: "line 7". By default it is the `unit` of that number in the image's
            record.
        unit: what an object is in such a record.
        relative: whether corners are fractions of the image's sides instead of pixels.
    """

    def __init__(
        self,
        source: str | os.PathLike[str],
        classes: Classes | None,
        *,
        record_name: Callable[[int, int], str] | None = None,
        unit: str = "object",
        relative: bool = False,
    ) -> None:
        self.faults = Faults(os.fspath(source))
        self.images: list[ImageRecord] = []
        self._classes = classes
        self._labels = {} if classes is None else {name: i for i, name in enumerate(classes)}
        self._record_name = record_name or self._numbered
        self._unit = unit
        self._relative = relative
        self._negatives: dict[int, list[int]] = {}
        # Not lists: Open Images has 14.6 million boxes.
        self._image_of, self._numbers = array.array("q"), array.array("q")
        self._label_of, self._is_crowd = array.array("q"), array.array("b")
        self._corners, self._areas = array.array("d"), array.array("d")

    def _numbered(self, image: int, number: int) -> str:
        return f"{self.images[image].name}, {self._unit} {number}"

    def add_image(
        self,
        file: str,
        *,
        name: str = "",
        id: int | None = None,
        size: tuple[int, int] | None = None,
        encoded: bytes | StoredImage | None = None,
        problem: str | None = None,
        is_turned: bool = True,
    ) -> int:
        """Adds an image, see `assemble.ImageRecord`, and returns its row; ids count from 1."""
        row = len(self.images)
        number = row + 1 if id is None else id
        self.images.append(
            ImageRecord(number, name, file, size, encoded, problem=problem, is_turned=is_turned)
        )
        return row

    def add_fault(self, image: int, number: int, problem: str) -> None:
        """Notes what is wrong with the record of object `number` of an image."""
        self.faults.add(f"{self._record_name(image, number)}: {problem}")

    def add_object(
        self,
        image: int,
        number: int,
        name: str,
        corners: Sequence[float],
        *,
        is_crowd: bool = False,
        area: float | None = None,
    ) -> None:
        """Adds an object, or a fault if its class is unknown or its box inverted.

        Args:
            image: the row of its image.
            number: what `record_name` finds its record by.
            name: what the format calls its class.
            corners: xyxy, finite, in pixels or fractions.
            is_crowd: whether it is a region of many objects, to ignore in training.
            area: in square pixels; None for that of the box.
        """
        label = self._label(image, number, name)
        if label is not None:
            self._add(image, number, label, corners, is_crowd, area)

    def add_objects(
        self,
        *,
        images: np.ndarray,
        numbers: np.ndarray,
        names: Sequence[str],
        name_of: np.ndarray,
        corners: np.ndarray,
        is_crowd: np.ndarray,
    ) -> None:
        """Adds many objects at once, none of them with a fault; see `add_object`.

        Args:
            images: int64 [t].
            numbers: int64 [t].
            names: of all their classes, known or new.
            name_of: int64 [t], the index of each one's in `names`.
            corners: float64 [t, 4], in order.
            is_crowd: bool [t].
        """
        labels = [self._labels.setdefault(name, len(self._labels)) for name in names]
        for column, values in (
            (self._image_of, images),
            (self._numbers, numbers),
            (self._label_of, np.array(labels, np.int64)[name_of]),
            (self._is_crowd, is_crowd),
            (self._corners, corners),
            (self._areas, np.full(len(images), np.nan)),
        ):
            column.frombytes(np.ascontiguousarray(values).tobytes())

    def add_region(self, image: int, number: int, corners: Sequence[float]) -> None:
        """Adds a region to ignore that belongs to no class, see `DetectionDataset.is_region`."""
        self._add(image, number, _OF_EVERY_CLASS, corners, True, None)

    def add_negative(self, image: int, number: int, name: str) -> None:
        """Adds that an image was verified to hold no object of a class."""
        label = self._label(image, number, name)
        if label is not None:
            self._negatives.setdefault(image, []).append(label)

    def knows(self, name: str) -> bool:
        """Whether there is a class of this name, or was an object of it."""
        return name.strip() in self._labels

    def dataset(self, folder: str | os.PathLike[str]) -> DetectionDataset:
        """The data set of all that was added.

        Args:
            folder: where the images were looked for.

        Raises:
            DataError: for no images or classes at all, and with all faults.
        """
        source = self.faults.source
        if not self.images:
            self.faults.raise_if_any()
            raise DataError(f"{source}: the data set is empty: it lists no image")
        categories, rank = self._categories()
        if not categories:
            self.faults.raise_if_any()
            raise DataError(
                f"{source}: no object has a class; name the classes with data.classes if that is so"
            )
        ids = np.array([category.id for category in categories], np.int64)
        self._add_negatives(ids[rank])
        checked = check_images(self.images, os.fspath(folder), self.faults)
        objects = self._objects(ids, rank, checked.sides)
        return assemble(source, categories, checked, objects, self.faults)

    def _label(self, image: int, number: int, name: str) -> int | None:
        """The index of a class among those known; None, and a fault, if there can be none."""
        name = name.strip()
        label = self._labels.get(name)
        if label is None and not name:
            self.add_fault(image, number, "the name of the class is missing")
        elif label is None and self._classes is None:
            label = self._labels[name] = len(self._labels)
        elif label is None:
            hint = did_you_mean(name, self._labels, show)
            self.add_fault(image, number, f"no class is called {show(name)}{hint}")
        return label

    def _add(
        self,
        image: int,
        number: int,
        label: int,
        corners: Sequence[float],
        is_crowd: bool,
        area: float | None,
    ) -> None:
        x_min, y_min, x_max, y_max = corners
        if x_max < x_min or y_max < y_min:
            problem = f"box {list(corners)} is inverted; its maximum lies below its minimum"
            self.add_fault(image, number, problem)
            return
        self._image_of.append(image)
        self._numbers.append(number)
        self._label_of.append(label)
        self._is_crowd.append(is_crowd)
        self._corners.extend(corners)
        self._areas.append(np.nan if area is None else area)

    def _categories(self) -> tuple[list[Category], np.ndarray]:
        """The categories in their order, and for each label its index in that: int64 [K]."""
        classes = self._classes
        if classes is None:
            names = enumerate(sorted(self._labels), start=1)
            classes = {name: Category(number, name) for number, name in names}
        categories = sorted(classes.values(), key=lambda category: category.id)
        indices = {category: index for index, category in enumerate(categories)}
        return categories, np.array([indices[classes[name]] for name in self._labels], np.int64)

    def _add_negatives(self, ids: np.ndarray) -> None:
        """Writes the negatives into the image records; `ids` [K] are the category ids of labels."""
        for image, labels in self._negatives.items():
            listed = tuple(sorted({int(ids[label]) for label in labels}))
            self.images[image] = dataclasses.replace(self.images[image], negatives=listed)

    def _objects(self, ids: np.ndarray, rank: np.ndarray, sides: np.ndarray) -> Objects:
        """All that was added, given `ids` [K], `rank` [K] and the `sides` [n, 2] of the images."""
        # At Open Images' size each of these arrays takes up to 0.4 GB: none is copied for nothing.
        image_of = np.frombuffer(self._image_of, np.int64)
        numbers = np.frombuffer(self._numbers, np.int64)
        corners = np.frombuffer(self._corners).reshape(-1, 4)
        if self._relative:
            corners = corners * np.tile(sides[image_of], 2)
            np.round(corners, _DECIMALS, out=corners)
        labels, areas = np.frombuffer(self._label_of, np.int64), np.frombuffer(self._areas)
        is_region = labels == _OF_EVERY_CLASS
        labels = np.where(is_region, 0, rank[labels])
        xywh = to_xywh(corners)
        if self._relative:
            np.round(xywh, _DECIMALS, out=xywh)
        return Objects(
            image_of=image_of,
            labels=labels,
            category_ids=ids[labels],
            xywh=xywh,
            areas=np.where(np.isnan(areas), xywh[:, 2] * xywh[:, 3], areas),
            is_crowd=np.frombuffer(self._is_crowd, np.bool_),
            is_region=is_region,
            describe=lambda row: (
                f"{self._record_name(int(image_of[row]), int(numbers[row]))}, "
                f"box {np.round(corners[row], _DECIMALS).tolist()}"
            ),
        )


def read_text_files(
    annotations: str | os.PathLike[str],
    images: str | os.PathLike[str],
    classes: Classes | None,
    kind: str,
    read_line: Callable[[int, int, str, Records], None],
    *,
    is_turned: bool = True,
) -> DetectionDataset:
    """Reads a folder of text files, one for each image and named like it, a line for each object.

    Args:
        annotations: the folder of text files.
        images: the folder of the images.
        classes: the classes; None for those that occur.
        kind: what each file should be, "a KITTI label file".
        read_line: adds the object of a line, or a fault, given the row of the image, the number of
            the line and what stands there.
        is_turned: see `validate.ImageRecord`.

    Raises:
        DataError: naming file, line and remedy, for all faults at once.
    """
    source = os.fspath(annotations)
    folder = ImageFolder(images)
    records = Records(source, classes, unit="line")
    for name in list_annotations(source, ".txt"):
        try:
            text = read_text(os.path.join(source, name), kind)
            image = folder.find(os.path.splitext(name)[0])
        except DataError as error:
            records.faults.add(str(error))
            continue
        row = records.add_image(image, name=name, is_turned=is_turned)
        for line, content in enumerate(text.splitlines(), start=1):
            if content.strip():
                read_line(row, line, content, records)
    return records.dataset(images)
