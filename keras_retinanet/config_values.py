"""The value of a setting: read from its text in a recipe or on the command line, and checked."""

from __future__ import annotations

import dataclasses
import pathlib
import re
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import yaml

from keras_retinanet.errors import did_you_mean
from keras_retinanet.yaml_text import load_yaml


class ConfigError(ValueError):
    """A setting that does not exist, has no such value, or contradicts another one."""


# What unsets a setting that may be unset, in capitals or not.
_UNSET = ("null", "none", "~", "")

_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def one_of(default: str | None, *others: str) -> Any:
    """A field of a dataclass that takes its default or one of some other words."""
    return dataclasses.field(default=default, metadata={"choices": (default, *others)})


def within(interval: str, default: float | list | None) -> Any:
    """A field of a dataclass whose number, or each of its list, lies in a span such as "[0, 1)"."""
    limits = {"interval": interval}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=limits)
    return dataclasses.field(default=default, metadata=limits)


def setting_fields(group: Any) -> list[dataclasses.Field]:
    """The fields of a dataclass that are settings: all that are compared."""
    return [field for field in dataclasses.fields(group) if field.compare]


def setting_types(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted key and the type of each setting."""
    hints = typing.get_type_hints(group)
    for field in setting_fields(group):
        key, kind = prefix + field.name, hints[field.name]
        if dataclasses.is_dataclass(kind):
            yield from setting_types(kind, f"{key}.")
        else:
            yield key, kind


def check_fields(group: Any, prefix: str = "") -> None:
    """Checks all values of a dataclass, and of those in it, against the limits of their fields.

    Args:
        group: the dataclass.
        prefix: what the names of its fields begin with in messages.

    Raises:
        ConfigError: saying what a setting takes.
    """
    for field in setting_fields(group):
        key, value = prefix + field.name, getattr(group, field.name)
        if dataclasses.is_dataclass(value):
            check_fields(value, f"{key}.")
            continue
        choices, interval = (field.metadata.get(name) for name in ("choices", "interval"))
        if choices is not None and value not in choices:
            hint = did_you_mean(str(value), map(str, choices))
            names = ", ".join("null" if c is None else str(c) for c in choices)
            raise ConfigError(f"{key} is {value!r}{hint}; it must be one of {names}")
        if interval is not None and value is not None and not _lies_in(interval, value):
            raise ConfigError(f"{key} is {value}; it must lie in {interval}")


def _lies_in(interval: str, value: float | Sequence[float]) -> bool:
    """Whether a number, or each of several, lies in a span such as "[0, 1)"; NaN lies in none."""
    low, high = map(float, interval[1:-1].split(","))
    return all(
        (low < number or (low == number and interval.startswith("[")))
        and (number < high or (number == high and interval.endswith("]")))
        for number in (value if isinstance(value, Sequence) else [value])
    )


def parse_value(value: Any, kind: Any) -> Any:
    """A value as the type of its setting asks.

    YAML's own types would make 416 of 0640, 90 of 1:30, a text of 1e-4 and False of a folder called
    "no"; and None of "null", but not of "none" or "None". Here the setting decides.

    Args:
        value: text, or a list of texts: what `yaml.BaseLoader` gives.
        kind: str, bool, int, float, a list of one of these, or one of these or None.

    Raises:
        ValueError: saying what the setting takes.
    """
    end = ""
    if isinstance(kind, types.UnionType):
        if isinstance(value, str) and value.lower() in _UNSET:
            return None
        kind, end = typing.get_args(kind)[0], " or null"
    try:
        if typing.get_origin(kind) is not None:
            return _parse_list(value, typing.get_args(kind)[0])
        return _parse_text(value, kind)
    except (ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise ValueError(f"it takes {_describe(kind)}{end}") from error


def read_settings(file: pathlib.Path) -> Iterator[tuple[str, Any]]:
    """The dotted keys of a YAML file of settings and their values, texts and lists of texts.

    Raises:
        ConfigError: in one line, if it is no such file.
    """
    try:
        groups = load_yaml(file.read_text(encoding="utf-8"), as_text=True) or {}
    except (ValueError, yaml.YAMLError) as error:  # of the text's encoding, too
        text = " ".join(str(error).split())
        raise ConfigError(f"{file}: not a YAML file of settings ({text})") from error
    if not isinstance(groups, Mapping):
        raise ConfigError(f"{file}: not a YAML file of settings (it holds no key: value)")
    return _flatten(groups)


def _flatten(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _parse_list(value: Any, kind: type) -> list[Any]:
    members = load_yaml(value, as_text=True) if isinstance(value, str) else value
    if not isinstance(members, list):
        raise TypeError("not a list")
    return [_parse_text(member, kind) for member in members]


def _parse_text(text: Any, kind: type) -> Any:
    if not isinstance(text, str):
        raise TypeError("not a text")
    return _PARSERS[kind](text)


def _parse_float(text: str) -> float:
    return float(re.sub(r"^([+-]?)\.(nan|inf)$", r"\1\2", text, flags=re.IGNORECASE))  # as in YAML


_PARSERS: dict[type, Callable[[str], Any]] = {
    str: str,
    bool: lambda text: _WORDS[text.lower()],
    int: int,
    float: _parse_float,
}


def _describe(kind: Any) -> str:
    if typing.get_origin(kind) is not None:
        return "numbers in brackets, such as [1, 2]"
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[kind]
