"""Tiny ImageNets, as archives and as class folders, and the records that they become."""

import io
import pathlib
import random
import tarfile
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from PIL import Image

from tfperf.benchmarks.resnet50.prepare import imagenet

CLASSES = ("n01440764", "n01443537", "n02105855")
TRAIN_IMAGES = 4
VALIDATION_IMAGES = 6

FEATURES = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string),
    "image/height": tf.io.FixedLenFeature([], tf.int64),
    "image/width": tf.io.FixedLenFeature([], tf.int64),
    "image/channels": tf.io.FixedLenFeature([], tf.int64),
    "image/format": tf.io.FixedLenFeature([], tf.string),
    "image/colorspace": tf.io.FixedLenFeature([], tf.string),
    "image/filename": tf.io.FixedLenFeature([], tf.string),
    "image/class/label": tf.io.FixedLenFeature([], tf.int64),
    "image/class/synset": tf.io.FixedLenFeature([], tf.string),
    "image/object/bbox/xmin": tf.io.VarLenFeature(tf.float32),
    "image/object/bbox/ymin": tf.io.VarLenFeature(tf.float32),
    "image/object/bbox/xmax": tf.io.VarLenFeature(tf.float32),
    "image/object/bbox/ymax": tf.io.VarLenFeature(tf.float32),
    "image/object/bbox/label": tf.io.VarLenFeature(tf.int64),
}


def encoded(seed: int, *, mode: str = "RGB", kind: str = "JPEG") -> bytes:
    """A small picture; 24 to 31 pixels high, 32 wide."""
    noise = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    picture = Image.fromarray(noise).resize((32, 24 + seed % 8)).convert(mode)
    content = io.BytesIO()
    picture.save(content, kind)
    return content.getvalue()


def train_files() -> dict[str, bytes]:
    names = [f"{name}/{name}_{number}.JPEG" for name in CLASSES for number in range(TRAIN_IMAGES)]
    return {name: encoded(seed) for seed, name in enumerate(names)}


def validation_files() -> dict[str, bytes]:
    return {f"ILSVRC2012_val_{n:08d}.JPEG": encoded(100 + n) for n in range(1, VALIDATION_IMAGES + 1)}


def validation_classes() -> list[str]:
    return [CLASSES[n % len(CLASSES)] for n in range(VALIDATION_IMAGES)]


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))


def tar(files: dict[str, bytes], mode: Literal["w:", "w:gz"] = "w:") -> bytes:
    content = io.BytesIO()
    with tarfile.open(None, mode, content) as archive:
        for name, file in files.items():
            add(archive, name, file)
    return content.getvalue()


def write_archives(source: pathlib.Path) -> pathlib.Path:
    """The downloads of ImageNet, but small: an archive of class archives, one of images, and the labels."""
    source.mkdir()
    files = train_files()
    by_class = {
        f"{name}.tar": tar({pathlib.Path(file).name: files[file] for file in files if file.startswith(name)})
        for name in reversed(CLASSES)
    }
    (source / "ILSVRC2012_img_train.tar").write_bytes(tar(by_class))
    shuffled = list(validation_files().items())
    random.Random(1).shuffle(shuffled)
    (source / "ILSVRC2012_img_val.tar").write_bytes(tar(dict(shuffled)))
    labels = "\n".join(validation_classes()) + "\n"
    (source / "imagenet_2012_validation_synset_labels.txt").write_text(labels)
    return source


def write_tree(source: pathlib.Path, validation: str = "validation") -> pathlib.Path:
    """The same images in class folders."""
    for name, content in train_files().items():
        write(source / "train" / name, content)
    for class_name, (name, content) in zip(validation_classes(), validation_files().items(), strict=True):
        write(source / validation / class_name / name, content)
    return source


def write(path: pathlib.Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def prepare(source: pathlib.Path, data_dir: pathlib.Path, **options: Any) -> imagenet.PreparedImageNet:
    options = {"train_shards": 3, "eval_shards": 2, **options}
    return imagenet.prepare(imagenet.ImageNetRequest(source=source, data_dir=data_dir, **options), lambda line: None)


def records(data_dir: pathlib.Path, split: str) -> Iterator[dict[str, Any]]:
    dataset = tf.data.TFRecordDataset(sorted(map(str, data_dir.glob(f"{split}-*"))))
    for features in dataset.map(lambda example: tf.io.parse_single_example(example, FEATURES)):
        yield {
            name: (tf.sparse.to_dense(value) if isinstance(value, tf.SparseTensor) else value).numpy()
            for name, value in features.items()
        }


def contents(data_dir: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in data_dir.iterdir() if path.name.startswith(("train-", "valid"))}


def visible(data_dir: pathlib.Path) -> list[str]:
    return sorted(path.name for path in data_dir.iterdir() if path.name != ".prepare.lock")
