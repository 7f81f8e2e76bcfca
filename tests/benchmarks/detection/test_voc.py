"""Average precision by Pascal VOC's rules, against published values and against going one by one."""

import json
import pathlib

import numpy as np
import pytest

from tests.benchmarks.detection import arithmetic
from tests.benchmarks.detection.made_up import scored_images
from tfperf.benchmarks.detection.objects import FoundObjects, TrueObjects
from tfperf.benchmarks.detection.voc import AveragePrecision, mean_average_precision


def one_by_one(true: TrueObjects, found: FoundObjects, iou: float) -> AveragePrecision:
    """As the development kit does it: detection by detection, and the curve point by point."""
    passed_over = true.difficult | true.crowd
    each = []
    for kind in np.unique(true.classes[~passed_over]):
        total = int((~passed_over & (true.classes == kind)).sum())
        taken, hits, curve = set(), 0, []
        candidates = [at for at in np.lexsort((found.image, -found.scores)) if found.classes[at] == kind]
        for at in candidates:
            there = np.flatnonzero((true.classes == kind) & (true.image == found.image[at]))
            overlaps = arithmetic.iou(found.boxes[at : at + 1], true.boxes[there])[0]
            nearest = there[overlaps.argmax()] if len(there) and overlaps.max() >= iou else None
            if nearest is not None and passed_over[nearest]:
                continue
            hits += nearest is not None and nearest not in taken
            taken.add(nearest)
            curve.append((hits / total, hits / (len(curve) + 1)))
        at_least = [max((each for at, each in curve if at >= recall), default=0) for recall in np.linspace(0, 1, 11)]
        edges = [0, *(recall for recall, _ in curve)]
        area = sum(
            (edges[at + 1] - edges[at]) * max(precision for _, precision in curve[at:]) for at in range(len(curve))
        )
        each.append((area, float(np.mean(at_least))))
    return AveragePrecision(*np.mean(each, axis=0).tolist())


@pytest.mark.parametrize("seed", range(4))
def test_the_precision_is_that_of_going_one_by_one(seed: int) -> None:
    true, found = scored_images(seed)
    precision = mean_average_precision(true, found)
    assert 0 < precision.all_points < 1
    assert precision == pytest.approx(one_by_one(true, found, 0.5), abs=1e-12)


def test_of_an_object_the_first_detection_counts_and_a_difficult_one_not_at_all() -> None:
    objects = np.array([(0, 0, 10, 10), (20, 0, 30, 10), (50, 0, 60, 10)], float)
    true = TrueObjects(
        images=np.array([5]),
        image=np.full(3, 5),
        boxes=objects,
        classes=np.zeros(3, "int64"),
        areas=np.full(3, 100.0),
        crowd=np.zeros(3, bool),
        difficult=np.array([False, False, True]),
    )
    found = FoundObjects(
        image=np.full(4, 5),
        boxes=objects[[2, 0, 0, 1]],
        classes=np.zeros(4, "int64"),
        scores=np.array([0.9, 0.8, 0.8, 0.7]),
    )
    # The precision is 1 up to a recall of 0.5, then 2 in 3.
    expected = AveragePrecision(0.5 + 0.5 * 2 / 3, (6 + 5 * 2 / 3) / 11)
    assert mean_average_precision(true, found) == pytest.approx(expected)


def test_nothing_found_scores_0_and_nothing_to_find_minus_1() -> None:
    true, found = scored_images(1)
    nothing = FoundObjects(**{name: getattr(found, name)[:0] for name in ("image", "boxes", "classes", "scores")})
    assert mean_average_precision(true, nothing) == (0, 0)
    rows = ("image", "boxes", "classes", "areas", "crowd", "difficult")
    empty = TrueObjects(images=true.images, **{name: getattr(true, name)[:0] for name in rows})
    assert mean_average_precision(empty, found) == (-1, -1)


@pytest.mark.data
def test_the_precision_is_the_published_one(shared_data: pathlib.Path) -> None:
    folder = shared_data / "detection-metric-vectors"
    expected = json.loads((folder / "expected_pascal_case1.json").read_text())
    files = sorted((folder / "test_case_1" / "gts").iterdir())
    objects, image = read(files)
    detections, of_detection = read([folder / "test_case_1" / "dets" / file.name for file in files])
    no = np.zeros(len(objects), bool)
    true = TrueObjects(
        images=np.arange(len(files)),
        image=image,
        boxes=corners(objects),
        classes=np.zeros(len(objects), "int64"),
        areas=np.zeros(len(objects)),
        crowd=no,
        difficult=no,
    )
    found = FoundObjects(
        image=of_detection,
        boxes=corners(detections[:, 1:]),
        classes=np.zeros(len(detections), "int64"),
        scores=detections[:, 0],
    )
    for iou in ("0.1", "0.3", "0.5", "0.75"):
        precision = mean_average_precision(true, found, iou=float(iou))
        assert precision.all_points == pytest.approx(expected["every_point_AP"][iou], abs=1e-6)
        assert precision.eleven_points == pytest.approx(expected["eleven_point_AP"][iou], abs=1e-6)


def read(files: list[pathlib.Path]) -> tuple[np.ndarray, np.ndarray]:
    """The numbers in each line of the files, and the number of the file."""
    lines = [(number, line) for number, file in enumerate(files) for line in file.read_text().splitlines()]
    return np.array([line.split()[1:] for _, line in lines], float), np.array([number for number, _ in lines])


def corners(boxes: np.ndarray) -> np.ndarray:
    """x, y, width and height, which counts pixels from the first to the one before the last -> areas with the last."""
    return np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:] + 1), axis=1)
