"""Measures one trial: `python -m tfperf.tuning.serving_trial TRIAL_DIRECTORY PARENT_PID`.

The measurement is `tfperf infer` as a user would run it, in a process of its own: nothing of a sweep can reach what
writes MLLOG lines, and nothing of it shares the interpreter that is measured.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from typing import NoReturn

from tfperf import manifest, result
from tfperf.system import environment
from tfperf.tuning import lifeline, serving_job, trial
from tfperf.tuning.attempt import INTERRUPTED
from tfperf.tuning.trial import Trial

_NS_PER_MS = 1e6


def main(directory: pathlib.Path) -> None:
    """Measures what the job in the directory says and writes down what came out; a failure is an outcome, too."""
    job = serving_job.read(directory)
    command = [sys.executable, "-m", "tfperf", "infer", f"--config={directory / serving_job.SPEC}", "--format=json"]
    command += [f"--output_dir={directory}", *job.arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    if not done.stdout or done.returncode in INTERRUPTED:
        _end_like(done.returncode)
    run_dir = pathlib.Path(json.loads(done.stdout)["run_dir"])
    outcome = result.read(run_dir / "result.json")
    assert isinstance(outcome, result.InferResult)
    ended = of_outcome(trial.read(directory), outcome)
    for written in (run_dir, directory):  # the run is the sweep's too, wherever it is copied to
        trial.write(written, ended)
        manifest.write(written, division="internal", code_version=environment.code_version())


def of_outcome(running: Trial, outcome: result.InferResult) -> Trial:
    """The trial as it ended. What is not valid has no objective, and says why."""
    objective = objective_of(outcome)
    return dataclasses.replace(
        running,
        status="failed" if outcome.status in ("failed", "incomplete") else "completed",
        reason="; ".join(outcome.reasons),
        objective=objective,
        score=objective,
        quality=None if outcome.accuracy is None else outcome.accuracy.value,
        executable=outcome.executable,
    )


def objective_of(outcome: result.InferResult) -> float | None:
    """LoadGen's own metric, a latency in ms; None of a run that is not valid."""
    if not outcome.valid or outcome.metric is None:
        return None
    return outcome.metric.value / _NS_PER_MS if outcome.metric.unit == "ns" else outcome.metric.value


def _end_like(code: int) -> NoReturn:
    """Ends as the command did: with its exit code, or by the same signal."""
    if code < 0:
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    lifeline.hold(int(sys.argv[2]))
    main(pathlib.Path(sys.argv[1]))
