"""The held-out images as samples: any of them by its number, preprocessed as evaluation does it."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfperf import spec
from tfperf.benchmarks.benchmark import OpenSamples
from tfperf.benchmarks.detection.data.annotations import AnnotatedImage, ClassList
from tfperf.benchmarks.detection.data.data import open_splits
from tfperf.benchmarks.detection.data.preprocessing import AnnotatedJpeg, DetectionPreprocessing, eval_image
from tfperf.benchmarks.detection.object_columns import ObjectColumns
from tfperf.benchmarks.images.samples import picked
from tfperf.benchmarks.images.sources.split import Split
from tfperf.benchmarks.tensor import Sample
from tfperf.errors import DamagedDataError


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionTruth:
    """The right answers for samples.

    Attributes:
        images: the objects in each sample, by its number.
        classes: the classes of the objects, with their categories in the data set.
    """

    images: tuple[AnnotatedImage, ...]
    classes: ClassList

    @functools.cached_property
    def columns(self) -> ObjectColumns:
        """The objects column by column."""
        return ObjectColumns.of(self.images, self.classes)


def open_samples(data: spec.Data, preprocessing: DetectionPreprocessing, data_dir: pathlib.Path | None) -> OpenSamples:
    """Finds the held-out images of `data.source` and reads their annotations; decodes no image.

    Samples are numbered in the order of the split; in records that is the order in which they were shuffled into files.
    A sample is one image, float32 [size, size, 3]. `labels` returns a `DetectionTruth`. An image that can't be decoded
    is an error, whatever `data.skip_corrupt` says. Calibration takes images of the training split, which is looked for
    only then.

    Args:
        data: the source.
        preprocessing: what the model needs.
        data_dir: the directory of the source, as in training.

    Raises:
        MissingDataError: the data is not there, or not in the expected layout.
        DamagedDataError: annotations or files are damaged. `load`, `labels`, `names` and `calibration` raise it, too.
    """
    found = open_splits(data.source, classes=preprocessing.classes, data_dir=data_dir, needs_training=False)
    images = found.evaluation.images
    return dataclasses.replace(
        _opened(images, images.examples, preprocessing=preprocessing, classes=found.classes),
        calibration=functools.partial(_calibration, data, preprocessing, data_dir),
    )


def _opened(images: Split, total: int, *, preprocessing: DetectionPreprocessing, classes: ClassList) -> OpenSamples:
    """The first `total` images of a split."""
    truth = functools.cache(lambda: DetectionTruth(images=_listed(images, total), classes=classes))

    def load(indices: Sequence[int]) -> list[Sample]:
        outside = [index for index in indices if not 0 <= index < total]
        if outside:
            raise ValueError(f"Samples have the numbers 0 to {total - 1}, got {outside[0]}.")
        prepared = picked(images, indices, lambda example, title: eval_image(example.encoded, preprocessing))
        return [(image,) for image in prepared]

    return OpenSamples(
        total=total,
        load=load,
        labels=truth,
        names=lambda: tuple("_".join(image.image_id.split()) for image in truth().images),
        fingerprint=hashlib.sha256(json.dumps(images.identity).encode()).hexdigest(),
        diagnose=lambda error: error if isinstance(error, DamagedDataError) else None,
    )


def _calibration(
    data: spec.Data, preprocessing: DetectionPreprocessing, data_dir: pathlib.Path | None, n: int
) -> OpenSamples:
    """The first n training images."""
    found = open_splits(data.source, classes=preprocessing.classes, data_dir=data_dir)
    images = found.train.images
    return _opened(images, min(n, images.examples), preprocessing=preprocessing, classes=found.classes)


def _listed(images: Split, total: int) -> tuple[AnnotatedImage, ...]:
    rows = picked(images, range(total), _annotations)
    return tuple(_image(row, file=images.where(number)) for number, row in enumerate(rows))


def _annotations(example: AnnotatedJpeg, title: tf.Tensor) -> dict[str, tf.Tensor]:
    known = example._asdict()
    del known["encoded"], known["number"]
    return {**known, "title": title}


def _image(row: dict[str, Any], *, file: str) -> AnnotatedImage:
    height, width = row["size"].tolist()
    columns = {name: row[name] for name in ("boxes", "classes", "crowd", "difficult", "areas")}
    image_id = row["title"].decode(errors="replace")
    return AnnotatedImage(image_id=image_id, file=file, width=width, height=height, **columns)
