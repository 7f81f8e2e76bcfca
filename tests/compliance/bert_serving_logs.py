"""Run directories of closed `bert-99` measurements: logs as LoadGen writes them, on questions with one window each."""

from __future__ import annotations

import functools
import json
import pathlib

import numpy as np

from tests.compliance import audited_run
from tests.compliance.serving_logs import SCENARIOS, SHARED_LINES
from tfperf import benchmarks, spec
from tfperf.benchmarks.benchmark import OpenSamples
from tfperf.benchmarks.bert.squad import features, text
from tfperf.benchmarks.bert.squad.predictions import Exam
from tfperf.benchmarks.bert.squad.sources import SquadFiles
from tfperf.benchmarks.text.vocabulary import SPECIAL, Vocabulary
from tfperf.benchmarks.text.wordpiece import WordPiece

WINDOWS = 10_833
WORDS = ("the", "fox", "runs", "over", "hill", "who")
RIGHT = 93  # in 100
SCENARIO_LINES = {
    "singlestream": ("SingleStream", {"effective_min_query_count": 100, "early_stopping_latency_ss": 95_100_300}),
    "offline": (
        "Offline",
        {
            "effective_min_query_count": WINDOWS,
            "effective_samples_per_query": WINDOWS,
            "result_samples_per_second": 12.5,
        },
    ),
}


@functools.cache
def samples() -> OpenSamples:
    """As many questions as SQuAD's development set has windows, all about one short text."""
    context = "the fox runs over the hill"
    asked = [{"id": f"q{number}", "question": "who runs", "answers": [_answer(context)]} for number in range(WINDOWS)]
    content = {"version": "1.1", "data": [{"title": "fox", "paragraphs": [{"context": context, "qas": asked}]}]}
    questions = text.parse(json.dumps(content).encode(), name="dev-v1.1.json")
    cutter = WordPiece(Vocabulary(pieces=(*SPECIAL, *WORDS), name="vocab.txt"))
    options = benchmarks.task("bert", "infer").options
    windows = features.for_evaluation(questions, cutter, options)
    exam = Exam(asked=questions, features=windows, cutter=cutter, options=options)
    return OpenSamples(
        total=len(windows), load=lambda indices: (), labels=lambda: exam, names=lambda: (), fingerprint=""
    )


def _answer(context: str) -> dict[str, object]:
    return {"text": "fox", "answer_start": context.index("fox")}


@functools.cache
def responses() -> dict[int, bytes]:
    """The logits of each window; those of 7 in 100 point at another word."""
    exam = samples().labels()
    first, size = int(exam.features.first_tokens[0]), exam.features.size(0)
    logits = np.full((2, size, 2), -5, "<f4")
    logits[0, first + 1], logits[1, first + 3] = 5, 5  # "fox", and "over"
    right, wrong = (each.tobytes() for each in logits)
    return {number: right if number % 100 < RIGHT else wrong for number in range(WINDOWS)}


def write_run(run_dir: pathlib.Path, scenario: str) -> pathlib.Path:
    """Writes the run directory of a closed measurement with TEST01 that is good in all that can be checked."""
    name, own = SCENARIO_LINES[scenario]
    counts = {"effective_performance_sample_count": WINDOWS, "effective_accuracy_sample_count": WINDOWS}
    asked = spec.InferSpec(
        benchmark="bert",
        division=spec.Division.CLOSED,
        scenario=SCENARIOS[scenario],
        data=spec.Data(source=SquadFiles()),
        model=benchmarks.task("bert", "infer").options,
    )
    return audited_run.write(
        run_dir,
        asked,
        lines={**SHARED_LINES, **counts, "effective_scenario": name, **own},
        samples=samples(),
        responses=responses(),
        audited=tuple(responses())[::3],
        sampling=4096,
        weights="model.keras",
    )
