"""The layout of a scene: which shapes it shows, where, how large and in which colors."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tfperf.benchmarks.shapes import outlines

SIDE = 96
"""Height and width of a scene, pixels."""

COLORS = ("red", "green", "blue", "yellow", "purple", "orange", "white", "black")
SPLITS = ("train", "validation")

Box = tuple[float, float, float, float]
"""The tight (ymin, xmin, ymax, xmax) in shares of the side, as TFDS has it."""

_MARGIN = 1.5 / SIDE
_GAP = 2.0 / SIDE
_TRIES = 40
_LEAN = np.deg2rad(15)
_MAIN_RADIUS = (26.0, 32.0)
_SHARE_OF_MAIN_AREA = (0.05, 0.15)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """One shape of a scene.

    Attributes:
        kind: one of `outlines.KINDS`.
        color: one of `COLORS`.
        outline: its points, as fractions of the scene's side from the upper left corner.
        box: around the outline.
        area: pixels.
    """

    kind: str
    color: str
    outline: outlines.Outline
    box: Box
    area: float


def generator(split: str, index: int, *, seed: int) -> np.random.Generator:
    """The random numbers of one scene, independent of other scenes."""
    return np.random.default_rng((seed, SPLITS.index(split), index))


def layout(rng: np.random.Generator, main_kind: str) -> tuple[Shape, ...]:
    """Two to five shapes of different kinds and colors that do not touch, the largest first.

    The first is of `main_kind` and has more than six times the area of any other: which one is the largest is beyond
    doubt.
    """
    while True:
        shapes = _try_layout(rng, main_kind)
        if len(shapes) > 1:
            return shapes


def _try_layout(rng: np.random.Generator, main_kind: str) -> tuple[Shape, ...]:
    """As `layout`, without the shapes that did not fit."""
    others = int(rng.integers(1, 5))
    kinds = [main_kind, *(kind for kind in rng.permutation(outlines.KINDS).tolist() if kind != main_kind)]
    main_radius = rng.uniform(*_MAIN_RADIUS)
    shares = np.array((1, *sorted(rng.uniform(*_SHARE_OF_MAIN_AREA, others), reverse=True)))
    areas = shares * outlines.UNIT_AREAS[main_kind] * main_radius**2
    shapes: list[Shape] = []
    for kind, color, area in zip(kinds, rng.permutation(COLORS).tolist(), areas.tolist(), strict=False):
        shape = _place(rng, kind, color=color, area=area, taken=[shape.box for shape in shapes])
        shapes += [shape] if shape else []
    return tuple(shapes)


def _place(rng: np.random.Generator, kind: str, *, color: str, area: float, taken: Sequence[Box]) -> Shape | None:
    """A slightly tilted shape of `area` pixels in a free spot; None if there is none."""
    radius = np.sqrt(area / outlines.UNIT_AREAS[kind]) / SIDE
    turn = radius * np.exp(1j * rng.uniform(-_LEAN, _LEAN))
    outline = [contour * turn for contour in outlines.UNIT_OUTLINES[kind]]
    (top, bottom), (left, right) = (_extent(line) for line in (outline[0].imag, outline[0].real))
    for _ in range(_TRIES):
        y, x = rng.uniform(_MARGIN - top, 1 - _MARGIN - bottom), rng.uniform(_MARGIN - left, 1 - _MARGIN - right)
        box = (y + top, x + left, y + bottom, x + right)
        if all(_apart(box, other) for other in taken):
            moved = tuple(contour + complex(x, y) for contour in outline)
            return Shape(kind=kind, color=color, outline=moved, box=box, area=area)
    return None


def _extent(coordinates: np.ndarray) -> tuple[float, float]:
    return float(coordinates.min()), float(coordinates.max())


def _apart(one: Box, other: Box) -> bool:
    return any(first[low + 2] + _GAP <= second[low] for first, second in ((one, other), (other, one)) for low in (0, 1))
