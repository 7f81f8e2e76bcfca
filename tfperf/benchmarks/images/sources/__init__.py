"""Where photographs come from.

Here are the values that a config gives as `data.source`; each is read by a module of this package.
"""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from tfperf.benchmarks.shapes.source import Shapes
from tfperf.spec.requirement import require


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageNetRecords:
    """ImageNet TFRecords in the reference's layout: `train-00000-of-01024`, `validation-00000-of-00128`.

    Args:
        train_shards: number of training files.
        eval_shards: number of validation files.
        cycle_length: files that are read at the same time, 10 as in the reference. More help where one file is read
            slowly, such as from a network, or many GPUs are fed. Shuffling depends on it.
    """

    KEY: ClassVar[str] = "tfrecords"
    NEEDS_DATA_DIR: ClassVar[bool] = True

    train_shards: int = 1024
    eval_shards: int = 128
    cycle_length: int = 10

    def __post_init__(self) -> None:
        require(
            (self.train_shards > 0, "train_shards", self.train_shards, "1 or more"),
            (self.eval_shards > 0, "eval_shards", self.eval_shards, "1 or more"),
            (self.cycle_length > 0, "cycle_length", self.cycle_length, "1 or more"),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tfds:
    """A TensorFlow Datasets image classification set that was prepared in the data directory.

    Args:
        name: the name of the data set, such as `imagenet2012` or `imagenet2012:5.1.0`.
        train_split: TFDS split of the training examples.
        eval_split: TFDS split of the held-out examples.
    """

    name: str = "imagenet2012"
    train_split: str = "train"
    eval_split: str = "validation"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folder:
    """JPEG photographs in class folders (`train/CLASS/x.jpg`, `val/CLASS/y.jpg`) or listed in a csv file.

    Before a training run, every worker opens every file and reads its first and last bytes. TFRecords need no such
    check.

    Args:
        labels: file with the columns path, class, split, relative to the data directory. Class folders are read
            where it does not exist.
    """

    NEEDS_DATA_DIR: ClassVar[bool] = True

    labels: str = "labels.csv"


SOURCES = (Shapes, ImageNetRecords, Tfds, Folder)
