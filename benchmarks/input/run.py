"""Pictures per second of whole training pipelines, all contestants alternated in one run.

    python benchmarks/input/run.py [--peers DIR] [--rounds 3] [--seconds 6]

JPEG files of 640 x 480 become batches of 16 at 800 pixels, flipped, scaled by 0.8 to 1.25 and
cropped, with their boxes. Makes the pictures, and the environment DIR of the peers if there is
none. Prints the median of each contestant's rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import venv

HERE = pathlib.Path(__file__).resolve().parent
REQUIREMENTS = HERE.parent / "peers" / "requirements.txt"


class Contestant:
    """A process that makes batches when told to; between its turns it is stopped.

    Else it would go on to fill its queues while another has its turn.
    """

    def __init__(self, name: str, python: str, script: str, *arguments: str) -> None:
        self.name = name
        self.rates: list[float] = []
        self._process = subprocess.Popen(
            [python, str(HERE / script), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # so that its own workers are stopped with it
        )
        self._read()
        os.killpg(self._process.pid, signal.SIGSTOP)

    def _read(self) -> dict:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"{self.name} ended")

    def turn(self, seconds: float) -> None:
        assert self._process.stdin is not None
        os.killpg(self._process.pid, signal.SIGCONT)
        self._process.stdin.write(f"go {seconds}\n")
        self._process.stdin.flush()
        answer = self._read()
        os.killpg(self._process.pid, signal.SIGSTOP)
        self.rates.append(answer["pictures"] / answer["seconds"])

    def end(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)


def peers_python(folder: pathlib.Path) -> str:
    """The interpreter of the peers' environment, which is made if it is not there."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", REQUIREMENTS], check=True)
    return str(python)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", type=pathlib.Path, default=pathlib.Path("peers"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0)
    args = parser.parse_args()
    peers = peers_python(args.peers)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, HERE / "pictures.py", folder], check=True)
        contestants = [
            Contestant("keras_retinanet", sys.executable, "ours.py", folder),
            Contestant("torchvision transforms.v2", peers, "torchvision_loader.py", folder),
            Contestant("KerasHub", peers, "keras_hub_loader.py", folder),
            Contestant("fizyr's recipe", sys.executable, "fizyr_recipe.py", folder),
            Contestant("bare: OpenCV", sys.executable, "bare.py", folder, "opencv"),
            Contestant("bare: TensorFlow", sys.executable, "bare.py", folder, "tensorflow"),
        ]
        try:
            for _ in range(args.rounds):
                for contestant in contestants:
                    contestant.turn(args.seconds)
        finally:
            for contestant in contestants:
                contestant.end()
    ours = statistics.median(contestants[0].rates)
    for contestant in contestants:
        rate = statistics.median(contestant.rates)
        print(f"| {contestant.name} | {rate:.0f} | {ours / rate:.2f} |")


if __name__ == "__main__":
    main()
