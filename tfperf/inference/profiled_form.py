"""A profile of a compiled form, taken in a separate process: the measured process never runs the profiler."""

from __future__ import annotations

import functools
import pathlib
import time
from collections.abc import Callable, Mapping

from tfperf.errors import UsageError
from tfperf.inference import interpreter
from tfperf.inference.job import ServedModel
from tfperf.inference.real_batches import RealBatches
from tfperf.inference.reports import Reports

_POLL_S = 0.2


def check(executable: str) -> None:
    """Refuses a form that TensorFlow doesn't run.

    Args:
        executable: as in `spec.Executable`.

    Raises:
        UsageError: says which forms can be profiled.
    """
    if _is_litert(executable):
        raise UsageError(
            f"--profile: executable {executable} runs in LiteRT, and TensorBoard has profiles of TensorFlow only. "
            "Leave --profile out, or set executable to a form that TensorFlow runs, such as graph-float32."
        )


def take(
    form: str,
    opened: Callable[[], ServedModel],
    *,
    run_dir: pathlib.Path,
    log: pathlib.Path,
    environment: Mapping[str, str],
    timeout_s: float = 900.0,
) -> str:
    """Profiles a few executions of the largest bucket. A failure is returned as the note and not raised.

    Args:
        form: as in `spec.Executable`.
        opened: called in the process, so it must be picklable: a function of a module, or a partial of one.
        run_dir: gets the profile.
        log: gets the output of the process.
        environment: environment variables to add in the process.
        timeout_s: the process is killed if it takes longer.

    Returns:
        A note for the reader of the result.
    """
    if _is_litert(form):
        return (
            f"There is no profile: {form}, which auto chose, runs in LiteRT, and TensorBoard has profiles of "
            "TensorFlow only. To get one, set executable to a form that TensorFlow runs, such as graph-float32."
        )
    call = interpreter.pickled(functools.partial(_profile, opened, run_dir))
    deadline = time.monotonic() + timeout_s
    with interpreter.started(call, log=log, environment=environment) as process:
        while "profiled" not in process.said:
            process.listen(_POLL_S)
            late = f"took longer than {timeout_s:g} s" if time.monotonic() > deadline else None
            failure = late or process.failure()
            if failure:
                return f"There is no profile of {form}: {failure}."
    said = process.said["profiled"]
    if said["failure"]:
        return f"There is no profile of {form}: {said['failure']}."
    return (
        f"{said['executions']} executions of {form}, in batches of {said['bucket']}, were profiled before the "
        "measurement, in a separate process."
    )


def _profile(opened: Callable[[], ServedModel], run_dir: pathlib.Path, reports: Reports) -> None:
    """Runs in the separate process. Reports `profiled`."""
    served = opened()
    from tfperf.system import profiler  # TensorFlow, after what `opened` sets up

    executable = served.executable
    bucket = executable.buckets[-1]
    batch = RealBatches(served).batch(bucket)
    for _ in range(profiler.STEPS):
        executable.run(executable.stage(batch))
    with profiler.Profile(run_dir) as profile:
        for number in range(profiler.STEPS):
            with profiler.step("serve", number):
                executable.run(executable.stage(batch))
    reports.say("profiled", executions=profiler.STEPS, bucket=str(bucket), failure=profile.failure)


def _is_litert(form: str) -> bool:
    return form.startswith("litert-")
