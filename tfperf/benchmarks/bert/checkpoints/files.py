"""Reads the tensors of a TensorFlow checkpoint or a safetensors file by name."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping

import numpy as np

from tfperf.benchmarks.bert.checkpoints import names
from tfperf.benchmarks.checkpoints import tensor_files
from tfperf.errors import MissingDataError, UsageError

_SAFETENSORS = tensor_files.SAFETENSORS
_INDEX, _DATA = ".index", ".data-?????-of-?????"
_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"  # in checkpoints that TF2 names by object


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorFile:
    """An open checkpoint.

    Attributes:
        path: as messages name it.
        format: how the tensors are named.
        shapes: of each tensor, by name.
        read: name -> the tensor.
    """

    path: pathlib.Path
    format: names.Format
    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[str], np.ndarray]


def open_file(path: pathlib.Path) -> TensorFile:
    """Opens a checkpoint.

    Args:
        path: as in `find`.

    Raises:
        MissingDataError: nothing is there, or a directory has several checkpoints.
        UsageError: the file isn't a checkpoint, or is damaged.
    """
    path = find(path)
    return _open_safetensors(path) if _is_safetensors(path) else _open_tensorflow(path, _index_of(path))


def files_at(path: pathlib.Path) -> tuple[pathlib.Path, ...]:
    """The files of the checkpoint at a path as `find` takes it; empty if there is none."""
    prefix = path.with_suffix("") if path.suffix == _INDEX else path
    if _is_safetensors(prefix):
        return (prefix,)
    index = _index_of(prefix)
    return (index, *_shards(prefix)) if index.is_file() else ()


def find(path: pathlib.Path) -> pathlib.Path:
    """The `.safetensors` file or the prefix of the TensorFlow checkpoint at `path`, without opening it.

    Args:
        path: a `.safetensors` file; the prefix of a TensorFlow checkpoint, with or without `.index`; or a directory
            that has one of them.

    Raises:
        MissingDataError: nothing is there, or a directory has several checkpoints.
        UsageError: the file isn't a checkpoint.
    """
    if path.is_dir():
        path = _only_checkpoint(path)
    if path.suffix == _INDEX:
        path = path.with_suffix("")
    index = _index_of(path)
    if _is_safetensors(path) or index.is_file():
        return path
    if path.is_file():
        raise UsageError(
            f"{path} is not a checkpoint that can be read. Give a {_SAFETENSORS} file, or the prefix of a TensorFlow "
            f"checkpoint, which has a file {path.name}{_INDEX}."
        )
    raise MissingDataError(
        f"There is no checkpoint at {path}: neither this file nor {index.name} exists. Copy it there, or name another."
    )


def _is_safetensors(path: pathlib.Path) -> bool:
    return path.suffix == _SAFETENSORS and path.is_file()


def _index_of(prefix: pathlib.Path) -> pathlib.Path:
    return prefix.with_name(prefix.name + _INDEX)


def _shards(prefix: pathlib.Path) -> list[pathlib.Path]:
    return sorted(prefix.parent.glob(prefix.name + _DATA))


def _only_checkpoint(directory: pathlib.Path) -> pathlib.Path:
    found = sorted(each for pattern in (f"*{_INDEX}", f"*{_SAFETENSORS}") for each in directory.glob(pattern))
    if len(found) == 1:
        return found[0]
    listed = ", ".join(each.name for each in found) or "none"
    raise MissingDataError(f"{directory} must have one checkpoint to start from, has: {listed}. Name the file itself.")


def _open_safetensors(path: pathlib.Path) -> TensorFile:
    tensors = tensor_files.open_safetensors(path)
    return TensorFile(path=path, format=names.SAFETENSORS, shapes=tensors.shapes, read=tensors.read)


def _open_tensorflow(path: pathlib.Path, index: pathlib.Path) -> TensorFile:
    import tensorflow as tf

    shards = _shards(path)
    if not shards:
        raise MissingDataError(f"{path} has an index but no data: there is no {path.name}{_DATA}. Copy all its files.")
    for file in (index, *shards):
        tensor_files.refuse_pointer(file)
    # tf.train raises the errors of the file system, of the table and of the bindings.
    unreadable = (tf.errors.OpError, RuntimeError, ValueError, IndexError)
    try:
        reader = tf.train.load_checkpoint(str(path))
        shapes = {name: tuple(shape) for name, shape in reader.get_variable_to_shape_map().items()}
    except unreadable as error:
        raise tensor_files.damaged(path, error) from error

    def read(name: str) -> np.ndarray:
        try:
            return np.asarray(reader.get_tensor(name))
        except unreadable as error:
            raise tensor_files.damaged(path, error, name) from error

    return TensorFile(path=path, format=names.TF2 if _OBJECTS in shapes else names.TF1, shapes=shapes, read=read)
