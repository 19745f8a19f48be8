"""`--config small` against torchvision's R18-FPN-64, from scratch, for the same wall-clock time.

    python benchmarks/small.py --peer_python PEER/bin/python --kind drawn --minutes 10 --output OUT

Makes the data set, then trains one after the other on the same cores and prints both AP.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer_python", required=True)
    parser.add_argument("--kind", choices=["drawn", "photo"], required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("settings", nargs="*", help="further settings of ours, key=value")
    args = parser.parse_args()
    data = args.output / f"data_{args.kind}"
    peers = HERE / "peers"
    if not data.exists():
        make = [args.peer_python, peers / "make_data.py", "--kind", args.kind, "--output", data]
        subprocess.run(make, check=True)
    train, val = data / "train", data / "val"
    peer_out, our_out = args.output / f"{args.kind}_torchvision", args.output / f"{args.kind}_ours"
    parts = [
        *("--train_annotations", f"{train}.json", "--train_images", train),
        *("--val_annotations", f"{val}.json", "--val_images", val),
    ]
    peer = [args.peer_python, peers / "torchvision_train.py", *parts]
    subprocess.run([*peer, "--minutes", str(args.minutes), "--output", peer_out], check=True)
    settings = [
        f"data.train.annotations={train}.json",
        f"data.train.images={train}",
        f"data.val.annotations={val}.json",
        f"data.val.images={val}",
        f"train.minutes={args.minutes}",
        *args.settings,
    ]
    script = HERE.parent / "bin" / "retinanet-train"
    ours = [sys.executable, script, "--config", "small", "--output_dir", our_out, *settings]
    subprocess.run(ours, check=True)
    script = HERE.parent / "bin" / "retinanet-evaluate"
    subprocess.run([sys.executable, script, "--model", our_out / "last.keras"], check=True)
    for name, folder in (("torchvision", peer_out), ("keras_retinanet", our_out)):
        metrics = json.loads((folder / "metrics.json").read_text())
        print(f"| {name} | AP {metrics['AP']:.3f} | AP50 {metrics['AP50']:.3f} |")


if __name__ == "__main__":
    main()
