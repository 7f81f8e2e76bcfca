"""COCO's figures against pycocotools, and against published values."""

import contextlib
import dataclasses
import io
import json
import pathlib

import numpy as np
import pytest

from tests.benchmarks.detection.made_up import scored_images
from tfperf.benchmarks.detection import coco
from tfperf.benchmarks.detection.objects import FoundObjects, TrueObjects

# The names in the published values.
PUBLISHED = (
    "AP",
    "AP50",
    "AP75",
    "APsmall",
    "APmedium",
    "APlarge",
    "AR1",
    "AR10",
    "AR100",
    "ARsmall",
    "ARmedium",
    "ARlarge",
)


def pycocotools_figures(true: TrueObjects, found: FoundObjects) -> dict[str, float]:
    """What the official implementation computes."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def corner_and_size(box: np.ndarray) -> list[float]:
        return [*box[:2].tolist(), *(box[2:] - box[:2]).tolist()]

    with contextlib.redirect_stdout(io.StringIO()):
        objects = COCO()
        objects.dataset = {
            "images": [{"id": int(number)} for number in true.images],
            "categories": [{"id": int(kind)} for kind in np.unique(np.concatenate((true.classes, found.classes)))],
            "annotations": [
                {
                    "id": at + 1,
                    "image_id": int(true.image[at]),
                    "category_id": int(true.classes[at]),
                    "bbox": corner_and_size(true.boxes[at]),
                    "area": float(true.areas[at]),
                    "iscrowd": int(true.crowd[at]),
                }
                for at in range(len(true.image))
            ],
        }
        objects.createIndex()
        results = [
            {
                "image_id": int(found.image[at]),
                "category_id": int(found.classes[at]),
                "bbox": corner_and_size(found.boxes[at]),
                "score": float(found.scores[at]),
            }
            for at in range(len(found.image))
        ]
        evaluation = COCOeval(objects, objects.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(coco.NAMES, map(float, evaluation.stats), strict=True))


@pytest.mark.parametrize("seed", range(4))
def test_figures_are_those_of_pycocotools(seed: int) -> None:
    true, found = scored_images(seed, crowds=0.3 if seed % 2 else 0.05)
    expected = pycocotools_figures(true, found)
    assert 0 < expected["map"] < expected["map_50"] < 1
    assert coco.figures(true, found) == pytest.approx(expected, abs=1e-12)


def test_more_detections_of_an_image_than_count_and_none_of_a_size_are_as_in_pycocotools() -> None:
    true, found = scored_images(9, images=2, classes=1, most=60)
    small = (true.areas > 32**2) & ~true.crowd
    true = dataclasses.replace(
        true,
        **{name: getattr(true, name)[small] for name in ("image", "boxes", "classes", "areas", "crowd", "difficult")},
    )
    found = FoundObjects(
        image=np.tile(found.image, 3),
        boxes=np.tile(found.boxes, (3, 1)) + np.repeat((0, 1, 2), len(found.image))[:, None],
        classes=np.tile(found.classes, 3),
        scores=np.tile(found.scores, 3),
    )
    assert np.bincount(found.image).max() > 100
    expected = pycocotools_figures(true, found)
    assert expected["map_small"] == -1
    assert coco.figures(true, found) == pytest.approx(expected, abs=1e-12)


def test_nothing_found_scores_0_and_nothing_to_find_minus_1() -> None:
    true, found = scored_images(1)
    no = np.zeros(0, "int64")
    none_found = FoundObjects(image=no, boxes=np.zeros((0, 4)), classes=no, scores=np.zeros(0))
    assert coco.figures(true, none_found) == dict.fromkeys(coco.NAMES, 0.0)
    none_there = TrueObjects(
        images=true.images,
        image=no,
        boxes=np.zeros((0, 4)),
        classes=no,
        areas=np.zeros(0),
        crowd=no > 0,
        difficult=no > 0,
    )
    assert coco.figures(none_there, found) == dict.fromkeys(coco.NAMES, -1.0)
    assert coco.figures(none_there, none_found) == dict.fromkeys(coco.NAMES, -1.0)


@pytest.mark.data
def test_figures_are_the_published_ones(shared_data: pathlib.Path) -> None:
    folder = shared_data / "detection-metric-vectors"
    expected = json.loads((folder / "expected_coco.json").read_text())
    annotations = json.loads((folder / expected["gts"]).read_text())
    objects, detections = annotations["annotations"], json.loads((folder / expected["dets"]).read_text())

    def column(rows: list[dict[str, int]], name: str) -> np.ndarray:
        return np.array([row[name] for row in rows])

    def corners(rows: list[dict[str, int]]) -> np.ndarray:
        boxes = column(rows, "bbox").astype(float)
        return np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1)

    crowd = column(objects, "iscrowd") > 0
    true = TrueObjects(
        images=column(annotations["images"], "id"),
        image=column(objects, "image_id"),
        boxes=corners(objects),
        classes=column(objects, "category_id"),
        areas=column(objects, "area"),
        crowd=crowd,
        difficult=np.zeros_like(crowd),
    )
    found = FoundObjects(
        image=column(detections, "image_id"),
        boxes=corners(detections),
        classes=column(detections, "category_id"),
        scores=column(detections, "score"),
    )
    figures = coco.figures(true, found)
    assert list(figures.values()) == pytest.approx([expected[name] for name in PUBLISHED], abs=expected["tolerance"])
