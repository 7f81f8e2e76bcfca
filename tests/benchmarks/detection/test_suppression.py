"""Detections in the graph and compiled by XLA against float64 NumPy that goes one by one, ties included."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.benchmarks.detection import arithmetic, drawn
from tests.benchmarks.detection.running import compiled, run
from tfperf.benchmarks.detection.anchors import RETINANET_800, AnchorLayout, anchors
from tfperf.benchmarks.detection.coding import RETINANET_CODING, decode
from tfperf.benchmarks.detection.default_boxes import SSD300, default_corners
from tfperf.benchmarks.detection.detections import best_of_classes, retinanet_detections, ssd_detections
from tfperf.benchmarks.detection.suppression import Candidates, Detections, suppress

SMALL = AnchorLayout(image_size=(64, 96), grids=((8, 12), (4, 6)), sizes=((10, 16), (24, 40)))

Found = list[tuple[tuple[float, ...], float, int]]


def one_by_one(candidates: Found, *, iou: float, limit: int, or_equal: bool = False) -> Found:
    """The candidates that stay, taken one after the other in their order."""
    boxes = np.array([box for box, _, _ in candidates]).reshape(-1, 4)
    kinds = np.array([kind for _, _, kind in candidates])
    overlaps = arithmetic.iou(boxes, boxes)
    excludes = (overlaps >= iou if or_equal else overlaps > iou) & (kinds[:, None] == kinds)
    taken: list[int] = []
    for number in range(len(candidates)):
        if not excludes[number, taken].any():
            taken.append(number)
    return [candidates[number] for number in taken[:limit]]


def of_image(detections: Detections, image: int) -> Found:
    """The detections of one image; asserts that zeros follow them."""
    count = int(detections.count[image])
    for part in detections[:3]:
        assert not part[image, count:].any()
    boxes, scores, classes = (part[image, :count].tolist() for part in detections[:3])
    return [(tuple(box), score, kind) for box, score, kind in zip(boxes, scores, classes, strict=True)]


def sorted_candidates(rng: np.random.Generator, images: int, number: int, classes: int) -> Candidates:
    """Candidates on a grid, whose overlaps are exact, with many equal scores and overlaps of exactly a half."""
    scores = -np.sort(-rng.integers(0, 40, (images, number)) / np.float32(64), axis=1)
    kinds = rng.integers(0, classes, (images, number)).astype("int32")
    return Candidates(arithmetic.grid_boxes(rng, images, number), scores.astype("float32"), kinds)


@pytest.mark.parametrize("xla", [False, True])
@pytest.mark.parametrize(("number", "limit", "or_equal"), [(700, 40, False), (5, 3, True)])
def test_the_same_stay_as_one_by_one(number: int, limit: int, or_equal: bool, xla: bool) -> None:
    candidates = sorted_candidates(np.random.default_rng(number), 3, number, 3)
    candidates.scores[1, 2:] = 0
    candidates.scores[2] = 0

    def function(*parts: tf.Tensor) -> Detections:
        return suppress(Candidates(*parts), iou=0.5, limit=limit, or_equal=or_equal)

    found = run(function, *candidates, xla=xla)
    for image in range(3):
        given = [
            (tuple(box), score, kind)
            for box, score, kind in zip(*(part[image].tolist() for part in candidates), strict=True)
            if score > 0
        ]
        assert of_image(found, image) == one_by_one(given, iou=0.5, limit=limit, or_equal=or_equal)
    assert found.count[2] == 0
    assert found.boxes.shape == (3, limit, 4)


@pytest.mark.parametrize("xla", [False, True])
def test_a_chain_of_overlaps_keeps_every_second_box(xla: bool) -> None:
    left = np.arange(300, dtype="float32") * 0.25  # each overlaps the next by 0.6, and the one after by a third
    chain = np.stack((left, 0 * left, left + 1, 1 + 0 * left), axis=1)[None]
    scores = np.linspace(0.9, 0.1, 300, dtype="float32")[None]

    def function(*parts: tf.Tensor) -> Detections:
        return suppress(Candidates(*parts), iou=0.5, limit=300)

    found = run(function, chain, scores, np.zeros((1, 300), "int32"), xla=xla)
    assert found.count.tolist() == [150]
    assert found.boxes[0, :150, 0].tolist() == left[::2].tolist()


@pytest.mark.parametrize("xla", [False, True])
def test_ssd_keeps_what_its_reference_does(xla: bool) -> None:
    rng = np.random.default_rng(5)
    choose = compiled(best_of_classes, xla=xla)
    for scored in (800, 1100):  # up to 1,024 of them are set apart first
        boxes = arithmetic.grid_boxes(rng, 2, 1100)
        scores = (rng.integers(0, 64, (2, 1100, 3)) / 256).astype("float32")  # 0.05 is 12.8 / 256
        scores[0, rng.permutation(1100)[scored:]] = 0.01
        scores[1, :, 1:] = 0
        scores[1, 2:] = 0.04
        found = choose(boxes, scores)
        for image in range(2):
            candidates = best_by_class(boxes[image], scores[image])
            assert of_image(found, image) == one_by_one(candidates, iou=0.5, limit=200, or_equal=True)


def best_by_class(boxes: np.ndarray, scores: np.ndarray) -> Found:
    """The 200 best boxes of each class whose score is above 0.05, best first."""
    candidates = [
        (tuple(boxes[at].tolist()), float(scores[at, kind]), kind + 1)
        for kind in range(scores.shape[1])
        for at in np.argsort(-scores[:, kind], kind="stable")[:200]
        if scores[at, kind] > 0.05
    ]
    return sorted(candidates, key=lambda each: -each[1])


@pytest.mark.parametrize("xla", [False, True])
def test_retinanet_keeps_what_its_reference_does(xla: bool) -> None:
    rng = np.random.default_rng(6)
    offsets = np.zeros((2, sum(SMALL.per_level), 4), "float32")  # anchors have whole pixels, so overlaps are exact
    logits = (rng.integers(-64, -20, (2, len(offsets[0]), 5)) / 10).astype("float32")
    logits[1, 100:] = -5
    found = run(functools.partial(retinanet_detections, layout=SMALL), offsets, logits, xla=xla)
    size = np.array((96, 64, 96, 64))
    boxes = np.clip(decode(offsets[0], anchors(SMALL), RETINANET_CODING).numpy(), 0, size)
    for image in range(2):
        expected = one_by_one(best_by_level(boxes, logits[image]), iou=0.5, limit=300)
        assert len(expected) > 10
        got = of_image(found, image)
        assert [kind for _, _, kind in got] == [kind for _, _, kind in expected]
        np.testing.assert_allclose([box for box, _, _ in got] * size, [box for box, _, _ in expected], 1e-6)
        scores = 1 / (1 + np.exp([-logit for _, logit, _ in expected]))
        np.testing.assert_allclose([score for _, score, _ in got], scores, 1e-5)


def best_by_level(boxes: np.ndarray, logits: np.ndarray) -> Found:
    """The 1,000 best boxes of each level whose score is above 0.05, with their logits, best first."""
    candidates: Found = []
    first = 0
    for count in SMALL.per_level:
        flat = logits[first : first + count].ravel()
        candidates += [
            (tuple(boxes[first + at // 5].tolist()), float(flat[at]), int(at % 5))
            for at in np.argsort(-flat, kind="stable")[:1000]
            if flat[at] > np.log(0.05 / 0.95)
        ]
        first += count
    return sorted(candidates, key=lambda each: -each[1])


def test_detections_are_those_of_the_references() -> None:
    golden = np.load(drawn.GOLDEN)
    ssd = ssd_detections(*drawn.raw(8732, 81, seed=3, mean=0), default_corners(SSD300))
    retinanet = retinanet_detections(*drawn.raw(120_087, 3, seed=4, mean=-4), RETINANET_800)
    for name, size, found in (("ssd", 1, ssd), ("retinanet", 800, retinanet)):
        for image in range(2):
            count = int(found.count[image])
            boxes, scores, classes = (golden[f"{name}_{image}_detected_{part}"] for part in Detections._fields[:3])
            np.testing.assert_array_equal(found.classes[image, :count], classes)
            np.testing.assert_allclose(found.scores[image, :count], scores, rtol=1e-4)
            np.testing.assert_allclose(found.boxes[image, :count] * size, boxes, atol=1e-4 * size)


@pytest.mark.parametrize("xla", [False, True])
def test_predictions_that_are_not_finite_are_not_an_image_without_objects(xla: bool) -> None:
    def both(offsets: tf.Tensor, logits: tf.Tensor) -> tuple[Detections, Detections]:
        return ssd_detections(offsets, logits, anchors(SMALL) / 64), retinanet_detections(offsets, logits, SMALL)

    detect = compiled(both, xla=xla)
    total = sum(SMALL.per_level)
    for part, value in ((0, np.nan), (1, np.nan), (1, np.inf)):
        predictions = [np.zeros((2, total, 4), "float32"), np.full((2, total, 3), -9, "float32")]
        predictions[1][..., 0] = 9
        predictions[part][1, 70, 1] = value
        for found in detect(*predictions):
            assert np.isfinite(found.scores[0]).all()
            assert np.isnan(found.scores[1]).all()
            assert found.count[1] == found.scores.shape[1]
