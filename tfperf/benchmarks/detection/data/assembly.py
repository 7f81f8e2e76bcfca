"""From what annotation files say to `Annotations`: boxes in shares of their image, in order and inside it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tfperf.benchmarks.detection.data import damage
from tfperf.benchmarks.detection.data.annotations import Annotations
from tfperf.benchmarks.detection.data.damage import Findings, Rule

# Annotators' tools round: a box that ends so much outside is clipped and not counted as damaged.
_ROUNDING_PIXELS = 1.0

_LARGEST_AREA = 1e18  # square pixels; no image has more


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageList:
    """The images of a split as their files list them.

    Attributes:
        image_ids: the id of each, each different.
        files: the file of each, relative to the folder of the data set.
        widths: pixels.
        heights: pixels.
    """

    image_ids: Sequence[str]
    files: Sequence[str]
    widths: Sequence[int]
    heights: Sequence[int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RawObjects:
    """The objects of a split as their files describe them, in any order.

    Attributes:
        owners: int [n], the number of each object's image.
        corners: float64 [n, 4], x1, y1, x2, y2 in pixels.
        classes: int [n].
        crowd: bool [n].
        difficult: bool [n].
        areas: float64 [n], square pixels; NaN takes the area of what the image shows of the box.
        name: number of an object -> what it is called in a report.
    """

    owners: npt.NDArray[Any]
    corners: npt.NDArray[np.float64]
    classes: npt.NDArray[Any]
    crowd: npt.NDArray[np.bool_]
    difficult: npt.NDArray[np.bool_]
    areas: npt.NDArray[np.float64]
    name: Callable[[int], str]


def assemble(images: ImageList, objects: RawObjects, findings: Findings) -> Annotations:
    """Puts corners in order, clips boxes to their image, and leaves out those that have no area there.

    Each object that is changed or left out is added to `findings`, under the rule that applied.
    """
    widths, heights = (np.asarray(side, np.float64) for side in (images.widths, images.heights))
    sides = np.stack([widths, heights], axis=1)[objects.owners]  # [n, 2]
    kept = ~_any(~np.isfinite(objects.corners))
    _note(damage.NOT_FINITE, ~kept, objects, findings)
    first, last = objects.corners[:, :2], objects.corners[:, 2:]
    with np.errstate(invalid="ignore"):
        _note(damage.SWAPPED, kept & _any(first > last), objects, findings)
        low, high = np.minimum(first, last), np.maximum(first, last)
        flat = kept & _any(low >= high)
        _note(damage.NO_AREA, flat, objects, findings)
        kept &= ~flat
        inside_low, inside_high = np.clip(low, 0, sides), np.clip(high, 0, sides)
        gone = kept & _any(inside_low >= inside_high)
        _note(damage.OUTSIDE, gone, objects, findings)
        kept &= ~gone
        shares = np.concatenate([inside_low / sides, inside_high / sides], axis=1).astype(np.float32)
        thin = kept & _any(shares[:, :2] >= shares[:, 2:])  # thinner than float32 tells apart
        _note(damage.NO_AREA, thin, objects, findings)
        kept &= ~thin
        excess = np.maximum(inside_low - low, high - inside_high).max(axis=1, initial=0)
        _note(damage.CLIPPED, kept & (excess > _ROUNDING_PIXELS), objects, findings)
        box_areas = (inside_high - inside_low).prod(axis=1)
    order = np.flatnonzero(kept)
    order = order[np.argsort(objects.owners[order], kind="stable")]
    areas = np.where(objects.areas < _LARGEST_AREA, objects.areas, box_areas)
    return Annotations(
        image_ids=tuple(images.image_ids),
        files=tuple(images.files),
        widths=np.asarray(images.widths, np.int32),
        heights=np.asarray(images.heights, np.int32),
        starts=np.searchsorted(objects.owners[order], np.arange(len(images.image_ids) + 1)).astype(np.int64),
        boxes=shares[order],
        classes=objects.classes[order].astype(np.int32),
        crowd=objects.crowd[order],
        difficult=objects.difficult[order],
        areas=areas[order].astype(np.float32),
    )


def without_unannotated(annotations: Annotations, findings: Findings) -> Annotations:
    """The images that have an object; the others are added to `findings`."""
    counts = np.diff(annotations.starts)
    empty = np.flatnonzero(counts == 0)
    named = [annotations.image_ids[number] for number in empty[: findings.room(damage.UNANNOTATED)].tolist()]
    findings.add(damage.UNANNOTATED, len(empty), named)
    return annotations.take(np.flatnonzero(counts)) if len(empty) else annotations


def _note(rule: Rule, found: npt.NDArray[np.bool_], objects: RawObjects, findings: Findings) -> None:
    numbers = np.flatnonzero(found)
    findings.add(rule, len(numbers), [objects.name(number) for number in numbers[: findings.room(rule)].tolist()])


def _any(flags: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = np.logical_or.reduce(flags, axis=1)
    return found
