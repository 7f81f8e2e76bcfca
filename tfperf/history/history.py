"""The history of a directory: its runs in series, each with its level, its changes and what the next run should be."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfperf.errors import UsageError
from tfperf.history import walk
from tfperf.history.entry import Entry, SeriesKey, decode, digest_of, encode
from tfperf.history.index import HistoryIndex, IndexedRun
from tfperf.history.judgement import SeriesFigure, judge
from tfperf.stored import figures
from tfperf.stored.run import FLAWS

_AT_ONCE = 100  # runs that are read before the index is written
_MOST_JUDGED = 5000  # judgements that the index keeps before it forgets those not in use
_FUTURE_S = 300.0

Progress = Callable[[int, int], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Series:
    """The runs that can be compared with each other.

    Attributes:
        key: what they share.
        config: the facts of the config behind the key's digest.
        runs: all of them, oldest first.
        fit: those that may be part of a baseline, oldest first; copies of one run count once.
        figures: what is known of each figure that decides or is measured, by name.
        decides: the figures that decide in this scenario.
    """

    key: SeriesKey
    config: Mapping[str, str]
    runs: tuple[Entry, ...]
    fit: tuple[Entry, ...]
    figures: Mapping[str, SeriesFigure]
    decides: tuple[str, ...]

    @property
    def newest(self) -> Entry:
        """The run that started last."""
        return self.runs[-1]


@dataclasses.dataclass(frozen=True, kw_only=True)
class History:
    """Everything below a directory.

    Attributes:
        store: the directory.
        series: by key; the one with the newest run comes last.
        running: runs that are probably still being measured.
        others: runs that belong to no series: unfinished, damaged, sweeps and evaluations.
        notes: about the index and about clocks, one sentence each.
        now_s: when it was read, seconds since 1970.
    """

    store: pathlib.Path
    series: tuple[Series, ...]
    running: tuple[Entry, ...]
    others: tuple[Entry, ...]
    notes: tuple[str, ...]
    now_s: float

    @property
    def damaged(self) -> tuple[Entry, ...]:
        """The runs that can't be read."""
        return tuple(each for each in self.others if each.state == "damaged")


def read(
    store: pathlib.Path,
    *,
    allow: Sequence[str] = (),
    rebuild: bool = False,
    on_progress: Progress | None = None,
    now_s: float | None = None,
) -> History:
    """Reads the history of a directory, and only what changed since the last time.

    Args:
        store: the directory that holds the runs, in any folder below it.
        allow: flaws that don't keep a run out of the baseline: invalid, internal, incomplete, edited, missed, clock.
        rebuild: whether to forget the index and read every file again.
        on_progress: called with the runs read so far and those to read.
        now_s: the present, seconds since 1970; None for the clock's.

    Raises:
        UsageError: the directory can't be listed, or a flaw is unknown.
    """
    unknown = [name for name in allow if name not in FLAWS]
    if unknown:
        raise UsageError(f"--allow {', '.join(unknown)} is unknown. Accepted: {', '.join(FLAWS)}.")
    present_s = time.time() if now_s is None else now_s
    found = walk.find(store)
    index = HistoryIndex(store, rebuild=rebuild)
    _update(index, store, found, on_progress=on_progress)
    entries = [decode(index.runs[each.path].content) for each in found]
    running = tuple(each for each in entries if each.running(present_s) and each.state != "other")
    rest = [each for each in entries if each not in running] if running else entries
    series = _series(index, [each for each in rest if each.state == "finished"], allow=tuple(allow))
    return History(
        store=store,
        series=series,
        running=running,
        others=tuple(sorted((e for e in rest if e.state in ("unfinished", "damaged", "other")), key=lambda e: e.path)),
        notes=(*index.notes, *_future(series, present_s)),
        now_s=present_s,
    )


def _update(
    index: HistoryIndex, store: pathlib.Path, found: Sequence[walk.Found], *, on_progress: Progress | None
) -> None:
    """Brings the index up to date with the files."""
    known = index.runs
    fresh = [each for each in found if each.path not in known or known[each.path].fingerprint != each.fingerprint]
    gone = list(known.keys() - {each.path for each in found})
    if gone:
        index.save(gone=gone)
    if fresh:
        from tfperf.history import reading  # late, since it takes a third of a second to import
    for start in range(0, len(fresh), _AT_ONCE):
        batch = [(each, reading.read(store, each)) for each in fresh[start : start + _AT_ONCE]]
        index.save(
            runs=[
                IndexedRun(path=each.path, fingerprint=each.fingerprint, content=encode(done.entry))
                for each, done in batch
            ],
            configs=[
                (done.entry.key.config, json.dumps(done.config)) for _, done in batch if done.entry.key is not None
            ],
        )
        if on_progress is not None:
            on_progress(min(start + _AT_ONCE, len(fresh)), len(fresh))


def _series(index: HistoryIndex, entries: Sequence[Entry], *, allow: tuple[str, ...]) -> tuple[Series, ...]:
    by_key: dict[SeriesKey, list[Entry]] = {}
    for each in sorted(entries, key=lambda entry: (entry.started_s or 0.0, entry.path)):
        if each.key is not None:
            by_key.setdefault(each.key, []).append(each)
    used: set[str] = set()
    fresh: list[tuple[str, str]] = []
    found = []
    for key, runs in by_key.items():
        fit = _once([each for each in runs if each.fit(allow)])
        judged = {}
        for kind in figures.KINDS:
            values = [(each.path, each.figures[kind.name]) for each in fit if kind.name in each.figures]
            if not values:
                continue
            digest = digest_of([kind.name, kind.threshold, values])
            used.add(digest)
            if digest not in index.judged:
                text = json.dumps(dataclasses.asdict(judge(kind, values)))
                fresh.append((digest, text))
                index.judged[digest] = text
            judged[kind.name] = _judged(index.judged[digest])
        found.append(
            Series(
                key=key,
                config=_facts(index, key.config),
                runs=tuple(runs),
                fit=tuple(fit),
                figures=judged,
                decides=tuple(kind.name for kind in figures.KINDS if key.scenario in kind.decides),
            )
        )
    outdated = list(index.judged.keys() - used) if len(index.judged) > _MOST_JUDGED else []
    if fresh or outdated:
        index.save(judged=fresh, outdated=outdated)
    return tuple(sorted(found, key=lambda each: (each.newest.started_s or 0.0, each.newest.path)))


def _judged(text: str) -> SeriesFigure:
    fields: dict[str, Any] = json.loads(text)
    return SeriesFigure.of(fields)


def _facts(index: HistoryIndex, digest: str) -> Mapping[str, str]:
    facts: dict[str, str] = json.loads(index.configs.get(digest, "{}"))
    return facts


def _once(entries: Sequence[Entry]) -> list[Entry]:
    """The entries without copies of a run that is already among them."""
    seen: set[str] = set()
    kept = []
    for each in entries:
        if each.digest and each.digest in seen:
            continue
        seen.add(each.digest)
        kept.append(each)
    return kept


def _future(series: Sequence[Series], now_s: float) -> list[str]:
    late = [
        each.name
        for one in series
        for each in one.runs
        if each.started_s is not None and each.started_s > now_s + _FUTURE_S
    ]
    if not late:
        return []
    more = f" and {len(late) - 1} more" if len(late) > 1 else ""
    return [f"{late[0]}{more} started in the future: a clock was wrong, here or there, and the order may be, too."]
