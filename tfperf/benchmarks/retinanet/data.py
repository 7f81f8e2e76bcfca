"""Images with boxes as RetinaNet's reference prepares them."""

from __future__ import annotations

import pathlib

from tfperf import spec
from tfperf.benchmarks.benchmark import OpenData, OpenSamples
from tfperf.benchmarks.detection.data import data as annotated
from tfperf.benchmarks.detection.data import samples
from tfperf.benchmarks.detection.data.preprocessing import DetectionPreprocessing
from tfperf.benchmarks.detection.network import targets
from tfperf.benchmarks.retinanet.options import RetinaNetOptions


def open_data(data: spec.Data, options: RetinaNetOptions, data_dir: pathlib.Path | None) -> OpenData:
    """Finds the images, for `TrainingTask.open_data`.

    The targets of training batches are what `RetinaNetLoss` takes; those of the evaluation are the scorer's.

    Raises:
        ConfigError, MissingDataError, DamagedDataError: as `detection.data.data.open_data`.
    """
    return targets.joined(annotated.open_data(data, _preprocessing(options), data_dir))


def open_samples(data: spec.Data, options: RetinaNetOptions, data_dir: pathlib.Path | None) -> OpenSamples:
    """Finds the held-out images, for `InferenceTask.open_samples`.

    Raises:
        MissingDataError, DamagedDataError: as `detection.data.samples.open_samples`.
    """
    return samples.open_samples(data, _preprocessing(options), data_dir)


def _preprocessing(options: RetinaNetOptions) -> DetectionPreprocessing:
    return DetectionPreprocessing(classes=options.classes, size=options.image_size)
