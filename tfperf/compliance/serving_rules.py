"""The rules of MLPerf Inference, as far as a config or a run can break them.

They are those of `inference_rules.adoc` in mlcommons/inference_policies and, where it is more exact, of MODEL_CONFIG
in mlcommons/inference `tools/submission/submission_checker/constants.py` at v6.1.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from tfperf import benchmarks, spec
from tfperf.benchmarks.benchmark import Benchmark, InferenceTask
from tfperf.benchmarks.closed_rule import broken
from tfperf.compliance import rounds
from tfperf.errors import ConfigError
from tfperf.loadgen_log import LoadgenLog

_RULES = "inference_rules.adoc"
_CHECKER = "submission_checker/constants.py"

MIN_DURATION_S = 600.0  # inference_rules.adoc, "Scenarios"; TEST_DURATION_MS of the submission checker
SAMPLES_PER_QUERY = 8  # inference_rules.adoc, "Scenarios", Multistream
# inference_rules.adoc, "Scenarios": Offline asks for so many samples, or all where the evaluation set has fewer.
_OFFLINE_SAMPLES = 24_576
# inference_rules.adoc, "Early Stopping Criterion": with fewer queries no run can be valid.
_LEAST_QUERIES = {"singlestream": 64, "multistream": 662, "server": 459}
# Quantised with training images. inference_rules.adoc, "Weight definition and quantization": calibration must only
# use the calibration set that MLPerf provides.
_QUANTISED_BY_US = "litert-int8"


def check_inference(asked: spec.InferSpec, benchmark: Benchmark) -> None:
    """Refuses what the benchmark can't be measured by, and a closed run that breaks a rule.

    Raises:
        ConfigError: every violation.
    """
    task = benchmark.inference
    if task is None:
        raise ConfigError((f"benchmark: {benchmark.name} can only be trained. Accepted: {', '.join(_served())}.",))
    found = (*_scenario(asked, benchmark, task), *_closed(asked, benchmark))
    if found:
        raise ConfigError(found)


def violations(asked: spec.InferSpec, benchmark: Benchmark) -> tuple[str, ...]:
    """What keeps a run out of the closed division: each with what was received, what is accepted, and the rule."""
    task = benchmark.inference
    if not benchmark.mlperf or task is None:  # there are no rules that it could keep
        return (f"benchmark: {benchmark.name} is no MLPerf benchmark and can't run closed. Set division: open.",)
    return (
        *_measurement(asked, task),
        *_scenario_options(asked),
        *_options(asked, benchmark, task),
        *(task.rules(asked) if task.rules is not None else ()),
    )


def offline_samples(task: InferenceTask) -> int:
    """The samples that an Offline query holds at least."""
    return _OFFLINE_SAMPLES if task.eval_samples is None else min(_OFFLINE_SAMPLES, task.eval_samples)


def ineligibilities(
    task: InferenceTask,
    *,
    performance: LoadgenLog,
    eval_samples: int,
    quality: float | None,
    parameters: int,
    reference_weights: bool,
    executable: str,
    retraces: int,
    audits: Mapping[str, bool],
    weights_note: str = "",
) -> tuple[str, ...]:
    """What keeps a run out of the closed division and shows only when it runs.

    Args:
        task: how the benchmark is served.
        performance: the detail log of the performance run.
        eval_samples: samples of the evaluation set as found.
        quality: of the accuracy run; None without one.
        parameters: trainable parameters of the model that was served.
        reference_weights: whether they are those that MLPerf provides.
        executable: the compiled form that was served.
        retraces: tracings and compilations during the measurement.
        audits: compliance test -> whether it passed.
        weights_note: what the source of the weights says against them; empty when nothing.
    """
    return (
        *_model(task, parameters=parameters, reference_weights=reference_weights, note=weights_note),
        *_of_run(performance, retraces=retraces, executable=executable),
        *_accuracy(task, eval_samples=eval_samples, quality=quality),
        *_audits(task, audits),
    )


def _scenario(asked: spec.InferSpec, benchmark: Benchmark, task: InferenceTask) -> Iterator[str]:
    scenario = _key(asked.scenario)
    if scenario not in task.scenarios:
        yield f"scenario: got {scenario}. Accepted for {benchmark.name}: {', '.join(task.scenarios)}."


def _closed(asked: spec.InferSpec, benchmark: Benchmark) -> tuple[str, ...]:
    return violations(asked, benchmark) if asked.division is spec.Division.CLOSED else ()


def _measurement(asked: spec.InferSpec, task: InferenceTask) -> Iterator[str]:
    if asked.min_duration_s < MIN_DURATION_S:
        yield broken("min_duration_s", asked.min_duration_s, f"{MIN_DURATION_S:g} or more", _RULES)
    least = offline_samples(task) if isinstance(asked.scenario, spec.Offline) else _LEAST_QUERIES[_key(asked.scenario)]
    if asked.min_queries is not None and asked.min_queries < least:
        yield broken("min_queries", asked.min_queries, f"null, or {least} or more", _RULES)
    if asked.performance_samples is not None and asked.performance_samples < task.performance_samples:
        accepted = f"null, or {task.performance_samples} or more"
        yield broken("performance_samples", asked.performance_samples, accepted, _CHECKER)
    if not asked.accuracy:
        yield broken("accuracy", "false", "true", _RULES)
    if asked.quality_target is not None:
        accepted = f"the benchmark's {task.quality.value:g}: leave it out"
        yield broken("quality_target", asked.quality_target, accepted, _RULES)
    if asked.executable == _QUANTISED_BY_US:
        accepted = "a form that is not quantised, for the rules allow no calibration but on MLPerf's own set"
        yield broken("executable", asked.executable, accepted, _RULES)


def _scenario_options(asked: spec.InferSpec) -> Iterator[str]:
    scenario = asked.scenario
    if isinstance(scenario, spec.Server) and scenario.latency_bound_ms is not None:
        accepted = "the benchmark's: leave it out"
        yield broken("scenario.server.latency_bound_ms", scenario.latency_bound_ms, accepted, _RULES)
    if isinstance(scenario, spec.MultiStream) and scenario.samples_per_query != SAMPLES_PER_QUERY:
        received = scenario.samples_per_query
        yield broken("scenario.multistream.samples_per_query", received, str(SAMPLES_PER_QUERY), _RULES)


def _options(asked: spec.InferSpec, benchmark: Benchmark, task: InferenceTask) -> Iterator[str]:
    if asked.model is None:
        return
    training = benchmark.training
    of_training = {name for name, _ in training.tunable} if training else set()  # they leave the served model as it is
    for field in dataclasses.fields(task.options):
        received, fixed = getattr(asked.model, field.name), getattr(task.options, field.name)
        if received != fixed and field.name not in of_training:
            yield broken(f"model.{field.name}", received, str(fixed), _RULES)


def _model(task: InferenceTask, *, parameters: int, reference_weights: bool, note: str) -> Iterator[str]:
    if task.parameters is not None and parameters != task.parameters:
        yield (
            f"The model has {parameters} trainable parameters; the reference model has {task.parameters} ({_RULES})."
        )
    if not reference_weights:
        yield f"The weights are not those that MLPerf provides; the closed division allows no retraining ({_RULES})."
    if note:
        yield note


def _of_run(performance: LoadgenLog, *, retraces: int, executable: str) -> Iterator[str]:
    values = performance.values
    if values.get("result_validity") != "VALID":
        yield f"LoadGen does not call the run VALID ({_RULES})."
    found = rounds.of_log(values)
    if found != rounds.CURRENT:
        version, whose = values.get("loadgen_version", "unknown"), f"of {found.name}" if found else "of no known round"
        yield (
            f"LoadGen {version} ran with seeds {whose}; the current round is {rounds.CURRENT.name} ({_CHECKER}, seeds)."
        )
    if retraces:
        yield f"The model was traced or compiled {retraces} times during the measurement; it must be ready before."
    if executable == _QUANTISED_BY_US:
        yield f"{executable} was calibrated with other images than MLPerf's calibration set ({_RULES})."


def _accuracy(task: InferenceTask, *, eval_samples: int, quality: float | None) -> Iterator[str]:
    if task.eval_samples is not None and eval_samples != task.eval_samples:
        yield f"The evaluation set has {eval_samples} samples; the benchmark's has {task.eval_samples} ({_CHECKER})."
    metric, target = task.quality.metric, task.quality.value
    if quality is None:
        yield f"The {metric} was not measured ({_RULES})."
    elif not quality >= target:
        yield f"The {metric} is {quality:.6f}; the target is {target:g} ({_RULES})."


def _audits(task: InferenceTask, audits: Mapping[str, bool]) -> Iterator[str]:
    for name in task.audits:
        if name not in audits:
            yield f"{name} was not run; the closed division asks for it (mlcommons/inference, compliance/{name})."
        elif not audits[name]:
            yield f"{name} failed (mlcommons/inference, compliance/{name})."


def _key(scenario: spec.Scenario) -> str:
    return type(scenario).__name__.lower()


def _served() -> tuple[str, ...]:
    return tuple(name for name in benchmarks.names() if benchmarks.get(name).inference is not None)
