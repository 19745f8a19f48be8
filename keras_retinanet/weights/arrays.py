"""Files of named arrays, whatever wrote them."""

from __future__ import annotations

import importlib
import os
import pathlib
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]


class WeightsError(ValueError):
    """A file of weights cannot be read, or does not fit; the message names it and the entry."""


def read_arrays(file: str | os.PathLike[str]) -> Arrays:
    """The arrays of a file under the names that it gives them, floats as float32.

    Args:
        file: `.npz`, `.safetensors`, or PyTorch's `.pth` or `.pt`, which need the extra `import`.
            No file runs code that it brings.

    Raises:
        WeightsError: if the file is not there, of another kind, or damaged.
        ImportError: if PyTorch is needed and missing.
    """
    path = pathlib.Path(file)
    if path.suffix not in _READERS:
        raise WeightsError(f"{path}: weights are read from {', '.join(_READERS)} files")
    if not path.is_file():
        raise WeightsError(f"there is no file of weights {path}")
    arrays = _READERS[path.suffix](path)
    return {name: as_float32(array, f"{path}: {name}") for name, array in arrays.items()}


def as_float32(array: np.ndarray, what: str) -> np.ndarray:
    """Floats as float32, integers as they are; a WeightsError on `what` else, or if not finite."""
    if np.issubdtype(array.dtype, np.integer):
        return array
    if not np.can_cast(array.dtype, np.float32, "same_kind"):  # as bfloat16 can
        raise WeightsError(f"{what} holds {array.dtype}, not numbers")
    if not np.isfinite(array).all():
        raise WeightsError(f"{what} holds NaN or an infinity")
    return array.astype(np.float32, copy=False)


def _read_npz(path: pathlib.Path) -> Arrays:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)
    except (ValueError, OSError, EOFError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{path} is not a whole .npz file: {error}") from error


def _read_safetensors(path: pathlib.Path) -> Arrays:
    import safetensors.numpy  # here, since nothing but this needs it

    try:
        return safetensors.numpy.load_file(path)
    except (safetensors.SafetensorError, KeyError, OSError) as error:
        raise WeightsError(f"{path} is not a whole .safetensors file: {error}") from error


def import_torch(file: str | os.PathLike[str]) -> Any:
    """The module `torch`, or an ImportError that says why `file` needs it and how to get it."""
    try:
        return importlib.import_module("torch")
    except ImportError as error:
        raise ImportError(
            f"{file} is read with PyTorch, which is not installed: "
            "pip install 'retinanet-keras[import]', or store the entries as .npz or .safetensors"
        ) from error


def _read_torch(path: pathlib.Path) -> Arrays:
    torch = import_torch(path)
    try:
        entries = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds: of pickle, zip, its own
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsError(f"{path} is not a PyTorch file of weights alone: {reason}") from error
    if not isinstance(entries, dict):
        raise WeightsError(f"{path} holds a {type(entries).__name__}, not a state dict")
    for name, entry in entries.items():
        if not isinstance(entry, torch.Tensor):
            raise WeightsError(f"{path}: {name} is a {type(entry).__name__}, not a tensor")
    return {
        name: (entry.float() if entry.is_floating_point() else entry).numpy()
        for name, entry in entries.items()
    }


_READERS: dict[str, Callable[[pathlib.Path], Arrays]] = {
    ".npz": _read_npz,
    ".safetensors": _read_safetensors,
    ".pth": _read_torch,
    ".pt": _read_torch,
}
