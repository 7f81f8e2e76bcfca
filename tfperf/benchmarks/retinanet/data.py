"""Images with boxes as RetinaNet's reference prepares them."""

from __future__ import annotations

import pathlib

from tfperf import spec
from tfperf.benchmarks.benchmark import OpenData
from tfperf.benchmarks.detection.data import data as annotated
from tfperf.benchmarks.detection.data.preprocessing import DetectionPreprocessing
from tfperf.benchmarks.detection.network import targets
from tfperf.benchmarks.retinanet.options import RetinaNetOptions


def open_data(data: spec.Data, options: RetinaNetOptions, data_dir: pathlib.Path | None) -> OpenData:
    """Finds the images, for `TrainingTask.open_data`.

    The targets of training batches are what `RetinaNetLoss` takes; those of the evaluation are the scorer's.

    Raises:
        ConfigError, MissingDataError, DamagedDataError: as `detection.data.data.open_data`.
    """
    preprocessing = DetectionPreprocessing(classes=options.classes, size=options.image_size)
    return targets.joined(annotated.open_data(data, preprocessing, data_dir))
