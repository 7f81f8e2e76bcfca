"""The embedded scenes as a data set."""

from __future__ import annotations

import numpy as np

from tfperf.benchmarks.detection.data.annotated_split import DetectionSplit, DetectionSplits, in_memory, no_images
from tfperf.benchmarks.detection.data.annotations import Annotations, ClassList
from tfperf.benchmarks.detection.data.sources import DrawnScenes
from tfperf.benchmarks.shapes import outlines, scattered

CLASSES = ClassList(names=outlines.KINDS, category_ids=tuple(range(1, len(outlines.KINDS) + 1)))


def open_scenes(source: DrawnScenes, *, needs_training: bool = True) -> DetectionSplits:
    """Draws all scenes of both splits, or of the evaluation split alone."""
    return DetectionSplits(
        train=_drawn("train", source.train_examples) if needs_training else no_images("They were not drawn."),
        evaluation=_drawn("validation", source.eval_examples),
        classes=CLASSES,
    )


def _drawn(split: str, count: int) -> DetectionSplit:
    drawn = [scattered.draw_scattered(split, index) for index in range(count)]
    boxes = np.concatenate([each.boxes for each in drawn])
    flags = np.zeros(len(boxes), np.bool_)
    sides = np.full(count, scattered.SIDE, np.int32)
    names = tuple(f"{split}-{index:08d}" for index in range(count))
    counts = [len(each.classes) for each in drawn]
    annotations = Annotations(
        image_ids=names,
        files=tuple(f"{name}.jpg" for name in names),
        widths=sides,
        heights=sides,
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        boxes=boxes,
        classes=np.concatenate([each.classes for each in drawn]),
        crowd=flags,
        difficult=flags,
        areas=((boxes[:, 2:] - boxes[:, :2]).prod(axis=1) * scattered.SIDE**2).astype(np.float32),
    )
    return in_memory(annotations, [each.jpeg for each in drawn])
