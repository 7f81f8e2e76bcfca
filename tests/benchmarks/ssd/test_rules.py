"""The closed division's rules for SSD, and what its ruleset wants in the log."""

import pathlib

import pytest
import yaml
from mlperf_logging import compliance_checker

import tfperf
from tfperf import benchmarks
from tfperf import spec as specs
from tfperf.benchmarks.detection.data.sources import CocoFolder, DetectionRecords, DrawnScenes, OpenImagesFolder
from tfperf.benchmarks.ssd import logged, rules
from tfperf.benchmarks.ssd.options import SsdOptions
from tfperf.compliance import rules as shared_rules

MOMENTUM = specs.Momentum(base_learning_rate=0.8, warmup_steps=300, weight_decay=5e-4)


def closed(**changes: object) -> specs.TrainSpec:
    """A run that follows every rule of the closed division."""
    fields: dict[str, object] = {
        "benchmark": "ssd",
        "division": specs.Division.CLOSED,
        "global_batch_size": 1024,
        "max_epochs": 65,
        "optimizer": MOMENTUM,
        "data": specs.Data(source=CocoFolder()),
        "model": SsdOptions(backbone="resnet34.safetensors", max_samples=50),
        "evaluation": specs.Evaluation(every_epochs=5),
    }
    return specs.TrainSpec(**{**fields, **changes})


def momentum(**changes: object) -> dict[str, specs.Momentum]:
    return {"optimizer": specs.Momentum(**{**vars(MOMENTUM), **changes})}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"data": specs.Data(source=DetectionRecords())},
        momentum(decay_epochs=(44, 55), weight_decay=1.3e-4),  # of the reference convergence points
        momentum(decay_epochs=(80, 100), base_learning_rate=3.2),
    ],
)
def test_a_closed_run_breaks_no_rule(changes: dict[str, object]) -> None:
    spec = closed(**changes)
    assert list(rules.training(spec)) == []
    assert shared_rules.violations(spec, benchmarks.get("ssd")) == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"evaluation": specs.Evaluation(every_epochs=5, offset=2)},
            "evaluation.every_epochs: got 5 with offset 2. Accepted in the closed division: 5 with offset 0 "
            "(training_rules.adoc).",
        ),
        (
            {"evaluation": specs.Evaluation(every_epochs=5, at_start=True)},
            "evaluation.at_start: got true. Accepted in the closed division: false (training_rules.adoc).",
        ),
        (
            {"max_epochs": 64},
            "max_epochs: got 64. Accepted in the closed division: a multiple of 5, so that the run ends when an "
            "evaluation is due (training_rules.adoc).",
        ),
        (
            {"max_epochs": None, "max_steps": 500},
            "max_steps: got 500. Accepted in the closed division: max_epochs instead, so that the run ends when an "
            "evaluation is due (training_rules.adoc).",
        ),
        (
            {"data": specs.Data(source=DrawnScenes())},
            "data.source: got scenes. Accepted in the closed division: coco or tfrecords with the whole of COCO 2017 "
            "(training_rules.adoc).",
        ),
        (
            {"data": specs.Data(source=OpenImagesFolder())},
            "data.source: got openimages. Accepted in the closed division: coco or tfrecords with the whole of COCO "
            "2017 (training_rules.adoc).",
        ),
        (
            {"data": specs.Data(source=CocoFolder(keep_unannotated=True))},
            "data.source.coco.keep_unannotated: got true. Accepted in the closed division: false, since the reference "
            "leaves images without objects out (training_rules.adoc).",
        ),
        (
            {"optimizer": specs.Adam(base_learning_rate=1e-4)},
            "optimizer: got adam. Accepted in the closed division: momentum (training_rules.adoc).",
        ),
        (
            {"model": SsdOptions()},
            "model.backbone: got null. Accepted in the closed division: the weights of torchvision's resnet34, "
            "resnet34-333f7ec4 (training_rules.adoc).",
        ),
        (
            momentum(momentum=0.8),
            "optimizer.momentum.momentum: got 0.8. Accepted in the closed division: 0.9 (training_rules.adoc).",
        ),
        (
            momentum(decay_factor=0.5),
            "optimizer.momentum.decay_factor: got 0.5. Accepted in the closed division: 0.1 (training_rules.adoc).",
        ),
        (
            momentum(warmup_steps=0),
            "optimizer.momentum.warmup_steps: got 0. Accepted in the closed division: 1 or more (closed_ssd.yaml).",
        ),
        *(
            (
                momentum(decay_epochs=epochs),
                f"optimizer.momentum.decay_epochs: got {received}. Accepted in the closed division: 40, 50 times "
                "1 + k / 10 for a whole number k, such as 44, 55 (closed_ssd.yaml).",
            )
            for epochs, received in (((40, 55), "40, 55"), ((41, 50), "41, 50"), ((40,), "40"), ((), "none"))
        ),
    ],
)
def test_a_broken_rule_is_told(changes: dict[str, object], message: str) -> None:
    assert list(rules.training(closed(**changes))) == [message]


def test_the_crop_s_tries_are_one_or_fifty() -> None:
    spec = closed(model=SsdOptions(backbone="resnet34.safetensors", max_samples=2))
    assert shared_rules.violations(spec, benchmarks.get("ssd")) == (
        "model.max_samples: got 2. Accepted in the closed division: 1 or 50 (training_rules.adoc).",
    )


def test_the_packaged_config_keeps_the_rules() -> None:
    assert shared_rules.violations(tfperf.load_config("ssd-coco"), benchmarks.get("ssd")) == ()


def test_logs_the_tensors_that_the_ruleset_lists() -> None:
    file = pathlib.Path(compliance_checker.__file__).parent / "training_1.1.0" / "closed_ssd.yaml"
    end = next(part["END"]["CHECK"] for part in yaml.safe_load(file.read_text(encoding="utf-8")) if "END" in part)
    found = [event for event in logged.events(SsdOptions()) if event.key == "weights_initialization"]
    tensors = [event.metadata["tensor"] for event in found]
    assert len(tensors) == 119
    assert eval(end, {"s": {"initialized_tensors": tensors}})
    assert next(iter(logged.events(SsdOptions(max_samples=50)))).value == 50
