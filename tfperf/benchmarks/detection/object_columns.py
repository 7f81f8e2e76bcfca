"""The objects of all samples in columns, from which any choice of samples is scored."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from tfperf.benchmarks.detection.data.annotations import AnnotatedImage, ClassList


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ObjectColumns:
    """The objects of all samples, sample by sample.

    Attributes:
        sizes: int64 [samples, 2], width and height, pixels.
        starts: int64 [samples + 1]; the objects of sample i are those from starts[i] to starts[i + 1].
        boxes: float64 [objects, 4], x1, y1, x2, y2 in pixels.
        classes: int64 [objects], from 0.
        areas: float64 [objects], square pixels.
        crowd: bool [objects].
        difficult: bool [objects].
        category_ids: the category of each class, ascending.
    """

    sizes: np.ndarray
    starts: np.ndarray
    boxes: np.ndarray
    classes: np.ndarray
    areas: np.ndarray
    crowd: np.ndarray
    difficult: np.ndarray
    category_ids: tuple[int, ...]

    @property
    def image(self) -> np.ndarray:
        """The number of the sample of each object."""
        return np.repeat(np.arange(len(self.sizes)), np.diff(self.starts))

    @classmethod
    def of(cls, images: Sequence[AnnotatedImage], classes: ClassList) -> ObjectColumns:
        """The columns of samples, in their order.

        Args:
            images: the objects in each sample.
            classes: the classes of the objects.
        """
        sizes = np.array([(image.width, image.height) for image in images], np.int64).reshape(-1, 2)
        counts = [len(image.classes) for image in images]
        shares = np.concatenate([np.empty((0, 4)), *(image.boxes for image in images)])
        return cls(
            sizes=sizes,
            starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            boxes=shares * np.repeat(np.tile(sizes, 2), counts, axis=0),
            classes=np.concatenate([np.empty(0, np.int64), *(image.classes for image in images)]).astype(np.int64),
            areas=np.concatenate([np.empty(0), *(image.areas for image in images)]).astype(np.float64),
            crowd=np.concatenate([np.empty(0, np.bool_), *(image.crowd for image in images)]).astype(np.bool_),
            difficult=np.concatenate([np.empty(0, np.bool_), *(image.difficult for image in images)]).astype(np.bool_),
            category_ids=classes.category_ids,
        )

    @classmethod
    def parsed(cls, found: Any) -> ObjectColumns:
        """The columns of COCO's json whose images are numbered from 0 and whose objects are in their order.

        Difficult objects have `ignore`, which COCO's own tools overwrite.

        Raises:
            KeyError, TypeError, IndexError, OverflowError, ValueError: it is another file.
        """
        images, objects = found["images"], found["annotations"]
        if [image["id"] for image in images] != list(range(len(images))):
            raise ValueError("The images are not numbered from 0.")
        category_ids = tuple(int(category["id"]) for category in found["categories"])
        if list(category_ids) != sorted(set(category_ids)):
            raise ValueError("The categories are not ascending.")
        image = np.array([each["image_id"] for each in objects], np.int64)
        if (np.diff(image) < 0).any() or (image.size and not 0 <= image[0] <= image[-1] < len(images)):
            raise ValueError("The objects are not in the order of their images.")
        corners = np.array([each["bbox"] for each in objects], np.float64).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        areas = np.array([each["area"] for each in objects], np.float64)
        if not (np.isfinite(corners).all() and np.isfinite(areas).all()):
            raise ValueError("A box or an area is not finite.")
        class_of = {category: number for number, category in enumerate(category_ids)}
        return cls(
            sizes=np.array([(each["width"], each["height"]) for each in images], np.int64).reshape(-1, 2),
            starts=np.searchsorted(image, np.arange(len(images) + 1)),
            boxes=corners,
            classes=np.array([class_of[each["category_id"]] for each in objects], np.int64),
            areas=areas,
            crowd=np.array([each["iscrowd"] for each in objects], np.bool_),
            difficult=np.array([each.get("ignore", 0) for each in objects], np.bool_),
            category_ids=category_ids,
        )
