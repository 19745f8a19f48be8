"""Training step against torchvision's, both alternated in one run.

    python benchmarks/train_step.py --peer_python PEER/bin/python [--arch r18] [--rounds 8]

PEER is an environment with benchmarks/peers/requirements.txt installed. Prints the median of each
worker and its ratio to torchvision's float32 step.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


class Worker:
    """A process that runs training steps when told to, and nothing in between."""

    def __init__(self, name: str, *command: str) -> None:
        self.name = name
        self.seconds: list[float] = []
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE.parent
        )
        self._read()

    def _read(self) -> dict:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"the worker {self.name} ended")

    def turn(self, steps: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"go {steps}\n")
        self._process.stdin.flush()
        self.seconds += self._read()["seconds"]

    def end(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer_python", required=True)
    parser.add_argument("--arch", choices=["r50", "r18"], default="r50")
    parser.add_argument("--norm", choices=["trainable", "frozen"], default="trainable")
    parser.add_argument("--rounds", type=int, default=6)
    args = parser.parse_args()
    work = ["--arch", args.arch, "--norm", args.norm]
    ours = [sys.executable, str(HERE / "step_worker.py"), *work]
    peer = [args.peer_python, str(HERE / "peers" / "torchvision_step.py"), *work]
    workers = [
        Worker("torchvision float32 channels_last", *peer),
        Worker("keras_retinanet float32", *ours),
        Worker("torchvision bfloat16 channels_last", *peer, "--precision", "bfloat16"),
        Worker("keras_retinanet mixed_bfloat16", *ours, "--precision", "bfloat16"),
    ]
    for _ in range(args.rounds):
        for worker in workers:
            worker.turn(2)
    reference = statistics.median(workers[0].seconds)
    print(f"{args.arch}, {args.norm} norm, {args.rounds} rounds of 2 steps, medians")
    for worker in workers:
        median = statistics.median(worker.seconds)
        print(f"| {worker.name} | {median:.3f} s | {median / reference:.2f} |")
        worker.end()


if __name__ == "__main__":
    main()
