"""Focal loss against plain cross entropy on `shapes`, everything else and the steps equal.

python benchmarks/focal_vs_cross_entropy.py --steps 800 --output OUT
"""

from __future__ import annotations

import argparse
import pathlib

from keras_retinanet.config import load_config
from keras_retinanet.training.train import train

LOSSES = {
    "focal (alpha 0.25, gamma 2)": [],
    "cross entropy": ["train.focal_alpha=null", "train.focal_gamma=0"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    args = parser.parse_args()
    rows = []
    for name, settings in LOSSES.items():
        config = load_config("shapes", [f"train.steps={args.steps}", *settings])
        metrics = train(config, str(args.output / name.split(" ")[0]))
        rows.append(f"| {name} | {metrics.AP:.3f} | {metrics.AP50:.3f} |")
    print(f"{args.steps} steps of 8 images\n| loss | AP | AP50 |\n|---|---|---|", *rows, sep="\n")


if __name__ == "__main__":
    main()
