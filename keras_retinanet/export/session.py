"""Runs an exported model through a session, which is how TensorFlow Serving loads it.

`python -m keras_retinanet.export.session EXPORT/1 photo.jpg ...` prints what it sees.
"""

from __future__ import annotations

import os
import pathlib
import sys
from typing import Any

import numpy as np
import tensorflow as tf

from keras_retinanet.export.saved_model import LABELS_FILE


class SessionModel:
    """A SavedModel in a graph and a session of its own.

    `tf.saved_model.load` proves nothing about serving: it rebuilds Python objects, and takes models
    that a session, and so the server, cannot run.

    Args:
        path: the folder of one version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=graph)
        with graph.as_default():
            loaded = tf.compat.v1.saved_model.load(self._session, ["serve"], os.fspath(path))
        self._signatures = loaded.signature_def

    def __call__(self, signature: str, **inputs: Any) -> dict[str, np.ndarray]:
        """The outputs of `signature` for its inputs by name."""
        definition = self._signatures[signature]
        feed = {definition.inputs[name].name: value for name, value in inputs.items()}
        fetches = {name: output.name for name, output in definition.outputs.items()}
        return self._session.run(fetches, feed)


def main(arguments: list[str]) -> None:
    path, files = pathlib.Path(arguments[0]), arguments[1:]
    lines = (path / "assets" / LABELS_FILE).read_text(encoding="utf-8").splitlines()
    names = {int(id_): name for id_, name in (line.split(" ", 1) for line in lines)}
    encoded = [pathlib.Path(file).read_bytes() for file in files]
    answer = SessionModel(path)("serving_bytes", image_bytes=encoded)
    for file, count, scores, classes in zip(
        files,
        answer["num_detections"].astype(int),
        answer["detection_scores"],
        answer["detection_classes"].astype(int),
        strict=True,
    ):
        shown = [f"{names[classes[i]]} {scores[i]:.2f}" for i in range(count) if scores[i] >= 0.5]
        print(f"{file}: {', '.join(shown) or 'nothing above 0.5'}")


if __name__ == "__main__":
    main(sys.argv[1:])
