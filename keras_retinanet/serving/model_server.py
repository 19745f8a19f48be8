"""An exported model as the servers of this room hold it: found on disk, asked under its name."""

from __future__ import annotations

import os
import pathlib
import shlex
import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_retinanet.export.saved_model.session import SessionModel


class RequestError(ValueError):
    """A request that cannot be answered as it is."""


class NotFoundError(RequestError):
    """A request for a model, version or signature that is not there."""


class ExportNotFoundError(ValueError):
    """A folder without an exported model."""


def find_version(path: str | os.PathLike[str]) -> pathlib.Path:
    """The folder of a version: `path` itself, or the highest version below it, as servers take it.

    Raises:
        ExportNotFoundError: if there is none.
    """
    path = pathlib.Path(path).resolve()
    candidates = [path, *path.iterdir()] if path.is_dir() else []
    versions = [
        folder
        for folder in candidates
        if folder.name.isdecimal() and (folder / "saved_model.pb").is_file()
    ]
    if not versions:
        raise ExportNotFoundError(
            f"{path} is no exported version and holds none; retinanet-export --output_dir "
            f"{shlex.quote(str(path))} --version 1 writes one"
        )
    return max(versions, key=lambda folder: int(folder.name))


class ServedModel:
    """A version of a model, for any number of threads.

    A SavedModel is a program: load only what you trust; see `session.SessionModel`.

    Args:
        folder: of the version, BASE/N; the model is called as BASE is.

    Attributes:
        name, version: what clients address.
        signatures: the SignatureDef of each signature, by name.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self.name = folder.parent.name
        self.version = int(folder.name)
        self._model = SessionModel(folder)
        self.signatures = self._model.signatures
        # Each run holds its feature maps, and more runs than cores are no faster.
        self._running = threading.BoundedSemaphore(os.cpu_count() or 1)

    def require(self, name: str, version: int | None) -> None:
        """Raises NotFoundError if a request is for another model or version."""
        if name != self.name or version not in (None, self.version):
            asked = name if version is None else f"{name}, version {version}"
            raise NotFoundError(
                f"there is no model {asked}; this server has {self.name}, version {self.version}"
            )

    def signature(self, name: str) -> Any:
        """The SignatureDef of that name; `serving_default` for an empty one.

        Raises:
            NotFoundError: if there is none.
        """
        found = self.signatures.get(name or "serving_default")
        if found is None:
            raise NotFoundError(
                f"there is no signature {name!r}; there are {', '.join(sorted(self.signatures))}"
            )
        return found

    def predict(self, signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs [B, ...] of a signature for B images.

        Args:
            signature: its name; empty for `serving_default`.
            inputs: by name; strings as arrays of `bytes` objects.

        Raises:
            RequestError: if names, types or shapes are not those of the signature, or the model
                fails on the values.
        """
        definition = self.signature(signature)
        check_names(inputs, definition.inputs)
        for name, value in inputs.items():
            check_input(name, value.dtype, value.shape, definition.inputs[name])
        try:
            with self._running:
                return self._model(signature or "serving_default", **inputs)
        except tf.errors.OpError as error:
            raise RequestError(f"the model failed: {_reason(error)}") from error


def _reason(error: tf.errors.OpError) -> str:
    """The line of TensorFlow's message that says what is wrong: its first, but for a heading."""
    lines = [line for line in error.message.splitlines() if line.strip()]
    is_headed = len(lines) > 1 and lines[0] == "Graph execution error:"
    return lines[is_headed] if lines else type(error).__name__


def check_names(names: Iterable[str], infos: Mapping[str, Any]) -> None:
    """Raises a RequestError if `names` are not those of the inputs of a signature."""
    found = set(names)
    if found != infos.keys():
        raise RequestError(
            f"the inputs are {', '.join(sorted(found)) or 'missing'}; the signature takes "
            f"{', '.join(sorted(infos))}"
        )


def check_input(name: str, dtype: Any, shape: Sequence[int], info: Any) -> None:
    """Refuses an input that is not of the type and shape of its TensorInfo.

    Raises:
        RequestError: naming it and what it must be.
    """
    expected = tf.dtypes.as_dtype(info.dtype).name
    try:
        found = tf.dtypes.as_dtype(dtype).name
    except TypeError:
        found = dtype
    if found != expected:
        raise RequestError(f"{name} is of the type {found}; it must be {expected}")
    wanted = tf.TensorShape(info.tensor_shape)
    if not wanted.is_compatible_with(shape):
        sizes = ", ".join("any" if size is None else str(size) for size in wanted)
        raise RequestError(f"{name} has the shape {list(shape)}; it must be [{sizes}]")
