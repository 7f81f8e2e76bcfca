"""A history as text for a terminal and as plain values."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from tfperf.errors import UsageError
from tfperf.history.entry import Entry
from tfperf.history.history import History, Series
from tfperf.history.judgement import SeriesFigure
from tfperf.reporting import table

SCHEMA = 1
KEYS = ("benchmark", "division", "scenario", "system", "config", "commit")

_BLOCKS = "▁▂▃▄▅▆▇█"
_DRAWN = 60
_MOST_DIFFERENCES = 3
_LONGEST = 160
_FIGURES = ("figure", "unit", "newest", "level", "next run, 95 %", "drift", "last change of level", "alert")


def only(history: History, wanted: Mapping[str, str]) -> History:
    """The history without series and runs that differ from what is wanted.

    Args:
        history: all of it.
        wanted: key -> value, of benchmark, division, scenario, system, config and commit. A part of the name of a
            system and the beginning of a commit are enough.

    Raises:
        UsageError: a key is unknown, or nothing is left.
    """
    unknown = [key for key in wanted if key not in KEYS]
    if unknown:
        raise UsageError(f"--only={unknown[0]}=... is unknown. Accepted: {', '.join(KEYS)}.")
    kept = [each for each in history.series if all(_is(each, key, value) for key, value in wanted.items())]
    if not kept:
        asked = ", ".join(f"{key}={value}" for key, value in wanted.items())
        have = "; ".join(sorted({_title(each) for each in history.series})[:10])
        raise UsageError(f"No run in {history.store} has {asked}. It has: {have}.")
    commit = wanted.get("commit")
    if commit is not None:
        kept = [dataclasses.replace(each, runs=tuple(r for r in each.runs if _of(r, commit))) for each in kept]
    return dataclasses.replace(history, series=tuple(kept))


def text(history: History, *, last: int = 10, drawn: bool = True) -> str:
    """Each series with its figures and its newest runs, then what belongs to no series.

    Args:
        history: what to show.
        last: the newest runs of each series; 0 shows all.
        drawn: whether the terminal can show block characters, with which the course is drawn.
    """
    lines = [_summary(history)]
    for each in history.series:
        lines += ["", *_of_series(each, history, last=last, drawn=drawn)]
    if history.running:
        lines += ["", *(f"running: {each.path}" for each in history.running)]
    if history.others:
        lines += ["", *(_other(each) for each in history.others)]
    if history.notes:
        lines += ["", *(f"note: {note}" for note in history.notes)]
    return "\n".join([*lines, "", "* decides. Not verified by MLCommons."])


def as_dict(history: History, *, last: int = 0) -> dict[str, Any]:
    """Plain values, as `--format json` prints them.

    Args:
        history: what to show.
        last: the newest runs of each series; 0 shows all.
    """
    return {
        "schema": SCHEMA,
        "kind": "history",
        "store": str(history.store),
        "series": [
            {
                **dataclasses.asdict(each.key),
                "settings": dict(each.config),
                "decides": list(each.decides),
                "baseline_runs": len(each.fit),
                "figures": {name: dataclasses.asdict(figure) for name, figure in each.figures.items()},
                "runs": [_plain(run) for run in each.runs[-last:]],
            }
            for each in history.series
        ],
        "running": [each.path for each in history.running],
        "others": [{"path": each.path, "state": each.state, "problem": each.problem} for each in history.others],
        "notes": list(history.notes),
    }


def alert(series: Series) -> str:
    """The most serious alert among the figures that decide: `none`, `suspected` or `confirmed`."""
    found = {figure.alert for name, figure in series.figures.items() if name in series.decides}
    return next((each for each in ("confirmed", "suspected") if each in found), "none")


def _is(series: Series, key: str, value: str) -> bool:
    if key == "commit":
        return any(_of(each, value) for each in series.runs)
    if key == "system":
        return value in series.key.system
    return str(getattr(series.key, key)) == value


def _of(run: Entry, commit: str) -> bool:
    return any(word.startswith(commit) for word in run.commit.split())


def _plain(run: Entry) -> dict[str, Any]:
    return {
        "path": run.path,
        "source": run.source,
        "started": None if run.started_s is None else _stamp(run.started_s, form="%Y-%m-%dT%H:%M:%SZ"),
        "commit": run.commit,
        "valid": run.valid,
        "flaws": dict(run.flaws),
        "figures": dict(run.figures),
        "quality": None
        if run.quality is None
        else dict(zip(("metric", "value", "target", "reached"), run.quality, strict=True)),
        "remarks": list(run.remarks),
    }


def _summary(history: History) -> str:
    runs = sum(len(each.runs) for each in history.series)
    parts = [f"{_counted(runs)} in {len(history.series):,} series"]
    for name, count in (
        ("running", len(history.running)),
        *((state, sum(each.state == state for each in history.others)) for state in ("unfinished", "damaged")),
    ):
        if count:
            parts.append(f"{count:,} {name}")
    return f"{history.store}: {', '.join(parts)}"


def _counted(runs: int) -> str:
    return f"{runs:,} {'run' if runs == 1 else 'runs'}"


def _title(series: Series) -> str:
    return f"{series.key.division} {series.key.benchmark} {series.key.scenario}"


def _of_series(series: Series, history: History, *, last: int, drawn: bool) -> list[str]:
    lines = [_title(series), f"  {series.key.system}, config {series.key.config}{_differing(series, history)}"]
    lines.append(f"  {_counted(len(series.runs))}, {len(series.fit):,} fit for a baseline, {_span(series)}")
    rows = [_figure(figure, decides=name in series.decides) for name, figure in series.figures.items()]
    if rows:
        lines += ["", _indented(table.columns(_FIGURES, rows))]
    if drawn:
        courses = [
            (name, _course(figure.values))
            for name, figure in series.figures.items()
            if name in series.decides and len(figure.values) > 1
        ]
        width = max((len(name) for name, _ in courses), default=0)
        lines += [f"  {name:<{width}}  {course}" for name, course in courses]
    shown = series.runs[-last:] if last else series.runs
    if len(shown) < len(series.runs):
        lines += ["", f"  {len(series.runs) - len(shown):,} earlier runs; --last=0 lists all"]
    else:
        lines.append("")
    return [*lines, _indented(_runs(series, shown))]


def _runs(series: Series, shown: Sequence[Entry]) -> str:
    names = [name for name in series.figures if name in series.decides] or list(series.figures)
    headers = ("started", "commit", *names, "quality", "run", "")
    rows = [
        (
            table.UNKNOWN if run.started_s is None else _stamp(run.started_s),
            (run.commit.split() or [table.UNKNOWN])[-1],
            *(table.number(run.figures[name]) if name in run.figures else table.UNKNOWN for name in names),
            table.UNKNOWN if run.quality is None or run.quality[1] is None else f"{run.quality[1]:.4f}",
            run.path,
            _standing(run, series),
        )
        for run in shown
    ]
    return table.columns(headers, rows)


def _standing(run: Entry, series: Series) -> str:
    words = [f"{'INVALID' if flaw == 'invalid' else flaw}: {why}" for flaw, why in run.flaws]
    for name, figure in series.figures.items():
        words += [
            f"{name} worse than the level" for path in figure.worse if path == run.path and name in series.decides
        ]
    for name, figure in series.figures.items():
        words += [
            f"{figure.name} {_percent(each.ratio)} from here on"
            for each in figure.changes
            if each.path == run.path and name in series.decides
        ]
    if run not in series.fit and not run.flaws:
        words.append("a copy of another run")
    found = "; ".join([*words, *run.remarks])
    return found if len(found) <= _LONGEST else f"{found[: _LONGEST - 3]}..."


def _figure(figure: SeriesFigure, *, decides: bool) -> tuple[str, ...]:
    band = figure.band
    change = figure.changes[-1] if figure.changes else None
    trend = figure.trend
    state = figure.alert if figure.change is None else f"{figure.alert}, {_percent(figure.change)}"
    return (
        f"{figure.name}{'*' if decides else ''}",
        figure.unit,
        table.number(figure.newest[1]),
        table.UNKNOWN if band is None else table.number(band.middle),
        table.UNKNOWN if band is None else f"{table.number(band.low)} to {table.number(band.high)}",
        "none" if trend is None else f"{100 * trend.per_run:+.2f} % a run over {trend.runs}",
        "none" if change is None else f"{_percent(change.ratio)} at {change.path.rpartition('/')[2]}",
        "none" if figure.alert == "none" else state,
    )


def _differing(series: Series, history: History) -> str:
    """In which settings this config differs from the next newest of the same benchmark, scenario and system."""
    like = [
        each
        for each in history.series
        if each is not series and dataclasses.replace(each.key, config=series.key.config) == series.key
    ]
    if not like:
        return ""
    other = like[-1]
    keys = sorted(key for key in {*series.config, *other.config} if series.config.get(key) != other.config.get(key))
    told = [f"{key.removeprefix('config.')}={series.config.get(key, table.UNKNOWN)}" for key in keys]
    more = f" and {len(told) - _MOST_DIFFERENCES} more" if len(told) > _MOST_DIFFERENCES else ""
    return f" (unlike {other.key.config}: {', '.join(told[:_MOST_DIFFERENCES])}{more})"


def _span(series: Series) -> str:
    known = [each.started_s for each in series.runs if each.started_s is not None]
    if not known:
        return "of unknown time"
    first, newest = _stamp(known[0], form="%Y-%m-%d"), _stamp(known[-1], form="%Y-%m-%d")
    return f"on {first}" if first == newest else f"{first} to {newest}"


def _course(values: Sequence[float]) -> str:
    shown = values[-_DRAWN:]
    low, high = min(shown), max(shown)
    if low == high:
        return _BLOCKS[0] * len(shown)
    return "".join(_BLOCKS[round((value - low) / (high - low) * (len(_BLOCKS) - 1))] for value in shown)


def _other(run: Entry) -> str:
    return (
        f"{run.state}: {run.path}: {run.problem}"
        if run.state != "other"
        else f"not in a series: {run.path}: {run.problem}"
    )


def _percent(ratio: float) -> str:
    return f"{100 * (ratio - 1):+.1f} %"


def _stamp(seconds: float, *, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime(form)


def _indented(lines: str) -> str:
    return "\n".join(f"  {line}" for line in lines.splitlines())
