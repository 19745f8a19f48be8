"""retinanet-serve where it cannot begin; tests/serving/test_servers.py has the rest."""

import errno
import importlib.util
import os
import pathlib
import socket

import pytest
from tensorflow.core.protobuf import saved_model_pb2

from keras_retinanet.commands import serve
from keras_retinanet.serving import tf_serving_config
from tests.commands.here import error_here, run_here


@pytest.fixture
def export(tmp_path):
    """What looks like an export until it is loaded."""
    version = tmp_path / "my detector" / "1"
    version.mkdir(parents=True)
    saved = saved_model_pb2.SavedModel()
    saved.meta_graphs.add().meta_info_def.tensorflow_version = "2.21.0"
    (version / "saved_model.pb").write_bytes(saved.SerializeToString())
    return version.parent


@pytest.mark.parametrize("content", [b"no model", b""])
def test_a_damaged_export_is_one_line(export, content):
    (export / "1" / "saved_model.pb").write_bytes(content)
    line = error_here("serve", "--model", export, "--nostart", cwd=export)
    assert "saved_model.pb is no SavedModel, or damaged" in line


@pytest.mark.parametrize("flag", ["--rest_port", "--grpc_port"])
def test_a_port_that_is_none_is_named(export, flag):
    assert flag.removeprefix("--") in error_here(
        "serve", "--model", export, flag, 70000, cwd=export, code=2
    )


def test_a_port_that_is_taken_is_named_before_the_model_is_loaded(export):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = error_here("serve", "--model", export, "--rest_port", port, cwd=export)
    assert line == f"error: --rest_port={port}: Address already in use; 0 takes any\n"


def test_a_host_that_is_none_is_named(export):
    line = error_here("serve", "--model", export, "--host", "http://x", cwd=export)
    assert line.startswith("error: --host=http://x: not the name of a host")


@pytest.mark.parametrize(
    ("package", "flags", "message"),
    [
        (
            "starlette",
            (),
            "REST needs the package starlette: pip install 'retinanet-keras[serving]'",
        ),
        ("uvicorn", ("--nogrpc",), "REST needs the package uvicorn: pip install"),
        (
            "tensorflow_serving",
            (),
            "gRPC needs the package tensorflow_serving: pip install",
        ),
    ],
)
def test_a_missing_package_is_one_line(export, monkeypatch, package, flags, message):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == package else find(name)
    )
    line = error_here("serve", "--model", export, "--rest_port", 0, *flags, cwd=export)
    assert message in line
    # The files of TensorFlow Serving need none of them.
    run_here("serve", "--model", export, "--nostart", cwd=export)


def test_an_export_that_cannot_be_written_to_is_served_all_the_same(export, monkeypatch):
    def fail(path):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    monkeypatch.setattr(tf_serving_config, "write_atomically", fail)
    served = []
    monkeypatch.setattr(serve, "_serve", served.append)
    out, _ = run_here("serve", "--model", export, cwd=export)
    assert served == [export / "1"]
    assert out.startswith("no files for TensorFlow Serving: [Errno 30] Read-only file system: ")
    assert out.endswith("; copy the export to write them beside it\n")
    line = error_here("serve", "--model", export, "--nostart", cwd=export)
    assert "Read-only file system" in line
    assert pathlib.Path(export / "1").is_dir()
