"""The rows of the paper's Table 1 that are trained here, as settings of the recipe `shapes`."""

from __future__ import annotations

import dataclasses

SEEDS = (0, 1, 2)


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        table: what the paper varies there.
        name: what this line is.
        paper: the paper's AP on COCO minival.
        settings: of `retinanet-train`.
        seeds: how many of `SEEDS` are trained.
    """

    table: str
    name: str
    paper: str
    settings: tuple[str, ...]
    seeds: int = 1

    @property
    def folder(self) -> str:
        """A name for the run folders of this row."""
        words = f"{self.table} {self.name}".replace("(", "").replace(")", "").replace(",", "")
        return "-".join(words.replace("x", "by").split())


def _loss(alpha: float | None, gamma: float) -> tuple[str, ...]:
    return (
        f"train.focal_alpha={'null' if alpha is None else alpha}",
        f"train.focal_gamma={gamma}",
    )


def _anchors(scales: int, ratios: int) -> tuple[str, ...]:
    """Densities as the paper counts them: scales 2^(k / n), ratios 1 or {1:2, 1:1, 2:1}."""
    factors = [round(2 ** (k / scales), 6) for k in range(scales)]
    shapes = [1.0] if ratios == 1 else [0.5, 1.0, 2.0]
    return (f"model.anchors.scales={factors}", f"model.anchors.ratios={shapes}")


CROSS_ENTROPY = Row("loss", "cross entropy", "30.2", _loss(None, 0.0), seeds=3)
BALANCED = Row("alpha", "balanced cross entropy 0.75", "31.1", _loss(0.75, 0.0), seeds=3)
FOCAL = Row("gamma", "focal loss 2 (alpha 0.25)", "34.0", _loss(0.25, 2.0), seeds=3)

ROWS = (
    Row(
        "loss",
        "cross entropy without the prior",
        "diverges",
        (*_loss(None, 0.0), "model.prior=0.5"),
    ),
    CROSS_ENTROPY,
    *(
        Row("alpha", f"balanced cross entropy {alpha}", paper, _loss(alpha, 0.0))
        for alpha, paper in ((0.1, "0.0"), (0.25, "10.8"), (0.5, "30.2"))
    ),
    BALANCED,
    *(
        Row("alpha", f"balanced cross entropy {alpha}", paper, _loss(alpha, 0.0))
        for alpha, paper in ((0.9, "30.8"), (0.99, "28.7"))
    ),
    *(
        Row("gamma", f"focal loss {gamma} (alpha {alpha})", paper, _loss(alpha, gamma))
        for gamma, alpha, paper in ((0.5, 0.5, "32.9"), (1, 0.25, "33.7"))
    ),
    FOCAL,
    Row("gamma", "focal loss 5 (alpha 0.25)", "32.2", _loss(0.25, 5.0)),
    *(
        Row("hard examples", f"{count} an image", paper, (f"train.hard_examples={count}",))
        for count, paper in ((128, "32.8"), (512, "27.6"))
    ),
    *(
        Row("anchors", f"{scales} x {ratios}", paper, _anchors(scales, ratios))
        for scales, ratios, paper in ((1, 1, "30.3"), (2, 3, "34.2"), (4, 3, "33.8"))
    ),
)
