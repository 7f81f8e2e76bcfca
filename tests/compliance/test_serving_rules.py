"""The rules of MLPerf Inference."""

import dataclasses

import pytest

from tfperf import benchmarks, config, spec
from tfperf.benchmarks.images.sources import Folder, ImageNetRecords, Tfds
from tfperf.benchmarks.shapes.source import Shapes
from tfperf.compliance import serving_rules
from tfperf.errors import ConfigError
from tfperf.loadgen_log import LoadgenLog

RESNET = benchmarks.get("resnet50")
TASK = RESNET.inference
assert TASK is not None
IMAGENET = spec.Data(source=ImageNetRecords())


def _asked(**changes: object) -> spec.InferSpec:
    """A run that follows every rule of the closed division."""
    fields: dict[str, object] = {
        "benchmark": "resnet50",
        "division": spec.Division.CLOSED,
        "scenario": spec.Offline(),
        "data": IMAGENET,
        "model": TASK.options,
    }
    return spec.InferSpec(**{**fields, **changes})


def _model(**changes: object) -> object:
    return dataclasses.replace(TASK.options, **changes)


BROKEN = [
    ({"min_duration_s": 599.0}, "min_duration_s: got 599.0"),
    ({"min_queries": 24_575}, "min_queries: got 24575"),
    ({"min_queries": 661, "scenario": spec.MultiStream()}, "min_queries: got 661"),
    ({"min_queries": 63, "scenario": spec.SingleStream()}, "min_queries: got 63"),
    ({"min_queries": 458, "scenario": spec.Server()}, "min_queries: got 458"),
    ({"performance_samples": 1023}, "performance_samples: got 1023"),
    ({"accuracy": False}, "accuracy: got false"),
    ({"quality_target": 0.7}, "quality_target: got 0.7"),
    ({"executable": "litert-int8"}, "executable: got litert-int8"),
    ({"scenario": spec.Server(latency_bound_ms=20.0)}, "scenario.server.latency_bound_ms: got 20.0"),
    ({"scenario": spec.MultiStream(samples_per_query=4)}, "scenario.multistream.samples_per_query: got 4"),
    ({"model": _model(image_size=160)}, "model.image_size: got 160"),
    ({"data": spec.Data(source=Shapes())}, "data.source: got shapes, the embedded data"),
    ({"data": spec.Data(source=Folder())}, "data.source: got folder"),
    (
        {"data": spec.Data(source=Tfds(eval_split="validation[:10%]"))},
        "data.source: got tfds imagenet2012, validation[:10%]",
    ),
    ({"data": spec.Data(source=ImageNetRecords(), skip_corrupt=1)}, "data.skip_corrupt: got 1"),
]

KEPT = [
    {},
    *({"scenario": scenario} for scenario in (spec.SingleStream(), spec.MultiStream(), spec.Server())),
    {"scenario": spec.Server(target_qps=100.0), "executable": "graph-bfloat16", "batch_sizes": (1, 4), "threads": 1},
    {"min_duration_s": 660.0, "min_queries": 30_000, "performance_samples": 2048},
    {"model": None},
    {"model": _model(label_smoothing=0.0)},
    {"data": spec.Data(source=Tfds(name="imagenet2012:5.1.0"))},
]


@pytest.mark.parametrize(("changes", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_each_broken_rule_is_told_alone_with_its_source(changes: dict[str, object], message: str) -> None:
    (violation,) = serving_rules.violations(_asked(**changes), RESNET)
    assert violation.startswith(f"{message}. Accepted in the closed division: ")
    assert violation.endswith(("(inference_rules.adoc).", "(submission_checker/constants.py)."))


@pytest.mark.parametrize("changes", KEPT)
def test_what_the_rules_leave_free_is_free(changes: dict[str, object]) -> None:
    serving_rules.check_inference(_asked(**changes), RESNET)


def test_all_violations_are_raised_together() -> None:
    with pytest.raises(ConfigError) as raised:
        serving_rules.check_inference(_asked(min_duration_s=1.0, accuracy=False, quality_target=0.1), RESNET)
    assert [line.split(":")[0] for line in raised.value.violations] == ["min_duration_s", "accuracy", "quality_target"]
    assert raised.value.exit_code == 2


@pytest.mark.parametrize("division", [spec.Division.OPEN, spec.Division.INTERNAL])
def test_only_the_closed_division_is_closed(division: spec.Division) -> None:
    serving_rules.check_inference(_asked(division=division, min_duration_s=1.0, accuracy=False), RESNET)


def test_a_mini_cannot_run_closed() -> None:
    with pytest.raises(ConfigError, match="resnet50_mini is not an MLPerf benchmark and can't run closed"):
        serving_rules.check_inference(_asked(benchmark="resnet50_mini"), benchmarks.get("resnet50_mini"))


def test_a_benchmark_from_elsewhere_never_runs_closed_whatever_it_says_of_itself() -> None:
    easier = dataclasses.replace(TASK, quality=dataclasses.replace(TASK.quality, value=0.1), parameters=None)
    claimed = dataclasses.replace(RESNET, name="mine.resnet50", inference=easier)
    (violation,) = serving_rules.violations(_asked(), claimed)
    assert violation == (
        "benchmark: mine.resnet50 has mlperf=True, but it is not one of tfperf's own benchmarks, so nothing ensures "
        "that its model, its data and its target are those of MLPerf. It can't run closed. Set division: open."
    )
    with pytest.raises(ConfigError, match=r"mine\.resnet50 has mlperf=True"):
        serving_rules.check_inference(_asked(benchmark="mine.resnet50"), claimed)
    serving_rules.check_inference(_asked(benchmark="mine.resnet50", division=spec.Division.OPEN), claimed)


@pytest.mark.parametrize("division", list(spec.Division))
def test_a_scenario_that_the_benchmark_does_not_have_is_refused(division: spec.Division) -> None:
    limited = dataclasses.replace(TASK, scenarios=("singlestream", "offline"))
    with pytest.raises(ConfigError) as raised:
        serving_rules.check_inference(
            _asked(division=division, scenario=spec.Server()), dataclasses.replace(RESNET, inference=limited)
        )
    assert raised.value.violations[0] == "scenario: got server. Accepted for resnet50: singlestream, offline."


def test_a_benchmark_that_can_only_be_trained_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"benchmark: resnet50 can only be trained\. Accepted: resnet50, resnet50_"):
        serving_rules.check_inference(_asked(), dataclasses.replace(RESNET, inference=None))


@pytest.mark.parametrize("name", [name for name in config.names() if config.verb(name) == "infer"])
def test_the_packaged_configs_keep_the_rules(name: str) -> None:
    asked = config.load_inference(name, task_of=benchmarks.task)
    serving_rules.check_inference(asked, benchmarks.get(asked.benchmark))


SEEDS = {
    "effective_qsl_rng_seed": 2085463073848966840,
    "effective_sample_index_rng_seed": 2747215439041700203,
    "effective_schedule_rng_seed": 16159082839903944936,
}
KEPT_FACTS = serving_rules.MeasurementFacts(
    performance=LoadgenLog(values={"result_validity": "VALID", **SEEDS}, errors=(), warnings=(), ended=True),
    eval_samples=50_000,
    quality=0.7612,
    parameters=TASK.parameters or 0,
    reference_weights=True,
    executable="graph-float32",
    retraces=0,
    audits={"TEST01": True, "TEST04": True},
)


def test_a_run_that_keeps_everything_is_eligible() -> None:
    assert serving_rules.ineligibilities(TASK, KEPT_FACTS) == ()


def test_what_shows_only_when_it_runs() -> None:
    values = {"result_validity": "INVALID", "loadgen_version": "5.0.18", "effective_qsl_rng_seed": 6023615788873153749}
    values |= {"effective_sample_index_rng_seed": 15036839855038426416}
    values |= {"effective_schedule_rng_seed": 9933818062894767841}
    facts = serving_rules.MeasurementFacts(
        performance=LoadgenLog(values=values, errors=(), warnings=(), ended=True),
        eval_samples=500,
        quality=0.75,
        parameters=25_583_592,
        executable="litert-int8",
        retraces=2,
        audits={"TEST01": False},
        weights_note="keras.applications' ResNet50 is v1.",
    )
    assert serving_rules.ineligibilities(TASK, facts) == (
        f"The model has 25583592 trainable parameters; the reference model has {TASK.parameters} "
        "(inference_rules.adoc).",
        "The weights are not those that MLPerf provides; the closed division allows no retraining "
        "(inference_rules.adoc).",
        "keras.applications' ResNet50 is v1.",
        "LoadGen does not call the run VALID (inference_rules.adoc).",
        "LoadGen 5.0.18 ran with seeds of v5.0; the current round is v6.1 (submission_checker/constants.py, seeds).",
        "The model was traced or compiled 2 times during the measurement; all of that must happen before it.",
        "litert-int8 was calibrated with samples that are not MLPerf's calibration set (inference_rules.adoc).",
        "The evaluation set has 500 samples; the benchmark's has 50000 (submission_checker/constants.py).",
        "The accuracy is 0.750000; the target is 0.756954 (inference_rules.adoc).",
        "TEST01 failed (mlcommons/inference, compliance/TEST01).",
        "TEST04 was not run; the closed division requires it (mlcommons/inference, compliance/TEST04).",
    )


def test_an_accuracy_that_was_not_measured_or_is_no_number_is_not_reached() -> None:
    (missing,) = serving_rules.ineligibilities(TASK, dataclasses.replace(KEPT_FACTS, quality=None))
    assert missing == "The accuracy was not measured (inference_rules.adoc)."
    (strange,) = serving_rules.ineligibilities(TASK, dataclasses.replace(KEPT_FACTS, quality=float("nan")))
    assert strange.startswith("The accuracy is nan")


def test_an_offline_query_need_not_be_larger_than_the_evaluation_set() -> None:
    assert serving_rules.offline_samples(TASK) == 24_576
    assert serving_rules.offline_samples(dataclasses.replace(TASK, eval_samples=10_833)) == 10_833
