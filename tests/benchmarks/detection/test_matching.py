"""Matches and their offsets against what MLPerf's references compute for the same objects, ties included."""

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

from tests.benchmarks.detection import drawn
from tests.benchmarks.detection.running import run
from tfperf.benchmarks.detection.anchors import RETINANET_800, anchors
from tfperf.benchmarks.detection.coding import RETINANET_CODING, SSD_CODING, BoxCoding, encode
from tfperf.benchmarks.detection.default_boxes import SSD300, default_corners
from tfperf.benchmarks.detection.matching import (
    BACKGROUND,
    IGNORED,
    boxes_to_find,
    classes_to_find,
    match_best,
    match_by_thresholds,
)

IMAGES = 3
Match = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


def found(
    match: Match, references: np.ndarray, coding: BoxCoding, *, size: float, xla: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Matches, classes and offsets of all reference boxes for the drawn objects."""
    objects = drawn.objects()

    def function(
        boxes: tf.Tensor, classes: tf.Tensor, valid: tf.Tensor, references: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        matches = match(boxes, valid, references)
        offsets = encode(boxes_to_find(boxes, matches, references), references, coding)
        return matches, classes_to_find(classes, matches), offsets

    matches, classes, offsets = run(
        function, objects.boxes * np.float32(size), objects.classes, objects.valid, references, xla=xla
    )
    return matches, classes, offsets


@pytest.mark.parametrize("xla", [False, True])
def test_ssd_matches_as_its_reference(xla: bool) -> None:
    golden = np.load(drawn.GOLDEN)
    matches, classes, offsets = found(match_best, default_corners(SSD300), SSD_CODING, size=1, xla=xla)
    for image in range(IMAGES):
        matched = golden[f"ssd_matched_{image}"]
        np.testing.assert_array_equal(np.flatnonzero(matches[image] >= 0), matched)
        np.testing.assert_array_equal(classes[image, matched], golden[f"ssd_classes_{image}"])
        np.testing.assert_allclose(offsets[image, matched], golden[f"ssd_offsets_{image}"], atol=2e-4)
    assert not offsets[matches < 0].any()
    assert (classes[matches < 0] == BACKGROUND).all()


@pytest.mark.parametrize("xla", [False, True])
def test_retinanet_matches_as_its_reference(xla: bool) -> None:
    golden = np.load(drawn.GOLDEN)
    matches, classes, offsets = found(match_by_thresholds, anchors(RETINANET_800), RETINANET_CODING, size=800, xla=xla)
    objects = drawn.objects()
    for image in range(IMAGES):
        matched = golden[f"retinanet_matched_{image}"]
        np.testing.assert_array_equal(np.flatnonzero(matches[image] >= 0), matched)
        np.testing.assert_array_equal(matches[image, matched], golden[f"retinanet_matches_{image}"])
        np.testing.assert_array_equal(classes[image, matched], objects.classes[image, matches[image, matched]])
        np.testing.assert_array_equal(np.flatnonzero(matches[image] == IGNORED), golden[f"retinanet_ignored_{image}"])
        np.testing.assert_allclose(offsets[image, matched], golden[f"retinanet_offsets_{image}"], atol=2e-5)
    np.testing.assert_array_equal(classes[matches < 0], matches[matches < 0])


@pytest.mark.parametrize("match", [match_best, match_by_thresholds])
@pytest.mark.parametrize("most", [0, 2])
def test_an_image_without_objects_is_background(match: Match, most: int) -> None:
    matches = match(tf.zeros((1, most, 4)), tf.zeros((1, most), tf.bool), tf.constant(default_corners(SSD300)))
    assert (matches.shape, set(matches.numpy().ravel())) == ((1, 8732), {BACKGROUND})


@pytest.mark.parametrize("match", [match_best, match_by_thresholds])
@pytest.mark.parametrize("most", [1, 8, 12])
def test_padding_changes_nothing(match: Match, most: int) -> None:
    objects, references = drawn.objects(), tf.constant(default_corners(SSD300))
    boxes, valid = objects.boxes[:, :most], objects.valid[:, :most]
    filled = np.pad(boxes, ((0, 0), (0, 17), (0, 0)), constant_values=0.5)
    matches = match(tf.constant(filled), tf.constant(np.pad(valid, ((0, 0), (0, 17)))), references).numpy()
    for image in range(IMAGES):
        alone = match(tf.constant(boxes[image, valid[image]]), tf.fill(int(valid[image].sum()), True), references)
        np.testing.assert_array_equal(matches[image], alone.numpy())


@pytest.mark.parametrize("match", [match_best, match_by_thresholds])
def test_an_object_without_area_changes_nothing(match: Match) -> None:
    references = tf.constant(default_corners(SSD300))
    nan = float("nan")
    objects = tf.constant([(0.2, 0.2, 0.2, 0.6), (0.6, 0.2, 0.1, 0.3), (0, nan, 1, 1), (0.1, 0.2, 0.5, 0.6)])
    matches = match(objects, tf.fill(4, True), references).numpy()
    alone = match(objects[3:], tf.constant([True]), references).numpy()
    np.testing.assert_array_equal(matches, np.where(alone >= 0, 3, alone))


def test_an_object_that_overlaps_nothing_has_no_anchor() -> None:
    outside = tf.constant([(5.0, 5, 6, 6)])
    matches = match_by_thresholds(outside, tf.constant([True]), tf.constant(default_corners(SSD300)))
    assert (matches.numpy() == BACKGROUND).all()
