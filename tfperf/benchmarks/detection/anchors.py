"""The anchors of RetinaNet, in the order and with the values of MLPerf's reference.

Source: `AnchorGenerator` in model/anchor_utils.py and the sizes in model/retinanet.py of
https://github.com/mlcommons/training/tree/master/retired_benchmarks/retinanet/ssd.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tfperf.errors import ArgumentError


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnchorLayout:
    """The levels of a feature pyramid and the anchors of their cells.

    Attributes:
        image_size: height and width of the input, in pixels.
        grids: rows and columns of each level.
        sizes: for each level, the lengths of its square anchors, in pixels.
        ratios: height by width of the anchors of each size.

    Raises:
        ArgumentError: the levels don't have one grid and one tuple of sizes each.
    """

    image_size: tuple[int, int]
    grids: tuple[tuple[int, int], ...]
    sizes: tuple[tuple[int, ...], ...]
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)

    def __post_init__(self) -> None:
        if len(self.grids) != len(self.sizes):
            raise ArgumentError(
                "A layout has one grid and one tuple of sizes for each level. "
                f"Received {len(self.grids)} grids and {len(self.sizes)} tuples of sizes."
            )

    @property
    def strides(self) -> tuple[tuple[int, int], ...]:
        """The distance between rows and between columns of each level, in pixels.

        Whole pixels, rounded down: 61 and 114 for the last two levels at 800 pixels, where a cell is a little larger.
        """
        height, width = self.image_size
        return tuple((height // rows, width // columns) for rows, columns in self.grids)

    @property
    def per_level(self) -> tuple[int, ...]:
        """The number of anchors of each level."""
        return tuple(
            rows * columns * len(sizes) * len(self.ratios)
            for (rows, columns), sizes in zip(self.grids, self.sizes, strict=True)
        )


RETINANET_800 = AnchorLayout(
    image_size=(800, 800),
    grids=((100, 100), (50, 50), (25, 25), (13, 13), (7, 7)),
    sizes=((32, 40, 50), (64, 80, 101), (128, 161, 203), (256, 322, 406), (512, 645, 812)),
)
"""The 120,087 anchors of RetinaNet on 800 x 800 pixels."""


def anchors(layout: AnchorLayout) -> np.ndarray:
    """The anchors as (x1, y1, x2, y2), in pixels; many reach beyond the image.

    The order is level by level, row by row, column by column; within a cell ratio by ratio, and within a ratio size by
    size. Anchors are centred at the upper left corner of their cell, and their edges are a whole number of pixels from
    there.

    Returns:
        float32 [sum of `per_level`, 4].
    """
    levels = []
    for (rows, columns), (down, across), sizes in zip(layout.grids, layout.strides, layout.sizes, strict=True):
        y, x = np.meshgrid(np.arange(rows) * down, np.arange(columns) * across, indexing="ij")
        cells = np.stack((x, y, x, y), axis=-1).reshape(-1, 1, 4)
        levels.append((cells + cell_anchors(sizes, layout.ratios)).reshape(-1, 4))
    return np.concatenate(levels).astype("float32")


def cell_anchors(sizes: tuple[int, ...], ratios: tuple[float, ...]) -> np.ndarray:
    """The anchors of a cell at (0, 0), in pixels, rounded to whole ones, halves to even.

    Args:
        sizes: the lengths of the square anchors.
        ratios: height by width.

    Returns:
        float32 [ratios * sizes, 4].
    """
    # In float32, as the reference: another type could round another way.
    root = np.sqrt(np.array(ratios, "float32"))[:, None]
    lengths = np.array(sizes, "float32")
    half = np.stack(((1 / root) * lengths, root * lengths), axis=-1).reshape(-1, 2) / 2
    return np.round(np.concatenate((-half, half), axis=1))
