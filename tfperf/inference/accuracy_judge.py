"""Judges whether forms answer calibration samples well enough, in comparison with float32."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterator, Mapping

import numpy as np

from tfperf.benchmarks.benchmark import InferenceTask, Ragged
from tfperf.inference import forms, paired, stored_samples
from tfperf.inference.candidate_build import CandidateBuild
from tfperf.inference.comparison_samples import ComparisonSamples


class AccuracyJudge:
    """Compares the answers of each form with those of the reference, which must be the first.

    Attributes:
        quality: form -> its quality on the samples that it answered.
        most_lost: form -> the most quality that it loses against the reference, with 95 % confidence.
        inaccurate: form -> why it is not accurate enough.
        unproven: form of lower precision -> why the samples don't prove that it is accurate enough.
    """

    def __init__(self, task: InferenceTask, samples: ComparisonSamples) -> None:
        self._task, self._samples = task, samples
        self._responses: dict[str, Mapping[int, bytes]] = {}
        self.quality: dict[str, float] = {}
        self.most_lost: dict[str, float] = {}
        self.inaccurate: dict[str, str] = {}
        self.unproven: dict[str, str] = {}

    def judge(self, build: CandidateBuild) -> None:
        """Judges the answers that a build has written."""
        try:
            responses = self._read(build)
        except ValueError as error:
            self.inaccurate[build.form] = str(error).rstrip(".")
            return
        self._responses[build.form] = responses
        self.quality[build.form] = self._score(responses)
        if build.form != forms.REFERENCE and forms.REFERENCE in self._responses:
            self._compare(build.form, responses)

    def agreement(self, form: str) -> float | None:
        """How much a form's answers agree with the reference's; None if one of the two has none."""
        if not {form, forms.REFERENCE} <= self._responses.keys():
            return None
        found, reference = self._responses[form], self._responses[forms.REFERENCE]
        both = found.keys() & reference.keys()
        return statistics.fmean(self._task.scoring.agreement(found[number], reference[number]) for number in both)

    def _compare(self, form: str, responses: Mapping[int, bytes]) -> None:
        found = paired.loss(self._score, responses, self._responses[forms.REFERENCE])
        self.most_lost[form] = found.high
        allowed = (1 - self._task.quality.value / self._task.reference_quality) * self.quality[forms.REFERENCE]
        verdict = found.verdict(allowed)
        if verdict == "lost":
            self.inaccurate[form] = (
                f"it loses {found.value:.4f} of the quality on {found.samples:,} calibration samples, at least "
                f"{found.low:.4f} with {paired.CONFIDENCE:.0%} confidence, but only {allowed:.4f} may be lost"
            )
        elif verdict == "unproven" and not forms.is_float32(form):
            self.unproven[form] = (
                f"its accuracy is not proven: on {found.samples:,} calibration samples it loses {found.value:.4f} of "
                f"the quality, at most {found.high:.4f} with {paired.CONFIDENCE:.0%} confidence, and {allowed:.4f} may "
                "be lost. An accuracy run decides: set accuracy to true"
            )

    def _score(self, responses: Mapping[int, bytes]) -> float:
        assert self._samples.calibration is not None
        return float(self._task.scoring.score(responses, self._samples.calibration))

    def _read(self, build: CandidateBuild) -> Mapping[int, bytes]:
        """The responses to the judged samples, by number.

        Raises:
            ValueError: the outputs are not finite.
        """
        assert self._samples.calibration is not None
        respond = self._task.responder(self._samples.calibration)
        found: dict[int, bytes] = {}
        for positions, outputs in stored_samples.read_answers(build.answers, build.outputs):
            answered = [self._samples.numbers[position] for position in positions]
            found |= zip(answered, _as_bytes(respond(outputs, answered)), strict=True)
        return found


def _as_bytes(responses: np.ndarray | Ragged) -> Iterator[bytes]:
    if not isinstance(responses, Ragged):
        return (response.tobytes() for response in responses)
    whole = responses.buffer.tobytes()
    return (whole[start:end] for start, end in itertools.pairwise(responses.offsets.tolist()))
