"""The process of a self-test: what it is given, what it may not import, how it fails."""

import numpy as np
import pytest

from keras_retinanet.export import fresh_process
from keras_retinanet.export.comparison import SelfTestError
from keras_retinanet.export.fresh_process import run_check
from tests.export.checks import fail, require_arrays, wait

ANSWERS = [{"a": np.zeros(3, np.float32), "b": np.ones([2, 2], np.float32)}]


def savez_of_numpy_2_0(file, *args, **arrays):
    """It has no argument of the name allow_pickle: each keyword is an array."""
    return SAVEZ(file, *args, **arrays)


SAVEZ = np.savez


def test_it_runs_no_module_of_the_working_folder(tmp_path, monkeypatch):
    for name in ("numpy.py", "tensorflow.py", "keras_retinanet.py"):
        (tmp_path / name).write_text("raise SystemExit('a file lying there was run')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setattr(np, "savez", savez_of_numpy_2_0)
    run_check(require_arrays, tmp_path, ANSWERS, "0/a", "0/b")


@pytest.mark.parametrize("level", ["", "2"])
def test_a_check_fails_under_optimisation_too(tmp_path, monkeypatch, level):
    monkeypatch.setenv("PYTHONOPTIMIZE", level)
    message = f"nothing is written: nothing in {tmp_path.name} is right$"
    with pytest.raises(SelfTestError, match=message):
        run_check(fail, tmp_path, ANSWERS)


def test_a_check_that_hangs_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(fresh_process, "TIMEOUT_SECONDS", 0.5)
    with pytest.raises(SelfTestError, match=r"it took longer than 0\.5 seconds"):
        run_check(wait, tmp_path, ANSWERS)
