"""The response to an image, its detections, and how responses are scored: as MLPerf's accuracy scripts do it.

Sources: `accuracy-coco.py` and `accuracy-openimages.py` in vision/classification_and_detection/tools of
https://github.com/mlcommons/inference. Both read a row of 7 float32 for each detection: the number of the sample, ymin,
xmin, ymax, xmax in shares of the image, the score and the category. An image without detections has an empty response.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfperf import json_text
from tfperf.benchmarks.benchmark import OpenSamples, Ragged, Respond, Scoring
from tfperf.benchmarks.detection import coco, voc
from tfperf.benchmarks.detection.object_columns import ObjectColumns
from tfperf.benchmarks.detection.objects import FoundObjects, TrueObjects
from tfperf.benchmarks.tensor import Batch

if TYPE_CHECKING:
    from tfperf.benchmarks.detection.data.samples import DetectionTruth

COCO, VOC = "map", "voc_map_50"
ACCURACY = "accuracy.txt"
ANNOTATIONS = "annotations.json"

_VALUE = np.dtype("<f4")
_COLUMNS = 7  # number, ymin, xmin, ymax, xmax, score, category
_ROW_BYTES = _COLUMNS * _VALUE.itemsize
_SCORE, _CATEGORY = 5, 6
_XYXY = (2, 1, 4, 3)  # the columns of x1, y1, x2, y2
_YXYX = (1, 0, 3, 2)  # the same in the model's output
_MODEL_SCORE, _MODEL_CLASS = 4, 5


def responder(samples: OpenSamples, *, first_class: int = 0) -> Respond:
    """How detections become responses.

    Args:
        samples: whose classes have the categories that responses state.
        first_class: the number that the model gives to class 0: 1 after a background.
    """
    truth: DetectionTruth = samples.labels()
    categories = np.array((0,) * first_class + truth.classes.category_ids, _VALUE)

    def respond(outputs: Batch, indices: Sequence[int]) -> np.ndarray | Ragged:
        (packed,) = outputs
        scores = packed[..., _MODEL_SCORE]
        image, place = np.nonzero(scores)  # image by image; NaN is not zero
        found = packed[image, place]
        if not np.isfinite(found).all():
            raise _not_finite(packed)
        rows = np.empty((len(found), _COLUMNS), _VALUE)
        rows[:, 0] = np.asarray(indices, _VALUE)[image]
        rows[:, 1:_SCORE] = found[:, _YXYX]
        rows[:, _SCORE] = found[:, _MODEL_SCORE]
        classes = np.rint(found[:, _MODEL_CLASS]).astype(np.intp)
        rows[:, _CATEGORY] = categories[classes.clip(0, len(categories) - 1)]
        ends = np.zeros(len(packed) + 1, np.int64)
        np.cumsum(np.bincount(image, minlength=len(packed)), out=ends[1:])
        return Ragged(rows, ends * _ROW_BYTES)

    return respond


def detections(response: bytes, category_ids: Sequence[int]) -> FoundObjects:
    """The detections in a response, in shares of the image.

    Args:
        response: the bytes of the responder.
        category_ids: the category of each class, ascending.

    Raises:
        ValueError: a category is not among them.
    """
    rows = _rows(response)
    return FoundObjects(
        image=rows[:, 0].astype(np.int64),
        boxes=rows[:, _XYXY].astype(np.float64),
        classes=_classes(rows, category_ids),
        scores=rows[:, _SCORE].astype(np.float64),
    )


def score(responses: Mapping[int, bytes], samples: OpenSamples, *, metric: str = COCO) -> float:
    """The mean average precision, from 0 to 1, over the images that have a response.

    Args:
        responses: the number of a sample -> the bytes of the responder.
        samples: the samples that these numbers count.
        metric: whose: `COCO`, or `VOC` at an IoU of 0.5.

    Raises:
        ValueError: there is no response, one is malformed or of no sample, or none of the images has an object that
            counts.
    """
    truth: DetectionTruth = samples.labels()
    return _mean_average_precision(responses, truth.columns, metric=metric)


def write(directory: pathlib.Path, responses: Mapping[int, bytes], samples: OpenSamples, quality: float) -> None:
    """Writes the last line that the official scripts print, and the annotations that they read.

    Images are numbered as the samples, so the files are enough to score the log again, with these scripts too.
    """
    (directory / ACCURACY).write_text(f"mAP={100 * quality:.3f}%\n", encoding="utf-8")
    truth: DetectionTruth = samples.labels()
    columns, names = truth.columns, samples.names()
    sizes = columns.sizes.tolist()
    boxes = coco.with_sizes(columns.boxes).tolist()
    objects = zip(columns.image.tolist(), boxes, columns.classes.tolist(), columns.areas.tolist(), strict=True)
    crowd, difficult = columns.crowd.astype(int).tolist(), columns.difficult.astype(int).tolist()
    content = {
        "images": [
            {"id": number, "file_name": name, "width": width, "height": height}
            for number, (name, (width, height)) in enumerate(zip(names, sizes, strict=True))
        ],
        "categories": [
            {"id": category, "name": name}
            for category, name in zip(truth.classes.category_ids, truth.classes.names, strict=True)
        ],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": columns.category_ids[of_class],
                "bbox": box,
                "area": area,
                "iscrowd": crowd[number - 1],
                "ignore": difficult[number - 1],
            }
            for number, (image, box, of_class, area) in enumerate(objects, start=1)
        ],
    }
    (directory / ANNOTATIONS).write_text(json.dumps(content) + "\n", encoding="utf-8", errors="surrogateescape")


def recompute(directory: pathlib.Path, responses: Mapping[int, bytes], *, metric: str = COCO) -> float:
    """The same as `score`, by the annotations that `write` wrote.

    Raises:
        OSError: the file can't be read.
        ValueError: as in `score`, or the file does not hold what `write` writes.
    """
    found = json_text.parse((directory / ANNOTATIONS).read_bytes())
    try:
        columns = ObjectColumns.parsed(found)
    except (KeyError, TypeError, IndexError, OverflowError) as error:
        raise ValueError(f"{ANNOTATIONS} is not what tfperf writes: {type(error).__name__}: {error}.") from error
    except ValueError as error:
        raise ValueError(f"{ANNOTATIONS}: {error}") from error
    return _mean_average_precision(responses, columns, metric=metric)


def agreement(response: bytes, reference: bytes) -> float:
    """How much the detections of both agree: 2 x what they share / what both have, each weighted by its score.

    A detection shares with the one of the same category that it overlaps most, in the order of their scores, the lower
    score times the IoU. So detections that hardly count in the mean average precision hardly count here. A score below
    0 counts as 0.
    """
    some, others = _rows(response), _rows(reference)
    weights, other_weights = (rows[:, _SCORE].astype(np.float64).clip(0) for rows in (some, others))
    total = float(weights.sum() + other_weights.sum())
    if response == reference or not total:
        return 1.0
    overlap = _iou(some[:, _XYXY], others[:, _XYXY])
    overlap[some[:, None, _CATEGORY] != others[None, :, _CATEGORY]] = 0
    shared = 0.0
    if not overlap.size:
        return shared
    for place in np.argsort(-weights, kind="stable").tolist():
        best = int(overlap[place].argmax())
        shared += float(overlap[place, best]) * min(float(weights[place]), float(other_weights[best]))
        overlap[:, best] = 0  # each is taken once
    return min(1.0, 2 * shared / total)


SCORING = Scoring(score=score, write=write, files=(ACCURACY, ANNOTATIONS), agreement=agreement, recompute=recompute)
VOC_SCORING = dataclasses.replace(
    SCORING, score=functools.partial(score, metric=VOC), recompute=functools.partial(recompute, metric=VOC)
)


def _mean_average_precision(responses: Mapping[int, bytes], columns: ObjectColumns, *, metric: str) -> float:
    numbers = _numbers(responses, columns)
    chosen = np.concatenate([np.empty(0, np.intp), *(_range(columns.starts, number) for number in numbers)])
    chosen = chosen.astype(np.intp)
    if not len(chosen):
        raise ValueError(
            f"None of the {len(numbers):,} images with a response has an object, so nothing can be scored."
        )
    true = TrueObjects(
        images=np.array(numbers, np.int64),
        image=columns.image[chosen],
        boxes=columns.boxes[chosen],
        classes=columns.classes[chosen],
        areas=columns.areas[chosen],
        crowd=columns.crowd[chosen],
        difficult=columns.difficult[chosen],
    )
    found = _found(responses, numbers, columns)
    quality = voc.mean_average_precision(true, found).all_points if metric == VOC else coco.figures(true, found)[metric]
    if quality < 0:
        ignored = "crowds or difficult" if metric == VOC else "crowds"
        raise ValueError(f"All objects in the images with a response are {ignored}, so nothing can be scored.")
    return quality


def _found(responses: Mapping[int, bytes], numbers: Sequence[int], columns: ObjectColumns) -> FoundObjects:
    parts = [_checked(responses[number], number) for number in numbers]
    rows = np.concatenate([np.empty((0, _COLUMNS), _VALUE), *parts])
    image = np.repeat(np.array(numbers, np.int64), [len(part) for part in parts])
    # float32, as in the scripts
    in_pixels = rows[:, _XYXY] * np.tile(columns.sizes[image].astype(_VALUE), 2)
    return FoundObjects(
        image=image,
        boxes=in_pixels.astype(np.float64),
        classes=_classes(rows, columns.category_ids),
        scores=rows[:, _SCORE].astype(np.float64),
    )


def _classes(rows: np.ndarray, category_ids: Sequence[int]) -> np.ndarray:
    """The class of each detection, int64 [n], from 0."""
    known, categories = np.array(category_ids, np.int64), rows[:, _CATEGORY].astype(np.int64)
    place = np.searchsorted(known, categories).clip(0, len(known) - 1)
    unknown = np.flatnonzero(known[place] != categories)
    if unknown.size:
        at = int(unknown[0])
        raise ValueError(
            f"The response to sample {rows[at, 0]:.0f} states category {categories[at]}, which the data set doesn't "
            "have."
        )
    return place


def _range(starts: np.ndarray, number: int) -> np.ndarray:
    return np.arange(starts[number], starts[number + 1])


def _numbers(responses: Mapping[int, bytes], columns: ObjectColumns) -> list[int]:
    total = len(columns.sizes)
    if not responses:
        raise ValueError(f"None of {total:,} images has a response. Run the accuracy run again.")
    numbers = sorted(responses)
    outside = [number for number in numbers if not 0 <= number < total]
    if outside:
        raise ValueError(
            f"There is a response to sample {outside[0]}, and samples have the numbers 0 to {total - 1}. Pass the "
            "responses and the samples of one data set."
        )
    return numbers


def _checked(response: bytes, number: int) -> np.ndarray:
    """The rows of a response.

    Raises:
        ValueError: they are not whole, not finite, or of another sample.
    """
    if len(response) % _ROW_BYTES:
        raise ValueError(
            f"The response to sample {number} must be rows of {_ROW_BYTES} bytes, {_COLUMNS} float32 for each "
            f"detection; got {len(response):,} bytes."
        )
    rows = _rows(response)
    if not np.isfinite(rows).all():
        raise ValueError(f"The response to sample {number} holds a number that is not finite.")
    others = rows[rows[:, 0] != np.float32(number), 0]
    if others.size:
        raise ValueError(f"The response to sample {number} states detections of sample {others[0]:.0f}.")
    return rows


def _rows(response: bytes) -> np.ndarray:
    return np.frombuffer(response, _VALUE).reshape(-1, _COLUMNS)


def _iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """float64 [n, m], the intersection over union of boxes x1, y1, x2, y2; 0 where neither has an area."""
    some, more = boxes[:, None].astype(np.float64), others[None].astype(np.float64)
    shared = (np.minimum(some[..., 2:], more[..., 2:]) - np.maximum(some[..., :2], more[..., :2])).clip(0).prod(axis=-1)
    areas = (boxes[:, 2:].astype(np.float64) - boxes[:, :2]).clip(0).prod(axis=1)
    other_areas = (others[:, 2:].astype(np.float64) - others[:, :2]).clip(0).prod(axis=1)
    union = areas[:, None] + other_areas - shared
    found: np.ndarray = np.divide(shared, union, out=np.zeros_like(union), where=union > 0)
    return found


def _not_finite(packed: np.ndarray) -> ValueError:
    wrong = np.flatnonzero(~np.isfinite(packed).all(axis=(1, 2)))
    return ValueError(
        f"The model's detections must be finite numbers; those of {len(wrong)} of {len(packed)} samples of the batch "
        f"are not, first of sample {wrong[0]}. Use another precision, or other weights."
    )
