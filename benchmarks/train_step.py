"""Training step against torchvision's, both alternated in one run.

    python benchmarks/train_step.py --peer_python PEER/bin/python [--arch r18] [--rounds 8]

PEER is an environment with benchmarks/peers/requirements.txt installed. Prints the median of each
worker and its ratio to torchvision's float32 step.
"""

from __future__ import annotations

import argparse
import pathlib
import statistics
import sys

from contestant import Contestant

HERE = pathlib.Path(__file__).resolve().parent


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
        Contestant("torchvision float32 channels_last", peer),
        Contestant("keras_retinanet float32", ours),
        Contestant("torchvision bfloat16 channels_last", [*peer, "--precision", "bfloat16"]),
        Contestant("keras_retinanet mixed_bfloat16", [*ours, "--precision", "bfloat16"]),
    ]
    seconds: list[list[float]] = [[] for _ in workers]
    for _ in range(args.rounds):
        for worker, its in zip(workers, seconds, strict=True):
            its += worker.ask("go 2")["seconds"]
    reference = statistics.median(seconds[0])
    print(f"{args.arch}, {args.norm} norm, {args.rounds} rounds of 2 steps, medians")
    for worker, its in zip(workers, seconds, strict=True):
        median = statistics.median(its)
        print(f"| {worker.name} | {median:.3f} s | {median / reference:.2f} |")
        worker.end()


if __name__ == "__main__":
    main()
