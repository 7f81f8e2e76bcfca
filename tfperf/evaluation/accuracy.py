"""The pass over the whole data that judges every executable, before anything is timed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfperf import result
from tfperf import spec as specs
from tfperf.errors import FailedRequestError, TfperfError
from tfperf.evaluation import examples as adapted_data
from tfperf.evaluation import judge, watch
from tfperf.evaluation.examples import ExampleBatch
from tfperf.evaluation.executables import AS_GIVEN, Ends, InProcess
from tfperf.evaluation.plans import Share
from tfperf.evaluation.subject import Subject


class AccuracyPass:
    """Reads the data once: judges every executable on all of it, and keeps the first samples.

    Args:
        spec: what is measured.
        subject: the model.
        by: the metrics.
        ends: what goes in and comes out.
        forms: the executables by name, `as_given` among them.
        batches: all batches, the first included.
        say: shows how far it is.
        share: the part of the batches that this host judges.

    Attributes:
        examples: examples that were judged so far.
    """

    def __init__(
        self,
        spec: specs.EvaluateSpec,
        subject: Subject,
        by: judge.Wanted,
        *,
        ends: Ends,
        forms: Mapping[str, InProcess],
        batches: Iterator[ExampleBatch],
        say: Callable[[str], None],
        share: Share,
    ) -> None:
        self.examples = 0
        self._spec, self._by, self._forms, self._batches, self._say = spec, by, forms, batches, say
        self._share = share
        self._judges = {
            name: judge.Judge(name, by, template=ends.template, output_names=_output_names(subject)) for name in forms
        }
        self._parts: list[tuple[np.ndarray, ...]] = []
        self._samples, self._size, self._labelled = 0, 0, False
        self._prepared: set[tuple[str, int]] = set()

    def run(self) -> None:
        """Reads and judges.

        Raises:
            TimedOutError: a batch was not read or not answered in time.
            FailedRequestError: the model failed.
            TfperfError: the data or the metrics are unusable.
        """
        watch.watched(self._run)

    @property
    def judged(self) -> tuple[result.Judged, ...]:
        """The quality of the executables so far; empty unless the spec asks for the accuracy."""
        if not self._spec.accuracy:
            return ()
        loss = self._spec.accuracy_loss
        reference = self._judges[AS_GIVEN].judged(None, most_lost=loss)
        others = (each.judged(reference, most_lost=loss) for name, each in self._judges.items() if name != AS_GIVEN)
        return (reference, *others)

    @property
    def notes(self) -> tuple[str, ...]:
        """Why the accuracy is unknown, if it is."""
        if not self._spec.accuracy:
            return ()
        if not self._labelled:
            return ("The data has no labels, so the accuracy is unknown.",)
        if not self._by.any:
            return ("The model was compiled without metrics and none were given, so the accuracy is unknown.",)
        return ()

    @property
    def judges(self) -> Mapping[str, judge.Judge]:
        """What gathers the quality of each executable."""
        return self._judges

    def kept(self) -> adapted_data.Kept:
        """The first samples, in memory."""
        return adapted_data.keep(self._parts, most=self._spec.samples)

    def _run(self, watching: watch.Watch) -> None:
        limit_s = self._spec.hang_after_s
        number = 0
        while True:
            watching.begin(f"reading batch {number} of the data", limit_s=watch.FIRST * limit_s)
            batch = next(self._batches, None)
            if batch is None or (not self._spec.accuracy and self._samples >= self._spec.samples):
                return
            number += 1
            self._size = self._size or batch.examples
            if (number - 1) % self._share.hosts != self._share.index:
                continue
            self._labelled = self._labelled or batch.labels is not None
            if self._samples < self._spec.samples:
                self._parts.append(batch.inputs)
                self._samples += batch.examples
            if self._spec.accuracy:
                self._judge(batch, number - 1, watching)

    def _judge(self, batch: ExampleBatch, number: int, watching: watch.Watch) -> None:
        reference: list[np.ndarray] | None = None
        for name, judging in self._judges.items():
            outputs = self._answers(name, batch.inputs, number, watching)
            judging.add(outputs, labels=batch.labels, weights=batch.weights, reference=reference)
            reference = outputs if reference is None else reference
        self.examples += batch.examples
        self._say(f"accuracy: {self.examples:,} examples")

    def _answers(self, name: str, inputs: Sequence[np.ndarray], number: int, watching: watch.Watch) -> list[np.ndarray]:
        """The outputs for a batch, filled up to the size of the first one so that nothing is compiled twice."""
        count = len(inputs[0])
        rows = np.arange(max(self._size, count)) % count
        whole = [array if count >= self._size else array[rows] for array in inputs]
        first = (name, len(whole[0])) not in self._prepared
        self._prepared.add((name, len(whole[0])))
        limit_s = self._spec.hang_after_s * (watch.FIRST if first else 1.0)
        watching.begin(f"the answer of {name} to batch {number} of the data", limit_s=limit_s)
        try:
            outputs = self._forms[name].prepare(whole)(whole)
        except TfperfError:
            raise
        except Exception as error:  # whatever somebody's model raises
            words = " ".join(str(error).split())[:300]
            raise FailedRequestError(
                f"{name} failed on a batch of {count} examples, {adapted_data.shown(inputs)}: "
                f"{type(error).__name__}: {words}"
            ) from error
        return [array[:count] for array in outputs]


def _output_names(subject: Subject) -> tuple[str, ...] | None:
    """The names of a functional model's outputs."""
    names: Any = getattr(subject.model, "output_names", None)
    return tuple(names) if names else None
