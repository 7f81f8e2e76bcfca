"""Reads what the walk found, once for each state of its files."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from collections.abc import Mapping

from tfperf import json_text, result, sweep_files
from tfperf.compliance import rounds
from tfperf.errors import TfperfError
from tfperf.history import foreign
from tfperf.history.entry import Entry, described
from tfperf.history.walk import RESULT, Found
from tfperf.stored import figures, run
from tfperf.stored.run import StoredRun

_CLOCK_SLACK_S = 60.0  # file systems of other hosts have clocks of their own


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadRun:
    """An entry, and the facts of its config behind the digest in its key."""

    entry: Entry
    config: Mapping[str, str]


def read(store: pathlib.Path, found: Found) -> ReadRun:
    """Reads one thing that the walk found; never fails because of what is in it."""
    blank = Entry(path=found.path, state="damaged", sealed=found.sealed, touched_s=found.touched_s)
    try:
        return {"run": _run, "loadgen": _loadgen, "log": _log}[found.what](store, found, blank)
    except TfperfError as error:
        return ReadRun(entry=dataclasses.replace(blank, problem=str(error)), config={})
    # Whatever a file from anywhere may hold: its run is named with the reason, and all others are still listed.
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        return ReadRun(entry=dataclasses.replace(blank, problem=f"{found.path} can't be read: {why}"), config={})


def _run(store: pathlib.Path, found: Found, blank: Entry) -> ReadRun:
    path = store / found.path
    if sweep_files.wrote(path) and (path / sweep_files.SWEEP).is_file():
        return ReadRun(entry=dataclasses.replace(blank, state="other", problem="a sweep: internal"), config={})
    if found.result_s is None:
        why = "it has no result.json: it was ended before it had a result"
        return ReadRun(entry=dataclasses.replace(blank, state="unfinished", problem=why), config={})
    kind = _kind(path / RESULT)
    if kind in ("sweep", "evaluate"):
        what = "a sweep" if kind == "sweep" else "an evaluation of several loads"
        return ReadRun(entry=dataclasses.replace(blank, state="other", problem=f"{what}: internal"), config={})
    stored = run.read(path)
    entry = _finished(stored, blank, remarks=_clock(stored, found))
    return entry


def _kind(path: pathlib.Path) -> str:
    """The kind of a result; empty if it can't be read, which reading it whole explains."""
    try:
        fields = json_text.parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(fields.get("kind")) if isinstance(fields, dict) else ""


def _loadgen(store: pathlib.Path, found: Found, blank: Entry) -> ReadRun:
    stored = foreign.of_loadgen(store / found.path, path=pathlib.Path(found.path))
    if stored is None:
        return ReadRun(entry=dataclasses.replace(blank, state="none", source="loadgen"), config={})
    return _finished(stored, dataclasses.replace(blank, source="loadgen"))


def _log(store: pathlib.Path, found: Found, blank: Entry) -> ReadRun:
    stored = foreign.of_log(store / found.path, path=pathlib.Path(found.path))
    if stored is None:
        return ReadRun(entry=dataclasses.replace(blank, state="none", source="mllog"), config={})
    return _finished(stored, dataclasses.replace(blank, source="mllog"))


def _finished(stored: StoredRun, blank: Entry, *, remarks: tuple[str, ...] = ()) -> ReadRun:
    outcome = stored.outcome
    used = rounds.of_log(outcome.loadgen) if isinstance(outcome, result.InferResult) else None
    key, config = described(stored, round_name=None if used is None else used.name)
    quality = outcome.accuracy if isinstance(outcome, result.InferResult) else outcome.quality
    environment = outcome.environment
    entry = dataclasses.replace(
        blank,
        state="finished",
        key=key,
        started_s=None if stored.started is None else stored.started.timestamp(),
        commit=str(environment.get("commit") or environment.get("code_version") or ""),
        valid=outcome.valid,
        flaws=stored.flaws,
        figures=figures.of(stored),
        quality=None
        if quality is None
        else (quality.metric, _finite(quality.value), _finite(quality.target), quality.reached),
        remarks=remarks,
        digest=dict(stored.digests).get(RESULT, ""),
    )
    return ReadRun(entry=entry, config=config)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _clock(stored: StoredRun, found: Found) -> tuple[str, ...]:
    if stored.started is None or found.result_s is None:
        return ()
    early_s = stored.started.timestamp() - found.result_s
    if early_s <= _CLOCK_SLACK_S:
        return ()
    return (f"its result is {early_s:,.0f} s older than its start: the clock was set back meanwhile",)
