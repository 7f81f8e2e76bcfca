"""Pictures of served images: the objects that are there beside the detections that a response holds."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from tfperf.benchmarks.benchmark import OpenSamples
from tfperf.benchmarks.detection import answers

if TYPE_CHECKING:
    from tfperf.benchmarks.detection.data.samples import DetectionTruth


def picture(samples: OpenSamples, number: int, response: bytes) -> bytes:
    """A PNG of one sample, for `InferenceTask.picture`.

    The image is drawn from the model's input, at the proportions of the original.

    Args:
        samples: the samples.
        number: of the sample.
        response: what was answered.
    """
    from PIL import Image

    from tfperf.benchmarks.detection import drawing
    from tfperf.benchmarks.detection.data import preprocessing

    truth: DetectionTruth = samples.labels()
    image = truth.images[number]
    ((pixels,),) = samples.load([number])
    shares = pixels * preprocessing.CHANNEL_DEVIATIONS + preprocessing.CHANNEL_MEANS
    square = Image.fromarray((255 * shares).round().clip(0, 255).astype(np.uint8))
    file = io.BytesIO()
    square.resize(_within(square.width, image.width, image.height)).save(file, "PNG")
    found = answers.detections(response, truth.classes.category_ids)
    sheet = drawing.beside(
        drawing.panel(file.getvalue()),
        true=drawing.Drawn(boxes=image.boxes, classes=image.classes),
        found=drawing.Drawn(boxes=found.boxes, classes=found.classes, scores=found.scores),
        classes=truth.classes.names,
    )
    return drawing.png(sheet)


def _within(side: int, width: int, height: int) -> tuple[int, int]:
    """The size of the original, scaled so that its longer side is `side`."""
    longest = max(width, height)
    return max(1, round(width * side / longest)), max(1, round(height * side / longest))
