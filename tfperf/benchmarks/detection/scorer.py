"""The quality of a detector, computed on the host from the detections in all images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, final

import numpy as np

from tfperf.benchmarks.detection import figures
from tfperf.benchmarks.detection.coco import ClassCurve
from tfperf.benchmarks.detection.drawing import Drawn
from tfperf.benchmarks.detection.network.packing import unpacked
from tfperf.benchmarks.detection.objects import FoundObjects, TrueObjects

# What a host sends of each image, of each object in it and of each detection.
_IMAGE = np.dtype([("number", "<i8"), ("size", "<i4", 2), ("objects", "<i4"), ("detections", "<i4")])
_OBJECT = np.dtype([("box", "<f4", 4), ("area", "<f4"), ("class", "<i4"), ("crowd", "?"), ("difficult", "?")])
_DETECTION = np.dtype([("box", "<f4", 4), ("score", "<f4"), ("class", "<i4")])
_SIZES = np.dtype([("images", "<i8"), ("objects", "<i8"), ("detections", "<i8")])


class Scored(NamedTuple):
    """What a scorer has scored.

    Attributes:
        images: the images of all hosts.
        objects: their objects, image by image.
        detections: their detections, image by image.
        curves: the precision for each class.
    """

    images: np.ndarray
    objects: np.ndarray
    detections: np.ndarray
    curves: tuple[ClassCurve, ...]

    def drawn(self, number: int) -> tuple[Drawn, Drawn] | None:
        """The objects and the detections in the image of this number; None if it was not scored."""
        places = np.flatnonzero(self.images["number"] == number)
        if not len(places):
            return None
        true, found = (self._rows(name, int(places[0])) for name in ("objects", "detections"))
        return (
            Drawn(boxes=true["box"], classes=true["class"]),
            Drawn(boxes=found["box"], classes=found["class"], scores=found["score"]),
        )

    def _rows(self, name: str, place: int) -> np.ndarray:
        """The objects or the detections of the image in this place."""
        end = int(self.images[name][: place + 1].sum(dtype=np.int64))
        rows: np.ndarray = getattr(self, name)[end - int(self.images[name][place]) : end]
        return rows


@final
class DetectionScorer:
    """Keeps the objects and the detections of each image, and scores those of all hosts together.

    The metrics are those of `figures.evaluate`.

    Attributes:
        scored: what the last `result` was computed from; None before the first.
    """

    def __init__(self, *, first_class: int = 0) -> None:
        """Has seen no image.

        Args:
            first_class: the number that detections give to class 0 of the data set: 1 after a background.
        """
        self._first_class = first_class
        self.scored: Scored | None = None
        self.reset()

    def reset(self) -> None:
        """Forgets everything seen, before an evaluation."""
        self._seen: dict[np.dtype, list[np.ndarray]] = {kind: [] for kind in (_IMAGE, _OBJECT, _DETECTION)}

    def update(self, targets: Any, predictions: Any, weights: np.ndarray) -> None:
        """Adds one batch.

        Args:
            targets: by name, `number`, int [n], the number of each image; `size`, int [n, 2], its height and width in
                pixels; and of its objects `boxes`, float [n, most, 4], x1, y1, x2, y2 in units of the image, `classes`,
                int [n, most], negative where an image has fewer, `areas`, float [n, most], square pixels, `crowd` and
                `difficult`, bool [n, most].
            predictions: float32 [n, k, 6], detections in units of the image, as `packing.packed` joins them.
            weights: [n]; 0 for images that only pad the batch.
        """
        counts = weights > 0
        found = unpacked(np.asarray(predictions)[counts])
        true = {name: np.asarray(part)[counts] for name, part in targets.items()}
        is_object = true["classes"] >= 0
        is_detection = np.arange(found.scores.shape[1]) < found.count[:, None]
        self._add(_IMAGE, number=true["number"], size=true["size"], objects=is_object.sum(1), detections=found.count)
        self._add(
            _OBJECT,
            box=true["boxes"][is_object],
            area=true["areas"][is_object],
            crowd=true["crowd"][is_object],
            difficult=true["difficult"][is_object],
            **{"class": true["classes"][is_object]},
        )
        self._add(
            _DETECTION,
            box=found.boxes[is_detection],
            score=found.scores[is_detection],
            **{"class": found.classes[is_detection] - self._first_class},
        )

    def _add(self, kind: np.dtype, **columns: np.ndarray) -> None:
        rows = np.empty(len(next(iter(columns.values()))), kind)
        for name, values in columns.items():
            rows[name] = values
        self._seen[kind].append(rows)

    def seen(self) -> bytes:
        """The images seen, their objects and their detections."""
        parts = [np.concatenate([np.empty(0, kind), *rows]) for kind, rows in self._seen.items()]
        return b"".join((np.array(tuple(map(len, parts)), _SIZES).tobytes(), *(part.tobytes() for part in parts)))

    def result(self, seen: Sequence[bytes]) -> Mapping[str, float]:
        """The metrics over the images seen, from 0 to 1; -1 for those over objects of which there are none.

        Raises:
            DamagedDataError: an image was seen twice, or a detection is not finite.
        """
        hosts = [_read(each) for each in seen]
        images, objects, detections = (np.concatenate(parts) for parts in zip(*hosts, strict=True))
        in_pixels = np.tile(images["size"][:, ::-1].astype("float64"), 2)
        true = TrueObjects(
            images=images["number"],
            image=np.repeat(images["number"], images["objects"]),
            boxes=objects["box"] * np.repeat(in_pixels, images["objects"], axis=0),
            classes=objects["class"].astype("int64"),
            areas=objects["area"].astype("float64"),
            crowd=objects["crowd"],
            difficult=objects["difficult"],
        )
        found = FoundObjects(
            image=np.repeat(images["number"], images["detections"]),
            boxes=detections["box"] * np.repeat(in_pixels, images["detections"], axis=0),
            classes=detections["class"].astype("int64"),
            scores=detections["score"].astype("float64"),
        )
        evaluation = figures.evaluate(true, found)
        self.scored = Scored(images, objects, detections, evaluation.curves)
        return evaluation.figures


def _read(seen: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, objects and detections of one host."""
    sizes = np.frombuffer(seen, _SIZES, 1)[0]
    start = _SIZES.itemsize
    parts = []
    for kind, count in zip((_IMAGE, _OBJECT, _DETECTION), sizes.tolist(), strict=True):
        parts.append(np.frombuffer(seen, kind, count, start))
        start += count * kind.itemsize
    return parts[0], parts[1], parts[2]
