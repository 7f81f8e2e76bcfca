"""Pictures of what was answered in the accuracy run."""

from __future__ import annotations

import pathlib

from tfperf import loadgen_log
from tfperf.benchmarks.benchmark import InferenceTask, OpenSamples

FOLDER = "pictures"


def draw(run_dir: pathlib.Path, task: InferenceTask, samples: OpenSamples, *, count: int) -> None:
    """Writes a PNG for each of the first samples, named by its number; nothing if there was no accuracy run.

    Args:
        run_dir: the run directory.
        task: how the benchmark is served.
        samples: the evaluation set.
        count: of how many samples.
    """
    log_dir = run_dir / "accuracy"
    if not count or task.picture is None or not (log_dir / loadgen_log.ACCURACY).is_file():
        return
    responses, folder = loadgen_log.answers(log_dir), run_dir / FOLDER
    folder.mkdir()
    for number in sorted(responses)[:count]:
        (folder / f"{number:06d}.png").write_bytes(task.picture(samples, number, responses[number]))
