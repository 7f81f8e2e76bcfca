"""One LoadGen run of a measurement."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Mapping
from typing import Any

from tfperf import loadgen_log
from tfperf.inference import job, process
from tfperf.inference.forms import machine
from tfperf.serving import asked
from tfperf.serving.inputs import Form, open_served
from tfperf.serving.prepared import Prepared
from tfperf.telemetry import neighbours

USER_CONF = "user.conf"

# Of a run that was over too soon. A short one tells little of the rate; each that follows lasts longer.
_REPEATS = 3

# Times the rate of one run of Offline: what another one like it expects, since the machine may be quicker then.
FASTER = 1.2


def loadgen(
    prepared: Prepared,
    form: Form,
    *,
    mode: job.Mode,
    log_dir: pathlib.Path,
    title: str,
    target_qps: float | None = None,
    expected_qps: float | None = None,
    audit_config: str | None = None,
    min_duration_s: float | None = None,
    min_queries: int | None = None,
    most_late: int | None = None,
    brief: bool = False,
) -> job.LoadgenOutcome:
    """Runs LoadGen in a child process and shows how it goes.

    Args:
        prepared: the measurement.
        form: what to serve.
        mode: performance or accuracy.
        log_dir: gets LoadGen's logs.
        title: what the user sees that this is.
        target_qps: of Server.
        expected_qps: of Offline; None takes it from the warm-up.
        audit_config: of a compliance test.
        min_duration_s: in place of what was asked for.
        min_queries: likewise.
        most_late: as in `Job`.
        brief: whether it is one of many, which need no lines of their own.
    """
    settings = asked.settings(
        prepared.spec,
        prepared.task,
        mode=mode,
        total=prepared.samples.total,
        target_qps=target_qps,
        audit_config=audit_config,
    )
    settings = dataclasses.replace(
        settings,
        expected_qps=expected_qps,
        min_duration_s=settings.min_duration_s if min_duration_s is None else min_duration_s,
        min_queries=settings.min_queries if min_queries is None else min_queries,
    )
    work = job.Job(
        settings=settings,
        open=functools.partial(open_served, prepared.inputs, form),
        log_dir=log_dir,
        most_late=most_late,
        environment=machine.environment(form.executable, prepared.scratch / "xla"),
    )
    prepared.shown.begin(title, lasts_s=min_duration_s, measures=mode == "performance", brief=brief)
    return process.run(work, on_progress=prepared.shown.update, other_cpu_s=neighbours.other_cpu_s)


def long_enough(prepared: Prepared, form: Form, ended: job.LoadgenOutcome) -> job.LoadgenOutcome:
    """The run, or another in its place when it used up its queries too soon, which LoadGen calls INVALID.

    LoadGen makes the queries beforehand, as many as are expected to last. Where a model turned out to be faster than
    expected, the rate of that run is what the next one expects. The logs of the ones before are kept beside.
    """
    notes: tuple[str, ...] = ()
    for number in range(1, _REPEATS + 1):
        values = _over_too_soon(ended)
        if values is None:
            break
        seen, expected, log_dir = float(values["result_samples_per_second"]), ended.settings.expected_qps, ended.log_dir
        kept = log_dir.rename(log_dir.with_name(f"{log_dir.name}-too-short-{number}"))
        ended = loadgen(
            prepared,
            form,
            mode="performance",
            log_dir=log_dir,
            title=log_dir.name,
            expected_qps=FASTER * seen,
        )
        notes += (
            f"LoadGen was told to expect {expected:,.4g} samples/s and {seen:,.4g} were answered, so the run was over "
            f"too soon. It was repeated; its logs are in {kept.name}.",
        )
    return dataclasses.replace(ended, notes=(*notes, *ended.notes))


def _over_too_soon(ended: job.LoadgenOutcome) -> Mapping[str, Any] | None:
    """What LoadGen logged of a run of Offline whose queries did not last; None of any other run."""
    if ended.status != "ended" or ended.settings.scenario != "Offline":
        return None
    values = loadgen_log.read(ended.log_dir).values
    return None if values["result_min_duration_met"] else values
