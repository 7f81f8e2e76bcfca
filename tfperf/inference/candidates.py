"""Chooses a compiled form: builds and measures each in a separate process, and compares its answers with float32."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

from tfperf.errors import TfperfError
from tfperf.inference import candidate_build, forms, objective, stored_samples
from tfperf.inference.accuracy_judge import AccuracyJudge
from tfperf.inference.candidate_build import BuiltCandidate, CandidateBuild, Rival
from tfperf.inference.chosen_form import ChosenForm
from tfperf.inference.comparison_samples import ComparisonSamples
from tfperf.inference.form_comparison import FormComparison
from tfperf.inference.forms import machine
from tfperf.inference.forms.machine import UnavailableError
from tfperf.result import Candidate

_SECOND_ROUND_S, _SECOND_ROUND_SHARE = 20.0, 0.5  # whichever is longer; the share is of the first round
_SLOWER_THAN_REFERENCE = 10
_CLOSE = 2.0  # a form whose time is at most this multiple of the best may win when measured again


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
    for build in _in_order(builds, several_lengths=len(comparison.model.lengths) > 1):
        judged.build_and_measure(build)
    if comparison.executable == "auto":
        judged.measure_again(builds)
        first, *others = judged.ranked()
    else:
        first, others = comparison.executable, []
    if first not in judged.built:
        raise TfperfError(f"{first} isn't available: {judged.refused[first]}.")
    _tidy(comparison, keep=(first, *others))
    rows = tuple(judged.candidate(form, chosen=first) for form in compared)
    chosen, *next_best = (judged.chosen(form, candidates=rows) for form in (first, *others))
    return dataclasses.replace(chosen, others=tuple(next_best))


class _Candidates:
    """What is known about each form so far."""

    def __init__(
        self, comparison: FormComparison, samples_used: ComparisonSamples, on_progress: Callable[[str], None]
    ) -> None:
        self._comparison, self._on_progress = comparison, on_progress
        self._judge = AccuracyJudge(comparison.model.task, samples_used)
        self._shares = _length_shares(comparison.model.lengths, samples_used.length_indices)
        self._timeout_s, self._first_round_s = comparison.timeout_s, 0.0
        self.built: dict[str, BuiltCandidate] = {}
        self.refused: dict[str, str] = {}

    def build_and_measure(self, build: CandidateBuild) -> None:
        """Builds one form and measures it for the first time."""
        began = time.monotonic()
        try:
            _check_available(build, self._comparison)
            built = self._run(dataclasses.replace(build, rival=self._rival(build.form)))
            self.built[build.form] = built
        except UnavailableError as error:
            self.refused[build.form] = str(error).rstrip(".")
            return
        taken_s = time.monotonic() - began
        self._first_round_s += taken_s
        if build.form == forms.REFERENCE:
            self._timeout_s = max(self._timeout_s, _SLOWER_THAN_REFERENCE * taken_s)
        if build.judged is not None and not built.much_slower:
            self._judge.judge(build)

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

    def _rival(self, form: str) -> Rival | None:
        """The best form so far, for a form that is compiled for each bucket; None for others."""
        others = [other for other in self.built if self._eligible(other)]
        if not _compiles_each_bucket(form) or not others or self._comparison.executable != "auto":
            return None
        best = min(others, key=self._cost)
        return Rival(form=best, execution_ns=self.built[best].execution_ns, scenario=self._comparison.scenario)

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
        reason = self.refused.get(forms.REFERENCE) or self._judge.inaccurate.get(forms.REFERENCE)
        if reason:
            raise TfperfError(f"The model can't be served in float32, which other forms are compared with: {reason}.")
        ordered = sorted((form for form in self.built if self._eligible(form)), key=self._cost)
        exact = next(position for position, form in enumerate(ordered) if forms.is_float32(form))
        return tuple(ordered[: exact + 1])

    def candidate(self, form: str, *, chosen: str) -> Candidate:
        """The form as a row of the result."""
        if form in self.refused:
            return Candidate(executable=form, status="unavailable", reason=self.refused[form])
        reason = self.built[form].much_slower
        if not reason:
            slower = self._cost(form) / self._cost(chosen)
            reason = f"takes {slower:.2f} times as long as {chosen}"
            if not self._comparison.confirmed or slower < 1:
                reason = self._judge.unproven.get(form, reason)
        return Candidate(
            executable=form,
            status="chosen" if form == chosen else "inaccurate" if form in self._judge.inaccurate else "measured",
            reason="" if form == chosen else self._judge.inaccurate.get(form, reason),
            latency_ns={str(bucket): time_ns for bucket, time_ns in self.built[form].execution_ns.items()},
            agreement=self._judge.agreement(form),
            quality=self._judge.quality.get(form),
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
            instances=self._comparison.compared_instances,
            length_shares=self._shares,
            proven=form not in self._judge.unproven.keys() | self._judge.inaccurate.keys(),
            most_lost=self._judge.most_lost.get(form),
            notes=tuple(self._left_out(built)),
        )

    def _run(self, build: CandidateBuild) -> BuiltCandidate:
        return candidate_build.run(
            build,
            on_progress=lambda text: self._on_progress(f"{build.form}: {text}"),
            timeout_s=self._timeout_s,
        )

    def _left_out(self, built: BuiltCandidate) -> Iterator[str]:
        limit_ns = self._comparison.longest_ns or 0
        for bucket, time_ns in built.too_long_ns.items():
            yield (
                f"batches of {bucket} and more were left out: {bucket} takes about {time_ns / 1e6:,.4g} ms, and more "
                f"than {limit_ns / 1e6:,.4g} ms is too long in this scenario"
            )

    def _eligible(self, form: str) -> bool:
        proven = self._comparison.confirmed or form not in self._judge.unproven
        measured = form in self.built and not self.built[form].much_slower
        return measured and form not in self._judge.inaccurate and proven

    def _cost(self, form: str) -> float:
        return objective.cost_ns(self._comparison.scenario, self.built[form].execution_ns, length_shares=self._shares)


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
    return (executable,) if forms.is_float32(executable) else (forms.REFERENCE, executable)


def _builds(
    comparison: FormComparison, compared: Sequence[str], samples_used: ComparisonSamples
) -> tuple[CandidateBuild, ...]:
    """The builds of all compared forms. Writes their samples to files."""
    task, options, directory = comparison.model.task, comparison.model.options, comparison.directory
    calibrating, judged = directory / "calibrating.samples", directory / "judged.samples"
    stored_samples.write_samples(comparison.timed, samples_used.timed)
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
            timed=comparison.timed,
            calibrating=None if samples_used.calibration is None else calibrating,
            judged=None if samples_used.calibration is None else judged,
            buckets=comparison.buckets,
            longest_ns=comparison.longest_ns,
            threads=comparison.threads,
            instances=comparison.compared_instances,
            device=comparison.device,
            length_shares=_length_shares(comparison.model.lengths, samples_used.length_indices),
        )
        for form in compared
    )


def _in_order(builds: Sequence[CandidateBuild], *, several_lengths: bool) -> Sequence[CandidateBuild]:
    """The builds as they are run: with several lengths those last that take minutes to compile for all buckets."""
    return sorted(builds, key=lambda build: several_lengths and _compiles_each_bucket(build.form))


def _compiles_each_bucket(form: str) -> bool:
    return form.startswith("xla-")


def _length_shares(lengths: Sequence[int], length_indices: Sequence[int]) -> Mapping[int | None, float] | None:
    """The share of the samples that is padded to each length; None if samples have no length."""
    if not lengths:
        return None
    counts = collections.Counter(lengths[index] for index in length_indices)
    return {length: count / len(length_indices) for length, count in counts.items()}


def _check_available(build: CandidateBuild, comparison: FormComparison) -> None:
    """Raises UnavailableError for a form that isn't available or wouldn't fit into memory."""
    reason = machine.offered(build.form, build.device) or comparison.lacks_memory(build.form, instances=build.instances)
    if reason is not None:
        raise UnavailableError(reason)


def _tidy(comparison: FormComparison, *, keep: Collection[str]) -> None:
    """Deletes the samples, unless instances are measured next, the answers, and all forms but these."""
    for path in comparison.directory.glob("*.samples"):
        if path != comparison.timed or comparison.instances != "auto":
            path.unlink()
    for folder in (comparison.directory / form for form in forms.FORMS):
        (folder / "answers").unlink(missing_ok=True)
        if folder.exists() and folder.name not in keep:
            shutil.rmtree(folder)
