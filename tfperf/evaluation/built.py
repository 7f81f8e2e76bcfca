"""The executables of an evaluation: built once, opened in this process, and what is chosen among them."""

from __future__ import annotations

import pathlib
import time
from collections.abc import Callable, Collection

from tfperf import spec as specs
from tfperf.errors import TfperfError
from tfperf.evaluation import watch
from tfperf.evaluation.examples import ExampleBatch, Examples, Kept
from tfperf.evaluation.executables import AS_GIVEN, Arrays, Ends, InProcess
from tfperf.evaluation.subject import Subject
from tfperf.inference import forms
from tfperf.inference.forms.machine import UnavailableError

_TRIALS = 10  # requests of each executable, of which `auto` takes the median


class BuiltForms:
    """Builds executables when they are first asked for.

    Args:
        spec: what is measured.
        subject: the model.
        examples: the data.
        ends: what goes in and comes out.
        first: the first batch, which int8 takes its ranges from.
        directory: each form is built in a folder of its name.

    Attributes:
        unavailable: why executables that were asked for can't be had, by name.
    """

    def __init__(
        self,
        spec: specs.EvaluateSpec,
        subject: Subject,
        examples: Examples,
        ends: Ends,
        *,
        first: ExampleBatch,
        directory: pathlib.Path,
    ) -> None:
        self.unavailable: dict[str, str] = {}
        self._spec, self._subject, self._examples, self._ends = spec, subject, examples, ends
        self._first, self._directory = first, directory
        self._made: dict[str, InProcess] = {}

    def get(self, name: str) -> InProcess:
        """The executable of this name.

        Raises:
            UnavailableError: this machine or this model can't have it.
        """
        if name not in self._made:
            rows = min(forms.MOST_CALIBRATION_SAMPLES, self._first.examples)
            calibration = [tuple(array[row : row + 1] for array in self._first.inputs) for row in range(rows)]
            self._made[name] = InProcess(
                name,
                self._subject,
                self._examples,
                self._ends,
                directory=self._directory,
                instances=max(self._spec.instances),
                calibration=calibration if name == "litert-int8" else (),
            )
        return self._made[name]

    def make(self, *, say: Callable[[str], None]) -> list[str]:
        """Makes those that the spec asks for, and returns their names; notes why others can't be had.

        Raises:
            TfperfError: none can be had.
        """
        asked = [AS_GIVEN, *forms.FORMS] if self.is_auto else list(self._spec.executable)
        made = []
        for name in asked:
            say(f"building {name}")
            try:
                self.get(name)
                made.append(name)
            except UnavailableError as error:
                self.unavailable[name] = str(error)
        if not made:
            raise TfperfError("; ".join(self.why_not()))
        return made

    @property
    def is_auto(self) -> bool:
        """Whether the fastest accurate executable is to be taken."""
        return self._spec.executable == ("auto",)

    def why_not(self) -> tuple[str, ...]:
        """A sentence for each executable that can't be had."""
        return tuple(f"{name} is not available: {reason}" for name, reason in self.unavailable.items())

    def fastest(self, accurate: Collection[str], kept: Kept) -> tuple[str, str]:
        """The fastest accurate executable at the largest batch size, and a note on all their times.

        Raises:
            TfperfError: none is accurate.
            TimedOutError: one hangs.
        """
        names = [name for name in self._made if name in accurate]
        if not names:
            raise TfperfError("No executable is accurate; see the table of executables.")
        (request, *_) = kept.requests(self._spec.batch_size[-1])
        times = {name: self._median_s(name, request) for name in names}
        best = min(times, key=lambda name: times[name])
        listed = ", ".join(f"{name} {taken * 1e3:.3g} ms" for name, taken in sorted(times.items(), key=lambda x: x[1]))
        return best, f"auto took {best} at batch {self._spec.batch_size[-1]}: {listed}"

    def _median_s(self, name: str, request: Arrays) -> float:
        def measure(watching: watch.Watch) -> float:
            watching.begin(f"the first answer of {name}", limit_s=watch.FIRST * self._spec.hang_after_s)
            answer = self.get(name).prepare(request)
            taken = []
            for _ in range(_TRIALS):
                watching.begin(f"an answer of {name}", limit_s=self._spec.hang_after_s)
                start = time.perf_counter()
                answer(request)
                taken.append(time.perf_counter() - start)
            return sorted(taken)[len(taken) // 2]

        return watch.watched(measure)
