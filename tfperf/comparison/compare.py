"""Compares a candidate with a baseline: accuracy first, then each figure, then one verdict."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tfperf import notebook, result
from tfperf.analysis import batch_means, comparison
from tfperf.analysis.comparison import ComparedMetric, ComparedSides, MetricVerdict
from tfperf.analysis.ratio import RunValue
from tfperf.comparison import compared_runs
from tfperf.errors import UsageError
from tfperf.stored import facts, figures, run
from tfperf.stored.facts import Difference
from tfperf.stored.run import StoredRun

Outcome = Literal["REGRESSION", "IMPROVED", "UNCHANGED", "INCONCLUSIVE", "SUSPECT", "INVALID", "TARGET MISSED"]
UNDECIDED = 7
EXIT_CODES: Mapping[str, int] = {
    "REGRESSION": 5,
    "INCONCLUSIVE": UNDECIDED,
    "SUSPECT": UNDECIDED,
    "INVALID": 3,
    "TARGET MISSED": 4,
}
SCHEMA = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class ComparedFigure:
    """A figure on both sides.

    Attributes:
        judged: what the statistics say.
        baseline: its value in each run.
        candidate: the same.
    """

    judged: MetricVerdict
    baseline: tuple[float, ...]
    candidate: tuple[float, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompareResult:
    """A candidate held against a baseline.

    Attributes:
        verdict: REGRESSION, IMPROVED, UNCHANGED or INCONCLUSIVE by the figures that decide; SUSPECT if a single run
            looks like a regression; INVALID or TARGET MISSED if the candidate is no result, however fast it was.
        reasons: why, one sentence each.
        what: the division, the benchmark and the scenario.
        baseline: its run directories.
        candidate: its run directories.
        figures: every figure that all runs have.
        differences: in what the runs differ besides.
        further_runs: how many more runs a side would probably decide; None if decided, or unknown.
        notes: what makes the comparison doubtful.
    """

    verdict: Outcome
    reasons: tuple[str, ...]
    what: str
    baseline: tuple[str, ...]
    candidate: tuple[str, ...]
    figures: tuple[ComparedFigure, ...]
    differences: tuple[Difference, ...]
    further_runs: int | None
    notes: tuple[str, ...]
    schema: int = SCHEMA

    @property
    def exit_code(self) -> int:
        """The exit code of `tfperf compare`: 5 only for REGRESSION."""
        return EXIT_CODES.get(self.verdict, 0)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as `--format json` prints them."""
        return {**dataclasses.asdict(self), "kind": "compare", "exit_code": self.exit_code}

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return notebook.shown(
            f"{self.verdict}: {self.what}",
            reasons=self.reasons,
            rows=[(each.judged.metric.name, each.judged.because) for each in self.figures],
        )


def compare(
    baseline: Sequence[str | pathlib.Path],
    candidate: Sequence[str | pathlib.Path],
    *,
    allow: Sequence[str] = (),
    changes: Sequence[str] = (),
    gates: Sequence[str] = (),
    thresholds: Mapping[str, float] | None = None,
) -> CompareResult:
    """Whether the candidate's runs are slower or faster than the baseline's.

    Args:
        baseline: run directories, five or more for a verdict that can be relied on.
        candidate: run directories of the same benchmark, scenario, division and round.
        allow: flaws of runs that don't matter: invalid, internal, incomplete, edited, missed, clock.
        changes: what was changed on purpose, as keys such as `executable` or `environment.packages.tensorflow`.
        gates: the figures that decide, such as `p99`; by default those of the scenario.
        thresholds: figure -> the change that matters, such as 0.1 for 10 %.

    Raises:
        UsageError: the runs can't be compared.
    """
    sides = compared_runs.open_sides(_paths(baseline), _paths(candidate), allow=allow)
    return compare_runs(*sides, allow=allow, changes=changes, gates=gates, thresholds=thresholds or {})


def compare_runs(
    baseline: Sequence[StoredRun],
    candidate: Sequence[StoredRun],
    *,
    allow: Sequence[str],
    changes: Sequence[str],
    gates: Sequence[str],
    thresholds: Mapping[str, float],
) -> CompareResult:
    """As `compare`, of runs that were read."""
    sides = tuple(baseline), tuple(candidate)
    runs = (*baseline, *candidate)
    compared_runs.check_changes(changes, runs)
    different = facts.differences(baseline, candidate, changes=changes)
    compared_runs.check_differences(different)
    notes = [*compared_runs.warnings(sides), *(note for each in runs for note in figures.missing(each))]
    told = CompareResult(
        verdict="INVALID",
        reasons=(),
        what=run.label(baseline[0]),
        baseline=tuple(str(each.path) for each in baseline),
        candidate=tuple(str(each.path) for each in candidate),
        figures=(),
        differences=different,
        further_runs=None,
        notes=tuple(dict.fromkeys(notes)),
    )
    for flaw, verdict in (("invalid", "INVALID"), ("missed", "TARGET MISSED")):
        why = compared_runs.telling(candidate, flaw, allow=allow)  # type: ignore[arg-type]
        if why:
            told = dataclasses.replace(told, verdict=verdict, reasons=why)  # type: ignore[arg-type]
            return told
    metrics = _metrics(runs, gates=gates, thresholds=thresholds)
    values = tuple(tuple(_values(each, alone=len(side) == 1) for each in side) for side in sides)
    compared = comparison.compare([_sides(metric, *values) for metric in metrics])
    return dataclasses.replace(
        told,
        verdict=compared.verdict,
        reasons=tuple(
            each.because for each in compared.metrics if each.metric.gated and each.verdict == compared.verdict
        ),
        figures=tuple(_figure(each, *values) for each in compared.metrics),
        further_runs=compared.further_runs,
    )


def _paths(given: Sequence[str | pathlib.Path]) -> list[pathlib.Path]:
    if isinstance(given, str | pathlib.Path):
        given = [given]
    return [pathlib.Path(path).expanduser() for path in given]


def _metrics(
    runs: Sequence[StoredRun], *, gates: Sequence[str], thresholds: Mapping[str, float]
) -> list[ComparedMetric]:
    """The figures that every run has, with the thresholds and gates that the user chose.

    Raises:
        UsageError: a gate or a threshold names no figure of these runs, or nothing is left to compare.
    """
    every = [figures.of(each) for each in runs]
    shared = [kind for kind in figures.KINDS if all(kind.name in found for found in every)]
    names = [kind.name for kind in shared]
    if not shared:
        raise UsageError(
            "These runs have no figure in common that can be compared. Compare runs that ended and measured."
        )
    for flag, given in (("gate", gates), ("threshold", thresholds)):
        wrong = [name for name in given if name not in names]
        if wrong:
            raise UsageError(f"--{flag} {wrong[0]}: not every run has this figure. Accepted: {', '.join(names)}.")
    for name, share in thresholds.items():
        if not 0 < share < 1:
            raise UsageError(f"--threshold {name}={share:g} must be between 0 and 1. Write 0.1 for 10 %.")
    where = runs[0].scenario or "training"
    chosen = set(gates) or {kind.name for kind in shared if where in kind.decides} or {names[0]}
    return [
        ComparedMetric(
            name=kind.name,
            unit=kind.unit,
            higher_is_better=kind.higher_is_better,
            threshold=thresholds.get(kind.name, kind.threshold),
            gated=kind.name in chosen,
        )
        for kind in shared
    ]


def _values(each: StoredRun, *, alone: bool) -> dict[str, RunValue]:
    """Figure -> its value in a run; with its interval from within the run if the run stands alone on its side."""
    started_s = None if each.started is None else each.started.timestamp()
    within = _within(each) if alone else {}
    return {
        name: RunValue(value=value, started_s=started_s, **_ends(value, within.get(name)))
        for name, value in figures.of(each).items()
    }


def _ends(value: float, relative: tuple[float, float] | None) -> dict[str, float]:
    return {} if relative is None else {"low": value * relative[0], "high": value * relative[1]}


def _within(each: StoredRun) -> dict[str, tuple[float, float]]:
    """Figure -> the ends of its 95 % interval from within the run, as shares of its value."""
    outcome, found = each.outcome, {}
    if not isinstance(outcome, result.InferResult):
        return {}
    for percentile in outcome.percentiles:
        if percentile.low_ns is not None and percentile.high_ns is not None and percentile.value_ns > 0:
            ends = percentile.low_ns / percentile.value_ns, percentile.high_ns / percentile.value_ns
            found[f"p{percentile.percentile:g}"] = ends
    executions = figures.executions(each)
    rate = None if executions is None else batch_means.rate(*executions)
    return found if rate is None else {**found, "throughput": rate}


def _sides(
    metric: ComparedMetric, baseline: Sequence[Mapping[str, RunValue]], candidate: Sequence[Mapping[str, RunValue]]
) -> ComparedSides:
    sides = [tuple(run_values[metric.name] for run_values in side) for side in (baseline, candidate)]
    return ComparedSides(metric=metric, baseline=sides[0], candidate=sides[1])


def _figure(
    judged: MetricVerdict, baseline: Sequence[Mapping[str, RunValue]], candidate: Sequence[Mapping[str, RunValue]]
) -> ComparedFigure:
    sides = [tuple(run_values[judged.metric.name].value for run_values in side) for side in (baseline, candidate)]
    return ComparedFigure(judged=judged, baseline=sides[0], candidate=sides[1])
