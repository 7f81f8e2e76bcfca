"""Objects column by column: those that are in a set of images, and those that a detector found there."""

from __future__ import annotations

import dataclasses

import numpy as np

from tfperf.errors import DamagedDataError

_NAMES_IN_A_MESSAGE = 5


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class TrueObjects:
    """The objects in a set of images.

    Attributes:
        images: int64 [n], the numbers of all images, each different; an image may have no objects.
        image: int64 [m], the number of the image that each object is in.
        boxes: float64 [m, 4], x1, y1, x2, y2 in pixels.
        classes: int64 [m], from 0.
        areas: float64 [m], square pixels; by COCO's rules those of the object's outline.
        crowd: bool [m]; whether the box surrounds a group of objects.
        difficult: bool [m]; whether Pascal VOC's scoring passes over the object.
    """

    images: np.ndarray
    image: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray
    difficult: np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class FoundObjects:
    """The objects that a detector found.

    Of equal scores, those of the lower image number come first, and in an image the first.

    Attributes:
        image: int64 [k], the number of the image that each is in.
        boxes: float64 [k, 4], x1, y1, x2, y2 in pixels.
        classes: int64 [k], from 0.
        scores: float64 [k].
    """

    image: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    scores: np.ndarray


def check(found: FoundObjects, true: TrueObjects) -> None:
    """Compares the images of both.

    Raises:
        DamagedDataError: an image is listed twice; objects were found in an image that is not listed, or their boxes or
            scores are not finite.
    """
    images, counts = np.unique(true.images, return_counts=True)
    problems = (
        ("images listed more than once", images[counts > 1]),
        ("objects in images that are not listed", np.setdiff1d(true.image, images)),
        ("detections in images that are not listed", np.setdiff1d(found.image, images)),
        (
            "detections that are not finite, in images",
            np.unique(found.image[~(np.isfinite(found.boxes).all(axis=1) & np.isfinite(found.scores))]),
        ),
    )
    messages = [
        f"{problem}: {len(numbers):,}, such as {', '.join(map(str, numbers[:_NAMES_IN_A_MESSAGE]))}"
        for problem, numbers in problems
        if len(numbers)
    ]
    if messages:
        raise DamagedDataError(
            f"Can't score detections. Numbers of {'; '.join(messages)}. Score each image once, with the detector's "
            "finite outputs for it."
        )
