"""Who leads: the runs of a group by system, with their typical figure and MLPerf's score for training."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

from tfperf import result
from tfperf.analysis import across_runs
from tfperf.analysis.across_runs import Typical
from tfperf.compliance import rcp
from tfperf.stored.figures import FigureKind
from tfperf.summary.reported import ReportedGroup, ReportedRun

GROUPINGS = ("system",)
Grouping = Literal["system"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """A system in a group.

    Attributes:
        rank: from 1; equal for values that are equal.
        system: the system.
        runs: its runs that count.
        left_out: its runs that don't count, since they are not valid.
        value: the figure that ranks.
        behind: how many times as slow as the best it is; 1 for the best.
        olympic_s: MLPerf's score, the mean time to train without the fastest and the slowest run; None with too few.
        per_watt: samples per second and watt where energy was measured: the domain and the geometric mean.
    """

    rank: int
    system: str
    runs: int
    left_out: int
    value: Typical
    behind: float
    olympic_s: float | None = None
    per_watt: tuple[str, float] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Board:
    """The standings of a group by one figure."""

    label: str
    kind: FigureKind
    standings: tuple[Standing, ...]


def board(group: ReportedGroup) -> Board | None:
    """The standings by the first figure that decides and that every counting run has; None if nothing counts."""
    counting = [each for each in group.runs if each.quotable]
    kinds = [kind for kind in (*group.deciding, *group.kinds) if all(kind.name in each.figures for each in counting)]
    if not counting or not kinds:
        return None
    kind = _ranking(kinds, group)
    standings = []
    for system in sorted({each.system for each in counting}):
        runs = [each for each in counting if each.system == system]
        value = across_runs.typical([each.figures[kind.name].value for each in runs])
        left_out = sum(each.system == system and not each.quotable for each in group.runs)
        standings.append(
            Standing(
                rank=0,
                system=system,
                runs=len(runs),
                left_out=left_out,
                value=value,
                behind=1.0,
                olympic_s=olympic_s(runs),
                per_watt=_per_watt(runs),
            )
        )
    return Board(label=group.label, kind=kind, standings=_ranked(standings, kind))


def olympic_s(runs: Sequence[ReportedRun]) -> float | None:
    """MLPerf's score of training runs in seconds; None for other runs, or too few."""
    outcomes = [each.stored.outcome for each in runs]
    times_s = [each.time_to_train_s for each in outcomes if isinstance(each, result.TrainResult)]
    known = [time_s for time_s in times_s if time_s is not None]
    if not known or len(known) < len(runs):
        return None
    benchmark = outcomes[0].benchmark
    if len(known) <= 2 * rcp.dropped_at_each_end(benchmark):
        return None
    return 60 * rcp.score([time_s / 60 for time_s in known], benchmark=benchmark)


def _ranking(kinds: Sequence[FigureKind], group: ReportedGroup) -> FigureKind:
    """Throughput where LoadGen's metric is one; otherwise the first that decides."""
    if group.runs[0].stored.scenario in ("Server", "Offline"):
        return next((kind for kind in kinds if kind.higher_is_better), kinds[0])
    return kinds[0]


def _ranked(standings: Sequence[Standing], kind: FigureKind) -> tuple[Standing, ...]:
    ordered = sorted(standings, key=lambda each: each.value.value, reverse=kind.higher_is_better)
    best = ordered[0].value.value
    ranked: list[Standing] = []
    for place, each in enumerate(ordered):
        value = each.value.value
        same = ranked and ranked[-1].value.value == value
        behind = best / value if kind.higher_is_better else value / best
        ranked.append(dataclasses.replace(each, rank=ranked[-1].rank if same else place + 1, behind=behind))
    return tuple(ranked)


def _per_watt(runs: Sequence[ReportedRun]) -> tuple[str, float] | None:
    """Of the widest domain that was measured in every run."""
    measured = [
        {
            each.domain: each.samples_per_s_per_watt
            for each in run.stored.outcome.energy
            if each.status == "measured" and each.samples_per_s_per_watt
        }
        for run in runs
    ]
    shared = set.intersection(*(set(each) for each in measured))
    for domain in sorted(shared, key=_width, reverse=True):
        values = [each[domain] for each in measured]
        return domain, across_runs.typical([value for value in values if value is not None]).value
    return None


def _width(domain: str) -> tuple[bool, bool, int, str]:
    """Sorts a meter of the whole machine above the mainboard's count, and a sum above its parts."""
    return domain == "meter", domain == "platform", domain.count("+"), domain
