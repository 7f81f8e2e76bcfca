"""The scorer: batches of several hosts become the figures of their images together."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.detection.made_up import scored_images
from tfperf.benchmarks.detection import coco, voc
from tfperf.benchmarks.detection.figures import NAMES, all_figures
from tfperf.benchmarks.detection.objects import FoundObjects, TrueObjects
from tfperf.benchmarks.detection.scorer import DetectionScorer
from tfperf.errors import DamagedDataError

WIDTH, HEIGHT, MOST = 640, 480, 40
SIZE = np.array((WIDTH, HEIGHT, WIDTH, HEIGHT))


def batch(
    true: TrueObjects, found: FoundObjects, images: list[int], *, first_class: int = 0
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """These images as a pipeline and a detector give them, and two more that only pad."""
    total = len(images) + 2
    targets: dict[str, np.ndarray] = {
        "number": np.zeros(total, "int64"),
        "size": np.tile(np.array((HEIGHT, WIDTH), "int32"), (total, 1)),
        "boxes": np.zeros((total, MOST, 4), "float32"),
        "classes": np.full((total, MOST), -1, "int32"),
        "areas": np.zeros((total, MOST), "float32"),
        "crowd": np.zeros((total, MOST), bool),
        "difficult": np.zeros((total, MOST), bool),
    }
    detections = np.zeros((total, MOST, 6), "float32")
    detections[-2:, :3] = 0.5
    for row, image in enumerate(images):
        targets["number"][row] = image
        mine, theirs = true.image == image, found.image == image
        for name in ("boxes", "classes", "areas", "crowd", "difficult"):
            values = getattr(true, name)[mine]
            targets[name][row, : len(values)] = values / SIZE if name == "boxes" else values
        rows = (found.boxes[theirs] / SIZE, found.scores[theirs, None], found.classes[theirs, None] + first_class)
        detections[row, : theirs.sum()] = np.concatenate(rows, axis=1)
    return targets, detections, (np.arange(total) < len(images)).astype("float32")


def seen(scorer: DetectionScorer, *batches: tuple[Any, Any, Any]) -> bytes:
    scorer.reset()
    for each in batches:
        scorer.update(*each)
    return scorer.seen()


@pytest.mark.parametrize("first_class", [0, 1])
def test_the_metrics_are_those_of_all_hosts_together(first_class: int) -> None:
    true, found = scored_images(4, images=30)
    by_image = np.argsort(found.image, kind="stable")
    found = FoundObjects(**{field.name: getattr(found, field.name)[by_image] for field in dataclasses.fields(found)})
    numbers = true.images.tolist()
    scorer = DetectionScorer(first_class=first_class)
    shares = [[numbers[at::2][:7], numbers[at::2][7:]] for at in range(2)]
    hosts = [
        seen(scorer, *(batch(true, found, images, first_class=first_class) for images in share)) for share in shares
    ]
    # What float32 makes of boxes in units of the image is all that may differ.
    precision = voc.mean_average_precision(true, found)
    expected = coco.figures(true, found) | {
        "voc_map_50": precision.all_points,
        "voc_map_50_2007": precision.eleven_points,
    }
    assert 0.1 < expected["map"] < 0.9
    assert dict(scorer.result(hosts)) == pytest.approx(expected, abs=1e-6)


def test_an_image_that_two_hosts_saw_is_named() -> None:
    true, found = scored_images(4, images=30)
    scorer = DetectionScorer()
    hosts = [seen(scorer, batch(true, found, [8, 9])), seen(scorer, batch(true, found, [9, 10]))]
    with pytest.raises(DamagedDataError) as caught:
        scorer.result(hosts)
    assert str(caught.value) == (
        "Can't score detections. Numbers of images listed more than once: 1, such as 9. Score each image once, with "
        "the detector's finite outputs for it."
    )


@pytest.mark.parametrize("value", [0, 4])  # of a box, and the score
def test_a_detection_that_is_not_a_number_is_named(value: int) -> None:
    true, found = scored_images(4, images=30)
    targets, detections, weights = batch(true, found, [8, 9])
    detections[1, 0, value] = np.nan
    scorer = DetectionScorer()
    with pytest.raises(DamagedDataError, match="detections that are not finite, in images: 1, such as 9"):
        scorer.result([seen(scorer, (targets, detections, weights))])


def test_detections_in_unknown_images_are_named() -> None:
    true, found = scored_images(4, images=30)
    all_figures(true, found)
    known = dataclasses.replace(true, images=true.images[:-2])
    with pytest.raises(DamagedDataError) as caught:
        all_figures(known, found)
    assert "objects in images that are not listed: 2, such as 35, 36" in str(caught.value)
    assert "detections in images that are not listed: 1, such as 36" in str(caught.value)


def test_a_scorer_that_saw_nothing_names_its_metrics() -> None:
    scorer = DetectionScorer()
    assert scorer.result([scorer.seen()]) == dict.fromkeys(NAMES, -1.0)
