"""The objects in a set of images: where each is, and of which class."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClassList:
    """The classes of a data set, numbered from 0 in the order of their categories.

    Attributes:
        names: the name of each class.
        category_ids: the number that the data set gives to each, ascending; numbers may be missing between them.
    """

    names: tuple[str, ...]
    category_ids: tuple[int, ...]

    def __len__(self) -> int:
        """How many classes there are."""
        return len(self.names)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnnotatedImage:
    """One image and the objects in it.

    Attributes:
        image_id: its id in the data set.
        file: its file, relative to the folder of the data set; for a sample, where it was read.
        width: pixels.
        height: pixels.
        boxes: float32 [n, 4], x1, y1, x2, y2 in shares of the width and the height.
        classes: int32 [n], numbers of the `ClassList`.
        crowd: bool [n]; whether the box surrounds a group of objects.
        difficult: bool [n]; whether Pascal VOC's scoring passes over the object.
        areas: float32 [n], square pixels, those of the object where the data set says it, otherwise of the box.
    """

    image_id: str
    file: str
    width: int
    height: int
    boxes: Floats
    classes: Integers
    crowd: Flags
    difficult: Flags
    areas: Floats


@dataclasses.dataclass(frozen=True, kw_only=True)
class Annotations:
    """All images of a split, column by column: a million images don't fit in memory as a million Python objects.

    Attributes:
        image_ids: the id of each image, each different.
        files: the file of each image, relative to the folder of the data set.
        widths: int32 [images], pixels.
        heights: int32 [images], pixels.
        starts: int64 [images + 1]; the objects of image i are those from starts[i] to starts[i + 1].
        boxes: float32 [objects, 4], as in `AnnotatedImage`, and so are the other columns.
        classes: int32 [objects].
        crowd: bool [objects].
        difficult: bool [objects].
        areas: float32 [objects].
    """

    image_ids: tuple[str, ...]
    files: tuple[str, ...]
    widths: Integers
    heights: Integers
    starts: npt.NDArray[np.int64]
    boxes: Floats
    classes: Integers
    crowd: Flags
    difficult: Flags
    areas: Floats

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.image_ids)

    @property
    def most_objects(self) -> int:
        """The objects in the image that has most of them."""
        return int(np.diff(self.starts).max(initial=0))

    @property
    def digest(self) -> str:
        """The SHA-256 of what all columns hold, in hexadecimal digits."""
        digest = hashlib.sha256()
        for names in (self.image_ids, self.files):
            digest.update(repr(names).encode())
        for column in (self.widths, self.heights, self.starts, self.boxes, self.classes, self.areas):
            digest.update(column.tobytes())
        for flags in (self.crowd, self.difficult):
            digest.update(flags.tobytes())
        return digest.hexdigest()

    def image(self, number: int) -> AnnotatedImage:
        """The image with this number, from 0."""
        objects = slice(int(self.starts[number]), int(self.starts[number + 1]))
        return AnnotatedImage(
            image_id=self.image_ids[number],
            file=self.files[number],
            width=int(self.widths[number]),
            height=int(self.heights[number]),
            boxes=self.boxes[objects],
            classes=self.classes[objects],
            crowd=self.crowd[objects],
            difficult=self.difficult[objects],
            areas=self.areas[objects],
        )

    def take(self, numbers: Sequence[int] | npt.NDArray[np.int64]) -> Annotations:
        """The images with these numbers, in this order, each at most once."""
        chosen = np.asarray(numbers, np.int64)
        counts = np.diff(self.starts)[chosen]
        starts = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        objects = np.arange(starts[-1]) + np.repeat(self.starts[:-1][chosen] - starts[:-1], counts)
        return Annotations(
            image_ids=tuple(self.image_ids[number] for number in chosen.tolist()),
            files=tuple(self.files[number] for number in chosen.tolist()),
            widths=self.widths[chosen],
            heights=self.heights[chosen],
            starts=starts,
            boxes=self.boxes[objects],
            classes=self.classes[objects],
            crowd=self.crowd[objects],
            difficult=self.difficult[objects],
            areas=self.areas[objects],
        )
