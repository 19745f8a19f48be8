"""The flags of a command: how each kind is defined, and those that several commands have."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterable

from absl import flags

from keras_retinanet.config import ConfigError
from keras_retinanet.datasets.formats.registry import FORMATS, DataSource
from keras_retinanet.files import REMOTE_OUTPUT


class CommandFlags(flags.FlagValues):
    """The flags of one command, with those that every command has; words may stand between them."""

    def __init__(self) -> None:
        super().__init__()
        self.set_gnu_getopt(True)
        self.define_switch("debug", "Show the traceback of an error, and what TensorFlow logs.")
        flags.DEFINE_bool("help", False, "Show this help.", short_name="h", flag_values=self)

    def define_switch(self, name: str, text: str, default: bool = False) -> None:
        """A flag that is on or off."""
        flags.DEFINE_bool(name, default, text, flag_values=self)

    def define_text(self, name: str, text: str, default: str | None = None) -> None:
        """A flag that takes any word."""
        flags.DEFINE_string(name, default, text, flag_values=self)

    def define_number(
        self, name: str, text: str, default: int | None = None, **bounds: int
    ) -> None:
        """A flag that takes a whole number; `bounds` are absl's `lower_bound`, `upper_bound`."""
        flags.DEFINE_integer(name, default, text, flag_values=self, **bounds)

    def define_fraction(self, name: str, text: str, default: float | None = None) -> None:
        """A flag that takes a number from 0 to 1."""
        flags.DEFINE_float(name, default, text, 0.0, 1.0, flag_values=self)

    def define_choice(
        self, name: str, text: str, values: Iterable[str], default: str | None = None
    ) -> None:
        """A flag that takes one of some words."""
        flags.DEFINE_enum(name, default, list(values), text, flag_values=self)

    def define_output(self, name: str, text: str) -> None:
        """A flag that names a file or folder to write, on this machine."""
        self.define_text(name, text)
        flags.register_validator(
            name, lambda path: path is None or "://" not in path, REMOTE_OUTPUT, flag_values=self
        )

    def define_config(self) -> None:
        """The flag that names a recipe."""
        self.define_text("config", "Name of a recipe in configs/, or a YAML file.", "custom")

    def define_model(self) -> None:
        """The flag that names a model."""
        self.define_text("model", "Run folder (its best.keras, else last.keras) or .keras file.")

    def define_hosts(self, clients: str) -> None:
        """The flag that names hosts of a local server, which `clients` address."""
        text = (
            f"A name beside localhost and 127.0.0.1 under which {clients}, as behind a proxy; "
            "give it twice for two."
        )
        flags.DEFINE_multi_string("host", [], text, flag_values=self)

    def define_port(self, name: str, text: str, default: int) -> None:
        """The flag that says on which port a local server listens."""
        self.define_number(name, f"{text}; 0: any.", default, lower_bound=0, upper_bound=65535)

    def define_data(self, default: str = "") -> None:
        """The flags that name a data set; `default` says what is taken without them."""
        for name, text in (
            ("annotations", f"File, folder or pattern of the annotations.{default}"),
            ("images", "Folder of the images."),
            ("name", "Data set of TensorFlow Datasets, such as voc/2012."),
            ("split", "Part of a data set with several: of a folder, YOLO, TensorFlow Datasets."),
            ("classes", "File that lists the classes, for formats that do not."),
        ):
            self.define_text(name, text)
        text = "Format of the annotations; auto goes by what they look like."
        self.define_choice("format", text, ["auto", *FORMATS], "auto")

    def data_source(self) -> DataSource | None:
        """What the flags of `define_data` name; None if that is nothing."""
        fields = dataclasses.fields(DataSource)
        source = DataSource(**{field.name: self[field.name].value for field in fields})
        return None if source == DataSource() else source

    def define_beam(self) -> None:
        """The flags that let Apache Beam do the work."""
        self.define_text(
            "beam_runner",
            "Do the work on Apache Beam, with this runner: DirectRunner, FlinkRunner, "
            "DataflowRunner.",
        )
        self.define_text(
            "beam_options",
            "Further options of the pipeline in one word: '--flink_master=host:8081 "
            "--parallelism=8'.",
            "",
        )

    def beam_options(self) -> tuple[str, ...] | None:
        """The options of the pipeline that the flags of `define_beam` ask for; None for none."""
        runner, options = self["beam_runner"].value, self["beam_options"].value
        if runner is None and options:
            raise ConfigError("--beam_options goes with --beam_runner")
        return None if runner is None else (f"--runner={runner}", *shlex.split(options))

    def define_precision(self, default: str, text: str) -> None:
        """The flag that says in which precision a trained model computes."""
        text = f"Of the convolutions; auto is the fastest that the hardware has. {text}".rstrip()
        self.define_choice("precision", text, ["auto", "float32", "bfloat16"], default)

    def help_lines(self) -> str:
        """Every flag in a line, with its default."""
        lines = ["  --version: Show the version of this package; alone on the line."]
        for name in sorted(self):
            flag = self[name]
            if name == flag.name:
                default = "" if flag.default in (None, False) else f" (default: {flag.default})"
                lines.append(f"  --{name}: {flag.help}{default}")
        return "\n".join(lines)
