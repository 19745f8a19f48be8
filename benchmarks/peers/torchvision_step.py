"""Times the training step of torchvision's RetinaNet, as a worker that a driver starts and feeds.

When it is ready it prints {"ready": ...} as a line of JSON. Every line "go N" on its standard
input then runs N steps (forward pass, loss, backward pass, optimizer) and prints
{"seconds": [N numbers], "loss": the last total loss}; "quit", or the end of the input, ends it.
A driver can so alternate it with another framework's worker in one run: it computes nothing
between its turns.
"""

from __future__ import annotations

import argparse
import json
import sys
import time

import torch
import torchvision
from torch import Tensor
from torchvision_model import autocast, build_model

NUM_CLASSES = 81  # COCO's 80 and the background
NUM_BOXES = 8
WORK = {"r18": (256, 8), "r50": (512, 2)}  # side of the square images in pixels, batch size
Target = dict[str, Tensor]


def random_batch(side: int, batch_size: int) -> tuple[list[Tensor], list[Target]]:
    """Noise and boxes: float32 images [3, side, side] in [0, 1), and their targets."""
    images = [torch.rand(3, side, side) for _ in range(batch_size)]
    targets = []
    for _ in range(batch_size):
        corners = torch.rand(NUM_BOXES, 2) * side * 0.7
        extent = torch.rand(NUM_BOXES, 2) * side * 0.25 + 0.03 * side
        labels = torch.randint(1, NUM_CLASSES, (NUM_BOXES,))
        targets.append({"boxes": torch.cat([corners, corners + extent], 1), "labels": labels})
    return images, targets


class Worker:
    """A model, its optimizer and one batch."""

    def __init__(self, args: argparse.Namespace) -> None:
        torch.manual_seed(args.seed)
        default_side, default_batch = WORK[args.arch]
        self.side = args.side or default_side
        self.batch_size = args.batch_size or default_batch
        self.precision = args.precision
        self.images, self.targets = random_batch(self.side, self.batch_size)
        # The images have the size that the model wants: resizing is no part of the step.
        self.model = build_model(args.arch, NUM_CLASSES, norm=args.norm, _skip_resize=True)
        if args.optimizer == "sgd":
            self.optimizer: torch.optim.Optimizer = torch.optim.SGD(
                self.model.parameters(), 1e-3, momentum=0.9, weight_decay=1e-4, fused=True
            )
        else:
            self.optimizer = torch.optim.AdamW(
                self.model.parameters(), 1e-4, weight_decay=1e-4, fused=True
            )

    def step(self) -> float:
        """One training step; the total loss before it."""
        with autocast(self.precision):
            loss = torch.stack(list(self.model(self.images, self.targets).values())).sum()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item()

    def run(self, steps: int) -> dict[str, object]:
        """The wall-clock seconds of each of some steps, and the last loss."""
        seconds = []
        loss = float("nan")
        for _ in range(steps):
            start = time.perf_counter()
            loss = self.step()
            seconds.append(time.perf_counter() - start)
        return {"seconds": seconds, "loss": loss}


def say(record: dict[str, object]) -> None:
    print(json.dumps(record), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", choices=list(WORK), default="r50")
    parser.add_argument("--side", type=int, help="pixels; default 512 for r50, 256 for r18")
    parser.add_argument("--batch_size", type=int, help="default 2 for r50, 8 for r18")
    parser.add_argument("--norm", choices=["trainable", "frozen"], default="trainable")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--optimizer", choices=["sgd", "adamw"], default="sgd")
    parser.add_argument("--threads", type=int, help="default: torch's own choice")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    worker = Worker(args)
    worker.run(2)  # so that the first turn is like any other
    say(
        {
            "ready": f"torchvision {torchvision.__version__}, torch {torch.__version__}",
            "arch": args.arch,
            "side": worker.side,
            "batch_size": worker.batch_size,
            "precision": args.precision,
            "norm": args.norm,
            "optimizer": args.optimizer,
            "threads": torch.get_num_threads(),
            "parameters": sum(p.numel() for p in worker.model.parameters()),
        }
    )
    for line in sys.stdin:
        match line.split():
            case ["go", count]:
                say(worker.run(int(count)))
            case ["quit"]:
                return
            case words:
                sys.exit(f'not "go N" or "quit": {" ".join(words)}')


if __name__ == "__main__":
    main()
