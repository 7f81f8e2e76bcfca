"""The last runs of a history that a new run can be held against."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Sequence

from tfperf import result
from tfperf.compliance import rounds
from tfperf.errors import UsageError
from tfperf.history import history
from tfperf.history.entry import Entry, SeriesKey, described
from tfperf.history.history import History, Series
from tfperf.stored import facts, run
from tfperf.stored.run import StoredRun


@dataclasses.dataclass(frozen=True, kw_only=True)
class ChosenBaseline:
    """The runs to compare with.

    Attributes:
        runs: their directories, oldest first.
        notes: what a reader should know about them, one sentence each.
    """

    runs: tuple[pathlib.Path, ...]
    notes: tuple[str, ...]


def choose(
    candidate: Sequence[pathlib.Path],
    *,
    store: pathlib.Path | None,
    last: int,
    allow: Sequence[str] = (),
    changes: Sequence[str] = (),
) -> ChosenBaseline:
    """Chooses the last runs before the candidate that are comparable with it.

    Comparable are runs of the same benchmark, division, scenario, system, config and round, with no flaw. A declared
    change may differ.

    Args:
        candidate: the directories of the new runs.
        store: the directory of the history; None for the one that holds the candidate.
        last: how many runs, at most.
        allow: flaws that don't matter.
        changes: declared changes, as `tfperf compare` takes them.

    Raises:
        UsageError: the candidate can't be read, or no run is comparable with it; says which runs there are instead.
    """
    if not candidate:
        raise UsageError("--history needs the candidate: tfperf compare --history 10 -- CANDIDATE..., run directories.")
    new = [run.read(path) for path in candidate]
    where = candidate[0].resolve().parent if store is None else store
    found = history.read(where, allow=allow)
    key = _key(new[0])
    before = _before(found, new)
    like = [each for each in before if _is_like(each, key)]
    if changes:
        fitting = _declared(found, like, new[0], changes=changes, last=last)
    else:
        fitting = [each for each in like if each.key == key][-last:]
    if not fitting:
        raise UsageError(_refusal(found, key, before))
    return ChosenBaseline(
        runs=tuple(where / each.path for each in fitting), notes=tuple(_notes(found, key, fitting, last=last))
    )


def _key(stored: StoredRun) -> SeriesKey:
    outcome = stored.outcome
    used = rounds.of_log(outcome.loadgen) if isinstance(outcome, result.InferResult) else None
    key, _ = described(stored, round_name=None if used is None else used.name)
    return key


def _before(found: History, new: Sequence[StoredRun]) -> list[Entry]:
    """The runs of tfperf that are fit for a baseline and older than the candidate, oldest first, without itself."""
    paths = {each.path.resolve() for each in new}
    copies = {dict(each.digests).get("result.json") for each in new} - {None}
    starts = [each.started.timestamp() for each in new if each.started is not None]
    first = min(starts, default=None)
    fit = [each for series in found.series for each in series.fit if each.source == "tfperf"]
    older = [
        each
        for each in fit
        if (found.store / each.path).resolve() not in paths
        and each.digest not in copies
        and (first is None or each.started_s is None or each.started_s <= first)
    ]
    return sorted(older, key=lambda each: (each.started_s or 0.0, each.path))


def _is_like(each: Entry, key: SeriesKey) -> bool:
    found = each.key
    return found is not None and (found.benchmark, found.division, found.scenario) == (
        key.benchmark,
        key.division,
        key.scenario,
    )


def _declared(
    found: History, like: Sequence[Entry], new: StoredRun, *, changes: Sequence[str], last: int
) -> list[Entry]:
    """The newest of those that differ from the candidate in nothing that decides the speed and was not declared."""
    fitting: list[Entry] = []
    for each in reversed(like):
        if len(fitting) == last:
            break
        stored = run.read(found.store / each.path)
        differing = facts.differences([stored], [new], changes=changes)
        if not any(one.deciding and not one.declared for one in differing):
            fitting.insert(0, each)
    return fitting


def _refusal(found: History, key: SeriesKey, before: Sequence[Entry]) -> str:
    what = f"{key.division} {key.benchmark} {key.scenario}"
    start = (
        f"No earlier run in {found.store} can be compared with this {what} run on {key.system}, config {key.config}."
    )
    wanted = dataclasses.asdict(key)
    near: collections.Counter[str] = collections.Counter()
    for each in before:
        if each.key is None:
            continue
        differing = [name for name, value in dataclasses.asdict(each.key).items() if value != wanted[name]]
        near[" and ".join(differing)] += 1
    flawed = sum(1 for series in found.series for each in series.runs if series.key == key and each not in series.fit)
    told = [f"{count:,} of another {differing}" for differing, count in near.most_common(3) if differing]
    if flawed > 1:
        told.append(f"{flawed:,} of the same kind, itself among them or not, with a flaw (see tfperf history)")
    have = f" It has {', '.join(told)}." if told else " It has none that is older and has no flaw."
    return f"{start}{have} Name the directory with --history=DIR, declare a change with --change, or pass --allow."


def _notes(found: History, key: SeriesKey, fitting: Sequence[Entry], *, last: int) -> list[str]:
    notes = []
    if len(fitting) < last:
        notes.append(f"The history has {len(fitting)} comparable runs; {last} were asked for.")
    series = next((each for each in found.series if each.key == key), None)
    paths = [each.path for each in fitting]
    for name, change in () if series is None else _changes(series):
        if change in paths[1:]:
            notes.append(f"The level of {name} changed within this baseline, at {change}, which widens its interval.")
    return notes


def _changes(series: Series) -> list[tuple[str, str]]:
    return [
        (name, each.path) for name in series.decides if name in series.figures for each in series.figures[name].changes
    ]
