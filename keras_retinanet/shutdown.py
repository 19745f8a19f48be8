"""Shutdown of a process whose tf.data pipelines call Python: it waits for these calls.

A pipeline that is still at work when Python shuts down waits for its calls, and they for an
interpreter that is gone: the process would never end.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_QUIET_SECONDS = 0.1  # without a call, after which no more are on their way
_LONGEST_SECONDS = 5.0

_lock = threading.Lock()
_running = 0
_last_end = 0.0
_is_ending = False


def called_by_pipeline(function: Callable[P, R]) -> Callable[P, R]:
    """`function`, for whose calls the end of the process waits."""

    @functools.wraps(function)
    def counted(*args: P.args, **kwargs: P.kwargs) -> R:
        global _running, _last_end
        with _lock:
            _running += 1
        try:
            return function(*args, **kwargs)
        finally:
            with _lock:
                _running -= 1
                _last_end = time.monotonic()

    return counted


def until_the_end(values: Iterator[R]) -> Iterator[R]:
    """`values`, until the process ends."""
    step = called_by_pipeline(values.__next__)
    with contextlib.suppress(StopIteration):
        while not _is_ending:
            yield step()


@atexit.register
def _wait() -> None:
    global _is_ending
    _is_ending = True
    start = time.monotonic()
    while time.monotonic() - start < _LONGEST_SECONDS:
        if not _running and time.monotonic() - _last_end > _QUIET_SECONDS:
            return
        time.sleep(_QUIET_SECONDS / 10)
