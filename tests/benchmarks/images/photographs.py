"""The same drawn photographs in every layout that the sources read."""

import csv
import dataclasses
import io
import pathlib
from collections.abc import Callable

import tensorflow as tf
import tensorflow_datasets as tfds

from tfperf.benchmarks.images.sources import ImageNetRecords

CLASSES = ("ant", "bee", "cat")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Photographs:
    """Photographs with the numbers 0, 1, 2...; those for training come first.

    Attributes:
        train: how many are for training.
        evaluation: how many are not.
        jpeg: number -> the file's content.
        shards: of the TFRecord layout.
    """

    train: int
    evaluation: int
    jpeg: Callable[[int], bytes]
    shards: ImageNetRecords

    def examples(self) -> list[tuple[int, int, bool]]:
        """(number, label, training) of every photograph."""
        total = self.train + self.evaluation
        return [(number, number % len(CLASSES), number < self.train) for number in range(total)]

    def write_listed(self, root: pathlib.Path) -> pathlib.Path:
        with (root / "labels.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["path", "class", "split"])
            for number, label, training in self.examples():
                (root / f"{number}.jpg").write_bytes(self.jpeg(number))
                rows.writerow([f"{number}.jpg", CLASSES[label], "train" if training else "val"])
        return root

    def write_class_folders(
        self, root: pathlib.Path, *, training: bool = True, validation: str = "val"
    ) -> pathlib.Path:
        for number, label, in_training in self.examples():
            if training or not in_training:
                folder = root / ("train" if in_training else validation) / CLASSES[label]
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"a photo {number:02d}.JPEG").write_bytes(self.jpeg(number))
        return root

    def record(self, number: int, label: int, *, named: bool = True) -> bytes:
        """A record of ImageNet's TFRecord layout, with no box, one or two."""
        feature = {
            "image/encoded": _bytes(self.jpeg(number)),
            "image/class/label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label + 1])),
        }
        for corner, value in {"xmin": 0.1, "xmax": 0.9, "ymin": 0.2, "ymax": 0.8}.items():
            boxes = tf.train.FloatList(value=[value] * (number % 3))
            feature[f"image/object/bbox/{corner}"] = tf.train.Feature(float_list=boxes)
        if named:
            feature["image/filename"] = _bytes(f"ILSVRC2012_val_{number:08d}.JPEG".encode())
        return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()

    def write_tfrecords(self, root: pathlib.Path, *, training: bool = True, named: bool = True) -> pathlib.Path:
        splits = [("validation", self.shards.eval_shards, False)]
        splits += [("train", self.shards.train_shards, True)] if training else []
        for name, shards, in_training in splits:
            found = [row for row in self.examples() if row[2] == in_training]
            for shard in range(shards):
                with tf.io.TFRecordWriter(str(root / f"{name}-{shard:05d}-of-{shards:05d}")) as writer:
                    for number, label, _ in found[shard::shards]:
                        writer.write(self.record(number, label, named=named))
        return root


class PhotographSet(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A TFDS set of photographs; a subclass names it and says of which."""

    VERSION = tfds.core.Version("1.0.0")
    photographs: Photographs

    def _info(self):
        features = {
            "image": tfds.features.Image(encoding_format="jpeg"),
            "label": tfds.features.ClassLabel(names=CLASSES),
            "file_name": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {name: self._generate_examples(name == "train") for name in ("train", "validation")}

    def _generate_examples(self, training):
        for number, label, in_training in self.photographs.examples():
            if training == in_training:
                content = io.BytesIO(self.photographs.jpeg(number))
                yield number, {"image": content, "label": label, "file_name": f"{number}.jpg"}


def _bytes(value: bytes) -> tf.train.Feature:
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
