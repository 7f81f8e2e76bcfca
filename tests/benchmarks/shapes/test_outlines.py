"""The kinds of shapes."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tfperf.benchmarks.shapes import outlines


@pytest.mark.parametrize("kind", outlines.KINDS)
def test_a_unit_outline_just_fits_the_unit_circle(kind: str) -> None:
    assert np.abs(outlines.UNIT_OUTLINES[kind][0]).max() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("kind", outlines.KINDS)
def test_the_area_of_an_outline_is_that_of_its_pixels(kind: str) -> None:
    scale = 200
    image = Image.new("1", (2 * scale + 1,) * 2)
    for contour, level in zip(outlines.UNIT_OUTLINES[kind], (1, 0), strict=False):
        corners = scale * (contour + 1 + 1j)
        ImageDraw.Draw(image).polygon(list(zip(corners.real.tolist(), corners.imag.tolist(), strict=True)), fill=level)

    assert outlines.UNIT_AREAS[kind] == pytest.approx(np.asarray(image).sum() / scale**2, rel=0.02)
