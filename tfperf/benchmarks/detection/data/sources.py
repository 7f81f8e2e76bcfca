"""Where photographs with boxes come from, as a config gives it."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from tfperf.spec.requirement import require


@dataclasses.dataclass(frozen=True, kw_only=True)
class VocFolder:
    """A folder in the layout of Pascal VOC: Annotations/*.xml, JPEGImages/*.jpg and ImageSets/Main/*.txt.

    Where there is no ImageSets/Main, every fifth image in the order of their names is held out for evaluation.

    Args:
        train_list: the list of training images, without `.txt`.
        eval_list: the list of held-out images, without `.txt`.
    """

    KEY: ClassVar[str] = "voc"
    NEEDS_DATA_DIR: ClassVar[bool] = True

    train_list: str = "trainval"
    eval_list: str = "test"

    def __post_init__(self) -> None:
        named = {"train_list": self.train_list, "eval_list": self.eval_list}
        require(
            *((bool(name) and "/" not in name, field, name, "the name of a list") for field, name in named.items()),
            (self.train_list != self.eval_list, "eval_list", self.eval_list, "another list than train_list"),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CocoFolder:
    """Images with annotations in COCO's json, by default where COCO 2017 is unpacked.

    All paths are relative to the data directory.

    Args:
        train_json: the annotations of the training images.
        train_images: the folder of the training images.
        eval_json: the annotations of the held-out images.
        eval_images: their folder.
        keep_unannotated: whether images without objects are trained on. MLPerf's reference of SSD leaves them out,
            that of RetinaNet keeps them.
    """

    KEY: ClassVar[str] = "coco"
    NEEDS_DATA_DIR: ClassVar[bool] = True

    train_json: str = "annotations/instances_train2017.json"
    train_images: str = "train2017"
    eval_json: str = "annotations/instances_val2017.json"
    eval_images: str = "val2017"
    keep_unannotated: bool = False

    def __post_init__(self) -> None:
        paths = ("train_json", "train_images", "eval_json", "eval_images")
        require(
            *((bool(getattr(self, field)), field, getattr(self, field), "a path") for field in paths),
            (self.eval_json != self.train_json, "eval_json", self.eval_json, "another file than train_json"),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpenImagesFolder(CocoFolder):
    """OpenImages as MLPerf's script for RetinaNet exports it: `CocoFolder` with other paths.

    (mlcommons/training, retired_benchmarks/retinanet/scripts/download_openimages_mlperf.sh.)
    """

    KEY: ClassVar[str] = "openimages"

    train_json: str = "train/labels/openimages-mlperf.json"
    train_images: str = "train/data"
    eval_json: str = "validation/labels/openimages-mlperf.json"
    eval_images: str = "validation/data"
    keep_unannotated: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionRecords:
    """TFRecords as `tfperf prepare voc`, `coco` and `openimages` write them.

    Args:
        cycle_length: files that are read at the same time. Shuffling depends on it.
    """

    KEY: ClassVar[str] = "tfrecords"
    NEEDS_DATA_DIR: ClassVar[bool] = True

    cycle_length: int = 10

    def __post_init__(self) -> None:
        require((self.cycle_length > 0, "cycle_length", self.cycle_length, "1 or more"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class DetectionTfds:
    """An object detection set of TensorFlow Datasets that was prepared in the data directory, such as COCO or VOC.

    Images without objects are trained on: TFDS doesn't say which those are. Boxes are clipped to their image, and those
    without area left out. Classes are numbered as TFDS numbers them, which drops the gaps in COCO's categories.

    Args:
        name: the name of the data set, such as `coco/2017` or `voc/2007`.
        train_split: TFDS split of the training images.
        eval_split: TFDS split of the held-out images.
        most_objects: no image has more objects. COCO 2017 has images with 93.
    """

    KEY: ClassVar[str] = "tfds"

    name: str = "coco/2017"
    train_split: str = "train"
    eval_split: str = "validation"
    most_objects: int = 100

    def __post_init__(self) -> None:
        require((self.most_objects > 0, "most_objects", self.most_objects, "1 or more"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawnScenes:
    """The embedded data: scenes of scattered shapes, drawn by program in memory, half a millisecond each.

    Args:
        train_examples: scenes to train on.
        eval_examples: held-out scenes.
    """

    KEY: ClassVar[str] = "scenes"
    EMBEDDED: ClassVar[bool] = True

    train_examples: int = 4096
    eval_examples: int = 512

    def __post_init__(self) -> None:
        require(
            (self.train_examples > 0, "train_examples", self.train_examples, "1 or more"),
            (self.eval_examples > 0, "eval_examples", self.eval_examples, "1 or more"),
        )


SOURCES = (DrawnScenes, DetectionRecords, DetectionTfds, VocFolder, CocoFolder, OpenImagesFolder)
