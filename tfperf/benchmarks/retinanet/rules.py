"""The rules of RetinaNet's closed division, beyond those that all benchmarks share."""

from __future__ import annotations

from collections.abc import Iterator

from tfperf import spec as specs
from tfperf.benchmarks.closed_rule import broken
from tfperf.benchmarks.detection.data.sources import DetectionRecords, OpenImagesFolder

_TRAINING = "training_rules.adoc"
_INFERENCE = "inference_rules.adoc"

EVALUATE_EVERY_EPOCHS = 1
# The reference's; the rules leave the rate and the warm-up free.
_FIXED = (("beta_1", 0.9), ("beta_2", 0.999), ("epsilon", 1e-8))


def training(spec: specs.TrainSpec) -> Iterator[str]:
    """Each rule of training that the spec breaks."""
    evaluation, source = spec.evaluation, spec.data.source
    if evaluation.every_epochs != EVALUATE_EVERY_EPOCHS:
        yield broken("evaluation.every_epochs", evaluation.every_epochs, str(EVALUATE_EVERY_EPOCHS), _TRAINING)
    elif spec.max_epochs is None:
        accepted = "max_epochs instead, so that the run ends when an evaluation is due"
        yield broken("max_steps", spec.max_steps, accepted, _TRAINING)
    if evaluation.at_start:
        yield broken("evaluation.at_start", "true", "false", _TRAINING)
    yield from _data(source, _TRAINING)
    if isinstance(spec.optimizer, specs.Adam):
        for field, fixed in _FIXED:
            value = getattr(spec.optimizer, field)
            if value != fixed:
                yield broken(f"optimizer.adam.{field}", value, str(fixed), _TRAINING)
    else:
        yield broken("optimizer", type(spec.optimizer).__name__.lower(), "adam", _TRAINING)
    if getattr(spec.model, "backbone", None) is None:
        accepted = "the weights of torchvision's resnext50_32x4d, resnext50_32x4d-7cdf4587"
        yield broken("model.backbone", "null", accepted, _TRAINING)


def inference(spec: specs.InferSpec) -> Iterator[str]:
    """Each rule of inference that the spec breaks."""
    yield from _data(spec.data.source, _INFERENCE)
    if spec.data.skip_corrupt:
        yield broken("data.skip_corrupt", spec.data.skip_corrupt, "0", _INFERENCE)


def _data(source: object, rule: str) -> Iterator[str]:
    if not isinstance(source, OpenImagesFolder | DetectionRecords):
        accepted = "openimages or tfrecords with the whole of MLPerf's part of OpenImages"
        yield broken("data.source", getattr(type(source), "KEY", type(source).__name__), accepted, rule)
