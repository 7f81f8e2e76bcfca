"""The twelve figures by which COCO compares detectors.

They are computed by hotcoco, which gives the values of pycocotools. Source: https://cocodataset.org/#detection-eval.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tfperf.benchmarks.detection.objects import FoundObjects, TrueObjects

# Positions on the axes of what COCO evaluates by default.
_IOU = {"": slice(None), "_50": slice(0, 1), "_75": slice(5, 6)}  # 0.5 to 0.95, by 0.05
_AREA = {"": 0, "_small": 1, "_medium": 2, "_large": 3}  # up to 32 x 32 pixels, up to 96 x 96
_MOST = {"_1": 0, "_10": 1, "_100": 2}  # detections of an image and a class

NAMES = (
    *("map", "map_50", "map_75", "map_small", "map_medium", "map_large"),
    *("mar_1", "mar_10", "mar_100", "mar_small", "mar_medium", "mar_large"),
)


class ClassCurve(NamedTuple):
    """The precision for one class at an IoU of 0.5.

    Attributes:
        number: of the class.
        total: its objects that count.
        recall: float64 [101], 0 to 1.
        precision: float64 [101], the highest at this recall or a higher one; 0 where the recall is never reached.
        score: float64 [101], the lowest score that gives this recall; 0 where it is never reached.
    """

    number: int
    total: int
    recall: np.ndarray
    precision: np.ndarray
    score: np.ndarray


class Evaluated(NamedTuple):
    """The figures by the names in `NAMES`, and the curve of each class that has objects."""

    figures: dict[str, float]
    curves: tuple[ClassCurve, ...]


def figures(true: TrueObjects, found: FoundObjects) -> dict[str, float]:
    """The figures alone of `evaluate`."""
    return evaluate(true, found).figures


def evaluate(true: TrueObjects, found: FoundObjects) -> Evaluated:
    """The mean average precision and the mean average recall, by the names in `NAMES`, from 0 to 1, and the curves.

    `map` is the mean over classes and over the IoU of a match from 0.5 to 0.95, and MLPerf's quality. Detections of a
    group of objects don't count. Objects that are difficult by Pascal VOC's rules are like others.

    Args:
        true: the objects.
        found: the detections, in images of `true.images`.

    Returns:
        -1 for figures over objects of which there are none.
    """
    accumulated = _accumulated(true, found)
    precision, recall = accumulated["precision"], accumulated["recall"]
    mean_precision = {f"map{at}": _mean(precision[iou, ..., 0, -1]) for at, iou in _IOU.items()}
    mean_recall = {f"mar{at}": _mean(recall[..., 0, most]) for at, most in _MOST.items()}
    for at, area in list(_AREA.items())[1:]:
        mean_precision[f"map{at}"] = _mean(precision[..., area, -1])
        mean_recall[f"mar{at}"] = _mean(recall[..., area, -1])
    return Evaluated(mean_precision | mean_recall, _curves(true, precision, accumulated["scores"]))


def _curves(true: TrueObjects, precision: np.ndarray, scores: np.ndarray) -> tuple[ClassCurve, ...]:
    """Those at an IoU of 0.5, over objects of all sizes and up to 100 detections."""
    at_half, of_score = (values[0, :, :, 0, -1] for values in (precision, scores))  # [recall, class]
    totals = np.bincount(true.classes[~true.crowd], minlength=at_half.shape[1])
    recall = np.linspace(0, 1, len(at_half))
    return tuple(
        ClassCurve(number, int(totals[number]), recall, at_half[:, number], of_score[:, number])
        for number in np.flatnonzero(totals).tolist()
    )


def _mean(values: np.ndarray) -> float:
    """The mean over the classes that have objects; -1 is the value of the others."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else -1.0


def _accumulated(true: TrueObjects, found: FoundObjects) -> dict[str, Any]:
    """`precision` and `scores` [IoU, recall, class, area, most], and `recall` [IoU, class, area, most]."""
    import hotcoco

    classes = range(int(max(true.classes.max(initial=-1), found.classes.max(initial=-1))) + 1)
    objects = hotcoco.COCO.from_arrays(
        [{"id": number} for number in true.images.tolist()],
        [{"id": number, "name": str(number)} for number in classes],
        true.image,
        true.classes,
        with_sizes(true.boxes),
        area=true.areas,
        iscrowd=true.crowd,
    )
    columns = (found.image[:, None], with_sizes(found.boxes), found.scores[:, None], found.classes[:, None])
    evaluation = hotcoco.COCOeval(objects, objects.load_res(np.concatenate(columns, axis=1)), "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    accumulated: dict[str, Any] = evaluation.eval or {}
    return accumulated


def with_sizes(boxes: np.ndarray) -> np.ndarray:
    """x1, y1, x2, y2 -> x, y, width, height."""
    return np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), axis=1)
