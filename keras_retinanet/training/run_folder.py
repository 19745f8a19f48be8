"""The folder of a run: what lies where, and writing it so that a kill leaves it whole."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import pathlib
import platform
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Any

import tensorflow as tf

from keras_retinanet.config import Config, TrainConfig, save_config
from keras_retinanet.datasets.split import SplitNames
from keras_retinanet.files import is_temporary, write_atomically, write_json
from keras_retinanet.models.retinanet import RetinaNet
from keras_retinanet.models.saving import BEST, LAST
from keras_retinanet.pipeline.epochs import Position
from keras_retinanet.training.progress import Progress

_PACKAGES = (
    "retinanet-keras",
    "tensorflow",
    "keras",
    "numpy",
    "tensorflow-datasets",
    "pycocotools",
)


_REMEDY = f"start another run, from {LAST} if it is there (model.weights=...)"


class RunFolderError(ValueError):
    """The folder cannot take this run, or holds none."""


@dataclasses.dataclass
class RunState:
    """What a resumed run goes on from, in backup/state.json.

    The weights and the optimizer lie beside it in the file `weights`; `model` is the `get_config`
    of the model, so that nothing is needed of what it started from. `step`, `images` and `seconds`
    are those of `training.progress.Progress`, `epoch` and `shown` make its position.
    """

    step: int = 0
    images: int = 0
    epoch: int = 0
    shown: list[list[int]] = dataclasses.field(default_factory=list)
    seconds: float = 0.0
    evaluations: int = 0
    evaluation_seconds: float = 0.0
    best_ap: float = -1.0
    finished: bool = False
    weights: str = ""
    model: dict[str, Any] = dataclasses.field(default_factory=dict, compare=False)

    def note(self, progress: Progress) -> None:
        """Takes over how far the run has come."""
        self.step, self.images = progress.step, progress.images
        self.seconds = progress.elapsed
        self.epoch = progress.position.epoch
        self.shown = [list(part) for part in progress.position.shown]

    def progress(self, train: TrainConfig, images: int) -> Progress:
        """How far the run has come, in a training part of so many images."""
        position = Position(self.epoch, tuple((size, count) for size, count in self.shown))
        length = train.batch_size, train.steps, train.epochs, train.minutes
        return Progress(images, *length, position, self.step, self.images, self.seconds)


class RunFolder:
    """The folder of a run.

    Attributes:
        root: its path.
        config, metrics, tensorboard, best, last, backup, split, predictions: paths within it.
    """

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.config = root / "config.yaml"
        self.metrics = root / "metrics.csv"
        self.tensorboard = root / "tensorboard"
        self.best = root / BEST
        self.last = root / LAST
        self.backup = root / "backup"
        self.split = root / "split"
        self.predictions = root / "predictions"

    def check_free(self) -> None:
        """Raises RunFolderError unless a new run can be written here; writes nothing."""
        if self.root.exists() and not self.root.is_dir():
            raise RunFolderError(f"{self.root} is a file; --output_dir takes a folder")
        # What a kill left while config.yaml was written is hidden and in nobody's way.
        if self.root.is_dir() and any(not is_temporary(file) for file in self.root.iterdir()):
            resume = ", or say --resume to continue the run in it" if self.config.is_file() else ""
            raise RunFolderError(f"{self.root} is not empty; name another --output_dir{resume}")
        root = self.root.absolute()
        existing = next(folder for folder in (root, *root.parents) if folder.exists())
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            raise RunFolderError(f"{self.root} cannot be written to: no permission in {existing}")

    def create(self, config: Config, devices: list[str]) -> None:
        """Makes the folder and writes down what the run is: config.yaml and environment.json.

        May be repeated for a run that was killed before its first backup.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunFolderError(f"{self.root} cannot be made: {error.strerror}") from error
        self.write_config(config)
        write_json(self.root / "environment.json", _environment(config, devices), indent=2)

    def write_config(self, config: Config) -> None:
        """Writes config.yaml, whole or not at all."""
        with write_atomically(self.config) as temporary:
            save_config(config, temporary)

    def write_split(self, train: Sequence[str], val: Sequence[str]) -> None:
        """Writes the names of the images of both parts, one a line."""
        self.split.mkdir(exist_ok=True)
        for which, names in (("train", train), ("val", val)):
            with write_atomically(self._names_file(which)) as temporary:
                text = "".join(f"{name}\n" for name in names)
                temporary.write_bytes(text.encode("utf-8", "surrogateescape"))

    def own_split(self) -> SplitNames:
        """As `read_split`, of a run that is known to have one.

        Raises:
            RunFolderError: if it is missing.
        """
        split = self.read_split()
        if split is None:
            raise RunFolderError(
                f"{self.split} is missing: which images were trained on is not known any more; "
                + _REMEDY
            )
        return split

    def read_split(self) -> SplitNames | None:
        """What `write_split` wrote, or None if there is nothing, as in runs of version 0.1.0."""
        files = [self._names_file(which) for which in ("train", "val")]
        if not all(file.is_file() for file in files):
            return None
        texts = [file.read_bytes().decode("utf-8", "surrogateescape") for file in files]
        train, val = (text.split("\n")[:-1] for text in texts)
        return SplitNames(str(self.split), train, val)

    def _names_file(self, which: str) -> pathlib.Path:
        return self.split / f"{which}.txt"

    def load_state(self) -> RunState | None:
        """The state of the run that lies here, or None if there is no run.

        A run that was killed before its first backup starts over.

        Raises:
            RunFolderError: if the backup is damaged, or of another version of this package.
        """
        if not self.config.is_file():
            return None
        file = self.backup / "state.json"
        if not file.is_file():
            return RunState()
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunFolderError(f"{file} is damaged ({error}); {_REMEDY}") from error
        if set(content) != {field.name for field in dataclasses.fields(RunState)}:
            raise RunFolderError(f"{file} is of another version of keras_retinanet; {_REMEDY}")
        state = RunState(**content)
        if not (self.backup / state.weights).is_file():
            raise RunFolderError(f"{self.backup / state.weights} is missing; {_REMEDY}")
        return state

    def add_row(self, row: dict[str, Any]) -> None:
        """Adds the numbers of an epoch to metrics.csv, whose first line has the names of them."""
        text = self._metrics_text() or ",".join(row) + "\n"
        names = text.partition("\n")[0].split(",")
        values = [row.get(name, math.nan) for name in names]
        line = ",".join(f"{v:.6g}" if isinstance(v, float) else str(v) for v in values)
        self._write_metrics(f"{text}{line}\n")

    def drop_rows_after(self, epoch: int) -> None:
        """Takes the rows of epochs that a resumed run will do again out of metrics.csv."""
        header, *rows = self._metrics_text().splitlines(keepends=True) or [""]
        if not header:
            return  # no epoch has been done
        numbered = [(row.split(",")[0], row) for row in rows]
        kept = [row for number, row in numbered if number.isdigit() and int(number) <= epoch]
        self._write_metrics("".join([header, *kept]))

    def last_row(self) -> int:
        """The number of the last epoch in metrics.csv; 0 if there is none."""
        numbers = [row.split(",")[0] for row in self._metrics_text().splitlines()[1:]]
        return max((int(number) for number in numbers if number.isdigit()), default=0)

    def _metrics_text(self) -> str:
        return self.metrics.read_text(encoding="utf-8") if self.metrics.is_file() else ""

    def _write_metrics(self, text: str) -> None:
        with write_atomically(self.metrics) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def save_state(self, model: RetinaNet, state: RunState) -> None:
        """Backs up weights, optimizer and state; a kill leaves the old backup or the new one."""
        self.backup.mkdir(exist_ok=True)
        state.weights = f"step-{state.step}.weights.h5"
        with write_atomically(self.backup / state.weights) as temporary:
            model.save_weights(temporary)
        state.model = model.get_config()
        write_json(self.backup / "state.json", vars(state))
        for file in self.backup.glob("*.weights.h5"):
            if file.name != state.weights:
                file.unlink()

    def restore(self, model: RetinaNet, state: RunState) -> None:
        """Fills the weights and the optimizer of a compiled model from the backup."""
        model.load_weights(self.backup / state.weights)


def _environment(config: Config, devices: list[str]) -> dict:
    versions = {}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[name] = metadata.version(name)
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": versions,
        "devices": devices,
        "cpus": os.cpu_count(),
        "seed": config.train.seed,
        "tensorflow_build": tf.sysconfig.get_build_info().get("cuda_version", "cpu"),
    }
