"""Processes that take turns: each does its work when told to, and nothing in between."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import subprocess
import venv
from collections.abc import Mapping, Sequence


class Contestant:
    """A process that answers each line on its input with one of JSON, and says one at its start.

    Args:
        name: what the table calls it.
        command: starts it.
        env: of the process; None for that of this one.
        is_stopped: whether it is stopped between its turns, with all processes of its own, since it
            would go on to fill its queues while another has its turn.

    Attributes:
        name: as given.
        started: what it said at its start.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        is_stopped: bool = False,
    ) -> None:
        self.name, self._is_stopped = name, is_stopped
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
            start_new_session=True,  # so that what it starts is stopped and ended with it
        )
        self.started = self.answer()
        self._signal_if_stopped(signal.SIGSTOP)

    def ask(self, line: str) -> dict:
        """Its answer to a line.

        Raises:
            RuntimeError: if it ends without one.
        """
        assert self._process.stdin is not None
        self._signal_if_stopped(signal.SIGCONT)
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        answer = self.answer()
        self._signal_if_stopped(signal.SIGSTOP)
        return answer

    def answer(self) -> dict:
        """The next line of JSON that it says, whatever else it prints before."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"{self.name} ended without an answer")

    def end(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _signal_if_stopped(self, number: signal.Signals) -> None:
        if self._is_stopped:
            os.killpg(self._process.pid, number)


def peers_python(folder: pathlib.Path, requirements: pathlib.Path) -> str:
    """The interpreter of the environment of the peers, which is made if it is not there."""
    python = str(folder / "bin" / "python")
    if not folder.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", requirements], check=True)
    return python
