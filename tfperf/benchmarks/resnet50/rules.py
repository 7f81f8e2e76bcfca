"""The rules of ResNet's closed division, beyond those that all benchmarks share."""

from __future__ import annotations

import math
from collections.abc import Iterator

from tfperf import spec as specs
from tfperf.benchmarks.closed_rule import broken
from tfperf.benchmarks.images.sources import Folder, Tfds
from tfperf.benchmarks.shapes.source import Shapes

_TRAINING = "training_rules.adoc"
_INFERENCE = "inference_rules.adoc"
_LARS = "closed_resnet_lars.yaml"
_SGD = "closed_resnet_sgd.yaml"

EVALUATE_EVERY_EPOCHS = 4
# training_rules.adoc: momentum is 0.9 below this batch size and free from it on.
_FREE_LARS_MOMENTUM_FROM_BATCH_SIZE = 32 * 1024
_MOMENTUM = 0.9
_END_LEARNING_RATE = 1e-4
_DECAY_POWER = 2.0
_SMALLEST_RATE_STEP = 0.001
_WEIGHT_DECAY_UNIT = 1e-4
_TOLERANCE = 1e-5  # that of the official checker's is_integer


def training(spec: specs.TrainSpec) -> Iterator[str]:
    """Each rule of training that the spec breaks."""
    every = spec.evaluation.every_epochs
    if every != EVALUATE_EVERY_EPOCHS:
        yield broken("evaluation.every_epochs", every, str(EVALUATE_EVERY_EPOCHS), _TRAINING)
    else:
        yield from _end(spec)
    if spec.evaluation.at_start:
        yield broken("evaluation.at_start", "true", "false", _TRAINING)
    yield from _training_data(spec.data.source)
    if isinstance(spec.optimizer, specs.Lars):
        yield from _lars(spec.optimizer, batch_size=spec.global_batch_size)
    elif isinstance(spec.optimizer, specs.Sgd):
        yield from _sgd(spec.optimizer)
    else:
        yield broken("optimizer", type(spec.optimizer).__name__.lower(), "lars or sgd", _TRAINING)


def inference(spec: specs.InferSpec) -> Iterator[str]:
    """Each rule of inference that the spec breaks."""
    source = spec.data.source
    if isinstance(source, Tfds):
        if (source.name.partition(":")[0], source.eval_split) != ("imagenet2012", "validation"):
            received = f"tfds {source.name}, {source.eval_split}"
            yield broken("data.source", received, "tfds imagenet2012, validation", _INFERENCE)
    else:
        accepted = "tfrecords or tfds with the whole validation set of ImageNet-1k"
        yield from _other_than_imagenet(source, accepted, _INFERENCE)
    if spec.data.skip_corrupt:
        yield broken("data.skip_corrupt", spec.data.skip_corrupt, "0", _INFERENCE)


def _end(spec: specs.TrainSpec) -> Iterator[str]:
    """The end of the run is evaluated too, so it must be due."""
    if spec.max_epochs is None:
        accepted = "max_epochs instead, so that the run ends when an evaluation is due"
        yield broken("max_steps", spec.max_steps, accepted, _TRAINING)
        return
    past = (spec.max_epochs - spec.evaluation.offset) % EVALUATE_EVERY_EPOCHS
    if past:
        due = (spec.max_epochs - past, spec.max_epochs - past + EVALUATE_EVERY_EPOCHS)
        listed = " or ".join(str(epoch) for epoch in due if epoch > 0)
        accepted = f"{listed}, so that the evaluation at the end comes {EVALUATE_EVERY_EPOCHS} epochs after the last"
        yield broken("max_epochs", spec.max_epochs, accepted, _TRAINING)


def _training_data(source: object) -> Iterator[str]:
    if isinstance(source, Tfds):
        name = source.name.partition(":")[0]
        if (name, source.train_split, source.eval_split) != ("imagenet2012", "train", "validation"):
            received = f"tfds {source.name}, {source.train_split}, {source.eval_split}"
            yield broken("data.source", received, "tfds imagenet2012, train, validation", _TRAINING)
    else:
        yield from _other_than_imagenet(source, "tfrecords or tfds with the whole of ImageNet-1k", _TRAINING)


def _other_than_imagenet(source: object, accepted: str, rule: str) -> Iterator[str]:
    if isinstance(source, Shapes):
        yield broken("data.source", "shapes, the embedded data", accepted, rule)
    elif isinstance(source, Folder):
        yield broken("data.source", "folder", accepted, rule)


def _lars(optimizer: specs.Lars, *, batch_size: int) -> Iterator[str]:
    yield from _schedule(optimizer, name="optimizer.lars", rule=_LARS)
    if optimizer.epsilon != 0:
        yield broken("optimizer.lars.epsilon", optimizer.epsilon, "0", _LARS)
    if optimizer.momentum != _MOMENTUM and batch_size < _FREE_LARS_MOMENTUM_FROM_BATCH_SIZE:
        accepted = f"{_MOMENTUM} for a global batch size below {_FREE_LARS_MOMENTUM_FROM_BATCH_SIZE}"
        yield broken("optimizer.lars.momentum", optimizer.momentum, accepted, _TRAINING)


def _sgd(optimizer: specs.Sgd) -> Iterator[str]:
    yield from _schedule(optimizer, name="optimizer.sgd", rule=_SGD)
    steps = optimizer.base_learning_rate / _SMALLEST_RATE_STEP
    if abs(round(steps) - steps) >= _TOLERANCE:
        received, accepted = optimizer.base_learning_rate, f"a multiple of {_SMALLEST_RATE_STEP}"
        yield broken("optimizer.sgd.base_learning_rate", received, accepted, _SGD)
    if optimizer.momentum != _MOMENTUM:
        yield broken("optimizer.sgd.momentum", optimizer.momentum, str(_MOMENTUM), _TRAINING)


def _schedule(optimizer: specs.Sgd | specs.Lars, *, name: str, rule: str) -> Iterator[str]:
    if optimizer.end_learning_rate != _END_LEARNING_RATE:
        yield broken(f"{name}.end_learning_rate", optimizer.end_learning_rate, str(_END_LEARNING_RATE), rule)
    if optimizer.decay_power != _DECAY_POWER:
        source = rule if rule == _LARS else _TRAINING  # the checker's rules for SGD don't check it
        yield broken(f"{name}.decay_power", optimizer.decay_power, f"{_DECAY_POWER:g}", source)
    if not _is_unit_times_power_of_two(optimizer.weight_decay):
        accepted = f"{_WEIGHT_DECAY_UNIT} times a power of 2, such as 5e-05 or 0.0002"
        yield broken(f"{name}.weight_decay", optimizer.weight_decay, accepted, rule)


def _is_unit_times_power_of_two(value: float) -> bool:
    if value <= 0:
        return False
    exponent = math.log2(value / _WEIGHT_DECAY_UNIT)
    return abs(round(exponent) - exponent) < _TOLERANCE
