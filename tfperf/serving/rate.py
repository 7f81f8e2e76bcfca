"""The rate of a Server run: searched for, with every run of the search kept."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping

from tfperf import config, result
from tfperf.errors import TfperfError, UsageError
from tfperf.inference import job, peak
from tfperf.serving import asked, measured, runs
from tfperf.serving.inputs import Form
from tfperf.serving.prepared import Prepared

STATE = "search.json"
_NS_PER_S = 1e9


class Search:
    """The search of one measurement."""

    def __init__(self, prepared: Prepared, form: Form, execution_ns: Mapping[int, float]) -> None:
        self._prepared, self._form = prepared, form
        self._terms = peak.Terms(
            offline_qps=form.instances * max(size * _NS_PER_S / time_ns for size, time_ns in execution_ns.items()),
            batch1_latency_ns=min(execution_ns.values()),
            bound_ns=asked.latency_bound_ns(prepared.spec, prepared.task),
        )
        self._state = prepared.run_dir / STATE
        self._confirmed: dict[float, job.LoadgenOutcome] = {}
        self._runs = 0

    def run(self) -> tuple[float, job.LoadgenOutcome | None]:
        """The largest valid rate, and the full run that confirmed it: None when an earlier process ran that one.

        Raises:
            NoValidRateError: there is none.
            TfperfError: a run failed, so that it says nothing about its rate.
        """
        found = peak.find(self._probe, self._confirm, terms=self._terms, state=self._state, key=self._key())
        return found.target_qps, self._confirmed.get(found.target_qps)

    def probes(self) -> tuple[result.Probe, ...]:
        """What was run so far, with the runs of a search that was taken up."""
        return peak.load_probes(self._state, key=self._key()) if self._state.exists() else ()

    def _key(self) -> str:
        """Everything that decides whether a rate is valid."""
        wanted = config.as_dict(dataclasses.replace(self._prepared.spec, accuracy=True))
        named = [wanted, self._form.executable, self._form.threads, self._prepared.inputs.source.digest]
        return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()

    def _probe(self, target_qps: float) -> result.Probe:
        duration_s = min(peak.probe_duration_s(target_qps, self._terms), self._prepared.spec.min_duration_s)
        run = runs.loadgen(
            self._prepared,
            self._form,
            mode="performance",
            log_dir=self._log_dir("short"),
            title=f"search at {target_qps:.4g} queries/s",
            target_qps=target_qps,
            min_duration_s=duration_s,
            min_queries=1,
            most_late=peak.most_late(target_qps * duration_s, stage="short"),
            brief=True,
        )
        return self._judged(target_qps, run)

    def _confirm(self, target_qps: float) -> result.Probe:
        wanted = self._prepared.spec
        queries = max(target_qps * wanted.min_duration_s, wanted.min_queries or 0)
        run = runs.loadgen(
            self._prepared,
            self._form,
            mode="performance",
            log_dir=self._log_dir("full"),
            title=f"full run at {target_qps:.4g} queries/s",
            target_qps=target_qps,
            most_late=peak.most_late(queries, stage="full"),
        )
        self._confirmed[target_qps] = run
        return self._judged(target_qps, run)

    def _judged(self, target_qps: float, run: job.LoadgenOutcome) -> result.Probe:
        if run.status == "interrupted":
            raise KeyboardInterrupt
        if run.status not in ("ended", "abandoned"):
            raise TfperfError(f"At {target_qps:.4g} queries/s the run is {run.status}: {run.failure}")
        problems, p99_ns = measured.problems(run), measured.p99_ns(run)
        seen = "given up" if p99_ns is None else f"p99 {p99_ns / 1e6:.4g} ms"
        self._prepared.shown.note(f"{target_qps:.4g} queries/s: {'VALID' if not problems else 'INVALID'}, {seen}")
        return result.Probe(
            target_qps=target_qps,
            valid=not problems,
            p99_ns=p99_ns,
            duration_s=run.measured_s,
            reason=problems[0] if problems else "",
        )

    def _log_dir(self, stage: str) -> pathlib.Path:
        self._runs += 1
        return self._prepared.run_dir / "search" / f"{self._runs:02d}-{stage}"


def earlier_state(run_dir: pathlib.Path) -> pathlib.Path:
    """The state of the search of an earlier run directory.

    Raises:
        UsageError: there is none.
    """
    found = run_dir / STATE
    if not found.is_file():
        raise UsageError(f"--resume {run_dir}: there is no {STATE}, so no search of the Server rate was begun there.")
    return found
