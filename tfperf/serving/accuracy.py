"""The accuracy of an accuracy run: from LoadGen's log to the quality, and the files that a submission wants of it."""

from __future__ import annotations

import pathlib

from tfperf import loadgen_log
from tfperf.benchmarks.benchmark import InferenceTask, OpenSamples
from tfperf.errors import TfperfError


def responses(log_dir: pathlib.Path) -> dict[int, bytes]:
    """The logged response of each sample; of a sample that was answered twice, as padding in MultiStream is, the first.

    Raises:
        TfperfError: the log is cut off.
    """
    found: dict[int, bytes] = {}
    try:
        for number, data in loadgen_log.responses(log_dir):
            found.setdefault(number, bytes.fromhex(data))
    except ValueError as error:
        raise TfperfError(f"{error}. The accuracy run did not end.") from error
    return found


def score(log_dir: pathlib.Path, task: InferenceTask, samples: OpenSamples) -> float:
    """The quality of the run; writes the files of the benchmark's scoring beside the log.

    Raises:
        ValueError: a sample has no response.
    """
    found = responses(log_dir)
    missing = [number for number in range(samples.total) if number not in found]
    if missing:
        raise ValueError(
            f"{len(missing)} of {samples.total} samples have no response, such as number {missing[0]}. "
            "The accuracy counts over all of them: run it again."
        )
    quality = task.scoring.score(found, samples)
    task.scoring.write(log_dir, found, samples, quality)
    return quality
