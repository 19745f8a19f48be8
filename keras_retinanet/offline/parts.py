"""A job over many images in parts, each written whole, so that it goes on where it was killed."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from keras_retinanet.files import is_temporary, remove, temporary_path, write_atomically, write_json
from keras_retinanet.offline.detect import Found
from keras_retinanet.offline.inputs import ListedImage
from keras_retinanet.offline.outputs import IMAGE_COLUMNS

# A kill costs at most this many images, and prepared ones that wait for others of their shape are
# at most as many: 1.6 GB of 800 x 1344 pixels, were no two of one shape.
IMAGES_PER_PART = 128

# Settings of a job: its list of images, and whether it draws them.
_IMAGES = "the images"
DRAW = "--draw"

_SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        *IMAGE_COLUMNS,
        ("error", pa.string()),
        ("boxes", pa.list_(pa.float32())),  # four to a detection
        ("scores", pa.list_(pa.float32())),
        ("category_ids", pa.list_(pa.int64())),
        ("categories", pa.list_(pa.string())),
    ]
)


class JobError(ValueError):
    """A folder that holds an unfinished job that cannot go on as the one that is asked for."""


class Parts:
    """The parts of a job, in a hidden folder of its output folder.

    Args:
        output: the output folder.
        images: all images of the job.
        settings: what else its results depend on, by the name that messages call it; `DRAW` is one.
    """

    def __init__(
        self,
        output: pathlib.Path,
        images: Sequence[ListedImage],
        settings: Mapping[str, Any],
    ) -> None:
        self.output = output
        self.folder = output / ".parts"
        self._file = self.folder / "job.json"
        self._settings = {_IMAGES: _digest(images), **settings}
        starts = range(0, len(images), IMAGES_PER_PART)
        self.ranges = [range(len(images))[start : start + IMAGES_PER_PART] for start in starts]

    def check(self) -> None:
        """Whether this job may begin or go on here.

        Raises:
            JobError: if parts of another job are here, saying in what it differs.
        """
        if not any(self.folder.glob("[0-9]*.parquet")):
            return
        found = self._begun()
        others = [key for key, value in self._settings.items() if found.get(key) != value]
        if others:
            fault = (
                f"with other values for {', '.join(others)}" if found else "without its job.json"
            )
            raise JobError(
                f"{self.output} holds an unfinished job {fault}; say its command again, or delete "
                f"{self.folder} or name another --output_dir to start anew"
            )

    def has_drawn(self) -> bool:
        """Whether an unfinished job is here that drew the same images, and so owns their files."""
        found = self._begun()
        return bool(found.get(DRAW)) and found.get(_IMAGES) == self._settings[_IMAGES]

    def begin(self) -> None:
        """Makes the folder, or takes up the job in it; what a kill left half-written goes."""
        self.folder.mkdir(exist_ok=True)
        if self._begun() != self._settings:
            write_json(self._file, self._settings, indent=1)
        for folder in (self.output, self.folder):
            for left in filter(is_temporary, list(folder.iterdir())):
                remove(left)

    def missing(self) -> list[int]:
        """The numbers of the parts that are not done; a damaged one is not."""
        return [part for part in range(len(self.ranges)) if not self._is_done(part)]

    def tables(self) -> Iterator[pa.Table]:
        """What was written, part by part: a row for each image."""
        for part in range(len(self.ranges)):
            yield pq.read_table(self.folder / _name(part))

    def remove(self) -> None:
        """Ends the job."""
        away = temporary_path(self.folder)
        os.replace(self.folder, away)  # at once: half a folder would be an unfinished job
        remove(away)

    def _begun(self) -> dict[str, Any]:
        """The settings of the job in the folder; empty if there is none that says so."""
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def _is_done(self, part: int) -> bool:
        try:
            rows = pq.read_metadata(self.folder / _name(part)).num_rows
        except (OSError, pa.ArrowException):
            return False
        return rows == len(self.ranges[part])


def write_part(
    folder: pathlib.Path, part: int, found: Sequence[Found], categories: Sequence[tuple[int, str]]
) -> None:
    """Writes a part of a job.

    Args:
        folder: `Parts.folder`.
        part: its number.
        found: all of its images, in any order.
        categories: those of the labels.
    """
    rows = [_row(image, categories) for image in sorted(found, key=lambda image: image.index)]
    with write_atomically(folder / _name(part)) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), temporary)


def _name(part: int) -> str:
    return f"{part:06d}.parquet"


def _row(found: Found, categories: Sequence[tuple[int, str]]) -> dict[str, Any]:
    labelled = [categories[label] for label in found.detections["labels"].tolist()]
    return {
        "id": found.index + 1,
        "file_name": found.name,
        "height": found.size[0],
        "width": found.size[1],
        "error": found.error,
        "boxes": found.detections["boxes"].astype(np.float32).ravel(),
        "scores": found.detections["scores"],
        "category_ids": [id_ for id_, _ in labelled],
        "categories": [name for _, name in labelled],
    }


def _digest(images: Sequence[ListedImage]) -> str:
    digest = hashlib.sha256()
    for image in images:
        digest.update(f"{image.path}\0{image.offset}\0".encode("utf-8", "surrogateescape"))
    return f"{len(images)} of {digest.hexdigest()}"
