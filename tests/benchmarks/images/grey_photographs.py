"""Grey photographs that are told apart by their brightness, in every layout, and what a pipeline makes of them."""

import io
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.benchmarks.images.photographs import CLASSES, Photographs, PhotographSet
from tfperf.benchmarks.benchmark import OpenData
from tfperf.benchmarks.images.sources import ImageNetRecords
from tfperf.benchmarks.resnet50 import preprocessing
from tfperf.benchmarks.resnet50.options import Options

TRAIN, EVAL = 26, 11
PREPROCESSING = preprocessing.of(Options(image_size=32, classes=len(CLASSES)))
SHARDED = ImageNetRecords(train_shards=4, eval_shards=3)


def jpeg(number: int) -> bytes:
    """A photograph that is told from the others by its brightness."""
    file = io.BytesIO()
    Image.new("RGB", (50 + number % 5, 40), (6 * number, 6 * number, 6 * number)).save(file, "JPEG", quality=95)
    return file.getvalue()


def number_of(image: np.ndarray) -> int:
    return round(float(image[..., 0].mean() + preprocessing.CHANNEL_MEANS[0]) / 6)


PHOTOS = Photographs(train=TRAIN, evaluation=EVAL, jpeg=jpeg, shards=SHARDED)


class Animals(PhotographSet):
    """A TFDS set of the same photographs."""

    photographs = PHOTOS


def read(dataset: tf.data.Dataset, *, batches: int | None = None) -> list[tuple[int, int, float]]:
    """(number, label, weight) of every example in the batches."""
    rows = []
    for images, labels, *weights in dataset.take(-1 if batches is None else batches).as_numpy_iterator():
        weight = weights[0] if weights else np.ones(len(images))
        rows += [(number_of(i), int(y.argmax()), float(w)) for i, y, w in zip(images, labels, weight, strict=True)]
    return rows


def expected(*, training: bool) -> list[tuple[int, int, float]]:
    return [(number, label, 1.0) for number, label, in_training in PHOTOS.examples() if in_training == training]


def png(number: int) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(jpeg(number))).save(file, "PNG")
    return file.getvalue()


def failure(opened: OpenData, dataset: tf.data.Dataset, *, batches: int) -> Exception | None:
    """What `diagnose` makes of the error that reading raises."""
    with pytest.raises(tf.errors.OpError) as caught:
        read(dataset, batches=batches)
    return opened.diagnose(caught.value)


def damaged_folder(listed: pathlib.Path, root: pathlib.Path, *numbers: int) -> pathlib.Path:
    shutil.copytree(listed, root, dirs_exist_ok=True)
    for number in numbers:
        (root / f"{number}.jpg").write_bytes(jpeg(number)[:-200])
    return root
