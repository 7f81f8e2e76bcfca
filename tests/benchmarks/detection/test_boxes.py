"""Boxes against float64 NumPy, in the graph and compiled by XLA."""

import numpy as np
import pytest

from tests.benchmarks.detection import arithmetic
from tests.benchmarks.detection.running import run
from tfperf.benchmarks.detection import boxes


@pytest.mark.parametrize("xla", [False, True])
def test_overlaps_are_those_of_float64(xla: bool) -> None:
    rng = np.random.default_rng(1)
    some, others = arithmetic.random_boxes(rng, 2, 20), arithmetic.random_boxes(rng, 2, 30)
    some[0, :3] = ((0.2, 0.2, 0.2, 0.4), (0.5, 0.5, 0.4, 0.4), (0, 0, 0, 0))  # no area, swapped corners, padding
    others[0, :3] = some[0, :3]
    expected = [arithmetic.iou(some[image], others[image]) for image in range(2)]
    found = run(boxes.iou, some, others, xla=xla)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found[0, :3, :3].max() == 0
    np.testing.assert_allclose(run(boxes.iou, some, others[1], xla=xla)[1], expected[1], atol=1e-6)


@pytest.mark.parametrize("xla", [False, True])
def test_areas_are_those_of_float64(xla: bool) -> None:
    some = arithmetic.random_boxes(np.random.default_rng(2), 3, 5)
    some[0, 0] = (0.5, 0.5, 0.1, 0.1)
    expected = [arithmetic.areas(row) for row in some]
    np.testing.assert_allclose(run(boxes.areas, some, xla=xla), expected, rtol=1e-5)


@pytest.mark.parametrize("xla", [False, True])
def test_corners_and_centres_turn_into_each_other(xla: bool) -> None:
    some = arithmetic.random_boxes(np.random.default_rng(3), 50)
    x1, y1, x2, y2 = some.astype("float64").T
    centres = run(boxes.centres, some, xla=xla)
    np.testing.assert_allclose(centres.T, ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1), atol=1e-7)
    np.testing.assert_allclose(run(boxes.corners, centres, xla=xla), some, atol=1e-7)


@pytest.mark.parametrize("xla", [False, True])
def test_clipping_keeps_the_part_inside(xla: bool) -> None:
    some = np.array([(-5, 10, 20, 90), (10, -5, 120, 20), (1, 2, 3, 4), (130, 60, 140, 70)], "float32")
    clipped = run(lambda each: boxes.clip(each, width=100, height=50), some, xla=xla)
    assert clipped.tolist() == [[0, 10, 20, 50], [10, 0, 100, 20], [1, 2, 3, 4], [100, 50, 100, 50]]


@pytest.mark.parametrize("xla", [False, True])
def test_a_box_without_area_or_with_nan_is_not_usable(xla: bool) -> None:
    nan, inf = float("nan"), float("inf")
    some = [(0, 0, 1, 1), (0, 0, 0, 1), (0, 0, 1, 0), (1, 0, 0, 1), (nan, 0, 1, 1), (0, 0, 1, inf), (-1, -1, 0, 0)]
    found = run(boxes.usable, np.array(some, "float32"), xla=xla)
    assert found.tolist() == [True, False, False, False, False, False, True]
