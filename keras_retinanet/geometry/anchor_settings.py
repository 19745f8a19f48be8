"""Settings and shapes of anchors (paper, section 4). Loads no TensorFlow."""

from __future__ import annotations

import dataclasses

import numpy as np

# The paper's limits: from the first IoU on an anchor is trained to find an object, below the second
# it is background.
POSITIVE_IOU, NEGATIVE_IOU = 0.5, 0.4


STRIDES = (8, 16, 32, 64, 128)  # of P3 to P7 in any RetinaNet


@dataclasses.dataclass(frozen=True)
class AnchorSettings:
    """Sizes, shapes and positions of anchors; the defaults are the paper's (section 4).

    Attributes:
        sizes: the base side in pixels, one for each of the levels P3 to P7.
        strides: pixels from cell to cell, one for each level. They are the network's, `STRIDES`;
            others are refused, since they would misplace every anchor.
        ratios: height / width.
        scales: factors of the base side.
        offset: where the first centre lies, in strides; detectron2 and torchvision take 0.
        whole_pixels: whether sides are truncated and corners rounded, as in torchvision.
        fit_strides: whether the cells of P6 and P7 stand closer where they exceed the padded
            image, by `side // cells` on each axis, as in torchvision: 25 cells of P5, 32 pixels
            each, give 13 cells of P6 with a stride of 800 // 13 = 61.
    """

    sizes: tuple[float, ...] = (32.0, 64.0, 128.0, 256.0, 512.0)
    strides: tuple[int, ...] = STRIDES
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    scales: tuple[float, ...] = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
    offset: float = 0.5
    whole_pixels: bool = False
    fit_strides: bool = False

    def __post_init__(self) -> None:
        for field in ("sizes", "strides", "ratios", "scales"):
            values = tuple(getattr(self, field))
            if not values or min(values) <= 0:
                raise ValueError(f"AnchorSettings: {field} is {values}; it takes positive numbers")
            object.__setattr__(self, field, values)
        if len(self.sizes) != len(STRIDES):
            raise ValueError(
                "AnchorSettings: sizes takes one number for each of the levels P3 to P7, not "
                f"{len(self.sizes)}"
            )
        if self.strides != STRIDES:
            raise ValueError(
                f"AnchorSettings: strides is {self.strides}, but the levels P3 to P7 have "
                f"{STRIDES}; anchors of other sizes are made by sizes and scales"
            )

    @property
    def per_cell(self) -> int:
        """A, the anchors of a cell."""
        return len(self.ratios) * len(self.scales)

    def cell(self, size: float) -> np.ndarray:
        """The anchors of one cell around the origin, xyxy: float32 [A, 4].

        A ratio is height / width and keeps the area `(size * scale)^2`. Ratios are the outer loop
        and scales the inner one, as in torchvision: the order of the heads' output channels. With
        `whole_pixels`, `size * scale` is truncated and the corners are rounded, halves to even.

        Args:
            size: the base side in pixels, one of `sizes`.
        """
        sides = size * np.asarray(self.scales, np.float64)  # [scales]
        if self.whole_pixels:
            sides = np.floor(sides)
        roots = np.sqrt(np.asarray(self.ratios, np.float64))  # [ratios]
        widths = (sides[None, :] / roots[:, None]).ravel()
        heights = (sides[None, :] * roots[:, None]).ravel()
        corners = 0.5 * np.stack([-widths, -heights, widths, heights], axis=1)
        return (np.round(corners) if self.whole_pixels else corners).astype(np.float32)
