"""Scenes for detection: shapes of all sizes scattered over a ground, with their boxes, drawn in a fraction of a ms."""

from __future__ import annotations

import dataclasses
import functools
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from tfperf.benchmarks.shapes import outlines, scene
from tfperf.benchmarks.shapes.draw import PALETTE
from tfperf.benchmarks.shapes.sprites import RADII, TURNS, Sprite, sprite

SIDE = scene.SIDE
"""Height and width, pixels."""

MOST_SHAPES = 6
"""Shapes in a scene, at most; there is always one."""

LEAST_VISIBLE = 0.75
"""The share of each shape that later ones leave visible, at least."""

_TRIES = 12
_GROUNDS, _GRAINS, _GROUND_SIDE = 24, 6, 2 * SIDE
_OCTAVES = ((6, 20), (16, 15), (48, 8))
_JPEG_QUALITY = 90


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScatteredScene:
    """A scene and the shapes in it, in the order in which they were drawn.

    Attributes:
        jpeg: the encoded image, `SIDE` x `SIDE`.
        boxes: float32 [n, 4], x1, y1, x2, y2 in shares of the side, around the whole outline: what a later shape
            hides is inside, too.
        classes: int32 [n], the place of each shape's kind in `outlines.KINDS`.
        visible: float32 [n], the share of each shape that no later one hides.
    """

    jpeg: bytes
    boxes: npt.NDArray[np.float32]
    classes: npt.NDArray[np.int32]
    visible: npt.NDArray[np.float32]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Placed:
    """A shape with the place of its grid's upper left corner, pixels."""

    sprite: Sprite
    kind: int
    left: int
    top: int

    @property
    def window(self) -> tuple[slice, slice]:
        height, width = self.sprite.solid.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def draw_scattered(split: str, index: int, *, seed: int = 0) -> ScatteredScene:
    """Draws a scene.

    Args:
        split: "train" or "validation".
        index: 0 or more; scenes don't depend on each other.
        seed: another seed draws other scenes of the same kind.
    """
    rng = np.random.default_rng((seed, scene.SPLITS.index(split), index, SIDE))
    placed, visible = _place_all(rng)
    boxes = [np.add(each.sprite.box, (each.left, each.top) * 2) for each in placed]
    file = io.BytesIO()
    Image.fromarray(_paint(rng, placed, split=split)).save(file, "JPEG", quality=_JPEG_QUALITY)
    return ScatteredScene(
        jpeg=file.getvalue(),
        boxes=(np.stack(boxes) / SIDE).astype(np.float32),
        classes=np.array([each.kind for each in placed], np.int32),
        visible=np.array(visible, np.float32),
    )


def _place_all(rng: np.random.Generator) -> tuple[list[_Placed], list[float]]:
    """One to `MOST_SHAPES` shapes, and how much of each is visible. A shape for which no place is found is left out."""
    wanted = int(rng.integers(1, MOST_SHAPES + 1))
    kinds = rng.integers(len(outlines.KINDS), size=wanted).tolist()
    radii = rng.integers(len(RADII), size=wanted).tolist()
    turns = rng.integers(TURNS, size=wanted).tolist()
    places = rng.random((wanted, _TRIES, 2)).tolist()
    owners = np.full((SIDE, SIDE), MOST_SHAPES, np.int64)  # the number of the shape that is seen at each pixel
    placed: list[_Placed] = []
    sizes: list[int] = []
    seen = np.zeros(MOST_SHAPES + 1, np.int64)
    for kind, radius, turn, tries in zip(kinds, radii, turns, places, strict=True):
        drawn = sprite(outlines.KINDS[kind], RADII[radius], turn)
        height, width = drawn.solid.shape
        for x, y in tries:
            each = _Placed(sprite=drawn, kind=kind, left=int(x * (SIDE - width + 1)), top=int(y * (SIDE - height + 1)))
            hidden = np.bincount(owners[each.window][drawn.solid], minlength=MOST_SHAPES + 1)
            left = seen - hidden
            if all(left[number] >= LEAST_VISIBLE * size for number, size in enumerate(sizes)):
                number, size = len(placed), int(drawn.solid.sum())
                owners[each.window][drawn.solid] = number
                seen = left
                seen[number] = size
                placed.append(each)
                sizes.append(size)
                break
    return placed, [seen[number] / size for number, size in enumerate(sizes)]


def _paint(rng: np.random.Generator, placed: Sequence[_Placed], *, split: str) -> npt.NDArray[np.uint8]:
    """The pixels, [height, width, 3], computed as [height, 3 * width]: NumPy is slow where the last axis is short."""
    grounds, noise = _grounds(split)
    ground, y, x, grain, noise_y, noise_x = rng.integers((_GROUNDS, SIDE, SIDE, _GRAINS, SIDE, SIDE)).tolist()
    tones = rng.uniform((75, -22, -22, -22), (180, 22, 22, 22)).astype(np.float32)
    shades = rng.uniform(-18, 18, (len(placed), 3)).astype(np.float32)
    colors = _COLORS[rng.permutation(len(_COLORS))[: len(placed)]] + shades
    pixels = grounds[ground, y : y + SIDE, 3 * x : 3 * (x + SIDE)] + np.tile(tones[0] + tones[1:], SIDE)
    for each, color in zip(placed, colors, strict=True):
        rows, columns = each.window
        under = pixels[rows, 3 * columns.start : 3 * columns.stop]
        under += each.sprite.covered * (np.tile(color, under.shape[1] // 3) - under)
    pixels += noise[grain, noise_y : noise_y + SIDE, 3 * noise_x : 3 * (noise_x + SIDE)]
    painted: npt.NDArray[np.uint8] = np.clip(pixels, 0, 255).astype(np.uint8)
    return painted.reshape(SIDE, SIDE, 3)


_COLORS = np.array(list(PALETTE.values()), np.float32)


@functools.cache
def _grounds(split: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Mottled grounds and noise of several strengths, each float32 [n, height, 3 * width]; scenes take windows."""
    rng = np.random.default_rng((scene.SPLITS.index(split), _GROUND_SIDE))
    side = (_GROUND_SIDE, _GROUND_SIDE)
    grounds = np.zeros((_GROUNDS, *side, 3), np.float32)
    for ground in grounds:
        for cells, limit in _OCTAVES:
            grid = rng.integers(-limit, limit + 1, (cells, cells, 3))
            spots = Image.fromarray((grid + 127).astype(np.uint8)).resize(side, Image.Resampling.BILINEAR)
            ground += np.asarray(spots, np.float32) - 127
    grey = (
        rng.standard_normal((_GRAINS, *side), np.float32) * np.linspace(3, 8, _GRAINS, dtype=np.float32)[:, None, None]
    )
    return grounds.reshape(_GROUNDS, _GROUND_SIDE, -1), np.repeat(grey, 3, axis=2)
