"""Shapes drawn once, to be copied into many scenes."""

from __future__ import annotations

import dataclasses
import functools
import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from tfperf.benchmarks.shapes import outlines

RADII = (8, 10, 12, 15, 19, 24, 30)
"""Radius of the circle around an outline, pixels."""

TURNS = 5
"""Each shape is leant by so many angles, evenly spaced from -`LEAN` to `LEAN`."""

LEAN = math.radians(15)

_OVERSAMPLING = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sprite:
    """A shape around the middle of a pixel grid.

    Attributes:
        covered: float32 [height, 3 * width], how much of each pixel the shape covers, 0 to 1, for each color channel.
        solid: bool [height, width], the pixels of which it covers more than half.
        box: x1, y1, x2, y2 of the outline, in pixels from the upper left corner of the grid.
    """

    covered: npt.NDArray[np.float32]
    solid: npt.NDArray[np.bool_]
    box: tuple[float, float, float, float]


@functools.cache
def sprite(kind: str, radius: int, turn: int) -> Sprite:
    """The shape of this kind, leant by angle number `turn`."""
    angle = LEAN * (2 * turn / (TURNS - 1) - 1)
    contours = [contour * (radius * np.exp(1j * angle)) for contour in outlines.UNIT_OUTLINES[kind]]
    left, top = (math.floor(float(side.min())) for side in (contours[0].real, contours[0].imag))
    right, bottom = (math.ceil(float(side.max())) for side in (contours[0].real, contours[0].imag))
    mask = Image.new("L", ((right - left) * _OVERSAMPLING, (bottom - top) * _OVERSAMPLING))
    canvas = ImageDraw.Draw(mask)
    moved = [contour - complex(left, top) for contour in contours]
    for contour, level in zip(moved, (255, 0), strict=False):
        corners = contour * _OVERSAMPLING
        canvas.polygon(np.stack((corners.real, corners.imag), axis=1).ravel().tolist(), fill=level)
    covered = np.asarray(mask.reduce(_OVERSAMPLING), np.float32) / np.float32(255)
    outer = moved[0]
    box = (outer.real.min(), outer.imag.min(), outer.real.max(), outer.imag.max())
    x1, y1, x2, y2 = map(float, box)
    return Sprite(covered=np.repeat(covered, 3, axis=1), solid=covered > 0.5, box=(x1, y1, x2, y2))
