"""Runs a predictor over many images: resumable, streaming, finished by one file of results."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from keras_retinanet.beam import map_on_beam
from keras_retinanet.errors import Faults
from keras_retinanet.files import sync
from keras_retinanet.offline import outputs
from keras_retinanet.offline.detect import Found, detect_listed
from keras_retinanet.offline.inputs import ListedImage
from keras_retinanet.offline.parts import Parts, write_part
from keras_retinanet.serving.predictors import Predictor, PredictorSource


class Summary(NamedTuple):
    """What a job came to.

    Attributes:
        detections: how many there are.
        faults: the images that could not be read.
    """

    detections: int
    faults: Faults


def run_parts(
    predictor: Predictor,
    images: Sequence[ListedImage],
    parts: Parts,
    numbers: Sequence[int],
    batch_size: int | None,
    draw: Callable[[Found], pathlib.Path] | None,
) -> Iterator[int]:
    """Does the parts of these numbers and writes each when it is done.

    Args:
        predictor: what detects.
        images: those of the whole job.
        parts: of the job, begun.
        numbers: of the parts to do.
        batch_size: see `detect_listed`.
        draw: called for each image that could be read, says which file it wrote; None for none.

    Yields:
        How many images were done in a step: room for a progress bar.
    """
    ranges = [parts.ranges[number] for number in numbers]
    stream = detect_listed(predictor, images, ranges, batch_size)
    for number in numbers:
        done: list[Found] = []
        drawn: list[pathlib.Path] = []
        for found in itertools.islice(stream, len(parts.ranges[number])):
            if draw is not None and not found.error:
                drawn.append(draw(found))
            done.append(found)
            yield 1
        sync(drawn)  # before the part says that they are there
        write_part(parts.folder, number, done, predictor.categories)


@functools.lru_cache(maxsize=1)
def _load(source: PredictorSource) -> Predictor:
    """A worker of a pipeline loads its predictor once, for all of its parts."""
    return source.load()


def _do_part(
    source: PredictorSource, folder: pathlib.Path, part: tuple[int, int, Sequence[ListedImage]]
) -> None:
    """What a worker does of a job: a part, by its number, the index of its first image, and all."""
    number, first, images = part
    predictor = _load(source)
    found = [
        dataclasses.replace(image, index=first + image.index)
        for image in detect_listed(predictor, images, [range(len(images))], source.batch_size)
    ]
    write_part(folder, number, found, predictor.categories)


def run_on_beam(
    source: PredictorSource,
    images: Sequence[ListedImage],
    parts: Parts,
    numbers: Sequence[int],
    options: Sequence[str],
) -> None:
    """As `run_parts`, by the workers of an Apache Beam pipeline.

    They must see the model, the images and the output folder under the same paths.

    Raises:
        ImportError: if Beam is missing.
        BeamError: if the pipeline fails; the parts that were done stay done.
    """
    ranges = [(number, parts.ranges[number]) for number in numbers]
    work = [(number, part.start, images[part.start : part.stop]) for number, part in ranges]
    do_part = functools.partial(_do_part, source, parts.folder.absolute())
    map_on_beam(do_part, work, options)


def finish(parts: Parts, form: str, targets: Sequence[pathlib.Path]) -> Summary:
    """Writes the results of a job of which all parts are done, and ends it.

    Args:
        parts: of the job.
        form: a key of `outputs.WRITERS`.
        targets: see `outputs.write_images`.
    """
    outputs.write_images(parts.tables(), parts.output, targets)
    outputs.WRITERS[form](parts.tables(), parts.output)
    count = sum(len(table["scores"].combine_chunks().flatten()) for table in parts.tables())
    faults = Faults("images that cannot be read")
    for table in parts.tables():
        for error in filter(None, table["error"].to_pylist()):
            faults.add(error)
    parts.remove()
    return Summary(count, faults)
