"""Images with boxes as SSD's reference prepares them."""

from __future__ import annotations

import pathlib

from tfperf import spec
from tfperf.benchmarks.benchmark import OpenData, OpenSamples
from tfperf.benchmarks.detection.data import data as annotated
from tfperf.benchmarks.detection.data import samples
from tfperf.benchmarks.detection.data.color import ColorJitter
from tfperf.benchmarks.detection.data.preprocessing import DetectionPreprocessing
from tfperf.benchmarks.detection.network import targets
from tfperf.benchmarks.ssd.options import SsdOptions


def open_data(data: spec.Data, options: SsdOptions, data_dir: pathlib.Path | None) -> OpenData:
    """Finds the images, for `TrainingTask.open_data`.

    The targets of training batches are what `SsdLoss` takes; those of the evaluation are the scorer's.

    Raises:
        ConfigError, MissingDataError, DamagedDataError: as `detection.data.data.open_data`.
    """
    return targets.joined(annotated.open_data(data, preprocessing(options), data_dir))


def open_samples(data: spec.Data, options: SsdOptions, data_dir: pathlib.Path | None) -> OpenSamples:
    """Finds the held-out images, for `InferenceTask.open_samples`.

    Raises:
        MissingDataError, DamagedDataError: as `detection.data.samples.open_samples`.
    """
    return samples.open_samples(data, preprocessing(options), data_dir)


def preprocessing(options: SsdOptions) -> DetectionPreprocessing:
    """What is done with an image. The reference scales it with Pillow."""
    return DetectionPreprocessing(
        classes=options.classes,
        size=options.image_size,
        crop_samples=options.max_samples,
        jitter=ColorJitter(),
        antialias=True,
    )
