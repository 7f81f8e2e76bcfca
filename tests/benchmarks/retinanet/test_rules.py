"""The closed division's rules for RetinaNet."""

import pytest

import tfperf
from tfperf import benchmarks
from tfperf import spec as specs
from tfperf.benchmarks.detection.data.sources import CocoFolder, DetectionRecords, OpenImagesFolder
from tfperf.benchmarks.retinanet import rules
from tfperf.benchmarks.retinanet.options import RetinaNetOptions
from tfperf.compliance import rules as shared_rules
from tfperf.compliance import serving_rules


def closed(**changes: object) -> specs.TrainSpec:
    """A run that follows every rule of the closed division."""
    fields: dict[str, object] = {
        "benchmark": "retinanet",
        "division": specs.Division.CLOSED,
        "global_batch_size": 256,
        "max_epochs": 8,
        "optimizer": specs.Adam(base_learning_rate=1e-4),
        "data": specs.Data(source=OpenImagesFolder()),
        "model": RetinaNetOptions(backbone="resnext50_32x4d.safetensors"),
    }
    return specs.TrainSpec(**{**fields, **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"data": specs.Data(source=DetectionRecords())},
        {"optimizer": specs.Adam(base_learning_rate=1.35e-4, warmup_epochs=0, warmup_factor=0.0)},
    ],
)
def test_a_closed_run_breaks_no_rule(changes: dict[str, object]) -> None:
    assert shared_rules.violations(closed(**changes), benchmarks.get("retinanet")) == ()


def test_the_packaged_config_keeps_the_rules() -> None:
    spec = tfperf.load_config("retinanet-openimages")
    assert shared_rules.violations(spec, benchmarks.get("retinanet")) == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"evaluation": specs.Evaluation(every_epochs=2)},
            "evaluation.every_epochs: got 2. Accepted in the closed division: 1 (training_rules.adoc).",
        ),
        (
            {"max_epochs": None, "max_steps": 500},
            "max_steps: got 500. Accepted in the closed division: max_epochs instead, so that the run ends when an "
            "evaluation is due (training_rules.adoc).",
        ),
        (
            {"evaluation": specs.Evaluation(every_epochs=1, at_start=True)},
            "evaluation.at_start: got true. Accepted in the closed division: false (training_rules.adoc).",
        ),
        (
            {"data": specs.Data(source=CocoFolder())},
            "data.source: got coco. Accepted in the closed division: openimages or tfrecords with the whole of "
            "MLPerf's part of OpenImages (training_rules.adoc).",
        ),
        (
            {"optimizer": specs.Adam(base_learning_rate=1e-4, epsilon=1e-7)},
            "optimizer.adam.epsilon: got 1e-07. Accepted in the closed division: 1e-08 (training_rules.adoc).",
        ),
        (
            {"optimizer": specs.Momentum(base_learning_rate=0.1)},
            "optimizer: got momentum. Accepted in the closed division: adam (training_rules.adoc).",
        ),
        (
            {"model": RetinaNetOptions()},
            "model.backbone: got null. Accepted in the closed division: the weights of torchvision's resnext50_32x4d, "
            "resnext50_32x4d-7cdf4587 (training_rules.adoc).",
        ),
    ],
)
def test_a_broken_rule_is_told(changes: dict[str, object], message: str) -> None:
    assert list(rules.training(closed(**changes))) == [message]


def test_a_smaller_network_is_not_closed() -> None:
    spec = closed(model=RetinaNetOptions(backbone="resnext50_32x4d.safetensors", classes=3, trained_stages=5))
    assert [each.partition(":")[0] for each in shared_rules.violations(spec, benchmarks.get("retinanet"))] == [
        "model.trained_stages",
        "model.classes",
    ]


def served(**changes: object) -> specs.InferSpec:
    """A measurement that follows every rule of the closed division."""
    fields: dict[str, object] = {
        "benchmark": "retinanet",
        "division": specs.Division.CLOSED,
        "scenario": specs.Offline(),
        "data": specs.Data(source=OpenImagesFolder()),
    }
    return specs.InferSpec(**{**fields, **changes})


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ()),
        ({"data": specs.Data(source=DetectionRecords())}, ()),
        (
            {"data": specs.Data(source=CocoFolder(), skip_corrupt=3)},
            (
                "data.source: got coco. Accepted in the closed division: openimages or tfrecords with the whole of "
                "MLPerf's part of OpenImages (inference_rules.adoc).",
                "data.skip_corrupt: got 3. Accepted in the closed division: 0 (inference_rules.adoc).",
            ),
        ),
    ],
)
def test_a_closed_measurement_is_on_openimages(changes: dict[str, object], expected: tuple[str, ...]) -> None:
    assert serving_rules.violations(served(**changes), benchmarks.get("retinanet")) == expected
