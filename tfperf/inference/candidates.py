"""The choice of a compiled form: each is built and measured in a process of its own, and judged against float32."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfperf import spec
from tfperf.errors import TfperfError
from tfperf.inference import forms, objective, trial
from tfperf.inference.forms import machine
from tfperf.inference.forms.machine import UnavailableError
from tfperf.inference.trial import Trial, Tried
from tfperf.result import Candidate
from tfperf.system import memory

if TYPE_CHECKING:
    import keras

_SECOND_ROUND_S = 20.0
_CLOSE = 1.25  # times the best: what a second measurement may put first


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """The model whose forms are compared, and how their answers are judged.

    Attributes:
        load_model: makes the Keras model with its weights, in a child process, so it must be picklable: a function of
            a module, or a partial of one.
        weights_bytes: of the model's weights in float32, from which the memory to build a form is estimated.
        inputs: calibration samples, float32 [n, ...], n at least 1, none of them in the evaluation set.
        labels: their right answers, as `score` takes them.
        respond: as in `InferenceTask`.
        score: as in `InferenceTask`.
        quality_share: the least share of float32's quality that a form must have.
    """

    load_model: Callable[[], keras.Model]
    weights_bytes: int
    inputs: np.ndarray
    labels: np.ndarray
    respond: Callable[[np.ndarray], np.ndarray]
    score: Callable[[Mapping[int, bytes], np.ndarray], float]
    quality_share: float

    def __post_init__(self) -> None:
        if not len(self.inputs):
            raise ValueError("inputs must hold at least 1 calibration sample to compare forms on, got none.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Choice:
    """The form that was chosen, built and ready to be opened.

    Attributes:
        executable: the form.
        directory: holds what `forms.open_form` opens.
        candidates: every form that was considered, in the order of `forms.FORMS`.
        execution_ns: median time of one execution by batch size.
        threads: of one operation.
    """

    executable: str
    directory: pathlib.Path
    candidates: tuple[Candidate, ...]
    execution_ns: Mapping[int, float]
    threads: int

    @property
    def batch_sizes(self) -> tuple[int, ...]:
        """The batch sizes that are of use, ascending."""
        return tuple(sorted(self.execution_ns))


def choose(
    subject: Subject,
    *,
    scenario: spec.Scenario,
    directory: pathlib.Path,
    threads: int,
    executable: str = "auto",
    batch_sizes: tuple[int, ...] | None = None,
    latency_bound_ns: int | None = None,
    considered: Sequence[str] = forms.FORMS,
    on_progress: Callable[[str], None] = lambda text: None,
    timeout_s: float = 900.0,
) -> Choice:
    """Builds and measures forms, and takes the one that is best for the scenario among those that are accurate enough.

    One form serves all batch sizes: another would answer the same sample in other bits. The processes run one after
    the other; one that fails, is killed or takes too long or too much memory becomes a candidate with its reason.

    Args:
        subject: the model.
        scenario: how samples arrive.
        directory: gets a directory for each form; those that were not chosen are removed.
        threads: of one operation.
        executable: a form to build whatever its speed and accuracy, or `auto`. One in less than float32 is compared
            with the plain function; one in float32 is not.
        batch_sizes: to measure at; None takes the scenario's, as long as an execution does not take too long.
        latency_bound_ns: of Server.
        considered: the forms that `auto` considers.
        on_progress: called with what is being done, in words.
        timeout_s: of each process.

    Raises:
        TfperfError: the form that was asked for can't be had; with `auto`, the plain function in float32 can't.
    """
    wanted = _wanted(executable, considered)
    directory.mkdir(parents=True, exist_ok=True)
    samples = directory / "samples.npy"
    np.save(samples, np.ascontiguousarray(subject.inputs, np.float32))
    sizes = objective.batch_sizes_for(scenario, asked=batch_sizes)
    limit = None if batch_sizes else objective.longest_execution_ns(scenario, latency_bound_ns=latency_bound_ns)
    trials = [
        Trial(
            form=form,
            directory=directory / form,
            load_model=subject.load_model,
            samples=samples,
            batch_sizes=sizes,
            longest_ns=limit,
            threads=threads,
        )
        for form in wanted
    ]
    comparison = _Comparison(subject, scenario, on_progress=on_progress, timeout_s=timeout_s)
    for each in trials:
        comparison.build_and_measure(each)
    if executable == "auto":
        comparison.measure_again(trials)
    chosen = executable if executable != "auto" else comparison.best()
    if chosen not in comparison.tried:
        raise TfperfError(f"{chosen} can't be had: {comparison.refused[chosen]}.")
    _tidy(directory, keep=chosen)
    return Choice(
        executable=chosen,
        directory=directory / chosen,
        candidates=tuple(comparison.candidate(each.form, chosen=chosen) for each in trials),
        execution_ns=comparison.tried[chosen].execution_ns,
        threads=threads,
    )


class _Comparison:
    """What is known about each form so far."""

    def __init__(
        self, subject: Subject, scenario: spec.Scenario, *, on_progress: Callable[[str], None], timeout_s: float
    ) -> None:
        self._subject, self._scenario = subject, scenario
        self._on_progress, self._timeout_s = on_progress, timeout_s
        self._responses: dict[str, np.ndarray] = {}
        self._quality: dict[str, float] = {}
        self._inaccurate: dict[str, str] = {}
        self.tried: dict[str, Tried] = {}
        self.refused: dict[str, str] = {}

    def build_and_measure(self, each: Trial) -> None:
        """The first round of one form."""
        try:
            _refuse(each.form, weights_bytes=self._subject.weights_bytes)
            self.tried[each.form] = self._run(each)
        except UnavailableError as error:
            self.refused[each.form] = str(error).rstrip(".")
            return
        self._judge(each.form, np.load(each.outputs))

    def measure_again(self, trials: Sequence[Trial]) -> None:
        """A second round of the forms that could be best, in reverse order, when it does not take long.

        A neighbour that was busy for a while then does not decide.
        """
        close = [
            each for each in trials if self._eligible(each.form) and self._cost(each.form) <= _CLOSE * self._least()
        ]
        if len(close) < 2 or sum(self.tried[each.form].reopening_s for each in close) > _SECOND_ROUND_S:
            return
        for each in reversed(close):
            first = self.tried[each.form]
            sizes = tuple(sorted(first.execution_ns))
            again = dataclasses.replace(each, load_model=None, batch_sizes=sizes, longest_ns=None)
            try:
                second = self._run(again)
            except UnavailableError as error:
                del self.tried[each.form]
                self.refused[each.form] = f"failed when it was opened again: {error}".rstrip(".")
                continue
            faster = {size: min(first.execution_ns[size], second.execution_ns[size]) for size in sizes}
            self.tried[each.form] = dataclasses.replace(first, execution_ns=faster)

    def best(self) -> str:
        """The best form that is accurate enough.

        Raises:
            TfperfError: the reference can't be had or has no finite answers, so nothing can be judged.
        """
        reason = self.refused.get(forms.REFERENCE) or self._inaccurate.get(forms.REFERENCE)
        if reason:
            raise TfperfError(f"The model can't be served in float32, which other forms are compared with: {reason}.")
        return min((form for form in self.tried if self._eligible(form)), key=self._cost)

    def candidate(self, form: str, *, chosen: str) -> Candidate:
        """The row of a form."""
        if form in self.refused:
            return Candidate(executable=form, status="unavailable", reason=self.refused[form])
        slower = self._cost(form) / self._cost(chosen)
        reason = self._inaccurate.get(form, f"takes {slower:.2f} times as long as {chosen}")
        return Candidate(
            executable=form,
            status="chosen" if form == chosen else "inaccurate" if form in self._inaccurate else "measured",
            reason="" if form == chosen else reason,
            latency_ns={str(size): time for size, time in self.tried[form].execution_ns.items()},
            agreement=self._agreement(form),
            quality=self._quality.get(form),
            memory_bytes=self.tried[form].memory_bytes,
        )

    def _run(self, each: Trial) -> Tried:
        return trial.run(
            each, on_progress=lambda text: self._on_progress(f"{each.form}: {text}"), timeout_s=self._timeout_s
        )

    def _judge(self, form: str, outputs: np.ndarray) -> None:
        try:
            responses = self._subject.respond(outputs)
        except ValueError as error:
            self._inaccurate[form] = str(error).rstrip(".")
            return
        by_sample = {index: response.tobytes() for index, response in enumerate(responses)}
        quality = float(self._subject.score(by_sample, self._subject.labels))
        self._responses[form], self._quality[form] = responses, quality
        least = self._subject.quality_share * self._quality.get(forms.REFERENCE, quality)
        if form != forms.REFERENCE and quality < least:
            self._inaccurate[form] = (
                f"its quality on calibration samples is {quality:.4f}, at least {least:.4f} is needed"
            )

    def _agreement(self, form: str) -> float | None:
        if not {form, forms.REFERENCE} <= self._responses.keys():
            return None
        ours, reference = self._responses[form], self._responses[forms.REFERENCE]
        return float((ours == reference).reshape(len(ours), -1).all(axis=1).mean())

    def _eligible(self, form: str) -> bool:
        return form in self.tried and form not in self._inaccurate

    def _cost(self, form: str) -> float:
        return objective.cost_ns(self._scenario, self.tried[form].execution_ns)

    def _least(self) -> float:
        return min((self._cost(form) for form in self.tried if self._eligible(form)), default=0.0)


def _refuse(form: str, *, weights_bytes: int) -> None:
    """Raises UnavailableError for a form that can't be had or whose building would not fit into memory."""
    reason = machine.offered(form)
    if reason is not None:
        raise UnavailableError(reason)
    needed, available = forms.memory_needed_bytes(form, weights_bytes=weights_bytes), memory.available_bytes()
    if available is not None and needed > available:
        raise UnavailableError(
            f"building it takes about {needed / 1e9:.1f} GB of memory, {available / 1e9:.1f} GB are available"
        )


def _wanted(executable: str, considered: Sequence[str]) -> tuple[str, ...]:
    """The forms to try, the reference first where others are compared with it."""
    if executable == "auto":
        return tuple(dict.fromkeys((forms.REFERENCE, *considered)))
    reason = machine.offered(executable)
    if reason is not None:
        raise TfperfError(f"{executable} can't be had: {reason}.")
    return (executable,) if executable.endswith("-float32") else (forms.REFERENCE, executable)


def _tidy(directory: pathlib.Path, *, keep: str) -> None:
    (directory / "samples.npy").unlink()
    (directory / keep / "outputs.npy").unlink(missing_ok=True)
    for path in directory.iterdir():
        if path.name in forms.FORMS and path.name != keep:
            shutil.rmtree(path)
