"""What all commands share: what their words mean, how they start, and how they fail."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import pathlib
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from absl import flags

from keras_retinanet import __version__
from keras_retinanet.commands.command_flags import CommandFlags
from keras_retinanet.config import ConfigError
from keras_retinanet.datasets.discovery.discover import Layout, discover
from keras_retinanet.quiet import keep_tensorflow_quiet

if TYPE_CHECKING:
    from keras_retinanet.models.retinanet import RetinaNet
    from keras_retinanet.serving.predictors import Predictor, PredictorSource

Main = Callable[[list[str]], int]

# What is wrong with a word that is no flag.
_NOT_UNDERSTOOD = "is not understood; --help shows the usage"
_NO_SETTING = "is not a setting; write key=value, or name the folder or .zip of a data set"

# Errors that say what the user can do about them.
_EXPECTED = (ValueError, OSError, RuntimeError, ImportError)


def resolve_policy(precision: str) -> str:
    """The precision policy of Keras that a value of --precision stands for on this machine."""
    from keras_retinanet.training.build import resolve_precision

    return resolve_precision({"bfloat16": "mixed_bfloat16"}.get(precision, precision))


def split_words(words: Sequence[str], fault: str) -> tuple[str | None, list[str]]:
    """The folder or .zip among the words of a command line, and those that are settings.

    Raises:
        ConfigError: for a second one, and a word that is neither, of which it says `fault`.
    """
    folders = [word for word in words if "=" not in word or "/" in word.partition("=")[0]]
    for word in folders:
        if not os.path.exists(word):
            raise ConfigError(f"{word!r} {fault}")
    if len(folders) > 1:
        raise ConfigError(
            f"{folders[0]} and {folders[1]} are two folders; name one, which holds all parts"
        )
    return (folders[0] if folders else None), [word for word in words if word not in folders]


def refuse(words: Sequence[str]) -> None:
    """Raises ConfigError for words that are no flags, of a command that takes none."""
    if words:
        raise ConfigError(f"{words[0]!r} {_NOT_UNDERSTOOD}")


def settings_of(words: Sequence[str]) -> list[str]:
    """The words of a command line as settings: a folder is data.root."""
    folder, settings = split_words(words, _NO_SETTING)
    return settings if folder is None else [f"data.root={folder}", *settings]


def open_folder(values: CommandFlags, words: Sequence[str]) -> Layout | None:
    """What lies in the folder that a command line names, said in one line; None if it names none.

    Raises:
        ConfigError: for settings, which such a command does not take, and for a folder together
            with flags that name the same.
        DataError: as `datasets.discovery.discover.discover`.
    """
    folder, settings = split_words(words, _NOT_UNDERSTOOD)
    refuse(settings)
    if folder is None:
        return None
    for name in ("annotations", "images", "name"):
        if values[name].value is not None:
            raise ConfigError(
                f"{folder} names all of the data, and --{name} is given too; leave one out"
            )
    layout = discover(folder, values["format"].value)
    print(layout.line)
    return layout


def load_model_here(path: str | os.PathLike, precision: str | None = None) -> RetinaNet:
    """The model that --model names, see `models.saving.load_model`; says what it runs on.

    `precision` is a value of --precision; None leaves that of the file.
    """
    from keras_retinanet.models.precision import with_policy
    from keras_retinanet.models.saving import load_model

    model = load_model(path)
    if precision is not None:
        model = with_policy(model, resolve_policy(precision))
    print_devices(model)
    return model


def load_predictor(source: PredictorSource) -> Predictor:
    """The predictor that a command line names; of a model in this process, says what it runs on."""
    from keras_retinanet.models.retinanet import RetinaNet

    predictor = source.load()
    if isinstance(predictor, RetinaNet):
        print_devices(predictor)
    return predictor


def print_devices(model: RetinaNet) -> None:
    """Says what a model runs on."""
    from keras_retinanet.training.build import device_names

    print(f"devices: {', '.join(device_names())}; precision {model.precision}")


def answer_requests(app: Any, listening: socket.socket, text: str) -> None:
    """Says where an ASGI `app` answers, and lets it until it is interrupted: the way to end it."""
    from keras_retinanet.serving.local_server import run_server

    print(f"{text}\nCtrl-C ends it", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        run_server(app, listening)
    print("ended")


def check_package(package: str, use: str, extra: str, remedy: str = "") -> None:
    """ConfigError if a package is missing that `use` needs, and our `extra` would bring."""
    if importlib.util.find_spec(package) is None:
        raise ConfigError(
            f"{use} needs the package {package}: pip install 'retinanet-keras[{extra}]'{remedy}"
        )


def run(main: Main, values: CommandFlags, usage: str, required: tuple[str, ...]) -> None:
    """Parses the command line, runs `main` on the words that are no flags, and ends the process.

    An error that the user can fix is one clear line on standard error (a data set with many
    faults: one line each) and exit code 1; a wrong flag 2; Ctrl-C 130.
    """
    if sys.argv[1:] == ["--version"]:
        print(f"{pathlib.Path(sys.argv[0]).name} {__version__}")
        sys.exit(0)
    try:
        words = values(sys.argv)[1:]
    except flags.Error as error:
        sys.exit(_fail(str(error), 2))
    if values["help"].value:
        print(f"{usage}\n\nFlags:\n{values.help_lines()}")
        sys.exit(0)
    for name in required:
        if values[name].value is None:
            sys.exit(_fail(f"--{name} is missing; --help shows the usage", 2))
    if not values["debug"].value:
        keep_tensorflow_quiet()
    # From here on, what the library logs of its own is part of a command's output.
    log = logging.getLogger("keras_retinanet")
    log.setLevel(logging.INFO)
    log.handlers = [logging.StreamHandler(sys.stdout)]  # the messages alone
    sys.exit(_guarded(main, words, show_traceback=values["debug"].value))


def _guarded(main: Main, words: list[str], *, show_traceback: bool) -> int:
    try:
        return main(words)
    except KeyboardInterrupt:
        return _fail("interrupted", 130)
    except Exception as error:
        is_of_tensorflow = _is_of_tensorflow(error)
        if not isinstance(error, _EXPECTED) and not is_of_tensorflow:
            raise
        if show_traceback:
            traceback.print_exc()
        # TensorFlow's messages go on about its graph for many lines.
        return _fail(" ".join(str(error).split()) if is_of_tensorflow else str(error), 1)


def _is_of_tensorflow(error: Exception) -> bool:
    if "tensorflow" not in sys.modules:
        return False
    import tensorflow as tf

    return isinstance(error, tf.errors.OpError)


def _fail(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code
