"""A job over many images in parts, each written whole, so that it goes on where it was killed."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from keras_retinanet.data.image_list import ListedImage
from keras_retinanet.files import TEMPORARY, is_temporary, write_atomically, write_json
from keras_retinanet.offline.detectors import Found

# A kill costs at most this many images, and prepared ones that wait for others of their shape are
# at most as many: 1.6 GB of 800 x 1344 pixels, were no two of one shape.
IMAGES_PER_PART = 128

_SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("file_name", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("error", pa.string()),
        ("boxes", pa.list_(pa.float32())),  # four to a detection
        ("scores", pa.list_(pa.float32())),
        ("category_ids", pa.list_(pa.int64())),
        ("categories", pa.list_(pa.string())),
    ]
)


class JobError(ValueError):
    """A folder that holds an unfinished job, and not this one."""


class Parts:
    """The parts of a job, in a hidden folder of its output folder.

    Args:
        output: the output folder.
        images: all images of the job.
        settings: what else its results depend on, by the name that messages call it.
    """

    def __init__(
        self,
        output: pathlib.Path,
        images: Sequence[ListedImage],
        settings: Mapping[str, Any],
    ) -> None:
        self.output = output
        self.folder = output / ".parts"
        self._settings = {"the images": _digest(images), **settings}
        self.ranges = [
            range(start, min(start + IMAGES_PER_PART, len(images)))
            for start in range(0, len(images), IMAGES_PER_PART)
        ]

    def begin(self) -> None:
        """Makes the folder, or takes up the unfinished job in it.

        Raises:
            JobError: if that job is another one, saying in what.
        """
        file = self.folder / "job.json"
        if file.is_file() and any(self.folder.glob("[0-9]*.parquet")):
            found = json.loads(file.read_text(encoding="utf-8"))
            others = [key for key, value in self._settings.items() if found.get(key) != value]
            if others:
                raise JobError(
                    f"{self.output} holds an unfinished job with other values for "
                    f"{', '.join(others)}; say its command again, or delete {self.folder} or name "
                    "another --output_dir to start anew"
                )
            for left in filter(is_temporary, self.output.iterdir()):
                left.unlink()  # a picture that a kill left half-written
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(file, self._settings, indent=1)

    def missing(self) -> list[int]:
        """The numbers of the parts that are not done."""
        done = {path.name for path in self.folder.iterdir()}
        return [part for part in range(len(self.ranges)) if _name(part) not in done]

    def tables(self) -> Iterator[pa.Table]:
        """What was written, part by part: a row for each image."""
        for part in range(len(self.ranges)):
            yield pq.read_table(self.folder / _name(part))

    def remove(self) -> None:
        """Ends the job."""
        away = self.output / f"{TEMPORARY}{uuid.uuid4().hex[:8]}-parts"
        os.replace(self.folder, away)  # at once: half a folder would be an unfinished job
        shutil.rmtree(away)


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
    rows = [_row(image, categories) for image in sorted(found, key=lambda image: image.place)]
    with write_atomically(folder / _name(part)) as temporary:
        pq.write_table(pa.Table.from_pylist(rows, _SCHEMA), temporary)


def _name(part: int) -> str:
    return f"{part:06d}.parquet"


def _row(found: Found, categories: Sequence[tuple[int, str]]) -> dict[str, Any]:
    labelled = [categories[label] for label in found.detections["labels"].tolist()]
    return {
        "id": found.place + 1,
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
