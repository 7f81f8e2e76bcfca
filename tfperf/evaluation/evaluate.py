"""One evaluation, from the user's model and data to the result."""

from __future__ import annotations

import dataclasses
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tfperf import config as configs
from tfperf import disk, manifest, result
from tfperf import spec as specs
from tfperf.analysis import load_curve
from tfperf.errors import ArgumentError, ConfigError, DeviceError, MissingDataError, TfperfError
from tfperf.evaluation import examples as adapted_data
from tfperf.evaluation import executables, judge
from tfperf.evaluation import subject as adapted_model
from tfperf.evaluation.examples import Examples
from tfperf.evaluation.executables import AS_GIVEN, InProcess
from tfperf.evaluation.issuer import ModelInstance
from tfperf.evaluation.loads import Cell, Loads, Measured
from tfperf.evaluation.outcome import EvaluatedModel
from tfperf.evaluation.subject import Subject
from tfperf.events import Event
from tfperf.inference import forms
from tfperf.inference.forms.machine import UnavailableError
from tfperf.reporting import jsonl
from tfperf.system import devices, environment, memory, scratch
from tfperf.workspace import Workspace

_MEMORY_SHARE = 0.5
_SAY_EVERY_S = 5.0
_CALIBRATION = forms.MOST_CALIBRATION_SAMPLES


def evaluate(
    model: Any,
    data: Any,
    validation_data: Any = None,
    *,
    config: specs.EvaluateSpec | str | None = None,
    metrics: Sequence[Any] | None = None,
    workspace: Workspace | None = None,
    trust_model: bool = False,
) -> EvaluatedModel:
    """Measures how fast and how well any model answers, under the load that a config describes.

    The accuracy of every compiled form comes first, on the whole data; then the phases of the config, in order. The
    model is called for inference only; its weights, its compiled state and its flags stay as they are.

    Args:
        model: a Keras model, the path of a `.keras` file or a SavedModel, or a function of inputs.
        data: what Keras evaluates on: a batched `tf.data.Dataset`, arrays, (inputs, labels[, weights]), dicts of
            arrays, a `keras.utils.PyDataset`, an iterator of `ImageDataGenerator`, a generator or pandas frames.
        validation_data: the data to evaluate on, if `data` is what the model was trained on.
        config: a spec, the path of a yaml file or the name of a packaged config; None takes `evaluate`.
        metrics: Keras metrics, their names, or functions of (labels, outputs); None takes those of the config, and
            without any those that the model was compiled with.
        workspace: where the run directory goes; None takes `runs`.
        trust_model: whether code in the file of a model may run.

    Returns:
        The evaluation, with what was measured until it failed or was interrupted, if it was.

    Raises:
        TfperfError: the evaluation is impossible. This is raised before anything is measured.

    Example:
        config = tfperf.load_config("evaluate.yaml")
        result = tfperf.evaluate(model, validation_data, config=config)
        print(result)
    """
    spec = _spec(config)
    _use(spec)
    subject = model if isinstance(model, Subject) else adapted_model.adapt(model, trusted=trust_model)
    chosen = data if validation_data is None else validation_data
    examples = adapted_data.adapt(chosen, as_columns=subject.input_names)
    if spec.measure == "pipeline" and examples.make is None:
        raise ArgumentError(
            f"measure: pipeline needs data that is made for each request; {examples.kind} that "
            f"{'can be read once' if examples.once else 'are in memory'} have no pipeline. Use measure: model, a "
            "tf.data.Dataset, a PyDataset or a function that returns a generator."
        )
    by, notes = judge.wanted(subject, spec.metrics if metrics is None else metrics)
    where = workspace or Workspace(output_dir=pathlib.Path("runs"), name=f"evaluate-{subject.name}")
    with scratch.directory() as folder:
        run = EvaluationRun(
            spec=spec, subject=subject, examples=examples, by=by, workspace=where, scratch=folder, notes=notes
        )
        return run.run()


def _spec(config: specs.EvaluateSpec | str | None) -> specs.EvaluateSpec:
    if isinstance(config, specs.EvaluateSpec):
        return config
    if config is None or isinstance(config, str):
        return configs.load_evaluation(config or "evaluate")
    raise ArgumentError(
        f"config must be what tfperf.load_config returns for a config with phases, got {type(config).__name__}."
    )


def _use(spec: specs.EvaluateSpec) -> None:
    """Sets the threads and the device, which TensorFlow takes only before it starts.

    Raises:
        DeviceError: there is no such device, or TensorFlow has started with others.
    """
    import tensorflow as tf

    try:
        if spec.threads is not None and tf.config.threading.get_intra_op_parallelism_threads() != spec.threads:
            tf.config.threading.set_intra_op_parallelism_threads(spec.threads)
        if spec.device == "cpu" and tf.config.get_visible_devices("GPU"):
            tf.config.set_visible_devices([], "GPU")
    except RuntimeError as error:
        raise DeviceError(
            f"threads: {spec.threads}, device: {spec.device} must be set before TensorFlow is used in this process: "
            f"{error}. Call evaluate in a fresh process, or use tfperf evaluate."
        ) from error
    if spec.device == "gpu" and not tf.config.list_physical_devices("GPU"):
        raise DeviceError(f"device: gpu needs a GPU, and TensorFlow sees none. {devices.summary()}")


class EvaluationRun:
    """The steps of one evaluation. Each adds to the result and writes it.

    Args:
        spec: what to measure.
        subject: the model.
        examples: the data.
        by: the metrics.
        workspace: where the run directory goes.
        scratch: a directory that is deleted afterwards.
        notes: what a reader should know.

    Attributes:
        outcome: the result so far.
    """

    def __init__(
        self,
        *,
        spec: specs.EvaluateSpec,
        subject: Subject,
        examples: Examples,
        by: judge.Wanted,
        workspace: Workspace,
        scratch: pathlib.Path,
        notes: tuple[str, ...] = (),
    ) -> None:
        self._spec, self._subject, self._examples, self._by = spec, subject, examples, by
        self._scratch = scratch
        self._batches = examples.read()
        first = next(self._batches, None)
        if first is None:
            raise MissingDataError(f"The data ({examples.kind}) gives no batch. Was it read before?")
        self._first = first
        self._ends = executables.ends(subject, examples, first.inputs)
        if first.labels is None and spec.metrics:
            raise ArgumentError(
                f"metrics: {', '.join(spec.metrics)} compare answers with labels, and the data ({examples.kind}) has "
                "none. Pass (inputs, labels), or leave metrics out."
            )
        _check_memory(spec, first.inputs)
        self._run_dir = workspace.make_run_dir()
        self._begin_s = time.perf_counter()
        self._said_s = self._begin_s
        self._executables: dict[tuple[str, int], InProcess] = {}
        captured = environment.capture(devices.present())
        self.outcome = result.EvaluateResult(
            benchmark=subject.name,
            valid=False,
            reasons=("the evaluation did not finish",),
            status="incomplete",
            config=configs.as_dict(spec),
            environment=captured,
            measured=spec.measure,
            notes=(*subject.notes, *notes),
        )
        (self._run_dir / "spec.yaml").write_text(configs.dump(spec), encoding="utf-8")
        environment.write(self._run_dir / "environment.json", {"division": "internal", **captured})
        self._events = jsonl.JsonLines(self._run_dir / "events.jsonl")
        self._events.emit(Event(key="submission_division", value="internal"))
        result.write(self._run_dir / "result.json", self.outcome)

    def run(self) -> EvaluatedModel:
        """Judges and measures."""
        try:
            self._judge_and_measure()
        except KeyboardInterrupt:
            self._end("incomplete", "interrupted")
        except TfperfError as error:
            self._end("failed", str(error))
        except OSError as error:
            if not disk.refuses_writes(error):
                raise
            self.outcome = dataclasses.replace(
                self.outcome, valid=False, status="failed", reasons=(f"nothing more can be written: {error}",)
            )
            return EvaluatedModel(result=self.outcome, run_dir=self._run_dir)
        self._events.close()
        manifest.write(self._run_dir, division="internal", code_version=self.outcome.environment["code_version"])
        return EvaluatedModel(result=self.outcome, run_dir=self._run_dir)

    def _judge_and_measure(self) -> None:
        names, unavailable = self._available()
        kept = self._judge(names)
        names = self._chosen(names, kept) if self._spec.executable == ("auto",) else names
        inaccurate = {each.executable: each.reason for each in self.outcome.judged if not each.accurate}
        measured: list[Measured] = []
        stopped = False
        for name in names:
            for batch_size in self._spec.batch_size:
                for instances in self._spec.instances:
                    if not stopped:
                        found = self._measure(name, batch_size, instances, kept)
                        measured += found
                        stopped = any(each.phase.status in ("hung", "interrupted") for each in found)
                        self._add_curve(name, batch_size, instances)
        reasons = [
            *(f"{name} is not available: {reason}" for name, reason in unavailable.items()),
            *(f"{name} is not accurate: {reason}" for name, reason in inaccurate.items() if name in names),
            *(
                f"{each.phase.phase}, {each.phase.load}, {each.phase.executable}, batch {each.phase.batch_size}: {why}"
                for each in measured
                for why in each.phase.reasons
            ),
        ]
        statuses = {each.phase.status for each in measured}
        status: Any = (
            "incomplete"
            if "interrupted" in statuses
            else "failed"
            if statuses & {"failed", "hung"}
            else "invalid"
            if reasons
            else "success"
        )
        self._add(
            "ended",
            dataclasses.replace(self.outcome, valid=not reasons, reasons=tuple(reasons), status=status),
        )

    def _available(self) -> tuple[list[str], dict[str, str]]:
        """The executables that can be made, `as_given` first, and why others can't."""
        auto = self._spec.executable == ("auto",)
        asked = [AS_GIVEN, *forms.FORMS] if auto else list(self._spec.executable)
        made, unavailable = [], {}
        for name in asked:
            self._say(f"building {name}", force=True)
            try:
                self._executable(name)
                made.append(name)
            except UnavailableError as error:
                unavailable[name] = str(error)
        if auto:
            notes = tuple(f"{name} is not available: {reason}" for name, reason in unavailable.items())
            self.outcome = dataclasses.replace(self.outcome, notes=(*self.outcome.notes, *notes))
            unavailable = {}
        if not made:
            raise TfperfError("; ".join(f"{name} is not available: {reason}" for name, reason in unavailable.items()))
        return made, unavailable

    def _executable(self, name: str) -> InProcess:
        most = max(self._spec.instances)
        if (name, most) not in self._executables:
            rows = min(_CALIBRATION, self._first.examples)
            calibration = [tuple(array[row : row + 1] for array in self._first.inputs) for row in range(rows)]
            self._executables[name, most] = InProcess(
                name,
                self._subject,
                self._examples,
                self._ends,
                directory=self._scratch,
                instances=most,
                calibration=calibration if name == "litert-int8" else (),
            )
        return self._executables[name, most]

    def _judge(self, names: Sequence[str]) -> adapted_data.Kept:
        """Reads the data once: judges every executable on all of it, and keeps the first samples."""
        spec, size = self._spec, self._first.examples
        judges = {
            name: judge.Judge(name, self._by, template=self._ends.template, output_names=_output_names(self._subject))
            for name in dict.fromkeys([AS_GIVEN, *names])
        }
        parts: list[tuple[Any, ...]] = []
        samples, examples = 0, 0
        for batch in self._all_batches():
            if samples < spec.samples:
                parts.append(batch.inputs)
                samples += batch.examples
            if not spec.accuracy:
                if samples >= spec.samples:
                    break
                continue
            reference = self._answers(AS_GIVEN, batch.inputs, size)
            for name, judging in judges.items():
                outputs = reference if name == AS_GIVEN else self._answers(name, batch.inputs, size)
                judging.add(
                    outputs,
                    labels=batch.labels,
                    weights=batch.weights,
                    reference=None if name == AS_GIVEN else reference,
                )
            examples += batch.examples
            self._say(f"accuracy: {examples:,} examples")
        if spec.accuracy:
            reference_found = judges[AS_GIVEN].judged(None, most_lost=spec.accuracy_loss)
            judged = [
                reference_found,
                *(
                    judges[name].judged(reference_found, most_lost=spec.accuracy_loss)
                    for name in names
                    if name != AS_GIVEN
                ),
            ]
            notes = self._labels_note()
            self._add(
                "accuracy",
                dataclasses.replace(self.outcome, judged=tuple(judged), notes=(*self.outcome.notes, *notes)),
            )
        if spec.measure == "pipeline":
            return adapted_data.Kept(inputs=self._first.inputs)
        return adapted_data.keep(parts, most=spec.samples)

    def _labels_note(self) -> tuple[str, ...]:
        if self._first.labels is None:
            return ("The data has no labels, so the accuracy is unknown.",)
        if not self._by.any:
            return ("The model was compiled without metrics and none were given, so the accuracy is unknown.",)
        return ()

    def _all_batches(self) -> Iterator[adapted_data.ExampleBatch]:
        yield self._first
        yield from self._batches

    def _answers(self, name: str, inputs: Sequence[Any], size: int) -> list[Any]:
        """The outputs for a batch, filled up to the size of the first one so that nothing is compiled twice."""
        import numpy as np

        count = len(inputs[0])
        rows = np.arange(max(size, count)) % count
        whole = [array if count >= size else array[rows] for array in inputs]
        try:
            outputs = self._executable(name).prepare(whole)(whole)
        except TfperfError:
            raise
        except Exception as error:  # whatever somebody's model raises
            words = " ".join(str(error).split())[:300]
            raise TfperfError(
                f"{name} failed on a batch of {count} examples, {adapted_data.shown(inputs)}: "
                f"{type(error).__name__}: {words}"
            ) from error
        return [array[:count] for array in outputs]

    def _chosen(self, names: Sequence[str], kept: adapted_data.Kept) -> list[str]:
        """The fastest accurate executable at the largest batch size."""
        accurate = {each.executable for each in self.outcome.judged if each.accurate} or set(names)
        (request, *_) = kept.requests(self._spec.batch_size[-1])
        times = {}
        for name in names:
            if name in accurate:
                answer = self._executable(name).prepare(request)
                taken = []
                for _ in range(10):
                    start = time.perf_counter()
                    answer(request)
                    taken.append(time.perf_counter() - start)
                times[name] = sorted(taken)[len(taken) // 2]
        if not times:
            raise TfperfError("No executable is accurate; see the table of executables.")
        best = min(times, key=lambda name: times[name])
        listed = ", ".join(f"{name} {taken * 1e3:.3g} ms" for name, taken in sorted(times.items(), key=lambda x: x[1]))
        note = f"auto took {best} at batch {self._spec.batch_size[-1]}: {listed}"
        self.outcome = dataclasses.replace(self.outcome, notes=(*self.outcome.notes, note))
        return [best]

    def _measure(self, name: str, batch_size: int, instances: int, kept: adapted_data.Kept) -> list[Measured]:
        found: list[Measured] = []
        loads: Loads | None = None
        cell_size = 0
        for phase in self._spec.phases:
            size = phase.samples_per_query if isinstance(phase, specs.MultiStreamLoad) else batch_size
            if loads is None or cell_size != size:
                cell_size = size
                self._cell = self._cell_of(name, size, instances, kept)
                loads = Loads(self._spec, self._cell, begin_s=self._begin_s, on_look=self._look)
            for measured in loads.run(phase):
                found.append(measured)
                self._add("phase", dataclasses.replace(self.outcome, phases=(*self.outcome.phases, measured.phase)))
                if measured.phase.status in ("failed", "hung", "interrupted"):
                    return found
        return found

    def _cell_of(self, name: str, batch_size: int, instances: int, kept: adapted_data.Kept) -> Cell:
        executable = self._executable(name)
        made: list[ModelInstance]
        samples: Callable[[], int] | None = None
        if self._spec.measure == "pipeline":
            assert self._examples.make is not None  # checked at the start
            piped = [
                executables.FromPipeline(executable, self._examples.make, instance=index) for index in range(instances)
            ]
            batch_size, samples = self._first.examples, lambda: sum(each.samples for each in piped)
            executable.prepare(self._first.inputs)
            made = list(piped)
        else:
            requests = kept.requests(batch_size)
            made = [
                executables.FromMemory(executable.prepare(requests[0], instance=index), requests)
                for index in range(instances)
            ]
        return Cell(
            executable=name, batch_size=batch_size, instances=made, traces=lambda: executable.traces, samples=samples
        )

    def _add_curve(self, name: str, batch_size: int, instances: int) -> None:
        """Latency over throughput of the loads of a combination that were measured by themselves."""
        bound_ns = None if self._spec.latency_bound_ms is None else self._spec.latency_bound_ms * 1e6
        points = [
            (phase.requests_per_s, phase.latency_ns(99.0))
            for phase in self.outcome.phases
            if (phase.executable, phase.instances) == (name, instances)
            and phase.phase in ("concurrency", "constant_rate", "server")
            and (phase.batch_size == batch_size or self._spec.measure == "pipeline")
            and (phase.valid or phase.status == "ended")
        ]
        known = sorted((rate, latency) for rate, latency in points if latency is not None)
        if not known:
            return
        curve = result.LoadCurve(
            executable=name,
            batch_size=batch_size,
            instances=instances,
            points=tuple(known),
            knee=load_curve.knee(known),
            bound_ns=bound_ns,
            most_within_bound=None if bound_ns is None else load_curve.most_within(known, bound=bound_ns),
        )
        self.outcome = dataclasses.replace(self.outcome, curves=(*self.outcome.curves, curve))

    def _look(self, load: str, requests: int) -> None:
        self._say(f"{self._cell.executable}, batch {self._cell.batch_size}, {load}: {requests:,} answered")

    def _say(self, text: str, *, force: bool = False) -> None:
        now = time.perf_counter()
        if force or now - self._said_s > _SAY_EVERY_S:
            self._said_s = now
            print(f"tfperf evaluate: {text}", file=sys.stderr, flush=True)

    def _end(self, status: Any, reason: str) -> None:
        self._add("stopped", dataclasses.replace(self.outcome, valid=False, status=status, reasons=(reason,)))

    def _add(self, step: str, outcome: result.EvaluateResult) -> None:
        before, after = result.as_dict(self.outcome), result.as_dict(outcome)
        added = {name: value for name, value in after.items() if value != before[name]}
        self.outcome = outcome
        result.write(self._run_dir / "result.json", outcome)
        self._events.emit(Event(key=step, value=outcome.status, metadata=added))


def _output_names(subject: Subject) -> tuple[str, ...] | None:
    names = getattr(subject.model, "output_names", None)
    return tuple(names) if names else None


def _check_memory(spec: specs.EvaluateSpec, inputs: Sequence[Any]) -> None:
    """Refuses more samples than fit into memory.

    Raises:
        ConfigError: says how many fit.
    """
    available = memory.available_bytes()
    sample_bytes = sum(array.nbytes for array in inputs) / len(inputs[0])
    needed = sample_bytes * max(spec.samples, max(spec.batch_size))
    if available is not None and spec.measure == "model" and needed > _MEMORY_SHARE * available:
        fitting = int(_MEMORY_SHARE * available / sample_bytes)
        raise ConfigError(
            (
                f"samples: {max(spec.samples, max(spec.batch_size)):,} samples of {sample_bytes / 1e6:.3g} MB need "
                f"{needed / 1e9:.3g} GB, and {available / 1e9:.3g} GB of memory are available. At most {fitting:,} "
                "fit.",
            )
        )
