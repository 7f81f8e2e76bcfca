"""The windows of the evaluation questions as samples, numbered in the order of the official features."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import pathlib
from collections.abc import Sequence

from tfperf import spec
from tfperf.benchmarks.benchmark import OpenSamples
from tfperf.benchmarks.bert.squad import feature_cache, features
from tfperf.benchmarks.bert.squad.options import SquadOptions
from tfperf.benchmarks.bert.squad.predictions import Exam
from tfperf.benchmarks.bert.squad.questions import FoundQuestions, find
from tfperf.benchmarks.tensor import Sample


def open_samples(data: spec.Data, options: SquadOptions, data_dir: pathlib.Path | None) -> OpenSamples:
    """Finds the evaluation questions and cuts them into windows.

    A sample is `input_ids`, `input_mask` and `segment_ids` of one window, int32 of its own length, without padding.
    `labels` returns the `Exam` that answers and scores them.

    Calibration takes windows of the training questions, so that none of them is evaluated on. MLPerf's own lists, with
    which a closed submission must quantise, name 100 windows or questions of dev-v1.1.json (calibration/SQuAD-v1.1 of
    mlcommons/inference).

    Args:
        data: the source.
        options: how the windows are cut.
        data_dir: the directory of the source, as in training.

    Raises:
        MissingDataError: a file is not there. `calibration` raises it where the training file is not.
        DamagedDataError: a file is damaged or not in the layout of SQuAD v1.1.
        UsageError: the questions are those of SQuAD 2.0, or the vocabulary has another size than the encoder.
    """
    found = find(data.source, options, data_dir)
    asked = found.evaluation()
    windows = feature_cache.for_evaluation(asked, found.cutter, options, data_dir=found.cache_dir)
    exam = Exam(asked=asked, features=windows, cutter=found.cutter, options=options)
    return dataclasses.replace(
        _opened(exam, total=len(windows)), calibration=functools.partial(_calibration, found, options)
    )


def _opened(exam: Exam, *, total: int) -> OpenSamples:
    def load(indices: Sequence[int]) -> list[Sample]:
        outside = [index for index in indices if not 0 <= index < total]
        if outside:
            raise ValueError(f"Samples have the numbers 0 to {total - 1}, got {outside[0]}.")
        return [exam.features.window(index) for index in indices]

    options = exam.options
    facts = (exam.asked.digest, exam.cutter.fingerprint, options.sequence_length, options.stride, total)
    return OpenSamples(
        total=total,
        load=load,
        labels=lambda: exam,
        names=lambda: _names(exam, total=total),
        fingerprint=hashlib.sha256(repr((*facts, options.question_length)).encode()).hexdigest(),
    )


def _names(exam: Exam, *, total: int) -> tuple[str, ...]:
    """The id of each window's question, with the window's number there if it has several."""
    windows_of = exam.features.windows_of.tolist()
    names = [
        question.id if stop - start == 1 else f"{question.id}-{window - start}"
        for question, start, stop in zip(exam.asked.questions, windows_of[:-1], windows_of[1:], strict=True)
        for window in range(start, stop)
    ]
    return tuple(names[:total])


def _calibration(found: FoundQuestions, options: SquadOptions, n: int) -> OpenSamples:
    """At most n windows, of evenly spaced training questions: a file is sorted by article."""
    whole = found.training()
    count = min(n, len(whole.questions))
    chosen = [whole.questions[number * len(whole.questions) // count] for number in range(count)]
    numbers = {context: number for number, context in enumerate(sorted({each.context for each in chosen}))}
    asked = dataclasses.replace(
        whole,
        contexts=tuple(whole.contexts[context] for context in numbers),
        questions=tuple(dataclasses.replace(each, context=numbers[each.context]) for each in chosen),
    )
    windows = features.for_evaluation(asked, found.cutter, options)
    exam = Exam(asked=asked, features=windows, cutter=found.cutter, options=options)
    return _opened(exam, total=min(n, len(windows)))
