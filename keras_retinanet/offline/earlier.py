"""What an earlier call left in an output folder: its own files may be replaced, no others."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable

import msgspec

from keras_retinanet.errors import DataError
from keras_retinanet.files import printable
from keras_retinanet.offline.outputs import IMAGES_FILE, RESULT_FILES


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    """A line of images.json, see `outputs.write_images`."""

    id: int
    file_name: str
    height: int | None = None
    width: int | None = None
    drawn: str | None = None
    error: str | None = None


def earlier_files(output: pathlib.Path) -> set[str]:
    """The names of the files that a finished job wrote into a folder, by its list of images.

    Raises:
        DataError: if there is an images.json that no job wrote.
    """
    file = output / IMAGES_FILE
    if not file.exists():
        return set()
    try:
        rows = msgspec.json.decode(file.read_bytes(), type=list[_Row])
    except msgspec.MsgspecError:
        rows = []
    if not rows or any(row.id != number for number, row in enumerate(rows, start=1)):
        raise DataError(
            f"{file} is no list of images of retinanet-predict, and would be replaced; move it or "
            "name another --output_dir"
        )
    return {IMAGES_FILE, *RESULT_FILES.values(), *(row.drawn for row in rows if row.drawn)}


def check_replaced(files: Iterable[pathlib.Path], own: set[str]) -> None:
    """Raises a DataError for the first of `files` that exists under a name that is not `own`."""
    for file in files:
        if printable(file.name) not in own and file.exists():
            raise DataError(
                f"{file} is there and no earlier call wrote it; move it or name another "
                "--output_dir"
            )
