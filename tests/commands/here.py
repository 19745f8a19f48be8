"""Commands without a process of their own, which takes seconds to start."""

import contextlib
import importlib
import io
import sys
from unittest import mock

import pytest

import keras_retinanet as kr


def run_here(command, *arguments, cwd, code=0):
    """Runs a command in this process, in the folder `cwd`: (standard output, standard error)."""
    module = importlib.import_module(f"keras_retinanet.commands.{command}")
    for name in module.FLAGS:
        module.FLAGS[name].unparse()  # flags keep their values from call to call
    argv = [f"retinanet-{command}", *map(str, arguments)]
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(cwd),
        mock.patch.object(sys, "argv", argv),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        module.run()
    assert ended.value.code == code, err.getvalue() + out.getvalue()
    return out.getvalue(), err.getvalue()


def error_here(command, *arguments, cwd, code=1):
    """The one line that the command fails with."""
    _, err = run_here(command, *arguments, cwd=cwd, code=code)
    assert err.startswith("error: ") and err.count("\n") == 1, err
    return err


def save_model(file, **settings):
    """Saves a small untrained model of red (3) and blue (17) objects, and returns it."""
    model = kr.RetinaNet(
        2,
        categories=[(3, "red"), (17, "blue")],
        backbone="resnet10_w32",
        pyramid_channels=16,
        head_depth=1,
        min_side=64,
        max_side=96,
        **settings,
    )
    model.save(file)
    return model
