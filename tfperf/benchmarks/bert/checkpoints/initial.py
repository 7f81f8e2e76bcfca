"""The weights that a training run starts from, by the path of each variable."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from absl import logging

from tfperf.benchmarks.bert import encoder_config
from tfperf.benchmarks.bert.checkpoints import files, names
from tfperf.benchmarks.bert.encoder_config import Encoder
from tfperf.benchmarks.bert.pretraining.options import PretrainingOptions
from tfperf.benchmarks.bert.squad.options import SquadOptions
from tfperf.benchmarks.checkpoints import tensor_files
from tfperf.benchmarks.checkpoints.listing import listed
from tfperf.errors import UsageError

_CONFIGS = ("bert_config.json", "config.json")
# What a checkpoint's configuration must agree on; the shares dropped in training and the initialisers may differ.
_FREE = ("dropout", "attention_dropout", "initializer_range")


def check(options: PretrainingOptions | SquadOptions, data_dir: pathlib.Path | None) -> None:
    """Refuses options that name a checkpoint which is not there, before anything is built.

    Raises:
        MissingDataError: there is no checkpoint, or no data directory for its path.
        UsageError: the file isn't a checkpoint.
    """
    path = _path(options, data_dir)
    if path is not None:
        files.find(path)


def initial_weights(
    options: PretrainingOptions | SquadOptions, data_dir: pathlib.Path | None
) -> Mapping[str, np.ndarray | None] | None:
    """The weights that the options name, for `TrainingTask.initial_weights`.

    Pre-training goes on with all heads. Question answering starts from the encoder, and from the span head if the
    checkpoint has one.

    Args:
        options: of the task; `checkpoint` is a path in the data directory.
        data_dir: the data directory.

    Returns:
        The weights by path, None for a variable that keeps its initialiser; None if the options name no checkpoint.

    Raises:
        UsageError: the checkpoint is missing or damaged, or is not of this network.
    """
    path = _path(options, data_dir)
    if path is None:
        return None
    if isinstance(options, SquadOptions):
        return read(path, options.encoder, heads=("span",), may_lack=("span",))
    return read(path, options.encoder, heads=("pooler", "masked_lm", "next_sentence"))


def read(
    path: pathlib.Path, encoder: Encoder, *, heads: Sequence[names.Head], may_lack: Sequence[names.Head] = ()
) -> Mapping[str, np.ndarray | None]:
    """Reads a checkpoint into the variables of a network, in float32.

    Args:
        path: as `files.open_file` takes it.
        encoder: the network's encoder.
        heads: the heads that the network has. Other heads of the checkpoint are left out, as are slots of optimizers.
        may_lack: the heads that may keep their initialisers where the checkpoint lacks all of their variables.

    Raises:
        MissingDataError: there is no checkpoint.
        UsageError: it is damaged, or not of this network; names what is missing, surplus or of another shape.
    """
    file = files.open_file(path)
    _compare_configs(file.path, encoder)
    found, ignored, surplus = _sorted(file)
    expected, known = names.shapes(encoder, heads), names.shapes(encoder, names.HEADS)
    lacking = {
        head
        for head in (*may_lack, *file.format.may_lack)
        if not any(names.head_of(variable) == head for variable in found)
    }
    missing = [each for each in expected if each not in found and names.head_of(each) not in lacking]
    surplus += [each.name for variable, tensors in found.items() if variable not in known for each in tensors]
    problems = [
        *_layers(found, encoder),
        *listed("Missing", missing),
        *listed("Not of this network", surplus),
        *listed("Wrong shape", _wrong_shapes(found, expected, file, encoder)),
    ]
    if problems:
        raise UsageError(
            f"{file.path}, a {file.format.title}, doesn't fit the network. {' '.join(problems)} Give `encoder` the "
            "sizes in the configuration that belongs to the checkpoint, or choose another checkpoint."
        )
    weights = {variable: _value(file, found.get(variable, []), shape) for variable, shape in expected.items()}
    others = sum(len(tensors) for variable, tensors in found.items() if variable not in expected)
    logging.info("Left out of %s: %d tensors of optimizers and counters, %d of other heads.", path, ignored, others)
    return weights


def _path(options: PretrainingOptions | SquadOptions, data_dir: pathlib.Path | None) -> pathlib.Path | None:
    """Where the checkpoint is that the options name; None if they name none."""
    if options.checkpoint is None:
        return None
    return tensor_files.in_directory(options.checkpoint, data_dir, option="checkpoint")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Tensor:
    name: str
    source: names.Source


def _sorted(file: files.TensorFile) -> tuple[dict[str, list[_Tensor]], int, list[str]]:
    """The tensors of each variable, the number of those that are no weights, and the names that are unknown."""
    found: dict[str, list[_Tensor]] = {}
    ignored, unknown = 0, []
    for name in sorted(file.shapes):
        if file.format.ignores(name):
            ignored += 1
        elif source := file.format.source(name):
            found.setdefault(source.path, []).append(_Tensor(name=name, source=source))
        else:
            unknown.append(name)
    return found, ignored, unknown


def _value(file: files.TensorFile, tensors: list[_Tensor], shape: tuple[int, ...]) -> np.ndarray | None:
    """The value of a variable; the decoder of the masked-LM head may be stored again, as a copy of the embeddings."""
    values = [_in_place(file.read(each.name), each.source, shape) for each in tensors]
    for tensor, value in zip(tensors, values, strict=True):
        if not np.isfinite(value).all():
            raise UsageError(f"{tensor.name} in {file.path} has values that are not finite. Choose another checkpoint.")
        if not np.array_equal(value, values[0]):
            raise UsageError(
                f"{tensor.name} and {tensors[0].name} in {file.path} differ, but the network has one variable for both."
            )
    return values[0] if values else None


def _in_place(value: np.ndarray, source: names.Source, shape: tuple[int, ...]) -> np.ndarray:
    turned = value.T if source.layout == "reversed" else value.reshape(shape)
    return np.ascontiguousarray(turned, dtype=np.float32)


def _wrong_shapes(
    found: Mapping[str, list[_Tensor]],
    expected: Mapping[str, tuple[int, ...]],
    file: files.TensorFile,
    encoder: Encoder,
) -> Iterable[str]:
    for variable, shape in expected.items():
        for tensor in found.get(variable, []):
            wanted, got = names.shape_in_file(tensor.source, shape, encoder), file.shapes[tensor.name]
            if got != wanted:
                yield f"{tensor.name} (got {got}, expected {wanted})"


def _layers(found: Mapping[str, list[_Tensor]], encoder: Encoder) -> tuple[str, ...]:
    layers = {variable.partition("/")[0] for variable in found if variable.startswith("layer_")}
    if len(layers) == encoder.layers:
        return ()
    return (f"It has {len(layers)} layers, but encoder.layers is {encoder.layers}.",)


def _compare_configs(path: pathlib.Path, encoder: Encoder) -> None:
    for config in (path.with_name(name) for name in _CONFIGS):
        if not config.is_file():
            continue
        beside = encoder_config.read(config)
        different = [
            f"{field.name} (got {getattr(encoder, field.name)}, expected {getattr(beside, field.name)})"
            for field in dataclasses.fields(Encoder)
            if field.name not in _FREE and getattr(encoder, field.name) != getattr(beside, field.name)
        ]
        if different:
            raise UsageError(
                f"`encoder` is not the network of the checkpoint {path}. {config.name} beside it differs in "
                f"{', '.join(different)}."
            )
