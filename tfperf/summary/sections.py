"""What a report says, as tables of plain text that the page, markdown and the terminal share."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from tfperf import result
from tfperf.analysis import across_runs
from tfperf.reporting import table
from tfperf.stored import facts
from tfperf.stored.figures import FigureKind
from tfperf.summary.leaderboard import Board, Standing
from tfperf.summary.reported import ReportedEvaluation, ReportedFigure, ReportedGroup, ReportedRun, ReportedRuns

NOTICE = "Results are not verified by MLCommons."
_MS = 1e6
_ENVIRONMENT = (
    ("processor", "cpu"),
    ("logical cores", "cpu_logical_cores"),
    ("GPU", "gpu"),
    ("GPUs", "gpu_count"),
    ("memory", "memory_bytes"),
    ("operating system", "operating_system"),
    ("Python", "python"),
    ("tfperf", "code_version"),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
    """A table with a heading.

    Attributes:
        title: its heading.
        headers: of the columns.
        rows: plain text.
        numbers: the columns that hold numbers.
        note: a sentence below it; may be empty.
    """

    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numbers: tuple[int, ...] = ()
    note: str = ""


def headline(runs: ReportedRuns) -> str:
    """How many runs there are, and how many of them are good."""
    every = [each for group in runs.groups for each in group.runs]
    good = sum(each.quotable for each in every) + sum(each.outcome.valid for each in runs.evaluations)
    count = len(every) + len(runs.evaluations)
    return f"{count} run{'s' if count > 1 else ''}, {good} without objection. {NOTICE}"


def verdicts(runs: ReportedRuns) -> Section:
    """One line for each run, with its accuracy and what speaks against it."""
    rows = [_verdict_row(group, each) for group in runs.groups for each in group.runs]
    for evaluation in runs.evaluations:
        verdict = "VALID" if evaluation.outcome.valid else "INVALID"
        label = f"internal {evaluation.outcome.benchmark} evaluation"
        rows.append((verdict, label, evaluation.path.resolve().name, table.UNKNOWN, "; ".join(evaluation.reasons)))
    return Section(title="Verdicts", headers=("verdict", "what", "run", "quality", "because"), rows=tuple(rows))


def figures(group: ReportedGroup) -> Section:
    """The figures of each run and of all that count, each with its interval."""
    kinds = group.kinds
    rows = [(each.name, *(_figure(each.figures.get(kind.name)) for kind in kinds)) for each in group.runs]
    counting = [each for each in group.runs if each.quotable]
    if len(counting) > 1:
        rows.append((f"geometric mean of {len(counting)}", *(_typical(counting, kind) for kind in kinds)))
    return Section(
        title=f"Figures of {group.label}",
        headers=("run", *(f"{kind.name} ({kind.unit})" for kind in kinds)),
        rows=tuple(rows),
        numbers=tuple(range(1, len(kinds) + 1)),
        note=_note(group, counting),
    )


def energy(group: ReportedGroup) -> Section | None:
    """The energy of each run by domain; None if no run says anything about it."""
    rows = [
        (
            each.name,
            domain.domain,
            domain.status,
            table.UNKNOWN if domain.watts is None else table.number(domain.watts),
            table.UNKNOWN if domain.joules_per_sample is None else table.number(domain.joules_per_sample),
            table.UNKNOWN if domain.samples_per_s_per_watt is None else table.number(domain.samples_per_s_per_watt),
            domain.source or domain.reason,
        )
        for each in group.runs
        for domain in each.stored.outcome.energy
    ]
    if not rows:
        return None
    headers = ("run", "domain", "status", "W", "J/sample", "samples/s/W", "source or reason")
    return Section(title="Energy", headers=headers, rows=tuple(rows), numbers=(3, 4, 5))


def loads(evaluation: ReportedEvaluation) -> Section:
    """The loads of an evaluation."""
    rows = [_load_row(phase) for phase in evaluation.outcome.phases]
    headers = ("phase", "load", "executable", "batch", "valid", "requests/s", "p50 (ms)", "p99 (ms)", "because")
    title = f"Loads on {evaluation.outcome.benchmark}, {evaluation.path.resolve().name}"
    return Section(title=title, headers=headers, rows=tuple(rows), numbers=(3, 5, 6, 7))


def environment(group: ReportedGroup) -> Section:
    """The machine and the software of a group; several values where its runs differ."""
    machines = [each.stored.outcome.environment for each in group.runs]
    rows = [
        (label, " or ".join(dict.fromkeys(_shown(machine.get(key)) for machine in machines)))
        for label, key in _ENVIRONMENT
        if any(key in machine for machine in machines)
    ]
    packages = dict.fromkeys(name for machine in machines for name in machine.get("packages", {}))
    for name in packages:
        versions = dict.fromkeys(str(machine.get("packages", {}).get(name, table.UNKNOWN)) for machine in machines)
        rows.append((name, " or ".join(versions)))
    return Section(title="Environment", headers=("what", "value"), rows=tuple(rows))


def differences(group: ReportedGroup) -> Section | None:
    """In what the runs of a group differ; None if in nothing."""
    found = facts.differences([each.stored for each in group.runs], [], changes=())
    if not found:
        return None
    rows = tuple((each.key, " or ".join(each.baseline), "yes" if each.deciding else "maybe") for each in found)
    return Section(title="Differences between these runs", headers=("what", "values", "decides the speed"), rows=rows)


def standings(board: Board) -> Section:
    """A leaderboard."""
    olympic = any(each.olympic_s is not None for each in board.standings)
    watt = any(each.per_watt is not None for each in board.standings)
    headers = [
        *("rank", "system", "runs", f"{board.kind.name} ({board.kind.unit})", "95 % interval", "behind"),
        *(("olympic score (s)",) if olympic else ()),
        *(("samples/s/W",) if watt else ()),
    ]
    rows = [_standing(each, olympic=olympic, watt=watt) for each in board.standings]
    left_out = sum(each.left_out for each in board.standings)
    return Section(
        title=f"Leaderboard of {board.label}",
        headers=tuple(headers),
        rows=tuple(rows),
        numbers=(0, 2, 3, 4, 5, *range(6, len(headers))),
        note=f"{left_out} runs that are not valid don't count." if left_out else "",
    )


def _standing(each: Standing, *, olympic: bool, watt: bool) -> tuple[str, ...]:
    value = each.value
    interval = table.UNKNOWN
    if value.low is not None and value.high is not None:
        interval = f"{table.number(value.low)} to {table.number(value.high)}"
    row = [str(each.rank), each.system, str(each.runs), table.number(value.value), interval, f"{each.behind:.2f}x"]
    if olympic:
        row.append(table.UNKNOWN if each.olympic_s is None else table.number(each.olympic_s))
    if watt:
        row.append(table.UNKNOWN if each.per_watt is None else f"{table.number(each.per_watt[1])} ({each.per_watt[0]})")
    return tuple(row)


def _verdict_row(group: ReportedGroup, each: ReportedRun) -> tuple[str, ...]:
    outcome = each.stored.outcome
    quality = outcome.accuracy if isinstance(outcome, result.InferResult) else outcome.quality
    shown = table.UNKNOWN if quality is None else f"{quality.metric} {table.quality(quality)}"
    notes = () if each.reasons else outcome.notes[:1]
    return each.verdict, group.label, each.name, shown, "; ".join((*each.reasons, *notes))


def _figure(found: ReportedFigure | None) -> str:
    if found is None:
        return table.UNKNOWN
    if found.low is None or found.high is None:
        return table.number(found.value)
    return f"{table.number(found.value)} ({table.number(found.low)} to {table.number(found.high)})"


def _typical(runs: Sequence[ReportedRun], kind: FigureKind) -> str:
    values = [each.figures[kind.name].value for each in runs if kind.name in each.figures]
    if not values:
        return table.UNKNOWN
    found = across_runs.typical(values)
    if found.low is None or found.high is None:
        return table.number(found.value)
    return f"{table.number(found.value)} ({table.number(found.low)} to {table.number(found.high)})"


def _note(group: ReportedGroup, counting: Sequence[ReportedRun]) -> str:
    sentences = []
    if any(figure.low is not None for each in group.runs for figure in each.figures.values()):
        sentences.append("In brackets: 95 % intervals from within a run, which another run may leave.")
    if len(counting) > 1:
        sentences.append("The last line has the interval across runs.")
    if 0 < len(counting) < len(group.runs):
        sentences.append(f"{len(group.runs) - len(counting)} runs that are not valid don't count in it.")
    return " ".join(sentences)


def _load_row(phase: result.LoadPhase) -> tuple[str, ...]:
    latencies = [phase.latency_ns(percent) for percent in (50, 99)]
    return (
        phase.phase,
        phase.load,
        phase.executable,
        str(phase.batch_size),
        "yes" if phase.valid else "no",
        table.number(phase.requests_per_s),
        *(table.UNKNOWN if latency is None else table.number(latency / _MS) for latency in latencies),
        "; ".join((*phase.reasons, *phase.notes[:1])),
    )


def _shown(value: object) -> str:
    if isinstance(value, int) and value > 1 << 30:
        return f"{value / (1 << 30):.0f} GiB"
    return table.UNKNOWN if value is None else str(value)
