"""SSD's random crop: boxes against float64 NumPy, windows against the rule as MLPerf's reference states it."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
import tensorflow as tf

from tfperf.benchmarks.detection.data import crop

BOXES = np.array([[0.1, 0.2, 0.5, 0.9], [0.4, 0.3, 0.95, 0.6], [0.6, 0.1, 0.7, 0.25]])
HEIGHT, WIDTH = 480, 640


def windows(boxes: np.ndarray, *, draws: int, samples: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Windows [draws, 4] as x1, y1, x2, y2, pixels."""
    tensor, size = tf.constant(boxes, tf.float32), tf.constant([height, width])
    seeds = tf.data.Dataset.range(draws).map(lambda number: tf.stack([tf.constant(5, tf.int64), number]))
    found = seeds.map(lambda seed: crop.random_window(tensor, size, seed=seed, samples=samples))
    top, left, tall, wide = np.stack(list(found.as_numpy_iterator())).T
    return np.stack([left, top, left + wide, top + tall], axis=1)


def overlaps(boxes: np.ndarray, window: Sequence[float]) -> np.ndarray:
    """Intersection over union of each box with the window."""
    low, high = np.maximum(boxes[:, :2], window[:2]), np.minimum(boxes[:, 2:], window[2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    union = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1) + (window[2] - window[0]) * (window[3] - window[1]) - shared
    return shared / union


def centred(boxes: np.ndarray, window: Sequence[float]) -> np.ndarray:
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    return ((centre > window[:2]) & (centre < window[2:])).all(axis=1)


def by_the_rule(boxes: np.ndarray, rng: random.Random, *, samples: int) -> tuple[float, float, float, float]:
    """One window in shares of the image, drawn one number at a time."""
    while True:
        option = rng.choice(("whole", 0.1, 0.3, 0.5, 0.7, 0.9, None))
        if option == "whole":
            return 0, 0, 1, 1
        for _ in range(samples):
            wide, tall = rng.uniform(0.3, 1), rng.uniform(0.3, 1)
            if not 0.5 <= wide / tall <= 2:
                continue
            left, top = rng.uniform(0, 1 - wide), rng.uniform(0, 1 - tall)
            window = (left, top, left + wide, top + tall)
            demanded = option is None or (overlaps(boxes, window) > option).all()
            if demanded and centred(boxes, window).any():
                return window


@pytest.mark.parametrize(
    ("boxes", "samples", "draws"),
    [
        pytest.param(BOXES, 1, 600, id="three boxes"),
        pytest.param(BOXES, 50, 300, id="three boxes, many samples"),
        pytest.param(np.array([[0.02, 0.02, 0.98, 0.97]]), 1, 500, id="a large box"),
    ],
)
def test_windows_are_distributed_as_by_the_rule(boxes: np.ndarray, samples: int, draws: int) -> None:
    found = windows(boxes, draws=draws, samples=samples) / [WIDTH, HEIGHT, WIDTH, HEIGHT]
    rng = random.Random(3)
    expected = np.array([by_the_rule(boxes, rng, samples=samples) for _ in range(draws)])
    for statistic in (
        lambda window: float((window == (0, 0, 1, 1)).all()),
        lambda window: (window[2] - window[0]) * (window[3] - window[1]),
        lambda window: window[0],
        lambda window: window[3],
        lambda window: overlaps(boxes, window).min(),
        lambda window: centred(boxes, window).mean(),
    ):
        one, other = (np.array([statistic(window) for window in drawn]) for drawn in (found, expected))
        error = np.sqrt((one.var() + other.var()) / draws)
        assert abs(one.mean() - other.mean()) < 4.5 * error + 0.004  # windows of whole pixels are a little smaller


def test_windows_lie_in_the_image_and_hold_the_centre_of_a_box() -> None:
    for height, width in ((31, 17), (4, 300)):
        for window in windows(BOXES, draws=200, samples=1, height=height, width=width):
            x1, y1, x2, y2 = window.tolist()
            assert 0 <= x1 < x2 <= width
            assert 0 <= y1 < y2 <= height
            assert centred(BOXES, window / [width, height, width, height]).any()


def test_an_image_without_boxes_stays_whole() -> None:
    assert (windows(np.zeros((0, 4)), draws=50, samples=1) == (0, 0, WIDTH, HEIGHT)).all()


def test_a_window_follows_from_the_seed() -> None:
    assert np.array_equal(windows(BOXES, draws=30, samples=1), windows(BOXES, draws=30, samples=1))
    assert len(np.unique(windows(BOXES, draws=30, samples=1), axis=0)) >= 8  # half of them are the whole image


def test_clipped_boxes_equal_those_of_float64() -> None:
    rng = np.random.default_rng(11)
    boxes_in = tf.function(crop.boxes_in, reduce_retracing=True)
    dropped = clipped = 0
    for _ in range(400):
        height, width = rng.integers(2, 700, 2).tolist()
        top, left = int(rng.integers(height)), int(rng.integers(width))
        tall, wide = int(rng.integers(1, height - top + 1)), int(rng.integers(1, width - left + 1))
        corners = np.sort(rng.random((int(rng.integers(0, 9)), 2, 2)), axis=1)
        boxes = corners.reshape(-1, 4).astype(np.float32)
        found, kept = boxes_in(tf.constant(boxes), tf.constant([top, left, tall, wide]), tf.constant([height, width]))
        pixels = boxes.astype(np.float64) * [width, height, width, height]
        window = (left, top, left + wide, top + tall)
        centre = (pixels[:, :2] + pixels[:, 2:]) / 2
        on_edge = np.isclose(centre, window[:2], rtol=1e-6) | np.isclose(centre, window[2:], rtol=1e-6)
        expected = centred(pixels, window)
        assert np.array_equal(kept.numpy()[~on_edge.any(axis=1)], expected[~on_edge.any(axis=1)])
        shown = (np.clip(pixels, (left, top) * 2, window[2:] * 2) - (left, top) * 2) / ((wide, tall) * 2)
        assert found.numpy()[kept] == pytest.approx(shown[kept.numpy()], abs=2e-4 / min(wide, tall) + 1e-6)
        assert (found.numpy()[kept][:, :2] < found.numpy()[kept][:, 2:]).all()
        dropped += (~expected).sum()
        clipped += (expected & (shown != (pixels - (left, top) * 2) / ((wide, tall) * 2)).any(axis=1)).sum()
    assert min(dropped, clipped) > 100
