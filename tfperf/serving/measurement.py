"""A measurement, from the trained model to the result."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import shutil
import tempfile
from collections.abc import Mapping
from typing import Literal

from tfperf import config, loadgen_log, manifest, result, spec
from tfperf.analysis import timeline
from tfperf.analysis.recorded import Recorded
from tfperf.benchmarks.benchmark import Benchmark
from tfperf.compliance import audits, serving_rules
from tfperf.errors import TfperfError
from tfperf.events import Event
from tfperf.inference import candidates, conf, forms, job, peak, profiled_form, weights
from tfperf.reporting import serving_board
from tfperf.serving import accuracy, asked, measured, profiled, rate, runs
from tfperf.serving.inputs import Form, load_model
from tfperf.serving.prepared import Prepared, prepare
from tfperf.workspace import Workspace

_CALIBRATION_SAMPLES = 256
_CLOSED_FORMS = tuple(form for form in forms.FORMS if not form.endswith("-int8"))


def infer(
    wanted: spec.InferSpec,
    benchmark: Benchmark,
    *,
    trained: weights.Weights,
    workspace: Workspace,
    compliance_tests: tuple[str, ...] = (),
    resume: pathlib.Path | None = None,
    profile: bool = False,
) -> tuple[result.InferResult, pathlib.Path]:
    """Measures a benchmark under LoadGen.

    Args:
        wanted: what to measure, complete.
        benchmark: the benchmark that it names.
        trained: the model.
        workspace: where to read and write.
        compliance_tests: such as TEST01, to run too.
        resume: a run directory whose search for the largest Server rate is taken up again.
        profile: whether a few executions are profiled for TensorBoard, in a process of their own, before anything is
            measured.

    Returns:
        The result and the run directory that holds it. A measurement that failed or was interrupted is returned too,
        with what was measured and why it is not valid.

    Raises:
        TfperfError: what was asked for can't be run, which was found before anything ran.
    """
    serving_rules.check_inference(wanted, benchmark)
    if profile:
        profiled_form.check(wanted.executable)
    earlier = None if resume is None else rate.earlier_state(resume)
    with tempfile.TemporaryDirectory(prefix="tfperf-") as scratch:
        run = prepare(
            wanted, benchmark, trained, workspace, compliance_tests=compliance_tests, scratch=pathlib.Path(scratch)
        )
        if earlier is not None:
            shutil.copyfile(earlier, run.run_dir / rate.STATE)
        measurement = Measurement(run, profile=profile)
        try:
            measurement.run()
        except KeyboardInterrupt:
            measurement.stop("incomplete", "interrupted")
        except peak.NoValidRateError as error:
            measurement.stop("invalid", str(error))
        except TfperfError as error:
            measurement.stop("failed", str(error))
        finally:
            run.shown.close()
        measurement.write()
        return measurement.outcome, run.run_dir


class Measurement:
    """The steps of one measurement; each adds to the result, which is on the disk after each.

    Args:
        run: what it works with.
        profile: whether the executable is profiled first.

    Attributes:
        outcome: the result so far.
    """

    def __init__(self, run: Prepared, *, profile: bool = False) -> None:
        self._run = run
        self._profile = profile
        self._performance: job.LoadgenOutcome | None = None
        self.outcome = _blank(run)

    def run(self) -> None:
        """Chooses the executable and profiles it, finds the rate, measures performance and accuracy, audits."""
        form, execution_ns = self._choose()
        if self._profile:
            self._add("profiled", dataclasses.replace(self.outcome, notes=(profiled.profile(self._run, form),)))
        target_qps, performance = self._rate(form, execution_ns)
        if performance is None:
            performance = self._loadgen(form, "performance", "performance", target_qps=target_qps)
            performance = runs.long_enough(self._run, form, performance)
        self._performance = performance
        (self._run.run_dir / runs.USER_CONF).write_text(conf.user_conf(performance.settings), encoding="utf-8")
        self._add("performance", measured.with_performance(self.outcome, performance))
        if performance.status != "ended":
            return
        if self._run.spec.accuracy:
            self._measure_accuracy(form, target_qps)
        for name in self._run.audits:
            self._audit(name, form, target_qps)
        self._judge()

    def stop(self, status: Literal["invalid", "failed", "incomplete"], reason: str) -> None:
        """Ends the measurement before its end."""
        self._add("stopped", dataclasses.replace(self.outcome, valid=False, status=status, reasons=(reason,)))

    def write(self) -> None:
        """Writes what is left to write, once."""
        run = self._run
        rows = None if self._performance is None else measured.recorded(self._performance.recording)
        if rows is not None:
            measured.write_rows(run.run_dir / "recording.npz", rows)
        serving_board.write(run.run_dir, self.outcome, curves=None if rows is None else _series(rows))
        run.events.close()
        manifest.write(
            run.run_dir, division=self.outcome.division, code_version=self.outcome.environment["code_version"]
        )

    def _choose(self) -> tuple[Form, Mapping[int, float]]:
        run, asks = self._run, self._run.spec
        inputs, labels = run.samples.calibration(_CALIBRATION_SAMPLES)
        subject = candidates.Subject(
            load_model=functools.partial(load_model, run.inputs),
            weights_bytes=run.weights_bytes,
            inputs=inputs,
            labels=labels,
            respond=run.task.respond,
            score=run.task.score,
            quality_share=run.task.quality.value / run.task.reference_quality,
        )
        choice = candidates.choose(
            subject,
            scenario=asks.scenario,
            directory=run.scratch / "forms",
            threads=run.threads,
            executable=asks.executable,
            batch_sizes=asks.batch_sizes,
            latency_bound_ns=asked.latency_bound_ns(asks, run.task),
            considered=_CLOSED_FORMS if asks.division is spec.Division.CLOSED else forms.FORMS,
            on_progress=lambda text: run.shown.begin(text, measures=False),
        )
        form = Form(
            executable=choice.executable,
            directory=choice.directory,
            batch_sizes=choice.batch_sizes,
            threads=choice.threads,
            instances=asks.instances,
        )
        self._add(
            "executable",
            dataclasses.replace(
                self.outcome,
                executable=form.executable,
                batch_sizes=form.batch_sizes,
                threads=form.threads,
                candidates=choice.candidates,
            ),
        )
        return form, choice.execution_ns

    def _rate(self, form: Form, execution_ns: Mapping[int, float]) -> tuple[float | None, job.LoadgenOutcome | None]:
        """The rate of Server, with the full run that its search ended with, if there was one."""
        scenario = self._run.spec.scenario
        if not isinstance(scenario, spec.Server):
            return None, None
        if scenario.target_qps != "auto":
            return scenario.target_qps, None
        search = rate.Search(self._run, form, execution_ns)
        try:
            target_qps, confirmed = search.run()
        finally:
            self._add("search", dataclasses.replace(self.outcome, search=search.probes()))
        if confirmed is not None:
            kept = confirmed.log_dir.rename(self._run.run_dir / "performance")
            confirmed = dataclasses.replace(confirmed, log_dir=kept)
        return target_qps, confirmed

    def _loadgen(
        self,
        form: Form,
        mode: job.Mode,
        folder: str,
        *,
        target_qps: float | None,
        expected_qps: float | None = None,
        audit_config: str | None = None,
    ) -> job.LoadgenOutcome:
        return runs.loadgen(
            self._run,
            form,
            mode=mode,
            log_dir=self._run.run_dir / folder,
            title=folder,
            target_qps=target_qps,
            expected_qps=expected_qps,
            audit_config=audit_config,
        )

    def _measure_accuracy(self, form: Form, target_qps: float | None) -> None:
        run = self._run
        ended = self._loadgen(form, "accuracy", "accuracy", target_qps=target_qps)
        _require_end(ended, "the accuracy run")
        value = accuracy.score(ended.log_dir, run.task, run.samples)
        target = run.task.quality.value if run.spec.quality_target is None else run.spec.quality_target
        quality = result.Quality(metric=run.task.quality.metric, value=value, target=target, reached=value >= target)
        missed = () if quality.reached else (f"the {quality.metric} is {value:.4f}, {target:g} or more is asked for",)
        self._add(
            "accuracy",
            dataclasses.replace(
                self.outcome,
                accuracy=quality,
                valid=self.outcome.valid and quality.reached,
                reasons=(*self.outcome.reasons, *missed),
            ),
        )

    def _audit(self, name: str, form: Form, target_qps: float | None) -> None:
        run = self._run
        ended = self._loadgen(
            form,
            "performance",
            f"{name}/performance",
            target_qps=target_qps,
            expected_qps=self._expected_qps(),
            audit_config=audits.audit_config(name, run.task),
        )
        _require_end(ended, name)
        verdict = audits.verify(name, run.run_dir, task=run.task, samples=run.samples)
        self._add(name, dataclasses.replace(self.outcome, audits={**self.outcome.audits, name: verdict.summary}))

    def _expected_qps(self) -> float | None:
        """What an audit run of Offline is to expect: a little more than the performance run had."""
        performance = self._performance
        if performance is None or performance.settings.scenario != "Offline":
            return None
        return runs.FASTER * float(loadgen_log.read(performance.log_dir).values["result_samples_per_second"])

    def _judge(self) -> None:
        """Whether the run keeps the rules of the closed division."""
        run, performance = self._run, self._performance
        assert performance is not None
        reached = self.outcome.accuracy
        broken = serving_rules.violations(run.spec, run.benchmark)
        if run.benchmark.mlperf:
            facts = serving_rules.MeasurementFacts(
                performance=loadgen_log.read(performance.log_dir),
                eval_samples=run.samples.total,
                quality=None if reached is None else reached.value,
                parameters=run.parameters,
                executable=self.outcome.executable or "",
                retraces=performance.retraces,
                audits={name: summary.startswith("passed") for name, summary in self.outcome.audits.items()},
                weights_note=run.inputs.source.note,
            )
            broken += serving_rules.ineligibilities(run.task, facts)
        self._add(
            "judged",
            dataclasses.replace(
                self.outcome, closed_eligible=self.outcome.valid and not broken, closed_ineligible_because=broken
            ),
        )

    def _add(self, step: str, outcome: result.InferResult) -> None:
        """Keeps the result with what a step added, and tells which values those are."""
        before, after = result.as_dict(self.outcome), result.as_dict(outcome)
        added = {name: value for name, value in after.items() if value != before[name]}
        self.outcome = outcome
        result.write(self._run.run_dir / "result.json", outcome)
        self._run.events.emit(Event(key=step, value=outcome.status, metadata=added))


def _series(rows: Recorded) -> serving_board.ServingCurves:
    return serving_board.ServingCurves(
        latency_ns=rows.latency_ns,
        samples_per_s=timeline.rates(rows),
        p99_ns=timeline.latency_ns(rows, percentile=99),
    )


def _require_end(ended: job.LoadgenOutcome, name: str) -> None:
    if ended.status == "interrupted":
        raise KeyboardInterrupt
    if ended.status != "ended":
        raise TfperfError(f"{name} is {ended.status}: {ended.failure}")
    problems = loadgen_log.read(ended.log_dir).errors
    if problems:
        raise TfperfError(f"{name} has errors in LoadGen's log: {'; '.join(problems)}")


def _blank(run: Prepared) -> result.InferResult:
    source = run.inputs.source
    return result.InferResult(
        benchmark=run.benchmark.name,
        division=str(run.spec.division),
        valid=False,
        reasons=("the measurement did not come to its end",),
        closed_eligible=False,
        closed_ineligible_because=(),
        status="incomplete",
        config=config.as_dict(run.spec),
        environment=run.environment,
        scenario=asked.scenario_name(run.spec.scenario),
        metric=None,
        loadgen={},
        latency_ns={},
        accuracy=None,
        executable=None,
        weights={"path": str(source.path), "kind": source.kind, "sha256": source.digest, "note": source.note},
    )
