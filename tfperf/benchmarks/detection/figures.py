"""All figures of a detector's quality."""

from __future__ import annotations

from tfperf.benchmarks.detection import coco, voc
from tfperf.benchmarks.detection.objects import FoundObjects, TrueObjects, check

NAMES = (*coco.NAMES, "voc_map_50", "voc_map_50_2007")
"""COCO's, and Pascal VOC's at an IoU of 0.5, over all points and over the eleven of 2007."""


def all_figures(true: TrueObjects, found: FoundObjects) -> dict[str, float]:
    """The figures alone of `evaluate`."""
    return evaluate(true, found).figures


def evaluate(true: TrueObjects, found: FoundObjects) -> coco.Evaluated:
    """The figures by the names in `NAMES`, from 0 to 1; -1 for those over objects of which there are none.

    The curves are COCO's.

    Args:
        true: the objects in the images.
        found: the detections in the same images.

    Raises:
        DamagedDataError: an image is listed twice; objects were found in an image that is not listed, or their boxes or
            scores are not finite.
    """
    check(found, true)
    precision = voc.mean_average_precision(true, found)
    found_by_coco = coco.evaluate(true, found)
    more = dict(zip(NAMES[-2:], precision, strict=True))
    return found_by_coco._replace(figures=found_by_coco.figures | more)
