"""The search for the highest rate of a Server measurement. The logs of all its runs are kept."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import cast, get_args

from tfperf import config, result
from tfperf import spec as specs
from tfperf.errors import TfperfError, UsageError
from tfperf.inference import objective, peak
from tfperf.inference.executable import Bucket
from tfperf.inference.job import LoadgenOutcome
from tfperf.serving import measured, runs, settings
from tfperf.serving.inputs import ServedForm
from tfperf.serving.prepared import PreparedMeasurement

STATE = "search.json"
_NS_PER_S = 1e9


class RateSearch:
    """The search of one measurement.

    Args:
        prepared: the measurement.
        form: the form to serve.
        execution_ns: the median time of one execution by bucket.
        length_shares: the share of the samples that is padded to each length; None if they have none.

    Attributes:
        processor: the processor that computed in the last run; None before the first.
    """

    def __init__(
        self,
        prepared: PreparedMeasurement,
        form: ServedForm,
        execution_ns: Mapping[Bucket, float],
        *,
        length_shares: Mapping[int | None, float] | None = None,
    ) -> None:
        self._prepared, self._form = prepared, form
        self._terms = peak.Terms(
            offline_qps=_offline_qps(form, execution_ns, length_shares),
            batch1_latency_ns=min(execution_ns.values()),
            bound_ns=settings.latency_bound_ns(prepared.spec, prepared.task),
        )
        self._state = prepared.run_dir / STATE
        self._confirmed: dict[float, LoadgenOutcome] = {}
        self.processor: tuple[str, str] | None = None
        self._runs = 0

    def run(self) -> tuple[float, LoadgenOutcome | None]:
        """The highest valid rate, and the full run that confirmed it; None if that ran in an earlier process.

        Raises:
            NoValidRateError: no rate is valid.
            TfperfError: a run failed, so that nothing is known about its rate.
        """
        found = peak.find(self._probe, self._confirm, terms=self._terms, state=self._state, key=self._key())
        return found.target_qps, self._confirmed.get(found.target_qps)

    def probes(self) -> tuple[result.Probe, ...]:
        """The runs so far, including those of a search that was resumed."""
        return peak.load_probes(self._state, key=self._key()) if self._state.exists() else ()

    def _key(self) -> str:
        """A digest of everything that decides whether a rate is valid."""
        spec = config.as_dict(dataclasses.replace(self._prepared.spec, accuracy=True))
        device = self._prepared.inputs.device
        named = [
            spec,
            self._form.executable,
            self._form.threads,
            self._prepared.inputs.model.digest,
            *([] if device is None else [device.kind]),
            *([self._form.instances] if self._prepared.spec.instances == "auto" else []),
        ]
        return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()

    def _probe(self, target_qps: float) -> result.Probe:
        duration_s = min(peak.probe_duration_s(target_qps, self._terms), self._prepared.spec.min_duration_s)
        return self._judged(
            target_qps,
            runs.RunPlan(
                folder=self._folder("short"),
                title=f"search at {target_qps:.4g} queries/s",
                target_qps=target_qps,
                min_duration_s=duration_s,
                min_queries=1,
                most_late=peak.most_late(target_qps * duration_s, stage="short"),
                brief=True,
            ),
        )

    def _confirm(self, target_qps: float) -> result.Probe:
        spec = self._prepared.spec
        queries = max(target_qps * spec.min_duration_s, spec.min_queries or 0)
        return self._judged(
            target_qps,
            runs.RunPlan(
                folder=self._folder("full"),
                title=f"full run at {target_qps:.4g} queries/s",
                target_qps=target_qps,
                most_late=peak.most_late(queries, stage="full"),
            ),
            confirms=True,
        )

    def _judged(self, target_qps: float, plan: runs.RunPlan, *, confirms: bool = False) -> result.Probe:
        outcome = runs.loadgen(self._prepared, self._form, plan)
        self.processor = outcome.processor or self.processor
        if confirms:
            self._confirmed[target_qps] = outcome
        if outcome.status == "interrupted":
            raise KeyboardInterrupt
        if outcome.status not in ("ended", "abandoned"):
            raise TfperfError(f"At {target_qps:.4g} queries/s the run is {outcome.status}: {outcome.failure}")
        problems, p99_ns = measured.problems(outcome), measured.p99_ns(outcome)
        latency = "ended early" if p99_ns is None else f"p99 {p99_ns / 1e6:.4g} ms"
        validity = "VALID" if not problems else "INVALID"
        self._prepared.shown.note(f"{target_qps:.4g} queries/s: {validity}, {latency}")
        return result.Probe(
            target_qps=target_qps,
            valid=not problems,
            p99_ns=p99_ns,
            duration_s=outcome.measured_s,
            reason=outcome.failure or (problems[0] if problems else ""),
        )

    def _folder(self, stage: str) -> str:
        self._runs += 1
        return f"search/{self._runs:02d}-{stage}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class EarlierForm:
    """The form that an earlier search served.

    Attributes:
        executable: its name.
        batch_sizes: the batch sizes that it was compiled for.
        threads: CPU threads per operation; None if unknown.
        instances: how many instances were served; None if unknown.
        candidates: the forms that were compared then.
        note: says that it was taken from there.
    """

    executable: specs.Executable
    batch_sizes: tuple[int, ...]
    threads: int | None
    instances: int | None
    candidates: tuple[result.Candidate, ...]
    note: str


def expected_qps(
    spec: specs.InferSpec,
    form: ServedForm,
    execution_ns: Mapping[Bucket, float],
    *,
    length_shares: Mapping[int | None, float] | None = None,
) -> float | None:
    """A Server rate that the form keeps up with, for an accuracy run before the search; None in other scenarios."""
    if not isinstance(spec.scenario, specs.Server):
        return None
    if spec.scenario.target_qps != "auto":
        return spec.scenario.target_qps
    return peak.START_SHARE * _offline_qps(form, execution_ns, length_shares)


def most_late(prepared: PreparedMeasurement, target_qps: float | None) -> int | None:
    """The late queries above which a run at a rate from the spec is hopeless; None in scenarios without a rate.

    It is as patient as a short run of the search, so that a run that misses by little is measured to its end.
    """
    if target_qps is None:
        return None
    queries = max(target_qps * prepared.spec.min_duration_s, prepared.spec.min_queries or 0)
    return peak.most_late(queries, stage="short")


def _offline_qps(
    form: ServedForm, execution_ns: Mapping[Bucket, float], length_shares: Mapping[int | None, float] | None
) -> float:
    cost_ns = objective.cost_ns(specs.Offline(), execution_ns, length_shares=length_shares)
    return form.instances * _NS_PER_S / cost_ns


def earlier_form(run_dir: pathlib.Path, spec: specs.InferSpec) -> EarlierForm | None:
    """The form that the search in an earlier run directory served; None if the spec leaves nothing to `auto`.

    Raises:
        UsageError: the earlier run's result can't be read, or holds no form.
    """
    if "auto" not in (spec.executable, spec.instances):
        return None
    try:
        earlier = result.read(run_dir / "result.json")
    except (OSError, ValueError) as error:
        reason = str(error).rstrip(".")
        raise UsageError(
            f"--resume {run_dir}: the form that was served there can't be read from result.json: {reason}."
        ) from error
    served = earlier.executable if isinstance(earlier, result.InferResult) else None
    if not isinstance(earlier, result.InferResult) or served not in get_args(specs.Executable):
        raise UsageError(
            f"--resume {run_dir}: its result.json doesn't say which form was served: its executable is {served!r}. "
            "Start a new search, without --resume."
        )
    return EarlierForm(
        executable=cast(specs.Executable, served),
        batch_sizes=tuple(earlier.batch_sizes),
        threads=earlier.threads,
        instances=earlier.instances,
        candidates=tuple(earlier.candidates),
        note=f"{served} was taken from the run that was resumed, {run_dir.name}, where it was chosen",
    )


def earlier_state(run_dir: pathlib.Path) -> pathlib.Path:
    """The state of the search in an earlier run directory.

    Raises:
        UsageError: there is none.
    """
    found = run_dir / STATE
    if not found.is_file():
        raise UsageError(f"--resume {run_dir}: there is no {STATE}, so no search for a Server rate was started there.")
    return found
