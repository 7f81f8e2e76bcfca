"""Scenes as JPEG images, with everything known about them."""

from __future__ import annotations

import dataclasses
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from tfperf.benchmarks.shapes import outlines, scene, words

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_OVERSAMPLING = 4
_JPEG_QUALITY = 90
_SHADE = 0.4
_OCTAVES = ((3, 20), (8, 15), (24, 8))
PALETTE: Mapping[str, Sequence[int]] = {
    "red": (205, 40, 40),
    "green": (40, 160, 60),
    "blue": (45, 75, 205),
    "yellow": (230, 210, 50),
    "purple": (140, 50, 165),
    "orange": (235, 130, 35),
    "white": (238, 238, 238),
    "black": (22, 22, 22),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """A scene to learn from.

    Attributes:
        jpeg: the encoded image.
        label: the kind of the largest shape.
        shapes: all shapes, the largest first.
        caption: a sentence that describes the scene.
        questions: questions about the caption, with their answers.
    """

    jpeg: bytes
    label: str
    shapes: tuple[scene.Shape, ...]
    caption: str
    questions: tuple[words.Question, ...]


class Description(NamedTuple):
    """What an `Example` says about its scene."""

    caption: str
    questions: tuple[words.Question, ...]


class _Paints(NamedTuple):
    """The random numbers of an image: of the ground, of its color, of each shape's color, and of the noise."""

    grids: Sequence[npt.NDArray[Any]]
    light: float
    tint: npt.NDArray[Any]
    colors: Sequence[npt.NDArray[Any]]
    noise: Floats


def example(split: str, index: int, *, seed: int = 0) -> Example:
    """Scene number `index` of a split; the same arguments draw the same scene.

    The labels alternate, so any range of scenes is balanced.

    Args:
        split: "train" or "validation".
        index: 0 or more.
        seed: another seed draws other scenes of the same kind.
    """
    rng = scene.generator(split, index, seed=seed)
    label = outlines.KINDS[index % len(outlines.KINDS)]
    shapes = scene.layout(rng, label)
    return Example(
        jpeg=_encode(paint(rng, shapes)),
        label=label,
        shapes=shapes,
        caption=words.describe(shapes),
        questions=words.ask(rng, shapes),
    )


def description(split: str, index: int, *, seed: int = 0) -> Description:
    """The caption and the questions of the same `example`, without drawing it."""
    rng = scene.generator(split, index, seed=seed)
    shapes = scene.layout(rng, outlines.KINDS[index % len(outlines.KINDS)])
    _mix(rng, shapes=len(shapes))  # the questions are chosen by the random numbers that follow
    return Description(caption=words.describe(shapes), questions=words.ask(rng, shapes))


def paint(rng: np.random.Generator, shapes: Sequence[scene.Shape]) -> Pixels:
    """The pixels, uint8 of (height, width, 3): shapes on a mottled ground, all under noise."""
    paints = _mix(rng, shapes=len(shapes))
    spots = _enlarged(np.sum([_enlarged(grid, side=24) for grid in paints.grids], axis=0), side=scene.SIDE)
    pixels = spots + paints.light + _float32(paints.tint)
    for shape, shade in zip(shapes, paints.colors, strict=True):
        color = _float32(PALETTE[shape.color]) + _float32(shade)
        window, covered = coverage(shape)
        pixels[window] += covered[..., None] * (color + _SHADE * spots[window] - pixels[window])
    clipped: Pixels = np.clip(pixels + paints.noise, 0, 255).astype(np.uint8)
    return clipped


def _mix(rng: np.random.Generator, *, shapes: int) -> _Paints:
    # The arguments are evaluated in this order, which decides what each scene looks like.
    return _Paints(
        grids=[rng.uniform(-limit, limit, (cells, cells, 3)) for cells, limit in _OCTAVES],
        light=rng.uniform(75, 180),
        tint=rng.uniform(-22, 22, 3),
        colors=[rng.uniform(-18, 18, 3) for _ in range(shapes)],
        noise=rng.standard_normal((scene.SIDE, scene.SIDE, 1), np.float32) * rng.uniform(3, 8),
    )


def coverage(shape: scene.Shape) -> tuple[tuple[slice, slice], Floats]:
    """The rows and columns around a shape, and how much of each pixel there it covers, 0 to 1."""
    top, left = (math.floor(low * scene.SIDE) for low in shape.box[:2])
    bottom, right = (math.ceil(high * scene.SIDE) for high in shape.box[2:])
    mask = Image.new("L", ((right - left) * _OVERSAMPLING, (bottom - top) * _OVERSAMPLING))
    canvas = ImageDraw.Draw(mask)
    for contour, level in zip(shape.outline, (255, 0), strict=False):
        corners = (contour * scene.SIDE - complex(left, top)) * _OVERSAMPLING
        canvas.polygon(np.stack((corners.real, corners.imag), axis=1).ravel().tolist(), fill=level)
    covered = np.asarray(mask.reduce(_OVERSAMPLING), np.float32) / np.float32(255)
    return (slice(top, bottom), slice(left, right)), covered


def _enlarged(grid: npt.NDArray[Any], *, side: int) -> Floats:
    """Values within +-127, to the nearest whole one, interpolated to `side` x `side`."""
    image = Image.fromarray((grid + 127.5).astype(np.uint8))
    return np.asarray(image.resize((side, side), Image.Resampling.BILINEAR), np.float32) - 127


def _float32(values: npt.ArrayLike) -> Floats:
    return np.asarray(values, np.float32)


def _encode(pixels: Pixels) -> bytes:
    jpeg = io.BytesIO()
    Image.fromarray(pixels).save(jpeg, "JPEG", quality=_JPEG_QUALITY)
    return jpeg.getvalue()
