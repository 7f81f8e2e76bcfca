"""An image classification set of TensorFlow Datasets that was prepared on disk."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from tfperf import spec
from tfperf.benchmarks.resnet50.sources import record_file
from tfperf.benchmarks.resnet50.sources.split import SHUFFLE_BUFFER, Example, Pass, Split, Splits, no_boxes
from tfperf.errors import MissingDataError

# Records fetched in one call into Python, from formats that have no reader in tf.data.
_BLOCK = 64
_IMAGENET_HELP = (
    " Put ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar (https://image-net.org) into {manual_dir} and prepare it:"
)


def open_splits(source: spec.Tfds, *, data_dir: pathlib.Path | None, classes: int) -> Splits:
    """The splits of the set called `source.name` under `data_dir`; None means the directory of TFDS itself.

    Raises:
        MissingDataError: the set is unknown, not prepared, not of labelled JPEGs or of another number of classes.
    """
    try:
        builder = tfds.builder(source.name, data_dir=data_dir)
    except (tfds.core.registered.DatasetNotFoundError, AssertionError, ValueError) as error:
        first_line = str(error).splitlines()[0]
        raise MissingDataError(f"TFDS has no data set {source.name!r} in {data_dir}: {first_line}") from error
    return builder_splits(builder, train=source.train_split, evaluation=source.eval_split, classes=classes)


def builder_splits(builder: tfds.core.DatasetBuilder, *, train: str, evaluation: str, classes: int) -> Splits:
    """The splits `train` and `evaluation` of a prepared builder with the features image (JPEG) and label.

    Raises:
        MissingDataError: the builder is not prepared, has other features or another number of classes.
    """
    if not builder.is_prepared():
        raise MissingDataError(_how_to_prepare(builder))
    problems = _problems(builder, splits=(train, evaluation), classes=classes)
    if problems:
        raise MissingDataError("\n".join([f"{builder.data_path} can't be used:", *(f"  {line}" for line in problems)]))
    identity = [builder.info.full_name, [[name, _shape_of(builder, name)] for name in (train, evaluation)]]
    return Splits(_split(builder, train), _split(builder, evaluation), identity)


def _split(builder: tfds.core.DatasetBuilder, name: str) -> Split:
    def shares(pipelines: int) -> tuple[int, ...]:
        return tuple(builder.info.splits[part].num_examples for part in tfds.even_splits(name, pipelines))

    def records(way: Pass) -> tf.data.Dataset:
        part = tfds.even_splits(name, way.pipelines)[way.index]
        in_tf_data = builder.info.file_format != tfds.core.FileFormat.ARRAY_RECORD
        return _from_tf_data(builder, part, way) if in_tf_data else _from_random_access(builder, part, way)

    return Split(shares=shares, records=records, name=_name, parse=_parse, damage=lambda: _damage(builder, name))


def _from_tf_data(builder: tfds.core.DatasetBuilder, part: Any, way: Pass) -> tf.data.Dataset:
    config = tfds.ReadConfig(
        try_autocache=False,
        add_tfds_id=way.named,
        shuffle_seed=way.shuffle_seed,
        shuffle_reshuffle_each_iteration=True,
    )
    shuffled = way.shuffle_seed is not None
    dataset = builder.as_dataset(split=part, shuffle_files=shuffled, read_config=config, decoders=_encoded())
    return dataset.shuffle(SHUFFLE_BUFFER, seed=way.shuffle_seed) if shuffled else dataset


def _from_random_access(builder: tfds.core.DatasetBuilder, part: Any, way: Pass) -> tf.data.Dataset:
    """Records by number, in blocks: array_record files have no reader in tf.data."""
    source = builder.as_data_source(split=part, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)
    features = builder.info.features
    wanted, skip_decoding = _encoded().extract_features(features), _encoded().decoders

    def read(block: Any) -> Any:
        return np.array(source.__getitems__([int(number) for number in block]), object)

    def parse(number: tf.Tensor, record: tf.Tensor) -> dict[str, tf.Tensor]:
        example: dict[str, tf.Tensor] = wanted.deserialize_example(record, decoders=skip_decoding)
        name = tf.strings.join([f"{builder.info.full_name} {part} record ", tf.strings.as_string(number)])
        return {**example, "tfds_id": name} if way.named else example

    numbers = tf.data.Dataset.range(len(source))
    if way.shuffle_seed is not None:
        numbers = numbers.shuffle(len(source), seed=way.shuffle_seed)
    blocks = numbers.batch(_BLOCK).map(
        lambda block: (block, tf.ensure_shape(tf.numpy_function(read, [block], tf.string), [None]))
    )
    return blocks.unbatch().map(parse, num_parallel_calls=tf.data.AUTOTUNE)


def _encoded() -> tfds.decode.PartialDecoding:
    return tfds.decode.PartialDecoding({"image": True, "label": True}, decoders={"image": tfds.decode.SkipDecoding()})


def _name(features: dict[str, tf.Tensor]) -> tf.Tensor:
    return features["tfds_id"]


def _parse(features: dict[str, tf.Tensor]) -> Example:
    return Example(features["image"], features["label"], no_boxes())


def _damage(builder: tfds.core.DatasetBuilder, name: str) -> tuple[str, ...]:
    if builder.info.file_format != tfds.core.FileFormat.TFRECORD:
        return ()
    paths = builder.info.splits[name.partition("[")[0]].filepaths
    return tuple(line for path in paths if (line := record_file.damage(pathlib.Path(path))))


def _problems(builder: tfds.core.DatasetBuilder, *, splits: tuple[str, ...], classes: int) -> list[str]:
    features = builder.info.features
    known = dict(features.items()) if isinstance(features, tfds.features.FeaturesDict) else {}
    image, label = known.get("image"), known.get("label")
    if not isinstance(image, tfds.features.Image) or not isinstance(label, tfds.features.ClassLabel):
        return [f"features image and label are needed, an Image and a ClassLabel; it has {features}."]
    problems = []
    if image.encoding_format not in (None, "jpeg"):
        problems.append(f"JPEG images are needed, its images are {image.encoding_format}.")
    if label.num_classes not in (None, classes):
        problems.append(
            f"it has {label.num_classes} classes, the model {classes}. Pass --set model.classes={label.num_classes}."
        )
    for split in splits:
        base = split.partition("[")[0]
        if base not in builder.info.splits:
            problems.append(f"it has no split {base!r}, but {', '.join(sorted(builder.info.splits))}.")
    return problems


def _shape_of(builder: tfds.core.DatasetBuilder, split: str) -> list[Any]:
    """What changes when the examples of a split do: there is no cheaper list of them."""
    info = builder.info.splits[split.partition("[")[0]]
    return [builder.info.splits[split].num_examples, list(info.shard_lengths), info.num_bytes]


def _how_to_prepare(builder: tfds.core.DatasetBuilder) -> str:
    where = builder.data_path.parent.parent
    manual_dir = where / "downloads" / "manual"
    manual = _IMAGENET_HELP.format(manual_dir=manual_dir) if builder.name == "imagenet2012" else " Prepare it:"
    return (
        f"The TFDS set {builder.info.full_name} is not prepared in {builder.data_path}; runs do not download."
        f"{manual} tfds build {builder.name} --data_dir {where} --manual_dir {manual_dir}"
    )
