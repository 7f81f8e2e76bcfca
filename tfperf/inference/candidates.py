"""Chooses a compiled form: builds and measures each in a separate process, and compares its answers with float32."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import pathlib
import shutil
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfperf import spec
from tfperf.benchmarks.benchmark import InferenceTask, OpenSamples, Ragged
from tfperf.benchmarks.tensor import Sample, has_length
from tfperf.errors import MissingDataError, TfperfError
from tfperf.inference import candidate_build, forms, objective, stored_samples
from tfperf.inference.candidate_build import BuiltCandidate, CandidateBuild
from tfperf.inference.executable import Bucket
from tfperf.inference.forms import machine
from tfperf.inference.forms.machine import UnavailableError
from tfperf.inference.forms.memory_needed import memory_needed_bytes
from tfperf.inference.library import length_index_of
from tfperf.result import Candidate
from tfperf.system import memory

if TYPE_CHECKING:
    import keras

_JUDGED_SAMPLES = 256
_SECOND_ROUND_S = 20.0
_CLOSE = 1.25  # a form whose time is at most this multiple of the best may win when measured again


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparedModel:
    """The model whose forms are compared, and how its answers are judged.

    Attributes:
        load_model: makes the Keras model with its weights in a child process, so it must be picklable: a function of
            a module, or a partial of one.
        weights_bytes: size of the model's weights in float32, from which the memory to build a form is estimated.
        task: how the model is served and its answers are scored.
        options: the model's options.
        samples: the evaluation set. Forms are judged on its calibration samples, which are outside it.
    """

    load_model: Callable[[], keras.Model]
    weights_bytes: int
    task: InferenceTask
    options: Any
    samples: OpenSamples


@dataclasses.dataclass(frozen=True, kw_only=True)
class FormComparison:
    """Which forms to compare, and how they will be used.

    Attributes:
        model: the model.
        scenario: how samples arrive.
        directory: gets a subdirectory for each form; only that of the chosen form is kept.
        threads: CPU threads per operation.
        instances: copies that will be served at the same time, each of which takes memory.
        device: the device to serve on, as in `machine.environment`.
        executable: `auto`, or the form to choose whatever its speed and accuracy. A chosen form of lower precision is
            still compared with the plain function in float32; one in float32 is not compared with anything.
        batch_sizes: the batch sizes to measure; None takes the scenario's, without those whose execution takes too
            long.
        latency_bound_ns: the latency bound in Server.
        considered: the forms that `auto` considers.
        timeout_s: the time limit for each process.
    """

    model: ComparedModel
    scenario: spec.Scenario
    directory: pathlib.Path
    threads: int
    instances: int = 1
    device: spec.Device | None = None
    executable: str = "auto"
    batch_sizes: tuple[int, ...] | None = None
    latency_bound_ns: int | None = None
    considered: Sequence[str] = forms.FORMS
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
    """

    executable: str
    directory: pathlib.Path
    candidates: tuple[Candidate, ...]
    execution_ns: Mapping[Bucket, float]
    threads: int

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
    samples_used = _ComparisonSamples.of(comparison.model, comparison.buckets, judges=len(compared) > 1)
    builds = _builds(comparison, compared, samples_used)
    judged = _Candidates(comparison, samples_used, on_progress)
    for build in builds:
        judged.build_and_measure(build)
    if comparison.executable == "auto":
        judged.measure_again(builds)
    chosen = comparison.executable if comparison.executable != "auto" else judged.best()
    if chosen not in judged.built:
        raise TfperfError(f"{chosen} isn't available: {judged.refused[chosen]}.")
    _tidy(comparison.directory, keep=chosen)
    return ChosenForm(
        executable=chosen,
        directory=comparison.directory / chosen,
        candidates=tuple(judged.candidate(form, chosen=chosen) for form in compared),
        execution_ns=judged.built[chosen].execution_ns,
        threads=comparison.threads,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _ComparisonSamples:
    """The samples with which forms are measured, calibrated and judged.

    Attributes:
        timed: samples to measure with.
        length_indices: for each of them, the index of the length that it is padded to.
        calibrating: samples from which int8 forms take their ranges.
        judged: other samples, on which answers are compared.
        numbers: the numbers of the judged samples in `calibration`.
        calibration: the set that contains both; None if nothing is judged.
    """

    timed: Sequence[Sample]
    length_indices: Sequence[int]
    calibrating: Sequence[Sample] = ()
    judged: Sequence[Sample] = ()
    numbers: range = range(0)
    calibration: OpenSamples | None = None

    @classmethod
    def of(cls, model: ComparedModel, buckets: Sequence[Bucket], *, judges: bool) -> _ComparisonSamples:
        """Loads the samples: calibration samples if forms are judged, otherwise some of the evaluation set.

        Raises:
            TfperfError: a sample does not fit the model, or there are too few.
        """
        if not judges:
            several = has_length(model.task.inputs(model.options))
            count = _JUDGED_SAMPLES if several else max(bucket.batch for bucket in buckets)
            timed = model.samples.load(range(min(count, model.samples.total)))
            return cls(timed=timed, length_indices=_length_indices(model, timed))
        try:
            calibration = model.samples.calibration(forms.MOST_CALIBRATION_SAMPLES + _JUDGED_SAMPLES)
        except MissingDataError as error:
            raise MissingDataError(
                f"{error} Compiled forms are compared on calibration samples. Set executable to one form in float32, "
                "which needs none."
            ) from error
        if calibration.total < 2:
            raise TfperfError(
                f"Forms are compared on calibration samples other than those that calibrate int8, which takes 2 or "
                f"more; got {calibration.total}. Set executable to one form in float32, which needs none."
            )
        calibrating = min(forms.MOST_CALIBRATION_SAMPLES, calibration.total // 2)
        loaded = calibration.load(range(calibration.total))
        length_indices = _length_indices(model, loaded, of=" of the calibration set")
        return cls(
            timed=loaded[calibrating:],
            length_indices=length_indices[calibrating:],
            calibrating=loaded[:calibrating],
            judged=loaded[calibrating:],
            numbers=range(calibrating, calibration.total),
            calibration=calibration,
        )


class _Candidates:
    """What is known about each form so far."""

    def __init__(
        self, comparison: FormComparison, samples_used: _ComparisonSamples, on_progress: Callable[[str], None]
    ) -> None:
        self._comparison, self._samples, self._on_progress = comparison, samples_used, on_progress
        self._shares = _length_shares(comparison.model.task, samples_used.length_indices)
        self._responses: dict[str, Mapping[int, bytes]] = {}
        self._quality: dict[str, float] = {}
        self._inaccurate: dict[str, str] = {}
        self.built: dict[str, BuiltCandidate] = {}
        self.refused: dict[str, str] = {}

    def build_and_measure(self, build: CandidateBuild) -> None:
        """Builds one form and measures it for the first time."""
        try:
            _check_available(build, self._comparison)
            self.built[build.form] = self._run(build)
        except UnavailableError as error:
            self.refused[build.form] = str(error).rstrip(".")
            return
        if build.judged is not None:
            self._judge(build)

    def measure_again(self, builds: Sequence[CandidateBuild]) -> None:
        """Measures the forms that could be the best a second time, in reverse order, unless that takes too long.

        This keeps another process that was busy during one measurement from deciding the choice.
        """
        close = [
            build for build in builds if self._eligible(build.form) and self._cost(build.form) <= _CLOSE * self._least()
        ]
        if len(close) < 2 or sum(self.built[build.form].reopening_s for build in close) > _SECOND_ROUND_S:
            return
        for build in reversed(close):
            first = self.built[build.form]
            buckets = tuple(sorted(first.execution_ns))
            again = dataclasses.replace(build, load_model=None, buckets=buckets, longest_ns=None)
            try:
                second = self._run(again)
            except UnavailableError as error:
                del self.built[build.form]
                self.refused[build.form] = f"failed when it was opened again: {error}".rstrip(".")
                continue
            faster = {bucket: min(first.execution_ns[bucket], second.execution_ns[bucket]) for bucket in buckets}
            self.built[build.form] = dataclasses.replace(first, execution_ns=faster)

    def best(self) -> str:
        """The best form that is accurate enough.

        Raises:
            TfperfError: the reference isn't available or its answers aren't finite, so nothing can be judged.
        """
        reason = self.refused.get(forms.REFERENCE) or self._inaccurate.get(forms.REFERENCE)
        if reason:
            raise TfperfError(f"The model can't be served in float32, which other forms are compared with: {reason}.")
        return min((form for form in self.built if self._eligible(form)), key=self._cost)

    def candidate(self, form: str, *, chosen: str) -> Candidate:
        """The form as a row of the result."""
        if form in self.refused:
            return Candidate(executable=form, status="unavailable", reason=self.refused[form])
        slower = self._cost(form) / self._cost(chosen)
        reason = self._inaccurate.get(form, f"takes {slower:.2f} times as long as {chosen}")
        return Candidate(
            executable=form,
            status="chosen" if form == chosen else "inaccurate" if form in self._inaccurate else "measured",
            reason="" if form == chosen else reason,
            latency_ns={str(bucket): time for bucket, time in self.built[form].execution_ns.items()},
            agreement=self._agreement(form),
            quality=self._quality.get(form),
            memory_bytes=self.built[form].memory_bytes,
        )

    def _run(self, build: CandidateBuild) -> BuiltCandidate:
        return candidate_build.run(
            build,
            on_progress=lambda text: self._on_progress(f"{build.form}: {text}"),
            timeout_s=self._comparison.timeout_s,
        )

    def _judge(self, build: CandidateBuild) -> None:
        task, calibration, form = self._comparison.model.task, self._samples.calibration, build.form
        assert calibration is not None
        try:
            responses = _responses(build, task, calibration, self._samples.numbers)
        except ValueError as error:
            self._inaccurate[form] = str(error).rstrip(".")
            return
        quality = float(task.scoring.score(responses, calibration))
        self._responses[form], self._quality[form] = responses, quality
        least = task.quality.value / task.reference_quality * self._quality.get(forms.REFERENCE, quality)
        if form != forms.REFERENCE and quality < least:
            self._inaccurate[form] = (
                f"its quality on calibration samples is {quality:.4f}, but at least {least:.4f} is needed"
            )

    def _agreement(self, form: str) -> float | None:
        if not {form, forms.REFERENCE} <= self._responses.keys():
            return None
        agreement = self._comparison.model.task.scoring.agreement
        reference = self._responses[forms.REFERENCE]
        return statistics.fmean(
            agreement(response, reference[number]) for number, response in self._responses[form].items()
        )

    def _eligible(self, form: str) -> bool:
        return form in self.built and form not in self._inaccurate

    def _cost(self, form: str) -> float:
        return objective.cost_ns(self._comparison.scenario, self.built[form].execution_ns, length_shares=self._shares)

    def _least(self) -> float:
        return min((self._cost(form) for form in self.built if self._eligible(form)), default=0.0)


def _compared_forms(comparison: FormComparison) -> tuple[str, ...]:
    """The forms to build; the reference comes first if others are compared with it."""
    executable = comparison.executable
    if executable == "auto":
        return tuple(dict.fromkeys((forms.REFERENCE, *comparison.considered)))
    reason = machine.offered(executable, comparison.device)
    if reason is not None:
        raise TfperfError(f"{executable} isn't available: {reason}.")
    return (executable,) if executable.endswith("-float32") else (forms.REFERENCE, executable)


def _builds(
    comparison: FormComparison, compared: Sequence[str], samples_used: _ComparisonSamples
) -> tuple[CandidateBuild, ...]:
    """The builds of all compared forms. Writes their samples to files."""
    task, options, directory = comparison.model.task, comparison.model.options, comparison.directory
    limit = objective.longest_execution_ns(comparison.scenario, latency_bound_ns=comparison.latency_bound_ns)
    timed, calibrating, judged = (directory / f"{name}.samples" for name in ("timed", "calibrating", "judged"))
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
            device=comparison.device,
        )
        for form in compared
    )


def _length_indices(model: ComparedModel, samples: Sequence[Sample], *, of: str = "") -> list[int]:
    """For each sample, the index of the length that it is padded to.

    Args:
        model: the model.
        samples: numbered from 0.
        of: follows the number of a sample in a message.

    Raises:
        UnfitSampleError: a sample does not fit the model.
    """
    inputs, lengths = model.task.inputs(model.options), model.task.lengths or (None,)
    return [length_index_of(sample, f"{number}{of}", inputs, lengths) for number, sample in enumerate(samples)]


def _length_shares(task: InferenceTask, length_indices: Sequence[int]) -> Mapping[int | None, float] | None:
    """The share of the samples that is padded to each length; None if samples have no length."""
    if not task.lengths:
        return None
    counts = collections.Counter(task.lengths[index] for index in length_indices)
    return {length: count / len(length_indices) for length, count in counts.items()}


def _check_available(build: CandidateBuild, comparison: FormComparison) -> None:
    """Raises UnavailableError for a form that isn't available or wouldn't fit into memory."""
    reason = machine.offered(build.form, build.device)
    if reason is not None:
        raise UnavailableError(reason)
    needed = memory_needed_bytes(
        build.form,
        weights_bytes=comparison.model.weights_bytes,
        buckets=len(build.buckets),
        instances=comparison.instances,
    )
    available = memory.available_bytes()
    if available is not None and needed > available:
        raise UnavailableError(
            f"it takes about {needed / 1e9:.1f} GB of memory, {available / 1e9:.1f} GB are available"
        )


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


def _tidy(directory: pathlib.Path, *, keep: str) -> None:
    for path in directory.glob("*.samples"):
        path.unlink()
    (directory / keep / "answers").unlink(missing_ok=True)
    for path in directory.iterdir():
        if path.name in forms.FORMS and path.name != keep:
            shutil.rmtree(path)
