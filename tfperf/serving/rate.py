"""The rate of a Server run: searched for, with every run of the search kept."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
import shutil
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
    """The search of one measurement.

    Attributes:
        probes: what was run, also when the search failed.
    """

    def __init__(self, prepared: Prepared, form: Form, choice_ns: Mapping[int, float]) -> None:
        self.probes: tuple[result.Probe, ...] = ()
        self._prepared, self._form = prepared, form
        self._terms = peak.Terms(
            offline_qps=max(size * _NS_PER_S / time_ns for size, time_ns in choice_ns.items()),
            batch1_latency_ns=min(choice_ns.values()),
            bound_ns=asked.latency_bound_ns(prepared.spec, prepared.task),
        )
        self._confirmed: dict[float, job.Outcome] = {}
        self._dir = prepared.run_dir / "search"

    def run(self) -> tuple[float, job.Outcome | None]:
        """The largest valid rate, and the full run that confirmed it: None when an earlier process ran that one.

        Raises:
            NoValidRateError: there is none.
            TfperfError: a run failed, so that it says nothing about its rate.
        """
        state = self._prepared.run_dir / STATE
        try:
            found = peak.find(self._probe, self._confirm, terms=self._terms, state=state, key=self._key())
        except peak.NoValidRateError as error:
            self.probes = error.probes
            raise
        self.probes = found.probes
        return found.target_qps, self._confirmed.get(found.target_qps)

    def _key(self) -> str:
        """Everything that decides whether a rate is valid."""
        wanted = config.as_dict(dataclasses.replace(self._prepared.spec, accuracy=True))
        named = [wanted, self._form.executable, self._form.threads, self._prepared.inputs.source.digest]
        return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()

    def _probe(self, target_qps: float) -> result.Probe:
        duration_s = peak.probe_duration_s(target_qps, self._terms)
        limit = peak.max_async_queries(target_qps, bound_ns=self._terms.bound_ns, duration_s=duration_s)
        return self._judged(
            target_qps,
            runs.loadgen(
                self._prepared,
                self._form,
                mode="performance",
                log_dir=self._dir / f"{len(self._logs()) + 1:02d}-short",
                title=f"searching at {target_qps:.4g} queries/s",
                target_qps=target_qps,
                min_duration_s=duration_s,
                min_queries=1,
                max_async_queries=limit,
            ),
        )

    def _confirm(self, target_qps: float) -> result.Probe:
        run = runs.loadgen(
            self._prepared,
            self._form,
            mode="performance",
            log_dir=self._dir / f"{len(self._logs()) + 1:02d}-full",
            title=f"confirming {target_qps:.4g} queries/s",
            target_qps=target_qps,
        )
        self._confirmed[target_qps] = run
        return self._judged(target_qps, run)

    def _judged(self, target_qps: float, run: job.Outcome) -> result.Probe:
        if run.status == "interrupted":
            raise KeyboardInterrupt
        if run.status != "ended":
            raise TfperfError(f"At {target_qps:.4g} queries/s the run is {run.status}: {run.failure}")
        problems = measured.problems(run)
        probe = result.Probe(
            target_qps=target_qps,
            valid=not problems,
            p99_ns=measured.p99_ns(run),
            duration_s=run.measured_s,
            reason=problems[0] if problems else "",
        )
        self.probes = (*self.probes, probe)
        return probe

    def _logs(self) -> list[pathlib.Path]:
        return list(self._dir.iterdir()) if self._dir.is_dir() else []


def take_up(earlier: pathlib.Path, run_dir: pathlib.Path) -> None:
    """Copies the search of an earlier run directory, so that this one goes on with it.

    Raises:
        UsageError: there is none.
    """
    found = earlier / STATE
    if not found.is_file():
        raise UsageError(f"--resume {earlier}: there is no {STATE}, so no search of the Server rate was begun there.")
    shutil.copyfile(found, run_dir / STATE)
