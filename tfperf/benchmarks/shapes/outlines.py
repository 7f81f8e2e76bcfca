"""The kinds of shapes, as outlines in the complex plane: the real axis points right, the imaginary axis down."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Contour = npt.NDArray[np.complex128]
"""The corners of a closed line, in order."""

Outline = tuple[Contour, ...]
"""The outer contour, then the hole where there is one."""


def _regular(corners: int) -> Contour:
    """A regular polygon that points up."""
    contour: Contour = -1j * np.exp(2j * np.pi * np.arange(corners) / corners)
    return contour


def _star(*, inner_radius: float) -> Contour:
    contour: Contour = _regular(10) * np.tile((1.0, inner_radius), 5)
    return contour


def _cross(*, arm: float) -> Contour:
    corner = np.array((1 - arm * 1j, 1 + arm * 1j, arm + arm * 1j)) / np.hypot(1, arm)
    return np.concatenate([corner * turn for turn in (1, 1j, -1, -1j)])


def _crescent(*, radius: float, shift: float) -> Contour:
    """The unit disc without the disc of `radius` around `shift`, its tips up and down."""
    tip = np.arccos((1 + shift**2 - radius**2) / (2 * shift))
    inner_tip = np.angle(np.exp(1j * tip) - shift)
    outer = np.exp(1j * np.linspace(tip, 2 * np.pi - tip, 48))
    inner = shift + radius * np.exp(1j * np.linspace(2 * np.pi - inner_tip, inner_tip, 48))
    return np.concatenate((outer, inner[1:-1]))


def _heart() -> Contour:
    t = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    contour: Contour = 16 * np.sin(t) ** 3 + 1j * (y - 2.5)
    contour /= np.abs(contour).max()
    return contour


def area(outline: Outline) -> float:
    """What the outer contour encloses without the hole, by the shoelace formula."""
    enclosed = [float(np.imag(np.sum(np.conj(contour) * np.roll(contour, -1))) / 2) for contour in outline]
    return enclosed[0] - sum(enclosed[1:])


UNIT_OUTLINES: Mapping[str, Outline] = {
    "circle": (_regular(64),),
    "square": (_regular(4) * np.exp(0.25j * np.pi),),
    "triangle": (_regular(3),),
    "star": (_star(inner_radius=0.42),),
    "cross": (_cross(arm=0.34),),
    "ring": (_regular(64), 0.55 * _regular(64)),
    "heart": (_heart(),),
    "crescent": (_crescent(radius=0.8, shift=0.5),),
}
"""Each kind, with its corners within the unit circle around the origin."""

UNIT_AREAS: Mapping[str, float] = {kind: area(outline) for kind, outline in UNIT_OUTLINES.items()}
"""The area of each unit outline."""

KINDS = tuple(UNIT_OUTLINES)
"""The kinds in the order of their labels."""
