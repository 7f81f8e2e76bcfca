"""The quality of an accuracy run, from LoadGen's log."""

from __future__ import annotations

import pathlib

from tfperf import loadgen_log
from tfperf.benchmarks.benchmark import InferenceTask, OpenSamples
from tfperf.errors import TfperfError


def score(log_dir: pathlib.Path, task: InferenceTask, samples: OpenSamples) -> float:
    """The quality of the run. Also writes the files of the benchmark's `Scoring` beside the log.

    Raises:
        TfperfError: the log is incomplete, a sample has no response, or a response is malformed.
    """
    try:
        responses = loadgen_log.answers(log_dir)
    except ValueError as error:
        raise TfperfError(f"{error}. The accuracy run did not finish.") from error
    missing = [number for number in range(samples.total) if number not in responses]
    if missing:
        raise TfperfError(
            f"{len(missing)} of {samples.total} samples have no response, such as number {missing[0]}. "
            "The accuracy covers all of them: run it again."
        )
    try:
        quality = task.scoring.score(responses, samples)
    except ValueError as error:
        raise TfperfError(f"The responses of the accuracy run can't be scored: {error}") from error
    task.scoring.write(log_dir, responses, samples, quality)
    return quality
