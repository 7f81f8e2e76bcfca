"""The rules of SSD's closed division, beyond those that all benchmarks share."""

from __future__ import annotations

from collections.abc import Iterator

from tfperf import spec as specs
from tfperf.benchmarks.closed_rule import broken
from tfperf.benchmarks.detection.data.sources import CocoFolder, DetectionRecords, OpenImagesFolder

_TRAINING = "training_rules.adoc"
_CHECKER = "closed_ssd.yaml"
_INFERENCE = "inference_rules.adoc"

EVALUATE_EVERY_EPOCHS = 5
_MOMENTUM, _DECAY_FACTOR = 0.9, 0.1  # the reference's
# 40 and 50 epochs, times 1 + k / 10 for a whole number k.
_BOUNDARY_UNITS = (4, 5)


def training(spec: specs.TrainSpec) -> Iterator[str]:
    """Each rule of training that the spec breaks."""
    evaluation = spec.evaluation
    if (evaluation.every_epochs, evaluation.offset) != (EVALUATE_EVERY_EPOCHS, 0):
        received = f"{evaluation.every_epochs} with offset {evaluation.offset}"
        yield broken("evaluation.every_epochs", received, f"{EVALUATE_EVERY_EPOCHS} with offset 0", _TRAINING)
    else:
        yield from _end(spec)
    if evaluation.at_start:
        yield broken("evaluation.at_start", "true", "false", _TRAINING)
    yield from _data(spec.data.source)
    if isinstance(spec.optimizer, specs.Momentum):
        yield from _optimizer(spec.optimizer)
    else:
        yield broken("optimizer", type(spec.optimizer).__name__.lower(), "momentum", _TRAINING)
    if getattr(spec.model, "backbone", None) is None:
        accepted = "the weights of torchvision's resnet34, resnet34-333f7ec4"
        yield broken("model.backbone", "null", accepted, _TRAINING)


def inference(spec: specs.InferSpec) -> Iterator[str]:
    """Says that no round of MLPerf Inference has this network."""
    yield broken(
        "benchmark",
        spec.benchmark,
        "resnet50, bert, bert_99_9 or retinanet: MLPerf Inference never had SSD300",
        _INFERENCE,
    )


def _end(spec: specs.TrainSpec) -> Iterator[str]:
    """The end of the run is evaluated too, so it must be due."""
    if spec.max_epochs is None:
        accepted = "max_epochs instead, so that the run ends when an evaluation is due"
        yield broken("max_steps", spec.max_steps, accepted, _TRAINING)
    elif spec.max_epochs % EVALUATE_EVERY_EPOCHS:
        accepted = f"a multiple of {EVALUATE_EVERY_EPOCHS}, so that the run ends when an evaluation is due"
        yield broken("max_epochs", spec.max_epochs, accepted, _TRAINING)


def _data(source: object) -> Iterator[str]:
    if not isinstance(source, CocoFolder | DetectionRecords) or isinstance(source, OpenImagesFolder):
        accepted = "coco or tfrecords with the whole of COCO 2017"
        yield broken("data.source", getattr(type(source), "KEY", type(source).__name__), accepted, _TRAINING)
    elif isinstance(source, CocoFolder) and source.keep_unannotated:
        accepted = "false, since the reference leaves images without objects out"
        yield broken("data.source.coco.keep_unannotated", "true", accepted, _TRAINING)


def _optimizer(optimizer: specs.Momentum) -> Iterator[str]:
    for field, fixed in (("momentum", _MOMENTUM), ("decay_factor", _DECAY_FACTOR)):
        value = getattr(optimizer, field)
        if value != fixed:
            yield broken(f"optimizer.momentum.{field}", value, str(fixed), _TRAINING)
    if optimizer.warmup_steps < 1:
        yield broken("optimizer.momentum.warmup_steps", optimizer.warmup_steps, "1 or more", _CHECKER)
    epochs = optimizer.decay_epochs
    if epochs not in [tuple(count * unit for unit in _BOUNDARY_UNITS) for count in range(1, max((*epochs, 1)) + 1)]:
        received = ", ".join(map(str, epochs)) or "none"
        accepted = "40, 50 times 1 + k / 10 for a whole number k, such as 44, 55"
        yield broken("optimizer.momentum.decay_epochs", received, accepted, _CHECKER)
