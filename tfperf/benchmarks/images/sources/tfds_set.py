"""An image classification set of TensorFlow Datasets that was prepared on disk."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from tfperf.benchmarks.images.sources import Tfds
from tfperf.benchmarks.images.sources.split import SHUFFLE_BUFFER, LabelledJpeg, Pass, Split, Splits, absent, no_boxes
from tfperf.benchmarks.records import record_file
from tfperf.errors import MissingDataError

Pick = Callable[[Sequence[int]], tf.data.Dataset]
Where = Callable[[int], str]

_ENCODED = {"image": tfds.decode.SkipDecoding()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TfdsReading:
    """What is read of a set, and what becomes of it.

    Attributes:
        features: the features that `parse` needs, as `tfds.decode.PartialDecoding` names them; `image` stays encoded.
        file_name: the feature that names an image, used if the set has it.
        parse: the features of a record -> its example.
    """

    features: Mapping[str, Any]
    file_name: str
    parse: Callable[[dict[str, tf.Tensor]], Any]

    @property
    def decoding(self) -> tfds.decode.PartialDecoding:
        """How TFDS reads a record."""
        return tfds.decode.PartialDecoding(dict(self.features), decoders=_ENCODED)

    def title(self, features: dict[str, tf.Tensor]) -> tf.Tensor:
        """The name of the image in a record that was picked."""
        return features.get(self.file_name, features["tfds_id"])


# Records per call into Python, for formats that have no reader in tf.data.
_BLOCK = 64
_IMAGENET_HELP = (
    " Put ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar (https://image-net.org) into {manual_dir} and prepare it:"
)


def open_splits(source: Tfds, *, data_dir: pathlib.Path | None, classes: int, needs_training: bool = True) -> Splits:
    """The splits of the set called `source.name` under `data_dir`; None means TFDS's own directory.

    Raises:
        MissingDataError: the set is unknown, not prepared, not of labelled JPEGs or of another number of classes.
    """
    return builder_splits(
        builder_of(source.name, data_dir),
        train=source.train_split,
        evaluation=source.eval_split,
        classes=classes,
        needs_training=needs_training,
    )


def builder_of(name: str, data_dir: pathlib.Path | None) -> tfds.core.DatasetBuilder:
    """The builder of a set, prepared or not.

    Raises:
        MissingDataError: TFDS knows no such set.
    """
    try:
        return tfds.builder(name, data_dir=data_dir)
    except (tfds.core.registered.DatasetNotFoundError, AssertionError, ValueError) as error:
        first_line = str(error).splitlines()[0]
        raise MissingDataError(f"TFDS has no data set {name!r} in {data_dir}: {first_line}") from error


def builder_splits(
    builder: tfds.core.DatasetBuilder, *, train: str, evaluation: str, classes: int, needs_training: bool = True
) -> Splits:
    """The splits `train` and `evaluation` of a prepared builder with the features image (JPEG) and label.

    With `needs_training` False a builder without the split `train` is accepted.

    Raises:
        MissingDataError: the builder is not prepared, has other features or another number of classes.
    """
    require_prepared(builder)
    splits = (train, evaluation) if needs_training else (evaluation,)
    problems = _problems(builder, splits=splits, classes=classes)
    if problems:
        raise MissingDataError("\n".join([f"{builder.data_path} can't be used:", *(f"  {line}" for line in problems)]))
    without = [] if needs_training else _problems(builder, splits=(train,), classes=classes)
    training = absent(f"{builder.data_path}: {without[0]}") if without else split_of(builder, train, _LABELLED)
    return Splits(training, split_of(builder, evaluation, _LABELLED))


def require_prepared(builder: tfds.core.DatasetBuilder) -> None:
    """Refuses a set that is not on the disk.

    Raises:
        MissingDataError: it is not; says how to prepare it.
    """
    if not builder.is_prepared():
        raise MissingDataError(_how_to_prepare(builder))


def split_of(builder: tfds.core.DatasetBuilder, name: str, reading: TfdsReading) -> Split:
    """The split of a prepared set, read in this way."""

    def shares(pipelines: int) -> tuple[int, ...]:
        return tuple(builder.info.splits[part].num_examples for part in tfds.even_splits(name, pipelines))

    def records(way: Pass) -> tf.data.Dataset:
        part = tfds.even_splits(name, way.pipelines)[way.index]
        in_tf_data = builder.info.file_format != tfds.core.FileFormat.ARRAY_RECORD
        read = _from_tf_data if in_tf_data else _from_random_access
        return read(builder, part, way, reading)

    in_files = builder.info.file_format == tfds.core.FileFormat.TFRECORD
    pick, where = (_by_offset if in_files else _by_number)(builder, name, reading)
    return Split(
        shares=shares,
        records=records,
        name=_name,
        parse=reading.parse,
        pick=pick,
        where=where,
        title=reading.title,
        identity=[builder.info.full_name, name, _shape_of(builder, name)],
        damage=lambda: _damage(builder, name),
    )


def _by_offset(builder: tfds.core.DatasetBuilder, name: str, reading: TfdsReading) -> tuple[Pick, Where]:
    """`pick` and `where` of a split in TFRecord files; records have the names that TFDS gives them."""
    index = record_file.Index(
        record_file.Part(pathlib.Path(found.filename), found.skip, found.take, found.examples_in_shard)
        for found in builder.info.splits[name].file_instructions
    )
    features = _picked(builder, reading)

    def pick(numbers: Sequence[int]) -> tf.data.Dataset:
        locations = [index.find(number) for number in numbers]
        titles = [f"{each.path.name}__{each.record}" for each in locations]
        columns = ([str(each.path) for each in locations], [each.offset for each in locations], titles)
        dtypes = (tf.string, tf.int64, tf.string)
        tensors = tuple(tf.constant(column, dtype) for column, dtype in zip(columns, dtypes, strict=True))

        def read(path: tf.Tensor, offset: tf.Tensor, title: tf.Tensor) -> dict[str, tf.Tensor]:
            record = record_file.read(path, offset)
            return {"tfds_id": title, **features.deserialize_example(record, decoders=_ENCODED)}

        found = tf.data.Dataset.from_tensor_slices(tensors)
        return found.map(read, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def where(number: int) -> str:
        found = index.find(number)
        return f"{found.path} record {found.record}"

    return pick, where


def _by_number(builder: tfds.core.DatasetBuilder, name: str, reading: TfdsReading) -> tuple[Pick, Where]:
    """`pick` and `where` of a split in array_record files, one record at a time to locate errors."""

    def pick(numbers: Sequence[int]) -> tf.data.Dataset:
        found = tf.data.Dataset.from_tensor_slices(tf.constant(numbers, tf.int64))
        return _by_numbers(builder, name, found, features=_picked(builder, reading), block=1, named=True)

    return pick, lambda number: f"{builder.data_path} {name} record {number}"


def _picked(builder: tfds.core.DatasetBuilder, reading: TfdsReading) -> Any:
    """The features of a picked record, with the image's file name if the set has it."""
    names = {reading.file_name: True} if reading.file_name in builder.info.features else {}
    return tfds.decode.PartialDecoding({**reading.features, **names}).extract_features(builder.info.features)


def _from_tf_data(builder: tfds.core.DatasetBuilder, part: Any, way: Pass, reading: TfdsReading) -> tf.data.Dataset:
    config = tfds.ReadConfig(
        try_autocache=False,
        add_tfds_id=way.named,
        shuffle_seed=way.shuffle_seed,
        shuffle_reshuffle_each_iteration=True,
    )
    shuffled = way.shuffle_seed is not None
    dataset = builder.as_dataset(split=part, shuffle_files=shuffled, read_config=config, decoders=reading.decoding)
    return dataset.shuffle(SHUFFLE_BUFFER, seed=way.shuffle_seed) if shuffled else dataset


def _from_random_access(
    builder: tfds.core.DatasetBuilder, part: Any, way: Pass, reading: TfdsReading
) -> tf.data.Dataset:
    """Records by number, in blocks: array_record files have no reader in tf.data."""
    numbers = tf.data.Dataset.range(builder.info.splits[part].num_examples)
    if way.shuffle_seed is not None:
        numbers = numbers.shuffle(len(numbers), seed=way.shuffle_seed)
    features = reading.decoding.extract_features(builder.info.features)
    return _by_numbers(builder, part, numbers, features=features, block=_BLOCK, named=way.named)


def _by_numbers(
    builder: tfds.core.DatasetBuilder, part: Any, numbers: tf.data.Dataset, *, features: Any, block: int, named: bool
) -> tf.data.Dataset:
    source = builder.as_data_source(split=part, deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES)

    def read(block: Any) -> Any:
        return np.array(source.__getitems__([int(number) for number in block]), object)

    def parse(number: tf.Tensor, record: tf.Tensor) -> dict[str, tf.Tensor]:
        example: dict[str, tf.Tensor] = features.deserialize_example(record, decoders=_ENCODED)
        name = tf.strings.join([f"{builder.info.full_name} {part} record ", tf.strings.as_string(number)])
        return {**example, "tfds_id": name} if named else example

    blocks = numbers.batch(block).map(
        lambda block: (block, tf.ensure_shape(tf.numpy_function(read, [block], tf.string), [None]))
    )
    return blocks.unbatch().map(parse, num_parallel_calls=tf.data.AUTOTUNE)


def _name(features: dict[str, tf.Tensor]) -> tf.Tensor:
    return features["tfds_id"]


def _parse(features: dict[str, tf.Tensor]) -> LabelledJpeg:
    return LabelledJpeg(features["image"], features["label"], no_boxes())


_LABELLED = TfdsReading(features={"image": True, "label": True}, file_name="file_name", parse=_parse)


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
    """What changes with the examples of a split; listing them would cost more."""
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
