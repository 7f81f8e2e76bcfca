"""The steps of one evaluation: build the executables, judge each on the whole data, run the phases on each."""

from __future__ import annotations

import dataclasses
import pathlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

from tfperf import disk, result
from tfperf import spec as specs
from tfperf.errors import ArgumentError, ConfigError, MissingDataError, TfperfError
from tfperf.evaluation import curves, executables, grid, judge, loads, observed, run_files, watch
from tfperf.evaluation.accuracy import AccuracyPass
from tfperf.evaluation.built import BuiltForms
from tfperf.evaluation.cell_run import CellRun, Measuring
from tfperf.evaluation.examples import ExampleBatch, Examples, Kept
from tfperf.evaluation.executables import AS_GIVEN, Ends
from tfperf.evaluation.hosts import Hosts
from tfperf.evaluation.loads import Surroundings
from tfperf.evaluation.outcome import EvaluatedModel
from tfperf.evaluation.peaks import Peaks
from tfperf.evaluation.plans import Share
from tfperf.evaluation.request_files import RequestFiles
from tfperf.evaluation.sent import Sender
from tfperf.evaluation.subject import Subject
from tfperf.system import devices, environment, memory
from tfperf.system.assembly import LostWorkerError
from tfperf.telemetry.recorder import Recorder
from tfperf.workspace import Workspace

_MEMORY_SHARE = 0.5
_SAY_EVERY_S = 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Asked:
    """What is evaluated.

    Attributes:
        spec: what to measure.
        subject: the model.
        examples: the data.
        by: the metrics.
        apart: whether every combination runs in a process of its own.
        hosts: the other hosts; None for this one alone.
        notes: what a reader should know.
    """

    spec: specs.EvaluateSpec
    subject: Subject
    examples: Examples
    by: judge.Wanted
    apart: bool = False
    hosts: Hosts | None = None
    notes: tuple[str, ...] = ()


class EvaluationRun:
    """Runs an evaluation. Each step adds to the result and writes it.

    Args:
        asked: what is evaluated.
        workspace: where the run directory goes.
        scratch: a directory that is deleted afterwards.

    Attributes:
        outcome: the result so far.
        recorder: observes this machine until its context is left.

    Raises:
        TfperfError: the evaluation is impossible. No run directory is made then.
    """

    def __init__(self, asked: Asked, *, workspace: Workspace, scratch: pathlib.Path) -> None:
        self._spec, self._asked, self._scratch = asked.spec, asked, scratch
        self._batches = asked.examples.read()
        self._first, self._ends = watch.watched(self._looked_at)
        if self._first.labels is None and self._spec.metrics:
            raise ArgumentError(
                f"metrics: {', '.join(self._spec.metrics)} compare answers with labels, and the data "
                f"({asked.examples.kind}) has none. Pass (inputs, labels), or leave metrics out."
            )
        _check_memory(self._spec, self._first.inputs)
        self._begin_s = self._said_s = time.perf_counter()
        self._built = BuiltForms(
            self._spec, asked.subject, asked.examples, self._ends, first=self._first, directory=scratch
        )
        captured = environment.capture(devices.present())
        notes = (*asked.subject.notes, *asked.notes)
        self.outcome = run_files.blank(asked.subject.name, self._spec, captured, notes=notes)
        if asked.hosts is not None:
            asked.hosts.check_same(self._spec, asked.subject.name)
        self._files = run_files.RunFiles(self._run_dir(workspace), spec=self._spec, captured=captured)
        self._accuracy: AccuracyPass | None = None
        self._said_of = ""
        self._together = False
        place = {} if asked.hosts is None else {"worker": asked.hosts.share.index, "workers": asked.hosts.share.hosts}
        self.recorder = Recorder(self._files.run_dir, self._spec.telemetry, **place)

    def _run_dir(self, workspace: Workspace) -> pathlib.Path:
        """The run directory, which the first host alone keeps."""
        hosts = self._asked.hosts
        if hosts is None or hosts.is_chief:
            return workspace.make_run_dir()
        folder = self._scratch / "run"
        folder.mkdir()
        return folder

    def run(self) -> EvaluatedModel:
        """Judges and measures. What was measured until a failure or an interruption is in the result."""
        run_dir = self._files.run_dir
        try:
            self._files.write("started", self.outcome)
            self._until_end()
            peaks = Peaks(self._asked.subject, self._asked.examples, self._ends)
            found = observed.changes(self.outcome, self.recorder, self._asked.hosts, peaks, whole=self._together)
            self._add("observed", **found)
            self._files.close(self.outcome)
        except OSError as error:
            if not disk.refuses_writes(error):
                raise
            self._files.abandon()
            why = f"nothing more can be written: {error}"
            self.outcome = run_files.stopped(self._with_accuracy(), "failed", why)
        return EvaluatedModel(result=self.outcome, run_dir=run_dir)

    def _until_end(self) -> None:
        try:
            self._judge_and_measure()
        except KeyboardInterrupt:
            self._end("incomplete", "interrupted")
        except LostWorkerError as error:
            self._end("incomplete", str(error), error=type(error).__name__)
        except TfperfError as error:
            self._end("failed", str(error), error=type(error).__name__)

    def _judge_and_measure(self) -> None:
        self.recorder.idle()
        names = self._built.make(say=lambda text: self._say(text, force=True))
        kept = self._judge(names)
        if self._built.is_auto:
            names = [self._chosen(names, kept)]
        measuring = self._measuring(kept)
        for measured in self._loads(measuring, names):
            phases = (*self.outcome.phases, measured)
            curve = curves.curves(phases, latency_bound_ms=self._spec.latency_bound_ms)
            self._add("phase", phases=phases, curves=curve, repeats=curves.repeats(phases))
        reasons = tuple(self._reasons(names))
        self._together = True
        self._add("ended", valid=not reasons, reasons=reasons, status=_status(self.outcome.phases, reasons))

    def _loads(self, measuring: Measuring, names: Sequence[str]) -> Iterator[result.LoadPhase]:
        begun: set[tuple[object, ...]] = set()
        for combination in grid.combinations(self._spec, names):
            self._said_of = str(combination)
            form = (combination.executable, combination.instances, combination.threads, combination.device)
            cell = CellRun(measuring, combination, first_of_form=form not in begun)
            begun.add(form)
            self.recorder.mark(f"before {combination}")
            for measured in cell.run():
                self.recorder.mark(f"after {measured.phase.load}")
                yield measured.phase
                if measured.phase.status in ("hung", "interrupted"):
                    return

    def _measuring(self, kept: Kept) -> Measuring:
        asked, sender = self._asked, None
        if self._spec.measure == "model" and asked.hosts is None:
            sender = Sender(asked.subject, asked.examples, self._ends, kept, directory=self._scratch)
        files = RequestFiles(folder=self._files.run_dir / "requests")
        around = Surroundings(
            begin_s=self._begin_s,
            on_look=lambda load, requests: self._say(f"{self._said_of}, {load}: {requests:,} answered"),
            together=asked.hosts,
            save=files.opened if self._spec.save_requests else loads.unsaved,
        )
        return Measuring(
            spec=self._spec,
            examples=asked.examples,
            kept=kept,
            first=self._first.inputs,
            built=self._built,
            sender=sender,
            around=around,
            run_dir=self._files.run_dir,
            scratch=self._scratch,
            apart=asked.apart,
        )

    def _looked_at(self, watching: watch.Watch) -> tuple[ExampleBatch, Ends]:
        """The first batch, and what the model makes of it."""
        examples, limit_s = self._asked.examples, watch.FIRST * self._spec.hang_after_s
        watching.begin("reading the first batch of the data", limit_s=limit_s)
        first = next(self._batches, None)
        if first is None:
            raise MissingDataError(f"The data ({examples.kind}) gives no batch. Was it read before?")
        watching.begin("the first answer of the model", limit_s=limit_s)
        return first, executables.ends(self._asked.subject, examples, first.inputs)

    def _judge(self, names: Sequence[str]) -> Kept:
        """Judges the executables, and keeps samples of the data."""
        self._accuracy = AccuracyPass(
            self._spec,
            self._asked.subject,
            self._asked.by,
            ends=self._ends,
            forms={name: self._built.get(name) for name in dict.fromkeys((AS_GIVEN, *names))},
            batches=self._all_batches(),
            say=self._say,
            share=Share() if self._asked.hosts is None else self._asked.hosts.share,
        )
        self._accuracy.run()
        if self._asked.hosts is not None and self._spec.accuracy:
            self._asked.hosts.add_up(self._accuracy.judges)
        kept = Kept(inputs=self._first.inputs) if self._spec.measure == "pipeline" else self._accuracy.kept()
        if self._spec.accuracy:
            notes = (*self.outcome.notes, *self._accuracy.notes)
            self._add("accuracy", judged=self._accuracy.judged, notes=notes)
        self._accuracy = None
        return kept

    def _all_batches(self) -> Iterator[ExampleBatch]:
        yield self._first
        yield from self._batches

    def _chosen(self, names: Sequence[str], kept: Kept) -> str:
        """The executable that `auto` takes."""
        accurate = (
            {each.executable for each in self.outcome.judged if each.accurate} if self.outcome.judged else set(names)
        )
        best, note = self._built.fastest(accurate, kept)
        if self._asked.hosts is not None:
            best, note = self._asked.hosts.chiefs([best, note])
        self._add("executable", notes=(*self.outcome.notes, *self._built.why_not(), note))
        return best

    def _reasons(self, names: Sequence[str]) -> Iterator[str]:
        """Why not every number may be quoted."""
        if not self._built.is_auto:
            yield from self._built.why_not()
        for each in self.outcome.judged:
            if not each.accurate and each.executable in names:
                yield f"{each.executable} is not accurate: {each.reason}"
        for phase in self.outcome.phases:
            for why in phase.reasons:
                yield f"{phase.phase}, {phase.load}, {phase.executable}, batch {phase.batch_size}: {why}"

    def _say(self, text: str, *, force: bool = False) -> None:
        now = time.perf_counter()
        if force or now - self._said_s > _SAY_EVERY_S:
            self._said_s = now
            print(f"tfperf evaluate: {text}", file=sys.stderr, flush=True)

    def _end(self, status: Any, reason: str, *, error: str = "") -> None:
        self.outcome = self._with_accuracy()
        self._add("stopped", valid=False, status=status, reasons=(reason,), error=error)

    def _with_accuracy(self) -> result.EvaluateResult:
        """The result with what an accuracy pass found until it ended early."""
        passing = self._accuracy
        if passing is None or not passing.examples:
            return self.outcome
        reason = f"judged by the first {passing.examples:,} examples only"
        judged = tuple(dataclasses.replace(each, accurate=False, reason=reason) for each in passing.judged)
        return dataclasses.replace(self.outcome, judged=judged)

    def _add(self, step: str, **changes: Any) -> None:
        self.outcome = dataclasses.replace(self.outcome, **changes)
        self._files.write(step, self.outcome)


def _status(phases: Sequence[result.LoadPhase], reasons: Sequence[str]) -> str:
    statuses = {phase.status for phase in phases}
    if "interrupted" in statuses:
        return "incomplete"
    if statuses & {"failed", "hung"}:
        return "failed"
    return "invalid" if reasons else "success"


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
