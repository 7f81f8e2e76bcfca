"""Measures one trial: `python -m tfperf.tuning.serving_trial TRIAL_DIRECTORY PARENT_PID`.

The measurement is `tfperf infer` in its own process, as a user would run it: no part of a sweep can reach the code that
writes MLLOG lines, and none shares the interpreter that is measured.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from tfperf import config, manifest, result, spec
from tfperf.inference.weights import Weights
from tfperf.system import environment
from tfperf.tuning import parent_watch
from tfperf.tuning import trial as trials
from tfperf.tuning.trial import Trial
from tfperf.tuning.trial_process import INTERRUPTED
from tfperf.workspace import Workspace

JOB = "job.json"
SPEC = "internal-sweep-trial.yaml"  # run directories are named after it
_NS_PER_MS = 1e6


def arguments(trained: Weights, workspace: Workspace) -> tuple[str, ...]:
    """The arguments of `tfperf infer` that name the model, the data and the device."""
    return (
        f"--weights={trained.path}",
        *(("--trust_model",) if trained.trusted else ()),
        *((f"--data_dir={workspace.data_dir}",) if workspace.data_dir is not None else ()),
        *((f"--device={workspace.device.kind}",) if workspace.device is not None else ()),
    )


def files(measured: spec.InferSpec, arguments: Sequence[str]) -> Mapping[str, str]:
    """Name -> text of the files that this program reads: what to measure, and the other arguments."""
    job = {"arguments": list(arguments), "division": "internal"}
    return {SPEC: config.dump(measured), JOB: json.dumps(job, indent=2) + "\n"}


def command(directory: pathlib.Path) -> tuple[str, ...]:
    """The arguments of `tfperf` that measure the trial in this directory."""
    job = json.loads((directory / JOB).read_text(encoding="utf-8"))
    return (
        *("infer", f"--config={directory / SPEC}", "--format=json", f"--output_dir={directory}"),
        *job["arguments"],
    )


def main(directory: pathlib.Path) -> None:
    """Measures the trial in the directory and writes down how it ended. A failure is an outcome, too."""
    done = subprocess.run(
        [sys.executable, "-m", "tfperf", *command(directory)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    if not done.stdout or done.returncode in INTERRUPTED:
        _end_like(done.returncode)
    run_dir = pathlib.Path(json.loads(done.stdout)["run_dir"])
    outcome = result.read(run_dir / "result.json")
    assert isinstance(outcome, result.InferResult)
    ended = after(trials.read(directory), outcome)
    for written in (run_dir, directory):  # the run belongs to the sweep wherever it is copied
        trials.write(written, ended)
        manifest.write(written, division="internal", code_version=environment.code_version())


def after(running: Trial, outcome: result.InferResult) -> Trial:
    """The trial as it ended. A run that is not valid has no objective, and says why."""
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
    """LoadGen's metric, a latency in ms; None if the run is not valid."""
    if not outcome.valid or outcome.metric is None:
        return None
    return outcome.metric.value / _NS_PER_MS if outcome.metric.unit == "ns" else outcome.metric.value


def _end_like(code: int) -> NoReturn:
    """Ends this process as the command ended: with its exit code, or by the same signal."""
    if code < 0:
        os.kill(os.getpid(), -code)
    sys.exit(code)


if __name__ == "__main__":
    parent_watch.end_with(int(sys.argv[2]))
    main(pathlib.Path(sys.argv[1]))
