"""Chooses a compiled form: builds and measures each in a separate process, and compares its answers with float32."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math
import pathlib
import shutil
import statistics
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from tfperf import spec
from tfperf.benchmarks.benchmark import InferenceTask, OpenSamples, Ragged
from tfperf.errors import TfperfError
from tfperf.inference import candidate_build, forms, instance_choice, objective, paired, stored_samples
from tfperf.inference.candidate_build import BuiltCandidate, CandidateBuild
from tfperf.inference.comparison_samples import ComparedModel, ComparisonSamples
from tfperf.inference.executable import Bucket
from tfperf.inference.forms import machine
from tfperf.inference.forms.machine import UnavailableError
from tfperf.inference.forms.memory_needed import memory_needed_bytes
from tfperf.result import Candidate
from tfperf.system import devices, memory

_SECOND_ROUND_S, _SECOND_ROUND_SHARE = 20.0, 0.5  # whichever is longer; the share is of the first round
_SLOWER_THAN_REFERENCE = 10
_TIMED = "timed.samples"
_CLOSE = 2.0  # a form whose time is at most this multiple of the best may win when measured again


@dataclasses.dataclass(frozen=True, kw_only=True)
class FormComparison:
    """Which forms to compare, and how they will be used.

    Attributes:
        model: the model.
        scenario: how samples arrive.
        directory: gets a subdirectory for each form; only that of the chosen form is kept.
        threads: CPU threads per operation.
        instances: copies that will be served at the same time, each of which takes memory. With `auto`, one is compared
            and then 1, 2, 4, ... instances of the chosen form, see `instance_choice`.
        instance_threads: with `auto`, threads of each instance; None divides the processors among them.
        device: the device to serve on, as in `machine.environment`.
        executable: `auto`, or the form to choose whatever its speed and accuracy. A chosen form of lower precision is
            still compared with the plain function in float32; one in float32 is not compared with anything.
        batch_sizes: the batch sizes to measure; None takes the scenario's, without those whose execution takes too
            long.
        latency_bound_ns: the latency bound in Server.
        considered: the forms that `auto` considers.
        confirmed: whether the accuracy will be measured on the whole evaluation set. Without this, `auto` takes a form
            of lower precision only if the calibration samples prove that it is accurate enough.
        timeout_s: the time limit for each step of a process, or ten times what the same form took in float32, if more.
    """

    model: ComparedModel
    scenario: spec.Scenario
    directory: pathlib.Path
    threads: int
    instances: int | Literal["auto"] = 1
    instance_threads: int | None = None
    device: spec.Device | None = None
    executable: str = "auto"
    batch_sizes: tuple[int, ...] | None = None
    latency_bound_ns: int | None = None
    considered: Sequence[str] = forms.FORMS
    confirmed: bool = True
    timeout_s: float = 900.0

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """The buckets that the forms are measured at."""
        return objective.buckets_for(self.scenario, lengths=self.model.task.lengths, batch_sizes=self.batch_sizes)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChosenForm:
    """The form that was chosen, built and ready to be opened.

    Attributes:
        executable: its name.
        directory: the built form, as `forms.open_form` reads it.
        candidates: every form that was considered, in the order of `forms.FORMS`.
        execution_ns: median time of one execution by bucket.
        threads: CPU threads per operation.
        instances: copies to serve at the same time.
        proven: whether it is in float32, or the calibration samples prove that it is accurate enough.
        most_lost: the most quality that it loses against float32, with 95 % confidence; None if they were not compared.
        length_shares: share of the samples that is padded to each length; None if they have none.
        notes: what a reader should know, such as the batch sizes that take too long.
        others: what `auto` takes next, best first, if this form misses the accuracy on the whole evaluation set. The
            last is in float32, which loses nothing.
    """

    executable: str
    directory: pathlib.Path
    candidates: tuple[Candidate, ...]
    execution_ns: Mapping[Bucket, float]
    threads: int
    instances: int = 1
    proven: bool = True
    most_lost: float | None = None
    length_shares: Mapping[int | None, float] | None = None
    notes: tuple[str, ...] = ()
    others: tuple[ChosenForm, ...] = ()

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """The buckets that were measured, ascending."""
        return tuple(sorted(self.execution_ns))


def choose(comparison: FormComparison, *, on_progress: Callable[[str], None] = lambda text: None) -> ChosenForm:
    """Builds and measures forms, and takes the best for the scenario among those that are accurate enough.

    One form serves all buckets, because another would give slightly different outputs. The processes run one after
    another. A form whose process fails, is killed, or takes too long or too much memory becomes an unavailable
    candidate, with the reason.

    Args:
        comparison: what to compare.
        on_progress: called with the current step.

    Raises:
        TfperfError: the requested form isn't available or, with `auto`, the plain function in float32 isn't.
        MissingDataError: forms must be judged, but there are no calibration samples.
    """
    compared = _compared_forms(comparison)
    comparison.directory.mkdir(parents=True, exist_ok=True)
    samples_used = ComparisonSamples.of(comparison.model, comparison.buckets, judges=len(compared) > 1)
    builds = _builds(comparison, compared, samples_used)
    judged = _Candidates(comparison, samples_used, on_progress)
    for build in builds:
        judged.build_and_measure(build)
    if comparison.executable == "auto":
        judged.measure_again(builds)
        first, *others = judged.ranked()
    else:
        first, others = comparison.executable, []
    if first not in judged.built:
        raise TfperfError(f"{first} isn't available: {judged.refused[first]}.")
    _tidy(comparison.directory, keep=(first, *others, *((_TIMED,) if comparison.instances == "auto" else ())))
    rows = tuple(judged.candidate(form, chosen=first) for form in compared)
    chosen, *next_best = (judged.chosen(form, candidates=rows) for form in (first, *others))
    return dataclasses.replace(chosen, others=tuple(next_best))


def with_instances(
    comparison: FormComparison, chosen: ChosenForm, *, on_progress: Callable[[str], None] = lambda text: None
) -> ChosenForm:
    """The form with the best number of instances and threads, if the comparison leaves them to `auto`.

    Args:
        comparison: the comparison that chose the form.
        chosen: the form.
        on_progress: called with the current step.

    Raises:
        TfperfError: not even one instance can be measured again.
    """
    if comparison.instances != "auto":
        return chosen
    form, model = chosen.executable, comparison.model
    limit = objective.longest_execution_ns(comparison.scenario, latency_bound_ns=comparison.latency_bound_ns)
    build = CandidateBuild(
        form=form,
        directory=chosen.directory,
        load_model=None,
        inputs=model.task.inputs(model.options),
        outputs=model.task.outputs(model.options),
        timed=comparison.directory / _TIMED,
        buckets=chosen.buckets,
        longest_ns=None if comparison.batch_sizes else limit,
        threads=comparison.threads,
        device=comparison.device,
    )
    found = instance_choice.choose(
        build,
        scenario=comparison.scenario,
        cores=devices.usable_cores(),
        threads=comparison.instance_threads,
        length_shares=chosen.length_shares,
        fits=lambda layout: _fits(form, comparison, instances=layout.instances) is None,
        on_progress=lambda text: on_progress(f"{form}: {text}"),
        timeout_s=comparison.timeout_s,
    )
    return dataclasses.replace(
        chosen,
        execution_ns=found.execution_ns,
        instances=found.layout.instances,
        threads=found.layout.threads,
        notes=(*chosen.notes, found.note),
    )


def next_best(missed: ChosenForm, *, reason: str) -> ChosenForm:
    """What to take after a form that missed the accuracy on the whole evaluation set.

    Args:
        missed: the form; `others` may not be empty.
        reason: what it missed, for its row in the result.
    """
    following, *others = missed.others
    rows = tuple(
        dataclasses.replace(row, status="inaccurate", reason=reason)
        if row.executable == missed.executable
        else dataclasses.replace(row, status="chosen", reason="")
        if row.executable == following.executable
        else row
        for row in missed.candidates
    )
    return dataclasses.replace(following, candidates=rows, others=tuple(others))


class _Candidates:
    """What is known about each form so far."""

    def __init__(
        self, comparison: FormComparison, samples_used: ComparisonSamples, on_progress: Callable[[str], None]
    ) -> None:
        self._comparison, self._samples, self._on_progress = comparison, samples_used, on_progress
        self._shares = _length_shares(comparison.model.task, samples_used.length_indices)
        self._timeout_s, self._first_round_s = comparison.timeout_s, 0.0
        self._responses: dict[str, Mapping[int, bytes]] = {}
        self._quality: dict[str, float] = {}
        self._inaccurate: dict[str, str] = {}
        self._unproven: dict[str, str] = {}
        self._most_lost: dict[str, float] = {}
        self.built: dict[str, BuiltCandidate] = {}
        self.refused: dict[str, str] = {}

    def build_and_measure(self, build: CandidateBuild) -> None:
        """Builds one form and measures it for the first time."""
        began = time.monotonic()
        try:
            _check_available(build, self._comparison)
            self.built[build.form] = self._run(build)
        except UnavailableError as error:
            self.refused[build.form] = str(error).rstrip(".")
            return
        taken_s = time.monotonic() - began
        self._first_round_s += taken_s
        if build.form == forms.REFERENCE:
            self._timeout_s = max(self._timeout_s, _SLOWER_THAN_REFERENCE * taken_s)
        if build.judged is not None:
            self._judge(build)

    def measure_again(self, builds: Sequence[CandidateBuild]) -> None:
        """Measures the forms that could be the best a second time, the best first, as many as the time allows.

        This keeps another process that was busy during one measurement from deciding the choice, or the batch sizes.
        """
        for build in self._close(builds):
            try:
                second = self._run(dataclasses.replace(build, load_model=None))
            except UnavailableError as error:
                del self.built[build.form]
                self.refused[build.form] = f"failed when it was opened again: {error}".rstrip(".")
                continue
            self.built[build.form] = _better(self.built[build.form], second)

    def _close(self, builds: Sequence[CandidateBuild]) -> Sequence[CandidateBuild]:
        """The forms to measure again: none if the best has no rival, or the two best would take too long."""
        close = sorted(
            (build for build in builds if self._eligible(build.form)), key=lambda build: self._cost(build.form)
        )
        close = [build for build in close if self._cost(build.form) <= _CLOSE * self._cost(close[0].form)]
        most_s = max(_SECOND_ROUND_S, _SECOND_ROUND_SHARE * self._first_round_s)
        ends_s = itertools.accumulate(self.built[build.form].reopening_s for build in close)
        affordable = [build for build, end_s in zip(close, ends_s, strict=True) if end_s <= most_s]
        return affordable if len(affordable) > 1 else ()

    def ranked(self) -> tuple[str, ...]:
        """The forms that are accurate enough, best first, up to the first in float32, after which none is needed.

        Raises:
            TfperfError: the reference isn't available or its answers aren't finite, so nothing can be judged.
        """
        reason = self.refused.get(forms.REFERENCE) or self._inaccurate.get(forms.REFERENCE)
        if reason:
            raise TfperfError(f"The model can't be served in float32, which other forms are compared with: {reason}.")
        ordered = sorted((form for form in self.built if self._eligible(form)), key=self._cost)
        exact = next(position for position, form in enumerate(ordered) if _is_float32(form))
        return tuple(ordered[: exact + 1])

    def candidate(self, form: str, *, chosen: str) -> Candidate:
        """The form as a row of the result."""
        if form in self.refused:
            return Candidate(executable=form, status="unavailable", reason=self.refused[form])
        slower = self._cost(form) / self._cost(chosen)
        reason = f"takes {slower:.2f} times as long as {chosen}"
        if not self._comparison.confirmed or slower < 1:
            reason = self._unproven.get(form, reason)
        return Candidate(
            executable=form,
            status="chosen" if form == chosen else "inaccurate" if form in self._inaccurate else "measured",
            reason="" if form == chosen else self._inaccurate.get(form, reason),
            latency_ns={str(bucket): time_ns for bucket, time_ns in self.built[form].execution_ns.items()},
            agreement=self._agreement(form),
            quality=self._quality.get(form),
            memory_bytes=self.built[form].memory_bytes,
        )

    def chosen(self, form: str, *, candidates: tuple[Candidate, ...]) -> ChosenForm:
        """The form as a choice, with all rows of the result."""
        built = self.built[form]
        return ChosenForm(
            executable=form,
            directory=self._comparison.directory / form,
            candidates=candidates,
            execution_ns=built.execution_ns,
            threads=self._comparison.threads,
            instances=_compared_instances(self._comparison),
            length_shares=self._shares,
            proven=_is_float32(form) or form not in (self._unproven | self._inaccurate),
            most_lost=self._most_lost.get(form),
            notes=tuple(self._left_out(built)),
        )

    def _run(self, build: CandidateBuild) -> BuiltCandidate:
        return candidate_build.run(
            build,
            on_progress=lambda text: self._on_progress(f"{build.form}: {text}"),
            timeout_s=self._timeout_s,
        )

    def _judge(self, build: CandidateBuild) -> None:
        task, calibration, form = self._comparison.model.task, self._samples.calibration, build.form
        assert calibration is not None
        try:
            responses = _responses(build, task, calibration, self._samples.numbers)
        except ValueError as error:
            self._inaccurate[form] = str(error).rstrip(".")
            return
        self._responses[form] = responses
        self._quality[form] = float(task.scoring.score(responses, calibration))
        if form == forms.REFERENCE or forms.REFERENCE not in self._responses:
            return
        found = paired.loss(
            lambda some: float(task.scoring.score(some, calibration)), responses, self._responses[forms.REFERENCE]
        )
        self._most_lost[form] = found.high
        allowed = (1 - task.quality.value / task.reference_quality) * self._quality[forms.REFERENCE]
        verdict = found.verdict(allowed)
        if verdict == "lost":
            self._inaccurate[form] = (
                f"it loses {found.value:.4f} of the quality on {found.samples:,} calibration samples, at least "
                f"{found.low:.4f} with {paired.CONFIDENCE:.0%} confidence, but only {allowed:.4f} may be lost"
            )
        elif verdict == "unproven":
            self._unproven[form] = (
                f"its accuracy is not proven: on {found.samples:,} calibration samples it loses {found.value:.4f} of "
                f"the quality, at most {found.high:.4f} with {paired.CONFIDENCE:.0%} confidence, and {allowed:.4f} may "
                "be lost. An accuracy run decides: set accuracy to true"
            )

    def _left_out(self, built: BuiltCandidate) -> Iterator[str]:
        limit = objective.longest_execution_ns(
            self._comparison.scenario, latency_bound_ns=self._comparison.latency_bound_ns
        )
        for bucket, time_ns in built.too_long_ns.items():
            yield (
                f"batches of {bucket} and more were left out: {bucket} took {time_ns / 1e6:,.4g} ms in the best of "
                f"several measurements, and more than {(limit or 0) / 1e6:,.4g} ms is too long in this scenario"
            )

    def _agreement(self, form: str) -> float | None:
        if not {form, forms.REFERENCE} <= self._responses.keys():
            return None
        agreement = self._comparison.model.task.scoring.agreement
        reference, found = self._responses[forms.REFERENCE], self._responses[form]
        return statistics.fmean(
            agreement(found[number], reference[number]) for number in found.keys() & reference.keys()
        )

    def _eligible(self, form: str) -> bool:
        proven = self._comparison.confirmed or _is_float32(form) or form not in self._unproven
        return form in self.built and form not in self._inaccurate and proven

    def _cost(self, form: str) -> float:
        return objective.cost_ns(self._comparison.scenario, self.built[form].execution_ns, length_shares=self._shares)


def _is_float32(form: str) -> bool:
    return form.endswith("-float32")


def _better(first: BuiltCandidate, second: BuiltCandidate) -> BuiltCandidate:
    """The lower time of two measurements of each bucket; a bucket that was useful in one of them is."""
    infinite = math.inf
    times = {
        bucket: min(first.execution_ns.get(bucket, infinite), second.execution_ns.get(bucket, infinite))
        for bucket in sorted(first.execution_ns.keys() | second.execution_ns.keys())
    }
    too_long = {
        bucket: min(first.too_long_ns.get(bucket, infinite), second.too_long_ns.get(bucket, infinite))
        for bucket in first.too_long_ns.keys() | second.too_long_ns.keys()
        if bucket not in times and not any(other.length == bucket.length and other > bucket for other in times)
    }
    return dataclasses.replace(first, execution_ns=times, too_long_ns=too_long)


def _compared_forms(comparison: FormComparison) -> tuple[str, ...]:
    """The forms to build; the reference comes first if others are compared with it."""
    executable = comparison.executable
    if executable == "auto":
        return tuple(dict.fromkeys((forms.REFERENCE, *comparison.considered)))
    reason = machine.offered(executable, comparison.device)
    if reason is not None:
        raise TfperfError(f"{executable} isn't available: {reason}.")
    return (executable,) if _is_float32(executable) else (forms.REFERENCE, executable)


def _builds(
    comparison: FormComparison, compared: Sequence[str], samples_used: ComparisonSamples
) -> tuple[CandidateBuild, ...]:
    """The builds of all compared forms. Writes their samples to files."""
    task, options, directory = comparison.model.task, comparison.model.options, comparison.directory
    limit = objective.longest_execution_ns(comparison.scenario, latency_bound_ns=comparison.latency_bound_ns)
    timed, calibrating, judged = (directory / name for name in (_TIMED, "calibrating.samples", "judged.samples"))
    stored_samples.write_samples(timed, samples_used.timed)
    if samples_used.calibration is not None:
        stored_samples.write_samples(calibrating, samples_used.calibrating)
        stored_samples.write_samples(judged, samples_used.judged)
    return tuple(
        CandidateBuild(
            form=form,
            directory=directory / form,
            load_model=comparison.model.load_model,
            inputs=task.inputs(options),
            outputs=task.outputs(options),
            timed=timed,
            calibrating=None if samples_used.calibration is None else calibrating,
            judged=None if samples_used.calibration is None else judged,
            buckets=comparison.buckets,
            longest_ns=None if comparison.batch_sizes else limit,
            threads=comparison.threads,
            instances=_compared_instances(comparison),
            device=comparison.device,
        )
        for form in compared
    )


def _length_shares(task: InferenceTask, length_indices: Sequence[int]) -> Mapping[int | None, float] | None:
    """The share of the samples that is padded to each length; None if samples have no length."""
    if not task.lengths:
        return None
    counts = collections.Counter(task.lengths[index] for index in length_indices)
    return {length: count / len(length_indices) for length, count in counts.items()}


def _compared_instances(comparison: FormComparison) -> int:
    return 1 if comparison.instances == "auto" else comparison.instances


def _check_available(build: CandidateBuild, comparison: FormComparison) -> None:
    """Raises UnavailableError for a form that isn't available or wouldn't fit into memory."""
    reason = machine.offered(build.form, build.device) or _fits(build.form, comparison, instances=build.instances)
    if reason is not None:
        raise UnavailableError(reason)


def _fits(form: str, comparison: FormComparison, *, instances: int) -> str | None:
    """Why a form in so many instances wouldn't fit into memory; None if it would."""
    needed = memory_needed_bytes(
        form,
        weights_bytes=comparison.model.weights_bytes,
        buckets=len(comparison.buckets),
        instances=instances,
    )
    available = memory.available_bytes()
    if available is None or needed <= available:
        return None
    return f"it takes about {needed / 1e9:.1f} GB of memory, {available / 1e9:.1f} GB are available"


def _responses(
    build: CandidateBuild, task: InferenceTask, calibration: OpenSamples, numbers: Sequence[int]
) -> Mapping[int, bytes]:
    """The responses to the judged samples, by number.

    Raises:
        ValueError: the outputs are not finite.
    """
    respond = task.responder(calibration)
    found: dict[int, bytes] = {}
    for positions, outputs in stored_samples.read_answers(build.answers, build.outputs):
        answered = [numbers[position] for position in positions]
        found |= zip(answered, _as_bytes(respond(outputs, answered)), strict=True)
    return found


def _as_bytes(responses: np.ndarray | Ragged) -> Iterator[bytes]:
    if not isinstance(responses, Ragged):
        return (response.tobytes() for response in responses)
    whole = responses.buffer.tobytes()
    return (whole[start:end] for start, end in itertools.pairwise(responses.offsets.tolist()))


def _tidy(directory: pathlib.Path, *, keep: Collection[str]) -> None:
    for path in directory.glob("*.samples"):
        if path.name not in keep:
            path.unlink()
    for folder in (directory / form for form in forms.FORMS):
        (folder / "answers").unlink(missing_ok=True)
        if folder.exists() and folder.name not in keep:
            shutil.rmtree(folder)
