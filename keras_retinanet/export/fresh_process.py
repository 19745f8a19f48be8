"""Runs the check of a self-test in a new Python, where nothing of the export is left in memory."""

from __future__ import annotations

import collections
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence

import numpy as np

from keras_retinanet.export.comparison import Answer, SelfTestError

# A check that hangs must not hang the export.
TIMEOUT_SECONDS = 3600


def run_check(
    check: Callable, folder: pathlib.Path, expected: Sequence[Answer], *arguments: str
) -> None:
    """Runs `check(folder, file, *arguments)` in a new process.

    Args:
        check: a function of a module; it raises if the export is wrong.
        folder: of the export.
        expected: answers, handed over as the file that `check` gets the path of, for
            `read_answers`.
        arguments: further texts for `check`.

    Raises:
        SelfTestError: if it raises, dies or takes longer than `TIMEOUT_SECONDS`.
    """
    called = f"from {check.__module__} import {check.__name__} as check"
    child = f"import sys; {called}; check(*sys.argv[1:])"
    with tempfile.TemporaryDirectory() as temporary:
        file = pathlib.Path(temporary) / "expected.npz"
        arrays = {f"{i}/{name}": a for i, one in enumerate(expected) for name, a in one.items()}
        np.savez(file, **arrays)  # type: ignore[arg-type]  # names a keyword of NumPy 2.1
        # -P: without it the working folder comes first on the path, and a numpy.py lying there
        # would be run.
        command = [sys.executable, "-P", "-c", child, str(folder), str(file), *arguments]
        try:
            process = subprocess.run(
                command,
                env=_environment(),
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise _failed(f"it took longer than {TIMEOUT_SECONDS} seconds") from error
    if process.returncode != 0:
        lines = process.stderr.strip().splitlines() or [f"exit code {process.returncode}"]
        raise _failed(lines[-1])


def read_answers(file: str) -> list[dict[str, np.ndarray]]:
    """The answers that `run_check` handed over, their outputs [...] by name."""
    answers: dict[str, dict[str, np.ndarray]] = collections.defaultdict(dict)
    for key, value in np.load(file).items():
        number, _, name = key.partition("/")
        answers[number][name] = value
    return list(answers.values())


def _environment() -> dict[str, str]:
    """This process's environment, but with this very package and without a GPU."""
    package = pathlib.Path(__file__).resolve().parents[2]
    # An empty entry would be the working folder.
    inherited = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    path = os.pathsep.join([str(package), *inherited])
    # On the CPU: this process may hold all memory of a GPU.
    return {**os.environ, "PYTHONPATH": path, "CUDA_VISIBLE_DEVICES": "-1"}


def _failed(reason: str) -> SelfTestError:
    reason = reason.removeprefix(f"{SelfTestError.__module__}.{SelfTestError.__name__}: ")
    return SelfTestError(f"the export failed its self-test, nothing is written: {reason}")
