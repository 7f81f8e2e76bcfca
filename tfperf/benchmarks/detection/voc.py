"""The average precision by which Pascal VOC compares detectors.

Source: `VOCevaldet` in the development kits of 2007 (eleven points) and 2012 (all points),
http://host.robots.ox.ac.uk/pascal/VOC/. Edges are those of areas here, not numbers of pixels: a box of one pixel has
x2 = x1 + 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from tfperf.benchmarks.detection.objects import FoundObjects, TrueObjects

# 0.6 is the next higher number here, so that 9 of 15 are less: the published implementations count this way.
_RECALLS = np.linspace(0, 1, 11)


class AveragePrecision(NamedTuple):
    """The mean over the classes of the area below the curve of precision by recall, from 0 to 1.

    Attributes:
        all_points: the area itself, as from 2010 on.
        eleven_points: the mean of the precision at the recalls 0, 0.1, ..., 1, as in 2007.
    """

    all_points: float
    eleven_points: float


def mean_average_precision(true: TrueObjects, found: FoundObjects, *, iou: float = 0.5) -> AveragePrecision:
    """The mean over the classes with an object that is not difficult; -1 if there is none.

    Args:
        true: the objects; difficult ones and groups neither count as found nor as missed.
        found: the detections, in images of `true.images`. In each image and class, only the first of an object counts;
            the others are false.
        iou: how much a detection overlaps its object at least.
    """
    counted = ~(true.difficult | true.crowd)
    order = np.lexsort((found.image, -found.scores, found.classes))
    nearest = _nearest(true, found, order, iou)
    is_first = np.zeros(len(order), bool)
    is_first[np.unique(nearest, return_index=True)[1]] = True
    right = is_first & (nearest >= 0)
    judged = (nearest < 0) | counted[nearest] if len(counted) else np.ones(len(order), bool)
    each = []
    for kind in np.unique(true.classes[counted]):
        of_class = slice(*np.searchsorted(found.classes[order], (kind, kind + 1)))
        total = int(np.count_nonzero(counted & (true.classes == kind)))
        each.append(_average_precision(right[of_class][judged[of_class]], total))
    if not each:
        return AveragePrecision(-1.0, -1.0)
    return AveragePrecision(*(float(np.mean(values)) for values in zip(*each, strict=True)))


def _nearest(true: TrueObjects, found: FoundObjects, order: np.ndarray, iou: float) -> np.ndarray:
    """The object of its class that each detection overlaps most; -1 if not by `iou`. Of equal overlaps the first.

    Args:
        true: the objects.
        found: the detections.
        order: int [k], that in which the detections are taken.
        iou: the least overlap.
    """
    images = np.unique(true.images)
    groups = [len(images) * each.classes + np.searchsorted(images, each.image) for each in (true, found)]
    by_group = np.argsort(groups[0], kind="stable")
    ends = [np.searchsorted(groups[0][by_group], groups[1][order], side) for side in ("left", "right")]
    counts = ends[1] - ends[0]
    # Every pair of a detection and an object of its class in its image.
    detection = np.repeat(np.arange(len(order)), counts)
    place = np.arange(len(detection)) - np.repeat(np.cumsum(counts) - counts, counts)
    candidate = by_group[np.repeat(ends[0], counts) + place]
    overlaps = _overlaps(found.boxes[order[detection]], true.boxes[candidate])
    largest = np.full(len(order), float(iou))
    np.maximum.at(largest, detection, overlaps)
    is_largest = np.flatnonzero(overlaps == largest[detection])
    nearest = np.full(len(order), -1)
    nearest[detection[is_largest[::-1]]] = candidate[is_largest[::-1]]  # the last that is written is the first
    return nearest


def _overlaps(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The intersection over union of each pair of boxes [n, 4]."""
    sides = np.minimum(boxes[:, 2:], others[:, 2:]) - np.maximum(boxes[:, :2], others[:, :2])
    shared = np.maximum(sides, 0).prod(axis=1)
    area, other = ((each[:, 2:] - each[:, :2]).prod(axis=1) for each in (boxes, others))
    union = area + other - shared
    overlaps: np.ndarray = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return overlaps


def _average_precision(right: np.ndarray, total: int) -> AveragePrecision:
    """Of one class: whether each detection is right, best first, and the number of objects."""
    hits = np.cumsum(right)
    recall = hits / total
    precision = hits / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]  # at this recall or a higher one
    area = float(np.sum(np.diff(recall, prepend=0.0) * best))
    points = [best[at] if at < len(best) else 0.0 for at in np.searchsorted(recall, _RECALLS)]
    return AveragePrecision(area, float(np.mean(points)))
