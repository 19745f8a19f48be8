"""The results of a job as files: COCO results, a Parquet table, and the list of its images."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from keras_retinanet.files import printable, write_atomically, write_json_rows

IMAGES_FILE = "images.json"

# By format, a key of `WRITERS`.
RESULT_FILES = {"coco": "detections.json", "parquet": "detections.parquet"}

# Rows in a group of a Parquet file: large enough to be compressed well and skipped as a whole.
_ROWS = 2**17

IMAGE_COLUMNS = [("file_name", pa.string()), ("height", pa.int32()), ("width", pa.int32())]
_EDGES = ("x_min", "y_min", "x_max", "y_max")
_SCHEMA = pa.schema(
    [
        ("image_id", pa.int64()),
        *IMAGE_COLUMNS,
        *((name, pa.float32()) for name in (*_EDGES, "score")),
        ("category_id", pa.int64()),
        ("category", pa.string()),
    ]
)


def write_images(
    tables: Iterable[pa.Table], folder: pathlib.Path, targets: Sequence[pathlib.Path]
) -> None:
    """Writes images.json: what each image is called, its size, and why one could not be read.

    Args:
        tables: all parts of the job.
        folder: where it goes.
        targets: the drawn copy of each image; empty if none are drawn.
    """

    def rows() -> Iterator[dict[str, Any]]:
        for table in tables:
            for row in table.select(["id", "file_name", "height", "width", "error"]).to_pylist():
                unused = ("height", "width") if row["error"] else ("error",)
                kept = {key: value for key, value in row.items() if key not in unused}
                if targets and not row["error"]:
                    kept["drawn"] = printable(targets[row["id"] - 1].name)
                yield kept

    write_json_rows(folder / IMAGES_FILE, rows())


def write_coco(tables: Iterable[pa.Table], folder: pathlib.Path) -> None:
    """Writes detections.json, COCO results: boxes are x, y, width, height in pixels."""

    def rows() -> Iterator[dict[str, Any]]:
        for table in map(_detection_table, tables):
            boxes = np.stack(table.select(_EDGES).columns, axis=1).astype(np.float64)  # [D, 4]
            boxes[:, 2:] -= boxes[:, :2]
            columns = {
                name: table[name].to_numpy().tolist() for name in ("image_id", "category_id")
            }
            columns |= {"bbox": boxes.tolist(), "score": table["score"].to_numpy().tolist()}
            for values in zip(*columns.values(), strict=True):
                yield dict(zip(columns, values, strict=True))

    write_json_rows(folder / RESULT_FILES["coco"], rows())


def write_parquet(tables: Iterable[pa.Table], folder: pathlib.Path) -> None:
    """Writes detections.parquet, a row for each detection; docs/offline.md names the columns."""
    with (
        write_atomically(folder / RESULT_FILES["parquet"]) as temporary,
        pq.ParquetWriter(temporary, _SCHEMA) as writer,
    ):
        waiting: list[pa.Table] = []
        for table in map(_detection_table, tables):
            waiting.append(table)
            # Parts of a few thousand rows each make groups of a useful size together.
            if sum(map(len, waiting)) >= _ROWS:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []
        if waiting:
            writer.write_table(pa.concat_tables(waiting))


WRITERS: dict[str, Callable[[Iterable[pa.Table], pathlib.Path], None]] = {
    "coco": write_coco,
    "parquet": write_parquet,
}


def _detection_table(table: pa.Table) -> pa.Table:
    """A row for each detection of the images of a part."""
    scores = table["scores"].combine_chunks()
    images = table.select(["id", "file_name", "height", "width"])
    boxes = pc.list_flatten(table["boxes"]).to_numpy().reshape(-1, 4)
    labels = (pc.list_flatten(table[name]) for name in ("category_ids", "categories"))
    return pa.Table.from_arrays(
        [
            *images.take(pc.list_parent_indices(scores)).columns,
            *map(pa.array, boxes.T),
            pc.list_flatten(scores),
            *labels,
        ],
        schema=_SCHEMA,
    )
