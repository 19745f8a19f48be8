"""What a TensorFlow Serving container needs beside the model, and the line that starts it."""

from __future__ import annotations

import pathlib
import shlex
import string

from keras_retinanet.export.saved_model.operations import read_meta_graphs
from keras_retinanet.export.signature_names import MAX_BATCH
from keras_retinanet.files import package_text, write_atomically

_FILES = ("models.config", "batching.config", "monitoring.config")


def write_serving_files(base: pathlib.Path) -> list[pathlib.Path]:
    """Writes models.config, batching.config and monitoring.config, text protos for the server.

    Args:
        base: folder of all versions of a model; the server passes over what is no number in it.

    Returns:
        The files that were not there and so were written; others may hold settings of the user's.
    """
    name = base.resolve().name
    paths = {"name": _quote(name), "path": _quote(f"/models/{name}")}
    missing = [base / file for file in _FILES if not (base / file).exists()]
    for file in missing:
        template = string.Template(package_text(__package__, file.name))
        with write_atomically(file) as temporary:
            text = template.substitute(paths, max_batch=MAX_BATCH)
            temporary.write_text(text, encoding="utf-8")
    return missing


def docker_line(folder: pathlib.Path) -> str:
    """The command that serves all versions beside `folder`, for this machine alone.

    gRPC is on port 8500, REST on 8501, both on 127.0.0.1: TensorFlow Serving asks nobody who he is.

    Args:
        folder: of an exported version. The server's tag is that of the TensorFlow that wrote it,
            which alone is sure to have its operations.
    """
    base = folder.resolve().parent
    inside = f"/models/{base.name}"
    words = [
        *("docker", "run", "--rm", "-p", "127.0.0.1:8500:8500", "-p", "127.0.0.1:8501:8501"),
        *("-v", f"{base}:{inside}:ro", f"tensorflow/serving:{written_by(folder)}"),
        f"--model_config_file={inside}/models.config",
        f"--monitoring_config_file={inside}/monitoring.config",
    ]
    return shlex.join(words)


def written_by(folder: pathlib.Path) -> str:
    """The version of the TensorFlow that wrote a SavedModel, such as "2.21.0"."""
    return read_meta_graphs(folder)[0].meta_info_def.tensorflow_version


def batching_flags(base: pathlib.Path) -> str:
    """What to add to `docker_line` for the server to join requests."""
    file = f"/models/{base.resolve().name}/batching.config"
    return shlex.join(["--enable_batching", f"--batching_parameters_file={file}"])


def _quote(text: str) -> str:
    """A string of a text proto: bytes that are no plain characters are written in octal."""
    plain = set(range(32, 127)) - set(b"'\"\\")
    return "'" + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in text.encode()) + "'"
