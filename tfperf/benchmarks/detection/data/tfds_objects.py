"""An object detection set of TensorFlow Datasets that was prepared on disk."""

from __future__ import annotations

import pathlib
from typing import Any

import tensorflow as tf
import tensorflow_datasets as tfds

from tfperf.benchmarks.detection import boxes as arithmetic
from tfperf.benchmarks.detection.data.annotated_split import DetectionSplit, DetectionSplits, no_images
from tfperf.benchmarks.detection.data.annotations import ClassList
from tfperf.benchmarks.detection.data.preprocessing import AnnotatedJpeg
from tfperf.benchmarks.detection.data.sources import DetectionTfds
from tfperf.benchmarks.images.sources import tfds_set
from tfperf.benchmarks.images.sources.tfds_set import TfdsReading
from tfperf.errors import MissingDataError

_ID, _FILE = "image/id", "image/filename"
_OPTIONAL = ("area", "is_crowd", "is_difficult")
_MOST_NUMBERS = 2**62


def open_tfds(source: DetectionTfds, data_dir: pathlib.Path | None, *, needs_training: bool = True) -> DetectionSplits:
    """The splits of the set called `source.name` under `data_dir`; None means TFDS's own directory.

    Raises:
        MissingDataError: the set is unknown, not prepared, or not of JPEGs with boxes.
    """
    builder = tfds_set.builder_of(source.name, data_dir)
    tfds_set.require_prepared(builder)
    splits = (source.train_split, source.eval_split) if needs_training else (source.eval_split,)
    problems = _problems(builder, splits)
    if problems:
        raise MissingDataError("\n".join([f"{builder.data_path} can't be used:", *(f"  {line}" for line in problems)]))
    reading = _reading(builder)
    *train, evaluation = (
        DetectionSplit(images=tfds_set.split_of(builder, name, reading), most_objects=source.most_objects)
        for name in splits
    )
    label = builder.info.features["objects"]["label"]
    names = tuple(label.names)
    return DetectionSplits(
        train=train[0] if train else no_images("They were not looked for."),
        evaluation=evaluation,
        classes=ClassList(names=names, category_ids=tuple(range(1, len(names) + 1))),
    )


def _problems(builder: tfds.core.DatasetBuilder, splits: tuple[str, ...]) -> list[str]:
    features = builder.info.features
    known = dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}
    image, objects = known.get("image"), known.get("objects")
    parts = _parts(objects)
    if (
        not isinstance(image, tfds.features.Image)
        or not isinstance(parts.get("bbox"), tfds.features.BBoxFeature)
        or not isinstance(parts.get("label"), tfds.features.ClassLabel)
    ):
        return [f"features image and objects are needed, an Image and a Sequence of bbox and label; it has {features}."]
    problems = []
    if image.encoding_format not in (None, "jpeg"):
        problems.append(f"JPEG images are needed, its images are {image.encoding_format}.")
    for split in splits:
        base = split.partition("[")[0]
        if base not in builder.info.splits:
            problems.append(f"it has no split {base!r}, but {', '.join(sorted(builder.info.splits))}.")
    return problems


def _parts(objects: Any) -> dict[str, Any]:
    """The features of an object."""
    inner = getattr(objects, "feature", None)
    return dict(inner.items()) if isinstance(inner, tfds.features.FeaturesDict) else {}


def _reading(builder: tfds.core.DatasetBuilder) -> TfdsReading:
    features = builder.info.features
    parts = _parts(features["objects"])
    columns = {"bbox": True, "label": True, **{name: True for name in _OPTIONAL if name in parts}}
    names = {name: True for name in (_ID, _FILE) if name in features}
    return TfdsReading(features={"image": True, "objects": columns, **names}, file_name=_FILE, parse=_parse)


def _parse(features: dict[str, Any]) -> AnnotatedJpeg:
    encoded, objects = features["image"], features["objects"]
    size = tf.image.extract_jpeg_shape(encoded)[:2]
    y1, x1, y2, x2 = tf.unstack(objects["bbox"], axis=1)
    boxes = arithmetic.clip(tf.stack([x1, y1, x2, y2], axis=1))
    nothing = tf.zeros(tf.shape(boxes)[:1], tf.bool)
    pixels = tf.cast(size[0] * size[1], tf.float32)
    columns = {
        "boxes": boxes,
        "classes": tf.cast(objects["label"], tf.int32),
        "crowd": objects.get("is_crowd", nothing),
        "difficult": objects.get("is_difficult", nothing),
        "areas": tf.cast(objects["area"], tf.float32) if "area" in objects else arithmetic.areas(boxes) * pixels,
    }
    kept = arithmetic.usable(boxes)
    return AnnotatedJpeg(
        encoded=encoded,
        number=_number(features),
        size=size,
        **{name: tf.boolean_mask(column, kept) for name, column in columns.items()},
    )


def _number(features: dict[str, Any]) -> tf.Tensor:
    """What tells an image apart: its id, or else a digest of its name or content."""
    if _ID in features:
        return tf.cast(features[_ID], tf.int64)
    return tf.strings.to_hash_bucket_fast(features.get(_FILE, features["image"]), _MOST_NUMBERS)
