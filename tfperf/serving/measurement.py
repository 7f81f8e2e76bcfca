"""A measurement under LoadGen, from the trained model to the result."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import shutil
from typing import Literal

from tfperf import benchmarks, config, loadgen_log, manifest, result
from tfperf import spec as specs
from tfperf.analysis import timeline
from tfperf.analysis.recorded import Recorded
from tfperf.benchmarks.benchmark import Benchmark, quality_of
from tfperf.compliance import audits, serving_rules
from tfperf.errors import TfperfError
from tfperf.events import Event
from tfperf.inference import (
    candidates,
    chosen_form,
    conf,
    forms,
    instance_choice,
    objective,
    peak,
    profiled_form,
    weights,
)
from tfperf.inference.chosen_form import ChosenForm
from tfperf.inference.comparison_samples import ComparedModel
from tfperf.inference.form_comparison import FormComparison
from tfperf.inference.job import LoadgenOutcome
from tfperf.reporting import serving_board
from tfperf.serving import accuracy, feasibility, limits, measured, pictures, processor, rate, runs, settings
from tfperf.serving.inputs import ServedForm, open_model, open_served
from tfperf.serving.prepared import PreparedMeasurement, prepare, write_environment
from tfperf.serving.runs import RunPlan
from tfperf.system import scratch
from tfperf.telemetry import observation
from tfperf.telemetry.recorder import Recorder, checked_meter
from tfperf.telemetry_log import Window
from tfperf.workspace import Workspace

_CLOSED_FORMS = tuple(form for form in forms.FORMS if not form.endswith("-int8"))


def infer(
    spec: specs.InferSpec,
    benchmark: Benchmark,
    *,
    trained: weights.Weights,
    workspace: Workspace,
    compliance_tests: tuple[str, ...] = (),
    resume: pathlib.Path | None = None,
    profile: bool = False,
    show: int = 0,
) -> tuple[result.InferResult, pathlib.Path]:
    """Measures a benchmark under LoadGen.

    The model runs only in child processes. TensorFlow in this process is kept off GPUs, unless it already uses them.

    Args:
        spec: the complete spec of the measurement.
        benchmark: the benchmark that the spec names.
        trained: the trained model to serve.
        workspace: where to read and write, and the device to serve on.
        compliance_tests: compliance tests to run as well, such as TEST01.
        resume: a run directory whose search for the highest Server rate is continued.
        profile: whether to profile a few executions for TensorBoard, in a separate process before the measurement.
        show: of how many samples pictures are drawn, which need an accuracy run.

    Returns:
        The result and its run directory. If the measurement failed or was interrupted, the result holds what was
        measured until then, and the reason.

    Raises:
        TfperfError: the measurement is impossible. This is raised before anything runs.
    """
    extras = feasibility.RequestedExtras(
        device=workspace.device, compliance_tests=compliance_tests, resume=resume, profile=profile, show=show
    )
    feasibility.check(spec, benchmark, extras)
    checked_meter(spec.telemetry)
    earlier = None if resume is None else rate.earlier_state(resume)
    taken_up = None if resume is None else rate.earlier_form(resume, spec)
    with scratch.directory() as folder:
        tests = feasibility.audits(compliance_tests, spec, benchmarks.inference_task(benchmark))
        prepared = prepare(spec, benchmark, trained, workspace, audits=tests, scratch=folder)
        if earlier is not None:
            shutil.copyfile(earlier, prepared.run_dir / rate.STATE)
        measurement = MeasurementRun(prepared, profile=profile, earlier=taken_up)
        with Recorder(prepared.run_dir, spec.telemetry) as recorder:
            try:
                recorder.idle()
                measurement.run()
                pictures.draw(prepared.run_dir, prepared.task, prepared.samples, count=show)
            except KeyboardInterrupt:
                measurement.stop("incomplete", "interrupted")
            except peak.NoValidRateError as error:
                measurement.stop("invalid", str(error))
            except TfperfError as error:
                measurement.stop("failed", str(error))
            finally:
                prepared.shown.close()
            measurement.observe(recorder)
        measurement.write()
        return measurement.outcome, prepared.run_dir


class MeasurementRun:
    """The steps of one measurement. Each step adds to the result and writes it to disk.

    Args:
        prepared: the model, data and files of the measurement.
        profile: whether to profile the executable first.
        earlier: the form that an earlier search served, which is taken up again; None chooses one.

    Attributes:
        outcome: the result so far.
    """

    def __init__(
        self, prepared: PreparedMeasurement, *, profile: bool = False, earlier: rate.EarlierForm | None = None
    ) -> None:
        self._prepared = prepared
        self._profile = profile
        self._earlier = earlier
        self._performance: LoadgenOutcome | None = None
        self.outcome = _blank(prepared)

    def run(self) -> None:
        """Chooses the executable, finds the rate, measures performance and accuracy, and runs the audits.

        A form of lower precision that `auto` chose and that misses the accuracy on the whole evaluation set gives way
        to the next best one, which is measured from the beginning.
        """
        chosen = self._with_instances(self._choose())
        before = self.outcome
        while (missed := self._measure(chosen)) is not None:
            name = chosen.executable
            reason = f"its accuracy on the whole evaluation set is {missed.value:.4f}; the target is {missed.target:g}"
            chosen = self._with_instances(chosen_form.next_best(chosen, reason=reason))
            kept = _set_aside(self._prepared.run_dir, form=name)
            note = f"{name} was served first, but {reason}. Its logs are kept in {', '.join(kept)}."
            before = dataclasses.replace(before, notes=(*before.notes, note))
            self.outcome, self._performance = before, None
            self._prepared.shown.note(f"{name}: {reason}; {chosen.executable} is next")
        performance = self._performance
        if performance is None or performance.status != "ended":
            return
        for name in self._prepared.audits:
            self._audit(name, _served(chosen, self._prepared.spec.scenario), performance.settings.target_qps)
        self._judge()

    def stop(self, status: Literal["invalid", "failed", "incomplete"], reason: str) -> None:
        """Ends the measurement early."""
        self._add("stopped", dataclasses.replace(self.outcome, valid=False, status=status, reasons=(reason,)))

    def observe(self, recorder: Recorder) -> None:
        """Ends the recording of the machine, and adds its use and energy during the performance run."""
        performance, windows = self._performance, list[Window]()
        if performance is not None and performance.span_ns is not None:
            begin_ns, end_ns = performance.span_ns
            samples = performance.recording.counter("samples")
            windows.append(Window(name="performance", begin_ns=begin_ns, end_ns=end_ns, samples=samples))
        found = observation.together([recorder.finish(windows)])
        notes = (*self.outcome.notes, *((recorder.failure,) if recorder.failure else ()))
        limit = () if performance is None else limits.bottlenecks(self._prepared, self.outcome, performance)
        changed = dataclasses.replace(self.outcome, energy=found.energy, use=found.use, bottlenecks=limit, notes=notes)
        self._add("observed", changed)

    def write(self) -> None:
        """Writes the remaining files. Call this once, at the end."""
        run_dir, outcome = self._prepared.run_dir, self.outcome
        rows = None if self._performance is None else measured.recorded(self._performance)
        if rows is not None:
            measured.write_rows(run_dir / "recording.npz", rows)
        serving_board.write(run_dir, outcome, curves=None if rows is None else _curves(rows))
        self._prepared.events.close()
        manifest.write(run_dir, division=outcome.division, code_version=outcome.environment["code_version"])

    def _choose(self) -> ChosenForm:
        earlier = self._earlier
        chosen = candidates.choose(self._comparison(), on_progress=self._show_step)
        if earlier is None:
            return chosen
        return dataclasses.replace(chosen, candidates=earlier.candidates, notes=(*chosen.notes, earlier.note))

    def _with_instances(self, chosen: ChosenForm) -> ChosenForm:
        return instance_choice.with_instances(self._comparison(), chosen, on_progress=self._show_step)

    def _show_step(self, text: str) -> None:
        self._prepared.shown.begin(text, measures=False)

    def _comparison(self) -> FormComparison:
        prepared, spec, earlier = self._prepared, self._prepared.spec, self._earlier
        return FormComparison(
            model=ComparedModel(
                load_model=functools.partial(open_model, prepared.inputs),
                weights_bytes=prepared.weights_bytes,
                task=prepared.task,
                options=spec.model,
                samples=prepared.samples,
            ),
            scenario=spec.scenario,
            directory=prepared.scratch / "forms",
            threads=prepared.threads if earlier is None else earlier.threads or prepared.threads,
            instances=spec.instances if earlier is None else earlier.instances or spec.instances,
            instance_threads=spec.threads,
            device=prepared.inputs.device,
            executable=spec.executable if earlier is None else earlier.executable,
            batch_sizes=spec.batch_sizes if earlier is None else earlier.batch_sizes,
            latency_bound_ns=settings.latency_bound_ns(spec, prepared.task),
            considered=_CLOSED_FORMS if spec.division is specs.Division.CLOSED else forms.FORMS,
            confirmed=spec.accuracy,
        )

    def _measure(self, chosen: ChosenForm) -> result.Quality | None:
        """Measures a form. Returns its quality if that misses the target and `auto` has another form to take."""
        prepared, form = self._prepared, _served(chosen, self._prepared.spec.scenario)
        self._add(
            "executable",
            dataclasses.replace(
                self.outcome,
                executable=form.executable,
                batch_sizes=form.batch_sizes,
                threads=form.threads,
                instances=form.instances,
                candidates=chosen.candidates,
                notes=(*self.outcome.notes, *chosen.notes),
            ),
        )
        quality = None
        if prepared.spec.accuracy and chosen.others and not chosen.proven:
            shares = chosen.length_shares
            target_qps = rate.expected_qps(prepared.spec, form, chosen.execution_ns, length_shares=shares)
            quality = self._accuracy(form, target_qps)
            if _gives_way(chosen, quality):
                return quality
        if self._profile:
            note = _profile(prepared, form)
            self._add("profiled", dataclasses.replace(self.outcome, notes=(*self.outcome.notes, note)))
        performance = self._measure_performance(form, chosen)
        if performance.status != "ended" or not prepared.spec.accuracy:
            return None
        quality = quality or self._accuracy(form, performance.settings.target_qps)
        if _gives_way(chosen, quality):
            return quality
        self._add_accuracy(quality)
        return None

    def _measure_performance(self, form: ServedForm, chosen: ChosenForm) -> LoadgenOutcome:
        """Finds the rate in Server, and adds the performance run."""
        prepared = self._prepared
        target_qps, performance = self._find_rate(form, chosen)
        if performance is None:
            plan = RunPlan(folder="performance", target_qps=target_qps, most_late=rate.most_late(prepared, target_qps))
            performance = runs.long_enough(prepared, form, runs.loadgen(prepared, form, plan))
        self._performance = performance
        (prepared.run_dir / runs.USER_CONF).write_text(conf.user_conf(performance.settings), encoding="utf-8")
        self._name_processor(performance.processor)
        self._add("performance", measured.with_performance(self.outcome, performance))
        return performance

    def _find_rate(self, form: ServedForm, chosen: ChosenForm) -> tuple[float | None, LoadgenOutcome | None]:
        """The rate in Server, None in other scenarios; and the full run that confirmed it, if a search made one."""
        scenario = self._prepared.spec.scenario
        if not isinstance(scenario, specs.Server):
            return None, None
        if scenario.target_qps != "auto":
            return scenario.target_qps, None
        search = rate.RateSearch(self._prepared, form, chosen.execution_ns, length_shares=chosen.length_shares)
        try:
            target_qps, confirmed = search.run()
        finally:
            self._name_processor(search.processor)
            self._add("search", dataclasses.replace(self.outcome, search=search.probes()))
        if confirmed is not None:
            kept = confirmed.log_dir.rename(self._prepared.run_dir / "performance")
            confirmed = dataclasses.replace(confirmed, log_dir=kept)
        return target_qps, confirmed

    def _name_processor(self, computed: tuple[str, str] | None) -> None:
        """Adds the processor that computed, as the child process reported it, to the environment."""
        if computed is None:
            return
        named = {**self.outcome.environment, **processor.described(computed)}
        self.outcome = dataclasses.replace(self.outcome, environment=named)
        write_environment(self._prepared.run_dir, named, division=self.outcome.division)

    def _accuracy(self, form: ServedForm, target_qps: float | None) -> result.Quality:
        """The accuracy over the whole evaluation set."""
        prepared = self._prepared
        plan = RunPlan(folder="accuracy", mode="accuracy", target_qps=target_qps)
        ended = runs.loadgen(prepared, form, plan)
        _require_end(ended, "the accuracy run")
        value = accuracy.score(ended.log_dir, prepared.task, prepared.samples)
        target = quality_of(prepared.task, prepared.spec)
        return result.Quality(metric=target.metric, value=value, target=target.value, reached=value >= target.value)

    def _add_accuracy(self, quality: result.Quality) -> None:
        missed = f"the {quality.metric} is {quality.value:.4f}; the target is {quality.target:g}"
        self._add(
            "accuracy",
            dataclasses.replace(
                self.outcome,
                accuracy=quality,
                valid=self.outcome.valid and quality.reached,
                reasons=(*self.outcome.reasons, *(() if quality.reached else (missed,))),
            ),
        )

    def _audit(self, name: str, form: ServedForm, target_qps: float | None) -> None:
        prepared = self._prepared
        plan = RunPlan(
            folder=f"{name}/performance",
            target_qps=target_qps,
            expected_qps=self._expected_qps(),
            audit_config=audits.audit_config(name, prepared.task),
        )
        _require_end(runs.loadgen(prepared, form, plan), name)
        verdict = audits.verify(name, prepared.run_dir, task=prepared.task, samples=prepared.samples)
        self._add(name, dataclasses.replace(self.outcome, audits={**self.outcome.audits, name: verdict.summary}))

    def _expected_qps(self) -> float | None:
        """The rate that an audit run in Offline should expect: slightly more than the performance run's."""
        performance = self._performance
        if performance is None or performance.settings.scenario != "Offline":
            return None
        return runs.FASTER * float(loadgen_log.read(performance.log_dir).values["result_samples_per_second"])

    def _judge(self) -> None:
        """Decides whether the run is eligible for the closed division."""
        prepared, performance = self._prepared, self._performance
        assert performance is not None
        quality = self.outcome.accuracy
        broken = serving_rules.violations(prepared.spec, prepared.benchmark)
        if benchmarks.is_mlperf(prepared.benchmark):
            facts = serving_rules.MeasurementFacts(
                performance=loadgen_log.read(performance.log_dir),
                eval_samples=prepared.samples.total,
                quality=None if quality is None else quality.value,
                parameters=prepared.parameters,
                executable=self.outcome.executable or "",
                retraces=performance.retraces,
                audits={name: summary.startswith("passed") for name, summary in self.outcome.audits.items()},
                weights_note=prepared.inputs.model.note,
            )
            broken += serving_rules.ineligibilities(prepared.task, facts)
        self._add(
            "judged",
            dataclasses.replace(
                self.outcome, closed_eligible=self.outcome.valid and not broken, closed_ineligible_because=broken
            ),
        )

    def _add(self, step: str, outcome: result.InferResult) -> None:
        """Replaces the result and writes it, and emits the values that the step added."""
        before, after = result.as_dict(self.outcome), result.as_dict(outcome)
        added = {name: value for name, value in after.items() if value != before[name]}
        self.outcome = outcome
        result.write(self._prepared.run_dir / "result.json", outcome)
        self._prepared.events.emit(Event(key=step, value=outcome.status, metadata=added))


def _served(chosen: ChosenForm, scenario: specs.Scenario) -> ServedForm:
    return ServedForm(
        executable=chosen.executable,
        directory=chosen.directory,
        buckets=objective.served_buckets(scenario, chosen.execution_ns),
        threads=chosen.threads,
        instances=chosen.instances,
    )


def _gives_way(chosen: ChosenForm, quality: result.Quality) -> bool:
    """Whether another form may reach the target: there is one, and this form's loss may explain what is missing."""
    if quality.reached or not chosen.others or quality.value is None or quality.target is None:
        return False
    return chosen.most_lost is None or quality.value + chosen.most_lost >= quality.target


def _set_aside(run_dir: pathlib.Path, *, form: str) -> tuple[str, ...]:
    """Renames the logs of a form that gives way; returns the new names."""
    names = ("performance", f"performance{runs.TOO_SHORT}[0-9]", "accuracy", "search", rate.STATE)
    found = [path for name in names for path in sorted(run_dir.glob(name))]
    return tuple(path.rename(path.with_name(f"{path.stem}-{form}{path.suffix}")).name for path in found)


def _profile(prepared: PreparedMeasurement, form: ServedForm) -> str:
    """Profiles the chosen form, opened in the same way as for the measurement. Returns a note for the result."""
    prepared.shown.begin(f"profiling {form.executable}", measures=False)
    return profiled_form.take(
        form.executable,
        functools.partial(open_served, prepared.inputs, form),
        run_dir=prepared.run_dir,
        log=prepared.scratch / "profile.log",
        environment=runs.child_environment(prepared, form),
    )


def _curves(rows: Recorded) -> serving_board.ServingCurves:
    return serving_board.ServingCurves(
        latency_ns=rows.latency_ns,
        samples_per_s=timeline.rates(rows),
        p99_ns=timeline.latency_ns(rows, percentile=99),
    )


def _require_end(outcome: LoadgenOutcome, name: str) -> None:
    if outcome.status == "interrupted":
        raise KeyboardInterrupt
    if outcome.status != "ended":
        raise TfperfError(f"{name} is {outcome.status}: {outcome.failure}")
    errors = loadgen_log.read(outcome.log_dir).errors
    if errors:
        raise TfperfError(f"{name} has errors in LoadGen's log: {'; '.join(errors)}")


def _blank(prepared: PreparedMeasurement) -> result.InferResult:
    """The result of a measurement that hasn't started."""
    model = prepared.inputs.model
    return result.InferResult(
        benchmark=prepared.benchmark.name,
        division=str(prepared.spec.division),
        valid=False,
        reasons=("the measurement did not finish",),
        closed_eligible=False,
        closed_ineligible_because=(),
        status="incomplete",
        config=config.as_dict(prepared.spec),
        environment=prepared.environment,
        scenario=settings.scenario_name(prepared.spec.scenario),
        metric=None,
        loadgen={},
        latency_ns={},
        accuracy=None,
        executable=None,
        weights={"path": str(model.path), "kind": model.kind, "sha256": model.digest, "note": model.note},
    )
