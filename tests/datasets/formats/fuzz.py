"""Damaged annotation files: each must end in a DataError or in a data set that holds together.

    python -m tests.datasets.formats.fuzz --count 10000 [--format voc] [--seed 0]

prints what became of the files of each format, and the seed of every file that ended otherwise.
"""

import argparse
import contextlib
import dataclasses
import gc
import io
import pathlib
import random
import re
import signal
import tempfile
import time
import traceback

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from keras_retinanet.datasets.formats.coco import read_coco
from keras_retinanet.datasets.formats.convert import convert
from keras_retinanet.datasets.formats.registry import FORMATS, DataSource, read_dataset
from keras_retinanet.datasets.formats.tfds import read_tfds
from keras_retinanet.errors import DataError, faulty_records_left_out
from keras_retinanet.images.header import IMAGE_SUFFIXES
from keras_retinanet.inspection.repair import with_sound_classes
from tests.datasets.make import write_coco

# A read that takes longer hangs.
_SECONDS = 10

_TOKENS = (
    *(b"nan", b"-inf", b"1e999", b"-1", b"0", b"1e14", b"9" * 30, b"9" * 5000, b"1_0", b"0x10"),
    *(b"\0", b"\xff", b"\xef\xbb\xbf", "\u2028".encode(), b"\n", b"\r", b"\t", b" ", b"true"),
    *(b"{", b"}", b"[", b"]", b"[" * 3000, b"<", b">", b"<a>", b"]]>", b"&a;", b"&#0;", b"<!--"),
    *(
        b'"',
        b"'",
        b'""',
        b"\\",
        b"\\u0000",
        b"\\ud800",
        b",",
        b":",
        b"null",
        b"*a",
        b"&a ",
        b"!!x ",
    ),
    *(b"../", b"/", b"|", b"- ", b"? ", b"%", b"!!python/object:os.system ", b"2020-99-99"),
)


def damaged(contents, rng):
    """Some bytes with one to four things done to them."""
    result = bytearray(contents)
    for _ in range(rng.choice([1, 1, 2, 4])):
        kind, size = rng.randrange(12), len(result)
        start = rng.randrange(size + 1)
        end = min(size, start + int(2 ** rng.uniform(0, 7)))
        if kind == 0 and start < size:
            result[start] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del result[start:end]
        elif kind == 2:
            result[start:start] = result[start:end]
        elif kind == 3:
            result[start:start] = rng.choice(_TOKENS)
        elif kind == 4:
            result[start:end] = rng.choice(_TOKENS)
        elif kind == 5:
            piece = bytes(result[start:end])
            del result[start:end]
            index = rng.randrange(len(result) + 1)
            result[index:index] = piece
        elif kind == 6 and rng.random() < 0.5:
            del result[start:]
        elif words := list(re.finditer(rb"[-+.\w]+", result)):
            # Mostly a value: the file stays of its format then, and says something else.
            first, other = rng.choice(words), rng.choice(words).group()
            result[slice(*first.span())] = rng.choice([other, rng.choice(_TOKENS)])
    return bytes(result)


class Fuzz:
    """A data set in one format, whose files are damaged one at a time and put right again.

    A list of classes may be damaged too, and sometimes it is not used.
    """

    def __init__(self, name, folder):
        file, images = write_coco(folder / "source", count=3, side=32)
        self.source, _ = convert(read_coco(file, images), name, folder / name)
        if name == "open_images":  # the published names, so that both files are read
            self.source = _rename_published(self.source)
        self._find_files(folder / name)

    def _find_files(self, folder):
        self.files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
        self.annotations = [path for path in self.files if path.suffix not in IMAGE_SUFFIXES]
        assert len(self.read(self.source)) == 3

    def read(self, source):
        return read_dataset(source)

    def outcome(self, seed):
        """What becomes of the data set with the damage of this seed: "read" or "fault".

        Raises:
            AssertionError: for a data set or a message that does not hold together.
            Hang: if it takes longer than ten seconds.
            Exception: whatever the reader lets through.
        """
        rng = random.Random(seed)
        source = self.source
        if source.classes is not None and rng.random() < 0.3:
            source = dataclasses.replace(source, classes=None)
        file = rng.choice(self.files if rng.random() < 0.1 else self.annotations)
        contents = file.read_bytes()
        if ".tfrecord" in file.name and rng.random() < 0.8:
            _damage_record(file, rng)  # with the right checksum
        else:
            file.write_bytes(damaged(contents, rng))
        try:
            with _time_limit():
                check(self.read(source))
            return "read"
        except DataError as error:
            first, *rest = str(error).split("\n")
            assert first and len(rest) <= 21 and all(line.startswith("  ") for line in rest), error
            with _time_limit():
                self._check_what_is_left(source, error)
            return "fault"
        finally:
            file.unlink()  # it is a link to the image
            file.write_bytes(contents)

    def _check_what_is_left(self, source, error):
        """Asserts that the data set holds together without its faulty records, if it is read so.

        Then the records that were left out are what the `error` was about.
        """
        with contextlib.suppress(DataError), faulty_records_left_out() as lines:
            data = with_sound_classes(self.read(source))
            assert lines, f"read although not a record is left out; refused before for: {error}"
            check(data)


class TfdsFuzz(Fuzz):
    """The folder of a data set of TensorFlow Datasets, which no code here describes."""

    def __init__(self, folder):
        self.source, self._folder = DataSource(format="tfds"), folder
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            config = tfds.download.DownloadConfig(try_download_gcs=False)
            FuzzToy(data_dir=folder).download_and_prepare(download_config=config)
        self._find_files(folder)

    def read(self, source):
        return read_tfds("fuzz_toy", "train", str(self._folder))

    def outcome(self, seed):
        if seed % 20 == 0:
            # TensorFlow ends the threads of unfinished reads when they are collected: of 300 of
            # them for six seconds, which is not the time of one file.
            gc.collect()
        return super().outcome(seed)


class FuzzToy(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Three images, the last without objects."""

    VERSION = tfds.core.Version("1.0.0")

    def _info(self):
        fields = {
            "bbox": tfds.features.BBoxFeature(bbox_format="REL_YXYX"),
            "label": tfds.features.ClassLabel(names=["red", "blue"]),
            "is_crowd": np.bool_,
            "area": np.float32,
        }
        features = {
            "image": tfds.features.Image(encoding_format="png"),
            "image/id": np.int64,
            "image/filename": tfds.features.Text(),
            "objects": tfds.features.Sequence(fields),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for index in range(3):
            box = tfds.features.BBox(0.25, 0.25, 0.5, 0.75)
            objects = [
                {"bbox": box, "label": label, "is_crowd": False, "area": 128.0}
                for label in range(2 - index)
            ]
            yield (
                index,
                {
                    "image": np.full((32, 32, 3), 80 * index, np.uint8),
                    "image/id": index,
                    "image/filename": f"{index}.png",
                    "objects": objects,
                },
            )


def make_fuzz(name, folder):
    """The `Fuzz` of a format."""
    return TfdsFuzz(folder) if name == "tfds" else Fuzz(name, folder)


def _rename_published(source):
    old = pathlib.Path(source.annotations)
    new = old.with_name("train-annotations-bbox.csv")
    old.rename(new)
    labels = old.with_name("annotations-human-imagelabels.csv")
    labels.rename(old.with_name("train-annotations-human-imagelabels.csv"))
    return dataclasses.replace(source, annotations=str(new))


def _damage_record(file, rng):
    records = list(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())
    index = rng.randrange(len(records))
    records[index] = damaged(records[index], rng)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in records:
            writer.write(record)


class Hang(BaseException):
    """A read that does not end; no Exception, which readers may turn into a DataError."""


@contextlib.contextmanager
def _time_limit():
    def stop(*_):
        raise Hang(f"not read after {_SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def check(data):
    """Asserts that a data set holds together, and that training could use it."""
    n, t = len(data), len(data.labels)
    assert n > 0 and data.categories
    assert len({c.id for c in data.categories}) == len({c.name for c in data.categories})
    assert len({c.id for c in data.categories}) == len(data.categories)
    assert data.row_splits[0] == 0 and data.row_splits[-1] == t and len(data.row_splits) == n + 1
    assert (np.diff(data.row_splits) >= 0).all() and len(data.files) == n
    assert len(set(data.image_ids.tolist())) == n and (data.sizes > 0).all()
    limits = np.tile(np.repeat(data.sizes, np.diff(data.row_splits), axis=0)[:, ::-1], 2)
    assert ((data.boxes >= 0) & (data.boxes <= limits)).all()
    assert ((data.labels >= -1) & (data.labels < len(data.categories))).all()
    sides = (data.boxes[:, 2:] - data.boxes[:, :2]).min(axis=1, initial=np.inf)
    assert ((sides > 0) == (data.labels >= 0)).all()
    assert np.isfinite(data.annotated_xywh).all() and np.isfinite(data.areas).all()
    assert (data.areas >= 0).all()
    ids = np.array([c.id for c in data.categories])
    assert (ids[data.labels] == data.category_ids)[data.labels >= 0].all()
    data.ground_truth()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--format", choices=list(FORMATS), nargs="*", default=list(FORMATS))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    failures = 0
    for name in args.format:
        with tempfile.TemporaryDirectory() as folder:
            fuzz, start = make_fuzz(name, pathlib.Path(folder)), time.monotonic()
            counts = {"read": 0, "fault": 0}
            for seed in range(args.seed, args.seed + args.count):
                try:
                    counts[fuzz.outcome(seed)] += 1
                except (Exception, Hang) as error:
                    failures += 1
                    text = f"{type(error).__name__}: {str(error)[:300]}"
                    raised = traceback.extract_tb(error.__traceback__)[-1]
                    print(f"{name}, seed {seed}: {text} ({raised.name}: {raised.line})", flush=True)
            seconds = time.monotonic() - start
        print(f"| {name} | {counts['fault']} | {counts['read']} | {seconds:.0f} s |", flush=True)
    raise SystemExit(1 if failures else 0)


if __name__ == "__main__":
    main()
