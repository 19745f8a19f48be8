"""The learning rate of a step: the recipe's rate, its warm-up and its schedule."""

from __future__ import annotations

import math

from keras_retinanet.config import TrainConfig

# The warm-up never takes more than this fraction of a run.
MAX_WARMUP_FRACTION = 0.1


def learning_rate(train: TrainConfig, step: float, fraction: float) -> float:
    """The rate of a step: that of the recipe for its batch, times `learning_rate_factor`."""
    return base_learning_rate(train) * learning_rate_factor(train, step, fraction)


def base_learning_rate(train: TrainConfig) -> float:
    """The rate of the recipe scaled to its batch (Goyal et al. 2017: linearly)."""
    return train.learning_rate * train.batch_size / train.reference_batch


def learning_rate_factor(train: TrainConfig, step: float, fraction: float) -> float:
    """What the base learning rate is multiplied by, in [0, 1].

    Args:
        train: whose schedule, milestones and warm-up are followed; the latter is cut short at
            `MAX_WARMUP_FRACTION` of the run.
        step: images seen, in batches of the present size.
        fraction: how much of the run is over, 0 to 1.
    """
    warmup = max((step + 1) / max(train.warmup_steps, 1), fraction / MAX_WARMUP_FRACTION)
    if train.schedule == "cosine":
        decay = 0.5 * (1.0 + math.cos(math.pi * fraction))
    else:
        decay = 0.1 ** sum(fraction >= milestone for milestone in train.milestones)
    return min(1.0, warmup) * decay
