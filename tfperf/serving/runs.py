"""Runs LoadGen for a measurement."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from tfperf import loadgen_log
from tfperf.inference import job, process
from tfperf.inference.forms import machine
from tfperf.inference.job import LoadgenOutcome
from tfperf.serving import settings
from tfperf.serving.inputs import ServedForm, open_served
from tfperf.serving.live_events import LiveEvents
from tfperf.serving.prepared import PreparedMeasurement
from tfperf.telemetry import neighbours

USER_CONF = "user.conf"
TOO_SHORT = "-too-short-"  # in the names of the logs of such runs

# A run that ended too soon is repeated at most this often. It estimates the rate poorly, but each repeat lasts longer.
_REPEATS = 3

# A repeated Offline run expects the earlier run's rate times this factor, since the machine may be faster this time.
FASTER = 1.2


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunPlan:
    """One LoadGen run of a measurement.

    Attributes:
        folder: the folder in the run directory for LoadGen's logs.
        title: the name that the user sees; None for that of the folder.
        mode: performance or accuracy.
        target_qps: the rate in Server; None in other scenarios.
        expected_qps: the expected rate in Offline; None takes it from the warm-up.
        audit_config: the text of a compliance test's `audit.config`; None for an ordinary run.
        min_duration_s: replaces the spec's; None keeps it.
        min_queries: replaces the spec's; None keeps it.
        most_late: as in `Job`.
        brief: whether this is one of many runs, so that only the live line shows its progress.
    """

    folder: str
    title: str | None = None
    mode: job.Mode = "performance"
    target_qps: float | None = None
    expected_qps: float | None = None
    audit_config: str | None = None
    min_duration_s: float | None = None
    min_queries: int | None = None
    most_late: int | None = None
    brief: bool = False


def loadgen(prepared: PreparedMeasurement, form: ServedForm, plan: RunPlan) -> LoadgenOutcome:
    """Runs LoadGen in a child process and shows its progress."""
    of_spec = settings.settings(
        prepared.spec,
        prepared.task,
        mode=plan.mode,
        total=prepared.samples.total,
        target_qps=plan.target_qps,
    )
    run = job.Job(
        settings=dataclasses.replace(
            of_spec,
            audit_config=plan.audit_config,
            expected_qps=plan.expected_qps,
            min_duration_s=of_spec.min_duration_s if plan.min_duration_s is None else plan.min_duration_s,
            min_queries=of_spec.min_queries if plan.min_queries is None else plan.min_queries,
        ),
        open=functools.partial(open_served, prepared.inputs, form),
        log_dir=prepared.run_dir / plan.folder,
        most_late=plan.most_late,
        environment=child_environment(prepared, form),
    )
    prepared.shown.begin(
        plan.title or plan.folder,
        lasts_s=plan.min_duration_s,
        measures=plan.mode == "performance",
        brief=plan.brief,
    )
    live = LiveEvents(prepared.events, step=plan.folder)

    def update(progress: job.RunProgress) -> None:
        prepared.shown.update(progress)
        live.update(progress)

    return process.run(run, on_progress=update, other_cpu_s=neighbours.other_cpu_s)


def child_environment(prepared: PreparedMeasurement, form: ServedForm) -> Mapping[str, str]:
    """The environment variables of a process that opens the form."""
    return machine.environment(form.executable, cache=prepared.scratch / "xla", device=prepared.inputs.device)


def long_enough(prepared: PreparedMeasurement, form: ServedForm, outcome: LoadgenOutcome) -> LoadgenOutcome:
    """The outcome or, if an Offline run ran out of queries too soon (which is INVALID), that of a repeat.

    LoadGen generates the queries in advance, as many as the expected rate needs. If the model is faster than expected,
    the run is repeated with an expectation based on the measured rate. The logs of the earlier runs are kept.
    """
    notes: tuple[str, ...] = ()
    for number in range(1, _REPEATS + 1):
        values = _ended_too_soon(outcome)
        if values is None:
            break
        rate, expected = float(values["result_samples_per_second"]), outcome.settings.expected_qps
        folder = outcome.log_dir
        kept = folder.rename(folder.with_name(f"{folder.name}{TOO_SHORT}{number}"))
        outcome = loadgen(prepared, form, RunPlan(folder=folder.name, expected_qps=FASTER * rate))
        notes += (
            f"LoadGen expected {expected:,.4g} samples/s and {rate:,.4g} were answered, so the run ended too soon. It "
            f"was repeated; its logs are in {kept.name}.",
        )
    return dataclasses.replace(outcome, notes=(*notes, *outcome.notes))


def _ended_too_soon(outcome: LoadgenOutcome) -> Mapping[str, Any] | None:
    """LoadGen's values for an Offline run that ran out of queries; None for any other run."""
    if outcome.status != "ended" or outcome.settings.scenario != "Offline":
        return None
    values = loadgen_log.read(outcome.log_dir).values
    return None if values["result_min_duration_met"] else values
