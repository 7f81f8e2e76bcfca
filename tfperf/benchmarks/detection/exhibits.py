"""What there is to see of a detector's evaluation: fixed images with their detections, and precision by recall."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from absl import logging
from PIL import Image

from tfperf.benchmarks.benchmark import Exhibits, Picture, PrecisionCurve
from tfperf.benchmarks.detection import drawing
from tfperf.benchmarks.detection.scorer import DetectionScorer, Scored

if TYPE_CHECKING:
    from tfperf.benchmarks.images.sources.split import Split

_PICTURES = 8


class _Image(NamedTuple):
    """An image that is drawn at every evaluation."""

    number: int
    name: str
    panel: Image.Image


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Gallery:
    """A few images of the evaluation split, the same at every evaluation and evenly spaced in the order of the source.

    Attributes:
        split: the split; an example is an `AnnotatedJpeg`.
        classes: the name of each class.
        pictures: how many images, at most.
    """

    split: Split
    classes: Sequence[str]
    pictures: int = _PICTURES

    def exhibit(self, scorer: DetectionScorer) -> Callable[[], Exhibits]:
        """What `OpenData.exhibit` is. The images are read when they are drawn for the first time."""
        scored = scorer.scored
        return lambda: (
            Exhibits() if scored is None else Exhibits(tuple(self._drawn(scored)), tuple(self._curves(scored)))
        )

    @functools.cached_property
    def _images(self) -> tuple[_Image, ...]:
        count = min(self.pictures, self.split.examples)
        places = np.linspace(0, self.split.examples - 1, count).round().astype(int).tolist()
        found = []
        for record in self.split.pick(places):
            parts = record if isinstance(record, tuple) else (record,)
            example = self.split.parse(*parts)
            name = self.split.title(*parts).numpy().decode("utf-8", "replace")
            try:
                found.append(_Image(int(example.number), name, drawing.panel(example.encoded.numpy())))
            except OSError as error:  # TensorFlow reads files that Pillow refuses
                logging.warning("%s is not drawn: %s", name, error)
        return tuple(found)

    def _drawn(self, scored: Scored) -> Iterator[Picture]:
        for image in self._images:
            drawn = scored.drawn(image.number)
            if drawn is None:
                continue
            sheet = drawing.beside(image.panel, true=drawn[0], found=drawn[1], classes=self.classes)
            yield Picture(image.name, *sheet.size, drawing.jpeg(sheet))

    def _curves(self, scored: Scored) -> Iterator[PrecisionCurve]:
        for curve in scored.curves:
            name = self.classes[curve.number]
            yield PrecisionCurve(name, curve.total, curve.recall, curve.precision, curve.score)
