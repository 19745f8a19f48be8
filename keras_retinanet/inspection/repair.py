"""A data set without its faults: what `retinanet-check --fix` writes; see `Kind.repair`."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from keras_retinanet.datasets.dataset import Category, DetectionDataset
from keras_retinanet.datasets.discovery.whole_folder import with_categories
from keras_retinanet.datasets.formats.convert import convert
from keras_retinanet.datasets.validate import repeats
from keras_retinanet.errors import DataError
from keras_retinanet.files import write_atomically
from keras_retinanet.inspection.findings import Finding
from keras_retinanet.inspection.kinds import IMAGE_LEFT_OUT, OBJECT_LEFT_OUT, WRITTEN_FIXED

# The file that lists what was done, in the fixed copy.
LISTED = "mended.txt"


def with_sound_classes(
    dataset: DetectionDataset, known: Sequence[Category] | None = None
) -> DetectionDataset:
    """The data set with classes that have ids and names of their own, those of `known` if given.

    Classes of one name become one, the first of them; the objects of a class that `known` has not,
    or that shares its id or has no name, are left out.

    Args:
        dataset: as it was read without its faulty records.
        known: the categories of the training part.

    Raises:
        DataError: if no class is left.
    """
    kept: dict[str, Category] = {category.name: category for category in known or ()}
    if known is None:
        ids = [category.id for category in dataset.categories]
        again = set(repeats(ids))
        for index, category in enumerate(dataset.categories):
            if index not in again and category.name.strip():
                kept.setdefault(category.name, category)
    categories = tuple(sorted(kept.values(), key=lambda category: category.id))
    if not categories:
        raise DataError(f"{dataset.name}: no class is left without a fault")
    return with_categories(dataset, categories)


def fixed(part: str, dataset: DetectionDataset, findings: Sequence[Finding]) -> DetectionDataset:
    """A part without the images and rows that findings on it ask to leave out.

    Raises:
        DataError: if no object to train on is left of the training part, or no image.
    """
    own = [finding for finding in findings if finding.part == part]
    images = {finding.image for finding in own if finding.kind.repair == IMAGE_LEFT_OUT}
    rows = [finding.row for finding in own if finding.kind.repair == OBJECT_LEFT_OUT]
    result = dataset.without_rows(rows)
    kept = np.setdiff1d(np.arange(len(dataset)), list(images))
    if not len(kept):
        raise DataError(f"{dataset.name}: no image is left without a fault")
    result = result.take(kept)
    if part == "train" and not (result.labels[~result.is_crowd] >= 0).any():
        raise DataError(f"{dataset.name}: no object to train on is left without a fault")
    return result


def write_fixed(
    parts: Mapping[str, DetectionDataset], findings: Sequence[Finding], output: pathlib.Path
) -> tuple[list[str], list[str]]:
    """Writes a folder for each part, in COCO's format, and the list of all that was fixed.

    Args:
        parts: those that were read, by "train" and "val".
        findings: all findings on them.
        output: the folder; it must not exist.

    Returns:
        The words that `retinanet-train` finds it by, and `convert`'s lines.

    Raises:
        DataError: if the folder exists, or nothing is left of a part; nothing is written then.
        OSError: if it cannot be written.
    """
    if "train" not in parts:
        raise DataError("the training part cannot be read, so there is nothing to fix")
    result = {part: fixed(part, dataset, findings) for part, dataset in parts.items()}
    output.parent.mkdir(parents=True, exist_ok=True)
    words, notes = ["data.format=coco"], []
    with write_atomically(output) as folder:
        folder.mkdir()
        for part, dataset in result.items():
            source, lines = convert(dataset, "coco", folder / part)
            notes += lines
            for field in ("annotations", "images"):
                path = os.path.relpath(getattr(source, field), folder)
                words.append(f"data.{part}.{field}={output / path}")
        text = "".join(f"{line}\n" for line in fix_lines(findings))
        (folder / LISTED).write_text(text, encoding="utf-8")
    return words, notes


def check_absent(output: pathlib.Path) -> None:
    """Raises a DataError if the folder to write is there."""
    if output.exists() or output.is_symlink():
        raise DataError(f"{output} exists; name another folder for the fixed copy")


def fix_lines(findings: Sequence[Finding]) -> list[str]:
    """What was done about each finding that anything was done about."""
    return [
        f"{finding.part}: {finding.kind.text}, "
        f"{'fixed' if finding.kind.repair == WRITTEN_FIXED else 'left out'}: {finding.text}"
        for finding in findings
        if finding.kind.repair
    ]
