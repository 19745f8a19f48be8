"""How far a run has come, by steps or by the clock, and the learning rate that goes with it."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence

# The warm-up never takes more than this share of a run.
MAX_WARMUP_SHARE = 0.1


@dataclasses.dataclass
class Progress:
    """The run's own clock: it starts with the first step, tracing included, and survives a resume.

    Attributes:
        total_steps: length of the run in steps, or None if `minutes` says it.
        minutes: wall-clock budget.
        step: steps done.
        seconds: time used before this process.
    """

    total_steps: int | None
    minutes: float | None = None
    step: int = 0
    seconds: float = 0.0
    _started: float | None = dataclasses.field(default=None, repr=False)

    def start(self) -> None:
        """Starts the clock, if it does not run yet."""
        if self._started is None:
            self._started = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds of training, those before a resume included."""
        running = 0.0 if self._started is None else time.monotonic() - self._started
        return self.seconds + running

    @property
    def share(self) -> float:
        """How much of the run is over, 0 to 1."""
        if self.total_steps is not None:
            return min(1.0, self.step / self.total_steps)
        assert self.minutes is not None
        return min(1.0, self.elapsed / (60.0 * self.minutes))


def learning_rate_factor(
    step: int,
    share: float,
    *,
    schedule: str,
    milestones: Sequence[float],
    warmup_steps: int,
) -> float:
    """What the base learning rate is multiplied by, in [0, 1].

    Args:
        step: steps done.
        share: how much of the run is over, 0 to 1.
        schedule: "step" (a tenth at each milestone) or "cosine" (to 0).
        milestones: shares of the run.
        warmup_steps: length of the linear rise, cut short at `MAX_WARMUP_SHARE` of the run.
    """
    warmup = max((step + 1) / max(warmup_steps, 1), share / MAX_WARMUP_SHARE)
    if schedule == "cosine":
        decay = 0.5 * (1.0 + math.cos(math.pi * share))
    else:
        decay = 0.1 ** sum(share >= milestone for milestone in milestones)
    return min(1.0, warmup) * decay
