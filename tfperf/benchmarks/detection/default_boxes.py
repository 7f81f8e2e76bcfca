"""The default boxes of SSD, in the order and with the values of MLPerf's reference.

Source: `DefaultBoxes` in utils.py and `dboxes300_coco` in train.py of
https://github.com/mlcommons/training/tree/master/retired_benchmarks/ssd-v1/ssd.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from tfperf.errors import ArgumentError


@dataclasses.dataclass(frozen=True, kw_only=True)
class DefaultBoxLayout:
    """The feature maps of an SSD and the default boxes of their cells.

    Each cell has a square box of the map's scale, a square one between this scale and the next, and two for each of
    `ratios`, upright and lying.

    Attributes:
        image_size: width and height of the square input, in pixels.
        grids: the number of rows, and of columns, of each map.
        steps: the distance between the cells of each map, in pixels.
        scales: the length of the square box of each map, in pixels, and one more for after the last map.
        ratios: for each map, width by height of the further boxes that lie.

    Raises:
        ArgumentError: the maps don't have one value each, and `scales` one more.
    """

    image_size: int
    grids: tuple[int, ...]
    steps: tuple[float, ...]
    scales: tuple[float, ...]
    ratios: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        found = (len(self.grids), len(self.steps), len(self.ratios), len(self.scales) - 1)
        if len(set(found)) > 1:
            raise ArgumentError(
                f"A layout has one grid, one step and one tuple of ratios for each feature map, and one scale more. "
                f"Received {found[0]} grids, {found[1]} steps, {found[2]} tuples of ratios and {found[3] + 1} scales."
            )

    @property
    def boxes_per_cell(self) -> tuple[int, ...]:
        """The number of boxes in a cell of each map."""
        return tuple(2 + 2 * len(ratios) for ratios in self.ratios)

    @property
    def total(self) -> int:
        """The number of boxes."""
        return sum(count * grid**2 for count, grid in zip(self.boxes_per_cell, self.grids, strict=True))


SSD300 = DefaultBoxLayout(
    image_size=300,
    grids=(38, 19, 10, 5, 3, 1),
    steps=(8, 16, 32, 64, 100, 300),
    scales=(21, 45, 99, 153, 207, 261, 315),
    ratios=((2,), (2, 3), (2, 3), (2, 3), (2,), (2,)),
)
"""The 8,732 boxes of SSD300."""


def default_boxes(layout: DefaultBoxLayout) -> np.ndarray:
    """The default boxes as (centre x, centre y, width, height), in units of the image, between 0 and 1.

    The order is map by map; within a map shape by shape, as in `shapes_of`; within a shape row by row.

    Returns:
        float32 [total, 4].
    """
    boxes = [
        ((column + 0.5) / (layout.image_size / step), (row + 0.5) / (layout.image_size / step), width, height)
        for level, (grid, step) in enumerate(zip(layout.grids, layout.steps, strict=True))
        for width, height in shapes_of(layout, level)
        for row in range(grid)
        for column in range(grid)
    ]
    return np.array(boxes, "float32").clip(0, 1)


def default_corners(layout: DefaultBoxLayout) -> np.ndarray:
    """The default boxes as (x1, y1, x2, y2), in units of the image; those at a border reach beyond it.

    Returns:
        float32 [total, 4].
    """
    boxes = default_boxes(layout)
    half = np.float32(0.5) * boxes[:, 2:]
    return np.concatenate((boxes[:, :2] - half, boxes[:, :2] + half), axis=1)


def shapes_of(layout: DefaultBoxLayout, level: int) -> list[tuple[float, float]]:
    """Width and height of the boxes in a cell, in units of the image.

    Args:
        layout: the feature maps.
        level: the number of the map, from 0.
    """
    scale, following = (layout.scales[at] / layout.image_size for at in (level, level + 1))
    between = math.sqrt(scale * following)
    shapes = [(scale, scale), (between, between)]
    for ratio in layout.ratios[level]:
        lying = (scale * math.sqrt(ratio), scale / math.sqrt(ratio))
        shapes += [lying, lying[::-1]]
    return shapes
