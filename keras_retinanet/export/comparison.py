"""Whether an export answers as its model does, by a rule for each output."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

Answer = Mapping[str, np.ndarray]

# Largest difference of an anchor, in pixels of the resized image: float32 holds coordinates of
# 2,000 pixels to 1e-4.
_ANCHOR_PIXELS = 1e-3


class SelfTestError(ValueError):
    """An export that does not do what its model does."""


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """What may differ where two programs compute the same detector.

    Attributes:
        heads: of a logit or delta, as a fraction of the largest one where that exceeds 1.
        score: of the score of a detection.
        box: of a side of its box, as a fraction of the image's side.
        unmatched: the fraction of all detections that may have no equal on the other side. Which of
            two near-equal candidates survives NMS hangs on the last bits.
    """

    heads: float
    score: float
    box: float
    unmatched: float


# Measured on an untrained ResNet-50 of 80 classes, 100 detections in each of three images: all had
# an equal within 1e-4 in float32, and 95 % within 0.05 in bfloat16.
FLOAT32 = Tolerance(heads=1e-3, score=1e-3, box=1e-3, unmatched=0.05)
REDUCED = Tolerance(heads=0.1, score=0.1, box=0.1, unmatched=0.5)


def require(holds: object, message: str) -> None:
    """Raises SelfTestError unless it holds; unlike `assert`, with `python -O` too."""
    if not holds:
        raise SelfTestError(message)


def require_form(found: Answer, expected: Answer, image: str) -> None:
    """Requires the same outputs, all float32 and of the same shapes."""
    require(found.keys() == expected.keys(), f"the outputs are {', '.join(sorted(found))}")
    for name, value in found.items():
        require(value.dtype == np.float32, f"{name} is {value.dtype}, not float32")
        shapes = f"{list(value.shape)} instead of {list(expected[name].shape)}"
        require(value.shape == expected[name].shape, f"{name} of image {image}: {shapes}")


def compare_heads(found: Answer, expected: Answer, tolerance: Tolerance, image: str) -> None:
    """Compares raw outputs: sizes exactly, anchors in pixels, logits and deltas by `tolerance`.

    Args:
        found: `class_logits` [B, N, K], `box_deltas` [B, N, 4], `anchors` [B, N, 4], `level_sizes`
            [B, 5] and `resized_sizes` [B, 2] of the export, float32.
        expected: those of the model.
        tolerance: see `Tolerance`.
        image: what to call the image in a message.

    Raises:
        SelfTestError: naming the output that differs, and by how much.
    """
    require_form(found, expected, image)
    pixels = {"level_sizes": 0.0, "resized_sizes": 0.0, "anchors": _ANCHOR_PIXELS}
    for name, value in expected.items():
        largest = max(1.0, float(np.abs(value).max(initial=0)))
        allowed = pixels.get(name, tolerance.heads * largest)
        difference = float(np.abs(found[name] - value).max(initial=0))
        message = f"{name} of image {image} differ by {difference:.2g}, more than {allowed:.2g}"
        require(difference <= allowed, message)  # so that NaN fails


def compare_detections(found: Answer, expected: Answer, tolerance: Tolerance, image: str) -> None:
    """Compares detections as sets: class, score and box of each have an equal on the other side.

    Args:
        found: the four outputs of `signatures.detections`, of the export.
        expected: those of the model.
        tolerance: see `Tolerance`.
        image: what to call the image in a message.

    Raises:
        SelfTestError: saying how many detections differ.
    """
    require_form(found, expected, image)
    allowed = [0, tolerance.score, *[tolerance.box] * 4]
    for row in range(len(expected["num_detections"])):
        mine, other = (detection_rows(answer, row) for answer in (found, expected))
        total = len(mine) + len(other)
        is_equal = (np.abs(mine[:, None] - other[None]) <= allowed).all(-1)
        unmatched = total - is_equal.any(0).sum() - is_equal.any(1).sum()
        message = f"{unmatched} of {total} detections of image {image} differ from the model's"
        require(unmatched <= tolerance.unmatched * total, message)


def detection_rows(answer: Answer, row: int) -> np.ndarray:
    """The detections in one image of a batch: [D, 6] of class, score, box."""
    count = int(answer["num_detections"][row])
    names = ("detection_classes", "detection_scores")
    columns = [answer[name][row, :count, None] for name in names]
    return np.concatenate([*columns, answer["detection_boxes"][row, :count]], axis=1)
