"""The runs of a report, read from their directories and put into groups of the same benchmark and scenario."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from tfperf import result
from tfperf.errors import UsageError
from tfperf.stored import figures, run
from tfperf.stored.figures import FigureKind
from tfperf.stored.run import StoredRun

Outlook = Literal["good", "bad", "doubt"]
_MS = 1e6
# Percentiles of a latency curve: a straight scale of their logarithmic distance from 100 %.
CURVE_PERCENTS = tuple(float(100 * (1 - 10**-tenth)) for tenth in np.arange(0.05, 4.01, 0.05))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportedFigure:
    """A figure of one run, with its interval from within the run where it has one."""

    kind: FigureKind
    value: float
    low: float | None = None
    high: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportedRun:
    """A run in a report.

    Attributes:
        stored: the run.
        verdict: such as VALID or INVALID.
        outlook: whether that is good.
        reasons: why it is not VALID, and what else speaks against it.
        system: on what it ran.
        figures: by name.
    """

    stored: StoredRun
    verdict: str
    outlook: Outlook
    reasons: tuple[str, ...]
    system: str
    figures: dict[str, ReportedFigure]

    @property
    def name(self) -> str:
        """The name of its directory."""
        return self.stored.path.resolve().name

    @property
    def quotable(self) -> bool:
        """Whether its figures count in a mean over runs."""
        return self.outlook == "good"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportedEvaluation:
    """An evaluation of several loads in a report.

    Attributes:
        path: its directory.
        outcome: its result.
        reasons: why it is not valid.
    """

    path: pathlib.Path
    outcome: result.EvaluateResult
    reasons: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportedGroup:
    """Runs of one division, benchmark and scenario, in the order of time."""

    label: str
    runs: tuple[ReportedRun, ...]

    @property
    def kinds(self) -> tuple[FigureKind, ...]:
        """The figures that any of them has."""
        return tuple(kind for kind in figures.KINDS if any(kind.name in each.figures for each in self.runs))

    @property
    def deciding(self) -> tuple[FigureKind, ...]:
        """Those that decide a comparison."""
        where = self.runs[0].stored.scenario or "training"
        return tuple(kind for kind in self.kinds if where in kind.decides)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportedRuns:
    """All that a report is about.

    Attributes:
        groups: the runs.
        evaluations: evaluations, which are of no group.
        skipped: directories below the given ones that can't be read, each with its reason.
    """

    groups: tuple[ReportedGroup, ...]
    evaluations: tuple[ReportedEvaluation, ...]
    skipped: tuple[str, ...]


def collect(paths: Sequence[pathlib.Path]) -> ReportedRuns:
    """Reads run directories, and those directly inside other directories.

    Args:
        paths: run directories, which must be readable, and folders of them, where an unreadable one is skipped.

    Raises:
        UsageError: a run directory can't be read, or there is no run at all.
    """
    found: dict[str, list[ReportedRun]] = {}
    evaluations: list[ReportedEvaluation] = []
    skipped: list[str] = []
    for path, given in _directories(paths):
        try:
            evaluation = _evaluation(path)
            if evaluation is not None:
                evaluations.append(evaluation)
                continue
            stored = run.read(path)
        except UsageError as error:
            if given:
                raise
            skipped.append(str(error))
            continue
        found.setdefault(run.label(stored), []).append(_reported(stored))
    if not found and not evaluations:
        listed = "\n".join(f"  - {each}" for each in skipped)
        raise UsageError(f"There is no finished run in {', '.join(map(str, paths))}.{listed and chr(10)}{listed}")
    groups = tuple(
        ReportedGroup(label=label, runs=tuple(sorted(runs, key=_when))) for label, runs in sorted(found.items())
    )
    return ReportedRuns(groups=groups, evaluations=tuple(evaluations), skipped=tuple(skipped))


def latency_curve(stored: StoredRun) -> tuple[tuple[float, float], ...]:
    """(percentile, latency in ms) of a serving run, as far as its queries determine it; empty without a recording."""
    if stored.scenario in (None, "Offline"):
        return ()
    latencies_ns = run.recording(stored.path).get("latency_ns")
    if latencies_ns is None or len(latencies_ns) < 2:
        return ()
    percents = [percent for percent in CURVE_PERCENTS if len(latencies_ns) * (1 - percent / 100) >= 1]
    values = np.percentile(latencies_ns, percents, method="higher")
    return tuple(zip(percents, (values / _MS).tolist(), strict=True))


def system(environment: dict[str, object]) -> str:
    """On what a run ran, in a few words."""
    named = environment.get("platform")
    if isinstance(named, str) and named:
        return named
    gpus = environment.get("gpu_count")
    if isinstance(gpus, int) and gpus:
        return f"{gpus} x {environment.get('gpu')}"
    return f"{environment.get('cpu_logical_cores', '?')} cores of {environment.get('cpu', 'an unknown processor')}"


def _directories(paths: Sequence[pathlib.Path]) -> Iterator[tuple[pathlib.Path, bool]]:
    """Run directories, each once, with whether the user named it."""
    seen: set[pathlib.Path] = set()
    for path in paths:
        is_run = (path / "result.json").exists() or (path / "spec.yaml").exists()
        inside = [] if is_run or not path.is_dir() else _inside(path)
        for each, given in ((each, False) for each in inside) if inside else ((path, True),):
            if each.resolve() not in seen:
                seen.add(each.resolve())
                yield each, given


def _inside(folder: pathlib.Path) -> list[pathlib.Path]:
    return sorted(each for each in folder.iterdir() if (each / "result.json").exists() or (each / "spec.yaml").exists())


def _evaluation(path: pathlib.Path) -> ReportedEvaluation | None:
    """The evaluation in a directory; None if it holds something else, which is then read as a run."""
    try:
        outcome = result.read(path / "result.json")
    except (OSError, ValueError):
        return None
    if not isinstance(outcome, result.EvaluateResult):
        return None
    edited = run.edits(path)
    return ReportedEvaluation(path=path, outcome=outcome, reasons=(*outcome.reasons, *((edited,) if edited else ())))


def _reported(stored: StoredRun) -> ReportedRun:
    verdict, outlook = _verdict(stored)
    return ReportedRun(
        stored=stored,
        verdict=verdict,
        outlook=outlook,
        reasons=tuple(dict.fromkeys(why for flaw, why in stored.flaws if flaw != "internal")),
        system=system(dict(stored.outcome.environment)),
        figures=_figures(stored),
    )


def _verdict(stored: StoredRun) -> tuple[str, Outlook]:
    flaws = {flaw for flaw, _ in stored.flaws}
    for flaw, verdict in (("incomplete", "INCOMPLETE"), ("missed", "TARGET MISSED"), ("invalid", "INVALID")):
        if flaw in flaws:
            return verdict, "bad"
    if "edited" in flaws:
        return "EDITED", "bad"
    if "clock" in flaws:
        return "CLOCK CHANGED", "doubt"
    return ("VALID", "good") if stored.outcome.valid else ("TIMED ONLY", "good")


def _figures(stored: StoredRun) -> dict[str, ReportedFigure]:
    kinds = {kind.name: kind for kind in figures.KINDS}
    ends = {}
    if isinstance(stored.outcome, result.InferResult):
        ends = {f"p{each.percentile:g}": each for each in stored.outcome.percentiles}
    found = {}
    for name, value in figures.of(stored).items():
        within = ends.get(name)
        known = within is not None and within.low_ns is not None and within.high_ns is not None and within.value_ns > 0
        found[name] = ReportedFigure(
            kind=kinds[name],
            value=value,
            low=value * within.low_ns / within.value_ns if known and within and within.low_ns is not None else None,
            high=value * within.high_ns / within.value_ns if known and within and within.high_ns is not None else None,
        )
    return found


def _when(each: ReportedRun) -> tuple[float, str]:
    started = each.stored.started
    return (0.0 if started is None else started.timestamp(), each.name)
