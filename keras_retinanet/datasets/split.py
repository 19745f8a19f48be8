"""The split of a data set into a training and a validation part, by a hash of the images' names.

A name decides alone where its image goes, so images that are added later move no other, and every
seed splits alike. The exceptions are said in `split_dataset`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keras_retinanet.datasets.copies import copy_numbers
from keras_retinanet.datasets.dataset import DetectionDataset
from keras_retinanet.errors import DataError

FOLDER = "folder"  # the group of an image is the folder that it lies in


class DatasetSplit(NamedTuple):
    """The two parts of a data set, in its order, and lines on how it was split."""

    train: DetectionDataset
    val: DetectionDataset
    notes: list[str]


def split_dataset(
    dataset: DetectionDataset,
    fraction: float = 0.1,
    *,
    root: str | None = None,
    group_by: str | None = None,
) -> DatasetSplit:
    """Splits off about `fraction` of the images for validation.

    An image goes to validation if the hash of its name, in [0, 1), lies below `fraction`. Groups
    stay together and go by the hash of what they have in common. Images whose bytes are the same
    stay together with their groups, and go to training unless all would go to validation. For a
    class that one part would have no object of, the image with the smallest hash moves, with its
    group, except that no class leaves training for that. Neither part is empty.

    Args:
        dataset: what to split.
        fraction: in (0, 1).
        root: the folder that names start from, see `image_names`.
        group_by: "folder", or a regular expression that is searched for in each name: its first
            group, or where there is none its whole match, says which images belong together.

    Raises:
        DataError: if there are not two groups of images, or `group_by` is not in a name.
        OSError: if an image cannot be read.
    """
    names = image_names(dataset, root)
    keys = names if group_by is None else _group_keys(dataset, names, group_by)
    (copies,) = copy_numbers(dataset)
    units = _units(keys, copies)
    parts = _Parts(dataset, units, _unit_hashes(keys, units), fraction)
    if parts.count < 2:
        what = f"{len(dataset)} image" if len(dataset) < 2 else "one group of images"
        raise DataError(
            f"{dataset.name} holds {what}: too few to split off a validation part; "
            "name one with data.val.annotations and data.val.images"
        )
    parts.cover_classes()
    parts.fill()
    in_val = parts.in_val[units]
    train, val = (dataset.take(np.flatnonzero(mask)) for mask in (~in_val, in_val))
    return DatasetSplit(train, val, _notes(train, val, parts, copies))


def image_names(dataset: DetectionDataset, root: str | None) -> list[str]:
    """What images are called wherever their folder lies: paths from `root` on, with slashes.

    Images outside of it, and those that lie in no files of their own, keep the names they have.

    Raises:
        DataError: if there is a line break in a name, which no list of names could hold.
    """
    if broken := next((file for file in dataset.files if "\n" in file), None):
        raise DataError(f"{dataset.name}: the image {broken!r} has a line break in its name")
    if root is None or dataset.encoded is not None:
        return list(dataset.files)
    start = os.path.join(os.path.abspath(root), "")
    paths = map(os.path.abspath, dataset.files)
    return [
        path.removeprefix(start).replace(os.sep, "/") if path.startswith(start) else file
        for path, file in zip(paths, dataset.files, strict=True)
    ]


def name_hash(name: str) -> float:
    """A number in [0, 1) that the name alone decides, on every machine."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=6).digest()
    return int.from_bytes(digest, "big") / 2**48


def _group_keys(dataset: DetectionDataset, names: Sequence[str], group_by: str) -> list[str]:
    if group_by == FOLDER:
        return [name.rpartition("/")[0] for name in names]
    pattern = re.compile(group_by)
    found = [pattern.search(name) for name in names]
    missed = [name for name, match in zip(names, found, strict=True) if match is None]
    if missed:
        raise DataError(
            f"data.group_by={group_by} is not found in the names of {len(missed)} of "
            f"{len(names)} images of {dataset.name}, {missed[0]} among them; with '|.+' at its end "
            "each of these is a group of its own"
        )
    first = min(pattern.groups, 1)  # 0 is the whole match
    return [match[0] if match[first] is None else match[first] for match in found if match]


def _units(keys: Sequence[str], copies: np.ndarray) -> np.ndarray:
    """int64 [n], which images must stay together: those of one key, and copies with their keys."""
    numbers: dict[str, int] = {}
    units = np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
    parents = np.arange(units.max(initial=-1) + 1)

    def top(unit: int) -> int:
        while parents[unit] != unit:
            unit = parents[unit]
        return unit

    _, first, which = np.unique(copies, return_index=True, return_inverse=True)
    for image in np.flatnonzero(first[which] != np.arange(len(copies))):
        parents[top(units[image])] = top(units[first[which[image]]])
    tops = np.array([top(unit) for unit in range(len(parents))], np.int64)
    return np.unique(tops[units], return_inverse=True)[1]


def _unit_hashes(keys: Sequence[str], units: np.ndarray) -> np.ndarray:
    """float [U], the largest hash of the keys of each unit; but for copies, there is one key."""
    hashes = np.zeros(units.max(initial=-1) + 1)
    np.maximum.at(hashes, units, [name_hash(key) for key in keys])
    return hashes


class _Parts:
    """Which of U units of images is in the validation part, and which classes each part has.

    Attributes:
        count: U.
        in_val: bool [U].
        moved: indices of the classes for which a unit moved.
    """

    def __init__(
        self, dataset: DetectionDataset, units: np.ndarray, hashes: np.ndarray, fraction: float
    ) -> None:
        self.count = len(hashes)
        self.in_val = hashes < fraction
        self.moved: list[int] = []
        self._hashes = hashes
        unit_of_row = np.repeat(units, np.diff(dataset.row_splits))
        trained = (dataset.labels >= 0) & ~dataset.is_crowd
        # [pairs, 2], each class of each unit once
        pairs = np.stack([unit_of_row[trained], dataset.labels[trained]], axis=1)
        pairs = np.unique(pairs, axis=0).astype(np.int64)
        classes = len(dataset.categories)
        self._pairs = pairs
        self._starts = np.searchsorted(pairs[:, 0], np.arange(self.count + 1))
        by_class = pairs[np.lexsort((hashes[pairs[:, 0]], pairs[:, 1]))]
        firsts = np.searchsorted(by_class[:, 1], np.arange(1, classes))
        self._units_of = np.split(by_class[:, 0], firsts)
        self._trained = np.bincount(pairs[~self.in_val[pairs[:, 0]], 1], minlength=classes)

    def cover_classes(self) -> None:
        """Moves units until each class is in training, and as far as that allows in validation."""
        for label, units in enumerate(self._units_of):
            if len(units) and not self._trained[label]:
                self._move(units[0])
                self.moved.append(label)
        for label, units in enumerate(self._units_of):
            spare = (unit for unit in units if self._is_spare(unit))
            if not self.in_val[units].any() and (unit := next(spare, None)) is not None:
                self._move(unit)
                self.moved.append(label)

    def fill(self) -> None:
        """Moves one unit into a part that is empty."""
        order = np.argsort(self._hashes)
        if self.in_val.all():
            self._move(order[-1])
        elif not self.in_val.any():
            self._move(next((unit for unit in order if self._is_spare(unit)), order[0]))

    def _classes_of(self, unit: int) -> np.ndarray:
        """The labels [k] of one unit."""
        return self._pairs[self._starts[unit] : self._starts[unit + 1], 1]

    def _is_spare(self, unit: int) -> bool:
        """Whether training has each class of the unit in another one too."""
        return bool((self._trained[self._classes_of(unit)] > 1).all())

    def _move(self, unit: int) -> None:
        self._trained[self._classes_of(unit)] += 1 if self.in_val[unit] else -1
        self.in_val[unit] = not self.in_val[unit]


def _notes(
    train: DetectionDataset, val: DetectionDataset, parts: _Parts, copies: np.ndarray
) -> list[str]:
    """Lines on how the data set was split; `copies` [n] are the numbers of `copy_numbers`."""
    line = (
        f"no data.val: {len(val)} of {len(train) + len(val)} images are split off for validation, "
        "by a hash of their names, the same for every seed"
    )
    if parts.moved:
        line += f"; images were moved so that both parts have {_listed(train, parts.moved)}"
    if spared := len(copies) - len(np.unique(copies)):
        line += f"; {spared} are copies of others and in the same part"
    lines = [line]
    if missing := [c for c in _trained_labels(train) if c not in set(_trained_labels(val))]:
        lines.append(
            f"warning: the validation images hold no {_listed(train, missing)}: too few images do"
        )
    return lines


def _trained_labels(dataset: DetectionDataset) -> list[int]:
    return np.unique(dataset.labels[(dataset.labels >= 0) & ~dataset.is_crowd]).tolist()


def _listed(dataset: DetectionDataset, labels: Sequence[int]) -> str:
    names = [dataset.categories[label].name for label in sorted(set(labels))]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more


@dataclasses.dataclass(frozen=True)
class SplitNames:
    """The names of the images of both parts of a run, as its folder keeps them.

    Attributes:
        folder: where they were read from, for messages.
        train, val: see `image_names`.
    """

    folder: str
    train: Sequence[str]
    val: Sequence[str]

    def take(self, dataset: DetectionDataset, which: str, root: str | None) -> DetectionDataset:
        """The images of `dataset` that the part `which`, "train" or "val", lists.

        Raises:
            DataError: if an image that is listed is not there.
        """
        listed = set(getattr(self, which))
        names = image_names(dataset, root)
        if missing := sorted(listed.difference(names)):
            raise DataError(
                f"{self.folder}/{which}.txt lists {missing[0]}, which {dataset.name} does not hold"
                f" ({len(missing)} of {len(listed)} are missing); a run goes on with its own images"
            )
        return dataset.take([index for index, name in enumerate(names) if name in listed])
