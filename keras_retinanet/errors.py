"""The error of data that cannot be used, the faults that it gathers, and words of messages."""

from __future__ import annotations

import contextlib
import contextvars
import dataclasses
import difflib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

# How many faults a message lists.
_MAX_LINES = 20

# Where faulty records are left out: what is said of them.
_left_out: contextvars.ContextVar[list[str] | None] = contextvars.ContextVar(
    "left_out", default=None
)


@contextlib.contextmanager
def faulty_records_left_out() -> Iterator[list[str]]:
    """While this lasts, a data set is read without its faulty records; yields a line for each.

    A message that is raised still lists all faults then.
    """
    lines: list[str] = []
    token = _left_out.set(lines)
    try:
        yield lines
    finally:
        _left_out.reset(token)


class DataError(ValueError):
    """The data cannot be used as it is.

    The message is for the person who has to correct it: file, record and remedy.
    """


def one_line(text: str) -> str:
    """Text with what cannot be printed spelled out: names in files may hold line breaks."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


@dataclasses.dataclass
class Faults:
    """What is wrong with the records of a file, gathered so that all can be corrected at once.

    Attributes:
        source: the file.
        count: how many faults there are.
        lines: what the first of them are, each naming its record and the remedy.
    """

    source: str
    count: int = 0
    lines: list[str] = dataclasses.field(default_factory=list)

    def add(self, line: str) -> None:
        """Adds one fault."""
        self.add_rows([0], lambda _: line)

    def add_rows(self, rows: Sequence[int] | np.ndarray, line: Callable[[int], str]) -> None:
        """Adds a fault for each of `rows` [k]; only those that are listed get their text made."""
        self.count += len(rows)
        if _left_out.get() is None:
            rows = rows[: _MAX_LINES - len(self.lines)]
        self.lines += [one_line(line(int(row))) for row in rows]

    def are_left_out(self) -> bool:
        """Whether the faulty records, if there are any, are to be left out, not to be raised."""
        if (left_out := _left_out.get()) is None:
            return False
        left_out += self.lines
        return bool(self.count)

    def raise_if_any(self) -> None:
        """Raises a DataError: of one line for one fault, else with a list below its first line."""
        if self.count == 1:
            raise DataError(f"{self.source}: {self.lines[0]}")
        if self.count:
            rest = self.count - len(self.lines)
            lines = [f"{self.source}: {self.count} faults", *self.lines]
            raise DataError("\n  ".join(lines + [f"and {rest} more"] * (rest > 0)))


def did_you_mean(word: str, known: Iterable[str], spell: Callable[[str], str] = repr) -> str:
    """ "; did you mean ...?", or nothing if no known word comes near.

    Args:
        word: what is not known.
        known: what there is.
        spell: writes the known word.
    """
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {spell(near[0])}?" if near else ""


def first_line(error: BaseException) -> str:
    """The first line of an error's text that holds something, else the name of its kind."""
    lines = str(error).strip().splitlines()
    return lines[0].strip() if lines else type(error).__name__


def show(value: Any) -> str:
    """A value of a file in the words of messages: as JSON, cut to 80 characters."""
    try:
        text = json.dumps(value, default=str)
    except (TypeError, ValueError, RecursionError):  # what YAML has and JSON has not
        text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
