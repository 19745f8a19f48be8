"""retinanet-serve: how to serve an exported model, and a local server for trying it."""

from __future__ import annotations

import functools
import pathlib
import urllib.parse
from typing import TYPE_CHECKING, Any

from keras_retinanet.commands import common
from keras_retinanet.config import ConfigError

if TYPE_CHECKING:
    from keras_retinanet.serving.model_server import ServedModel

USAGE = """Prints the command that serves an exported model with TensorFlow Serving, writes the
files that it reads beside the versions, and starts a small server for trying things on this
machine. That one is NOT FOR PRODUCTION: it has no batching, no authentication, and answers on
127.0.0.1 only. It needs the extra [serving].

  retinanet-serve --model served/detector
  curl -d "{\\"signature_name\\": \\"serving_bytes\\", \\"instances\\":
    [{\\"b64\\": \\"$(base64 -w0 photo.jpg)\\"}]}" localhost:8501/v1/models/detector:predict
  retinanet-predict --server http://localhost:8501/v1/models/detector --output_dir seen photo.jpg"""

# What the docker line cannot say by itself.
_ADVICE = """\
The image's tag is the version of TensorFlow that wrote the export; that server was not run here.
If there is no such tag, take the nearest one of the same 2.x. TensorFlow Serving has no
authentication: leave it on 127.0.0.1, or put a proxy before it that asks for credentials."""

FLAGS = common.CommandFlags()
FLAGS.define_text("model", "BASE of retinanet-export (its highest version), or BASE/N.")
FLAGS.define_switch("start", "Start the local server.", default=True)
FLAGS.define_port("rest_port", "Its REST port", 8501)
FLAGS.define_port("grpc_port", "Its gRPC port", 8500)
FLAGS.define_hosts("REST clients may address it")
FLAGS.define_switch("grpc", "Answer gRPC too.", default=True)


def _main(words: list[str]) -> int:
    common.refuse(words)
    from keras_retinanet.serving.model_server import find_version

    folder = find_version(FLAGS.model)
    _show_production(folder)
    if FLAGS.start:
        for package in ("starlette", "uvicorn"):
            common.check_package(package, "the local server's REST", "serving")
        if FLAGS.grpc:
            remedy = ", or --nogrpc for REST alone"
            use = "the local server's gRPC"
            common.check_package("tensorflow_serving", use, "serving", remedy)
        _serve(folder)
    return 0


def _show_production(folder: pathlib.Path) -> None:
    from keras_retinanet.serving.tf_serving_config import (
        batching_flags,
        docker_line,
        write_serving_files,
    )

    try:
        written = write_serving_files(folder.parent)
    except OSError as error:  # a mount that cannot be written to
        if not FLAGS.start:
            raise
        print(f"no files for TensorFlow Serving: {error}; copy the export to write them beside it")
        return
    for file in written:
        print(f"wrote {file}")
    print(f"TensorFlow Serving, for production:\n  {docker_line(folder)}\n{_ADVICE}")
    print(f"where all clients send pixels of one size, add:\n  {batching_flags(folder.parent)}")


def _serve(folder: pathlib.Path) -> None:
    from keras_retinanet.serving import local_server
    from keras_retinanet.serving.model_server import ServedModel
    from keras_retinanet.serving.rest import rest_app

    local_server.check_hosts(FLAGS.host)
    with local_server.listen(FLAGS.rest_port, "rest_port") as listening:
        model = ServedModel(folder)
        grpc = _grpc_server(model) if FLAGS.grpc else None
        path = urllib.parse.quote(f"/v1/models/{model.name}")
        url = f"http://localhost:{listening.getsockname()[1]}{path}"
        lines = [f"local server of version {model.version}, NOT FOR PRODUCTION:", f"  REST: {url}"]
        if grpc is not None:
            lines.append(f"  gRPC: localhost:{grpc.port}, model {model.name}")
        common.answer_requests(rest_app(model, FLAGS.host), listening, "\n".join(lines))


def _grpc_server(model: ServedModel) -> Any:
    from keras_retinanet.serving.grpc import GrpcServer

    try:
        return GrpcServer(model, FLAGS.grpc_port)
    except RuntimeError as error:
        raise ConfigError(f"--grpc_port={FLAGS.grpc_port} is taken; 0 takes any") from error


run = functools.partial(common.run, _main, FLAGS, USAGE, required=("model",))
