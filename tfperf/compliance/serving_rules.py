"""The rules of MLPerf Inference's closed division that all benchmarks share.

They come from `inference_rules.adoc` in mlcommons/inference_policies and, where that is more precise, from MODEL_CONFIG
in mlcommons/inference `tools/submission/submission_checker/constants.py` at v6.1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from tfperf import benchmarks
from tfperf import spec as specs
from tfperf.benchmarks.benchmark import Benchmark, InferenceTask
from tfperf.benchmarks.closed_rule import broken, different
from tfperf.compliance import rounds, rules
from tfperf.errors import ConfigError
from tfperf.loadgen_log import LoadgenLog

_RULES = "inference_rules.adoc"
_CHECKER = "submission_checker/constants.py"

MIN_DURATION_S = 600.0  # inference_rules.adoc, "Scenarios"; TEST_DURATION_MS of the submission checker
SAMPLES_PER_QUERY = 8  # inference_rules.adoc, "Scenarios", Multistream
# inference_rules.adoc, "Scenarios": Offline needs this many samples, or all of a smaller evaluation set.
_OFFLINE_SAMPLES = 24_576
# inference_rules.adoc, "Early Stopping Criterion": no run with fewer queries can be valid.
_LEAST_QUERIES = {"singlestream": 64, "multistream": 662, "server": 459}
# tfperf calibrates this form with training samples. inference_rules.adoc, "Weight definition and quantization":
# calibration may only use the calibration set that MLPerf provides.
_QUANTISED_BY_US = "litert-int8"


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasurementFacts:
    """What is known about a measurement only after it has run.

    Attributes:
        performance: LoadGen's detail log of the performance run.
        eval_samples: samples found in the evaluation set.
        quality: the quality in the accuracy run; None if there was none.
        parameters: number of trainable parameters of the served model.
        executable: the compiled form that was served.
        retraces: tracings and compilations during the measurement.
        audits: name of a compliance test -> whether it passed; tests that were not run are absent.
        reference_weights: whether the weights are those that MLPerf provides.
        weights_note: an objection to the source of the weights; empty if there is none.
    """

    performance: LoadgenLog
    eval_samples: int
    quality: float | None
    parameters: int
    executable: str
    retraces: int
    audits: Mapping[str, bool]
    reference_weights: bool = False
    weights_note: str = ""


def check_inference(spec: specs.InferSpec, benchmark: Benchmark) -> None:
    """Refuses a benchmark that can't be served, a scenario that it lacks, and a closed run that breaks a rule.

    Raises:
        ConfigError: lists every violation.
    """
    task = benchmark.inference
    if task is None:
        raise ConfigError((f"benchmark: {benchmark.name} can only be trained. Accepted: {', '.join(_servable())}.",))
    closed = violations(spec, benchmark) if spec.division is specs.Division.CLOSED else ()
    found = (*_scenario(spec, benchmark, task), *closed)
    if found:
        raise ConfigError(found)


def violations(spec: specs.InferSpec, benchmark: Benchmark) -> tuple[str, ...]:
    """The closed rules that the spec breaks, each with the value received, the values accepted and the source."""
    task = benchmark.inference
    never = rules.never_closed(benchmark) or rules.other_task(spec, benchmark, task)
    if never or task is None:
        return never
    return (
        *_measurement(spec, task),
        *_scenario_options(spec),
        *_options(spec, benchmark, task),
        *(task.rules(spec) if task.rules is not None else ()),
    )


def offline_samples(task: InferenceTask) -> int:
    """The smallest accepted number of samples in an Offline query."""
    return _OFFLINE_SAMPLES if task.eval_samples is None else min(_OFFLINE_SAMPLES, task.eval_samples)


def ineligibilities(task: InferenceTask, facts: MeasurementFacts) -> tuple[str, ...]:
    """The closed rules that a measurement has broken and that its spec alone can't show."""
    return (*_model(task, facts), *_run(task, facts), *_accuracy(task, facts), *_audits(task, facts.audits))


def _scenario(spec: specs.InferSpec, benchmark: Benchmark, task: InferenceTask) -> Iterator[str]:
    scenario = _key(spec.scenario)
    if scenario not in task.scenarios:
        yield f"scenario: got {scenario}. Accepted for {benchmark.name}: {', '.join(task.scenarios)}."


def _measurement(spec: specs.InferSpec, task: InferenceTask) -> Iterator[str]:
    if spec.min_duration_s < MIN_DURATION_S:
        yield broken("min_duration_s", spec.min_duration_s, f"{MIN_DURATION_S:g} or more", _RULES)
    offline = isinstance(spec.scenario, specs.Offline)
    least = offline_samples(task) if offline else _LEAST_QUERIES[_key(spec.scenario)]
    if spec.min_queries is not None and spec.min_queries < least:
        yield broken("min_queries", spec.min_queries, f"null, or {least} or more", _RULES)
    if spec.performance_samples is not None and spec.performance_samples < task.performance_samples:
        accepted = f"null, or {task.performance_samples} or more"
        yield broken("performance_samples", spec.performance_samples, accepted, _CHECKER)
    if not spec.accuracy:
        yield broken("accuracy", "false", "true", _RULES)
    if spec.quality_target is not None:
        accepted = f"the benchmark's {task.quality.value:g}: leave it out"
        yield broken("quality_target", spec.quality_target, accepted, _RULES)
    if spec.executable == _QUANTISED_BY_US:
        accepted = "a form that is not quantised, since only MLPerf's own set may be used for calibration"
        yield broken("executable", spec.executable, accepted, _RULES)


def _scenario_options(spec: specs.InferSpec) -> Iterator[str]:
    scenario = spec.scenario
    if isinstance(scenario, specs.Server) and scenario.latency_bound_ms is not None:
        accepted = "the benchmark's: leave it out"
        yield broken("scenario.server.latency_bound_ms", scenario.latency_bound_ms, accepted, _RULES)
    if isinstance(scenario, specs.MultiStream) and scenario.samples_per_query != SAMPLES_PER_QUERY:
        received = scenario.samples_per_query
        yield broken("scenario.multistream.samples_per_query", received, str(SAMPLES_PER_QUERY), _RULES)


def _options(spec: specs.InferSpec, benchmark: Benchmark, task: InferenceTask) -> Iterator[str]:
    if spec.model is None:
        return
    training = benchmark.training
    # These options affect training only.
    free = {*(name for name, _ in training.tunable), *training.left_to_rules} if training is not None else set()
    for field in dataclasses.fields(task.options):
        received, fixed = getattr(spec.model, field.name), getattr(task.options, field.name)
        if field.name not in free:
            yield from different(f"model.{field.name}", received, fixed, _RULES)


def _model(task: InferenceTask, facts: MeasurementFacts) -> Iterator[str]:
    if task.parameters is not None and facts.parameters != task.parameters:
        yield (
            f"The model has {facts.parameters} trainable parameters; the reference model has {task.parameters} "
            f"({_RULES})."
        )
    if not facts.reference_weights:
        yield f"The weights are not those that MLPerf provides; the closed division allows no retraining ({_RULES})."
    if facts.weights_note:
        yield facts.weights_note


def _run(task: InferenceTask, facts: MeasurementFacts) -> Iterator[str]:
    values = facts.performance.values
    if values.get("result_validity") != "VALID":
        yield f"LoadGen does not call the run VALID ({_RULES})."
    found, right = rounds.of_log(values), rounds.of_task(task)
    if found != right:
        version, whose = values.get("loadgen_version", "unknown"), f"of {found.name}" if found else "of no known round"
        yield f"LoadGen {version} ran with seeds {whose}; {rounds.described(right)} ({_CHECKER}, seeds)."
    if facts.retraces:
        yield (
            f"The model was traced or compiled {facts.retraces} times during the measurement; "
            "all of that must happen before it."
        )
    if facts.executable == _QUANTISED_BY_US:
        yield f"{facts.executable} was calibrated with samples that are not MLPerf's calibration set ({_RULES})."


def _accuracy(task: InferenceTask, facts: MeasurementFacts) -> Iterator[str]:
    found, expected = facts.eval_samples, task.eval_samples
    if expected is not None and found != expected:
        yield f"The evaluation set has {found} samples; the benchmark's has {expected} ({_CHECKER})."
    metric, target = task.quality.metric, task.quality.value
    if facts.quality is None:
        yield f"The {metric} was not measured ({_RULES})."
    elif not facts.quality >= target:
        yield f"The {metric} is {facts.quality:.6f}; the target is {target:g} ({_RULES})."


def _audits(task: InferenceTask, audits: Mapping[str, bool]) -> Iterator[str]:
    for name in task.audits:
        if name not in audits:
            yield f"{name} was not run; the closed division requires it (mlcommons/inference, compliance/{name})."
        elif not audits[name]:
            yield f"{name} failed (mlcommons/inference, compliance/{name})."


def _key(scenario: specs.Scenario) -> str:
    return type(scenario).__name__.lower()


def _servable() -> tuple[str, ...]:
    return tuple(name for name in benchmarks.names() if benchmarks.get(name).inference is not None)
