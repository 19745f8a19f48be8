"""Ctrl-C while a model trains: heeded between steps, where all that is saved fits together."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import Any

_NOTICE = b"\ninterrupted; ending after this step or scoring (Ctrl-C again ends at once)\n"


class Interruption:
    """A context, entered in the main thread, in which Ctrl-C asks instead of raising.

    Python would raise KeyboardInterrupt anywhere: between the update of the weights and the count
    of steps, or below code that catches all exceptions, and then it is lost and training goes on.
    The second Ctrl-C does as always. A process that ignores it, as jobs in the background of a
    script do, goes on to.
    """

    def __init__(self) -> None:
        self._requested = False
        self._handler_before: Any = None

    def __enter__(self) -> Interruption:
        self._handler_before = signal.getsignal(signal.SIGINT)
        if self._handler_before != signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._request)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._handler_before)

    def check(self) -> None:
        """Raises KeyboardInterrupt if Ctrl-C was pressed."""
        if self._requested:
            raise KeyboardInterrupt

    def _request(self, number: int, frame: FrameType | None) -> None:
        self._requested = True
        signal.signal(signal.SIGINT, self._handler_before)
        os.write(2, _NOTICE)  # standard error; `print` may be what was interrupted
