"""retinanet-demo: a page on which to try models on photographs."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from absl import flags

from keras_retinanet.commands import common
from keras_retinanet.config import ConfigError

if TYPE_CHECKING:
    from keras_retinanet.serving.predictors import Predictor

USAGE = """Opens a page on this machine alone: drop a photograph on it, see what a model finds, move
the score threshold, compare models side by side.

  retinanet-demo --model run
  retinanet-demo --model served/detector/1 --model served/detector/2
  retinanet-demo --model m.keras --model http://localhost:8501/v1/models/detector

The package nicegui is needed: pip install 'retinanet-keras[demo]'."""

FLAGS = common.CommandFlags()
flags.DEFINE_multi_string(
    "model",
    None,
    "Run folder, .keras file, BASE or BASE/N of retinanet-export, or URL of a model on a server; "
    "give it twice to compare two.",
    flag_values=FLAGS,
)
FLAGS.define_text("labels", "For models on a server: the assets/labels.txt of the export.")
FLAGS.define_hosts("browsers may open the page")
FLAGS.define_port("port", "Of the page", 8080)


def _main(words: list[str]) -> int:
    common.refuse(words)
    common.check_package("nicegui", "the page", "demo")
    from keras_retinanet.serving import local_server
    from keras_retinanet.serving.page import page_app

    if FLAGS.labels and not any(map(_is_url, FLAGS.model)):
        raise ConfigError("--labels goes with the URL of a model; others know their categories")
    local_server.check_hosts(FLAGS.host)
    with local_server.listen(FLAGS.port, "port") as listening:
        models = [(word, _load(word)) for word in FLAGS.model]
        host, port = listening.getsockname()
        common.answer_requests(
            page_app(models, FLAGS.host), listening, f"page: http://{host}:{port}"
        )
    return 0


def _load(word: str) -> Predictor:
    """The predictor that one --model names."""
    from keras_retinanet.serving.predictors import PredictorSource

    if _is_url(word):
        return PredictorSource(server=word, labels=FLAGS.labels).load()
    return common.load_predictor(PredictorSource(model=word))


def _is_url(word: str) -> bool:
    return "://" in word


run = functools.partial(common.run, _main, FLAGS, USAGE, required=("model",))
