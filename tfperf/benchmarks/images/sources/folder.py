"""A folder of JPEG photographs: class folders, or files listed in a csv with the columns path, class, split."""

from __future__ import annotations

import collections
import csv
import functools
import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent import futures
from typing import NamedTuple

import tensorflow as tf

from tfperf.benchmarks.images import file_format
from tfperf.benchmarks.images.sources import Folder
from tfperf.benchmarks.images.sources.split import (
    FileEnds,
    LabelledJpeg,
    Pass,
    Split,
    Splits,
    absent,
    every_nth,
    no_boxes,
)
from tfperf.errors import MissingDataError

TRAIN_NAMES = ("train",)
EVAL_NAMES = ("val", "validation", "test")
COLUMNS = ("path", "class", "split")
SUFFIXES = (".jpg", ".jpeg")
_OTHER_SUFFIXES = (".png", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".heic", ".avif")
_SHOWN = 10
_TAIL_BYTES = 64
_READERS, _FILES_AT_A_TIME = 16, 100  # a task for each file would take longer than reading its ends


class ListedPhoto(NamedTuple):
    """One row of the list of photographs."""

    path: str
    class_name: str
    training: bool


def open_splits(source: Folder, *, data_dir: pathlib.Path, classes: int, needs_training: bool = True) -> Splits:
    """The splits of the folder `data_dir`.

    Args:
        source: names the csv file. Class folders are read where it does not exist.
        data_dir: the folder.
        classes: classes of the model. They are numbered in the order of their names.
        needs_training: whether to refuse a folder without training photographs.

    Raises:
        MissingDataError: lists everything that is wrong with the folder.
    """
    labels = data_dir / source.labels
    photos, problems = (
        _listed(labels, data_dir)
        if labels.is_file()
        else _in_class_folders(data_dir, source.labels, needs_training=needs_training)
    )
    names = sorted({photo.class_name for photo in photos})
    problems += _emptiness(photos, needs_training=needs_training)
    if len(names) != classes and not problems:
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        problems.append(
            f"{len(names)} classes found ({shown}), the model has {classes}. Pass --set model.classes={len(names)}."
        )
    if problems:
        raise MissingDataError(_report(data_dir, problems))
    number = {name: index for index, name in enumerate(names)}
    train, evaluation = (
        files(
            [data_dir / photo.path for photo in half],
            [number[photo.class_name] for photo in half],
            titles=[photo.path for photo in half],
        )
        for half in ([p for p in photos if p.training], [p for p in photos if not p.training])
    )
    return Splits(train if train.examples else absent(f"{data_dir} holds no photographs for training."), evaluation)


def files(paths: Sequence[pathlib.Path], labels: Sequence[int], *, titles: Sequence[str] | None = None) -> Split:
    """A split of JPEG files with these labels, named by these titles or by their paths."""
    names = [str(path) for path in paths]
    odd = [name for name in names if not name.isascii() and os.fsencode(name) != name.encode("utf-8", "replace")]
    if odd:
        raise MissingDataError(
            f"TensorFlow can't open files whose names are not UTF-8, such as {odd[0]!r}; found {len(odd):,}. "
            "Rename them."
        )
    called = names if titles is None else titles

    def records(way: Pass) -> tf.data.Dataset:
        dataset = tf.data.Dataset.from_tensor_slices((names, list(labels))).shard(way.pipelines, way.index)
        if way.shuffle_seed is None:
            return dataset
        return dataset.shuffle(len(names), seed=way.shuffle_seed)  # of paths only, so all of them

    def pick(numbers: Sequence[int]) -> tf.data.Dataset:
        columns = [[column[index] for index in numbers] for column in (names, labels, called)]
        dtypes = (tf.string, tf.int32, tf.string)
        tensors = tuple(tf.constant(column, dtype) for column, dtype in zip(columns, dtypes, strict=True))
        return tf.data.Dataset.from_tensor_slices(tensors)

    return Split(
        shares=lambda pipelines: every_nth(len(names), pipelines),
        records=records,
        name=_name,
        parse=_parse,
        pick=pick,
        where=lambda number: names[number],
        title=_title,
        identity=sorted(zip(called, labels, strict=True)),
        by_class=True,
        ends=functools.partial(_ends, names, called),
    )


def _ends(paths: Sequence[str], titles: Sequence[str]) -> tuple[FileEnds, ...]:
    parts = [slice(begin, begin + _FILES_AT_A_TIME) for begin in range(0, len(paths), _FILES_AT_A_TIME)]
    with futures.ThreadPoolExecutor(_READERS) as pool:
        read = pool.map(lambda part: [*map(_ends_of, paths[part], titles[part])], parts)
        return tuple(itertools.chain.from_iterable(read))


def _ends_of(path: str, title: str) -> FileEnds:
    try:
        with open(path, "rb", buffering=0) as file:
            size, head = os.fstat(file.fileno()).st_size, file.read(file_format.HEAD_BYTES)
            file.seek(max(0, size - _TAIL_BYTES))
            return FileEnds(path=path, title=title, size=size, head=head, tail=file.read(_TAIL_BYTES))
    except OSError as error:
        raise MissingDataError(f"{path} can't be read: {error.strerror}.") from error


def _name(path: tf.Tensor, label: tf.Tensor) -> tf.Tensor:
    return path


def _title(path: tf.Tensor, label: tf.Tensor, title: tf.Tensor) -> tf.Tensor:
    return title


def _parse(path: tf.Tensor, label: tf.Tensor, title: tf.Tensor | None = None) -> LabelledJpeg:
    return LabelledJpeg(tf.io.read_file(path), label, no_boxes())


def _listed(labels: pathlib.Path, data_dir: pathlib.Path) -> tuple[list[ListedPhoto], list[str]]:
    photos, problems = [], []
    accepted = TRAIN_NAMES + EVAL_NAMES
    with labels.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            return [], [f"{labels.name} must have the columns path, class, split; it lacks {', '.join(missing)}."]
        for row in reader:
            path, class_name, split = ((row[column] or "").strip() for column in COLUMNS)
            where = f"{labels.name} line {reader.line_num}"
            if split not in accepted:
                problems.append(f"{where}: split is {split!r}, accepted are {', '.join(accepted)}.")
            if not class_name:
                problems.append(f"{where}: no class.")
            if not path or not (data_dir / path).is_file():
                problems.append(f"{where}: there is no file {path!r}.")
            photos.append(ListedPhoto(path, class_name, split in TRAIN_NAMES))
    return photos, [*problems, *_listed_again(photos, labels.name)]


def _listed_again(photos: Sequence[ListedPhoto], name: str) -> Iterator[str]:
    rows = collections.Counter(photo.path for photo in photos if photo.path)
    training = {photo.path for photo in photos if photo.training}
    evaluation = {photo.path for photo in photos if not photo.training}
    for path, count in rows.items():
        if path in training and path in evaluation:
            yield f"{name}: {path} is listed for training and for evaluation."
        elif count > 1:
            yield f"{name}: {path} is listed {count} times."


def _in_class_folders(
    data_dir: pathlib.Path, labels: str, *, needs_training: bool
) -> tuple[list[ListedPhoto], list[str]]:
    train = _first_folder(data_dir, TRAIN_NAMES)
    evaluation = _first_folder(data_dir, EVAL_NAMES)
    if evaluation is None or (train is None and needs_training):
        folders = "train/CLASS/*.jpg and val/CLASS/*.jpg" if needs_training else "val/CLASS/*.jpg"
        layouts = f"a file {labels} (columns path,class,split), or {folders}"
        return [], [f"found {_contents(data_dir)}; accepted are {layouts}."]
    photos, problems = [], []
    for split in (evaluation,) if train is None else (train, evaluation):
        for folder in sorted(path for path in split.iterdir() if path.is_dir() and not path.name.startswith(".")):
            inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
            found = [path for path in inside if path.suffix.lower() in SUFFIXES]
            if not found:
                problems.append(f"{split.name}/{folder.name} holds no {' or '.join(SUFFIXES)} file.")
            problems += _left_out(inside, f"{split.name}/{folder.name}")
            photos += [ListedPhoto(str(path.relative_to(data_dir)), folder.name, split is train) for path in found]
    if train is not None:
        strangers = {photo.class_name for photo in photos} - {photo.class_name for photo in photos if photo.training}
        problems += [f"{evaluation.name}/{name} has no class folder in {train.name}/." for name in sorted(strangers)]
    return photos, problems


def _left_out(inside: Sequence[pathlib.Path], title: str) -> Iterator[str]:
    """Names the images of other formats in a class folder: left out silently, they would change the class."""
    others = [path.name for path in inside if path.suffix.lower() in _OTHER_SUFFIXES]
    if others:
        images = "1 image" if len(others) == 1 else f"{len(others)} images"
        yield f"{title} holds {images} in another format than JPEG, such as {others[0]}. Convert or remove them."


def _first_folder(data_dir: pathlib.Path, names: Iterable[str]) -> pathlib.Path | None:
    return next((data_dir / name for name in names if (data_dir / name).is_dir()), None)


def _contents(data_dir: pathlib.Path) -> str:
    names = sorted(path.name + ("/" if path.is_dir() else "") for path in data_dir.iterdir())
    return (", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")) if names else "an empty folder"


def _emptiness(photos: list[ListedPhoto], *, needs_training: bool) -> list[str]:
    if not photos:
        return ["no photographs."]
    training = sum(photo.training for photo in photos)
    sizes = {"evaluation": len(photos) - training}
    if needs_training:
        sizes = {"training": training, **sizes}
    return [f"no photographs for {use}." for use, size in sizes.items() if size == 0]


def _report(data_dir: pathlib.Path, problems: list[str]) -> str:
    shown = problems[:_SHOWN] + ([f"... and {len(problems) - _SHOWN} more."] if len(problems) > _SHOWN else [])
    return "\n".join([f"{data_dir} can't be used as a folder of photographs:", *(f"  {line}" for line in shown)])
