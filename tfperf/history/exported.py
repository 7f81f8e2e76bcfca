"""A history as metrics: the newest run of each series, its level and its alerts, and what is running."""

from __future__ import annotations

import math
import pathlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tfperf import json_text, result
from tfperf.errors import TfperfError, UsageError
from tfperf.history import history
from tfperf.history.entry import Entry, SeriesKey
from tfperf.history.history import History, Series
from tfperf.reporting.prometheus.metrics import MetricReading
from tfperf.stored import run

# Upper bounds in seconds, each about 1.5 times the one before: a quantile is at most half as far from the truth.
BOUNDS_S = tuple(float(f"{5e-5 * 1.5**step:.2g}") for step in range(37))
_NS, _MIB = 1e-9, 2**20
# Figure of `stored.figures` -> metric, factor to its base unit, further labels.
_FIGURES = {
    "p50": ("latency_percentile_seconds", 1e-3, ("50",)),
    "p95": ("latency_percentile_seconds", 1e-3, ("95",)),
    "p99": ("latency_percentile_seconds", 1e-3, ("99",)),
    "throughput": ("throughput_samples_per_second", 1.0, ()),
    "training_rate": ("training_examples_per_second", 1.0, ()),
    "time_to_train": ("time_to_train_seconds", 1.0, ()),
    "memory": ("memory_bytes", float(_MIB), ()),
}
_EXPECTED = ("p50", "p95", "p99", "throughput", "time_to_train")


class HistoryMetrics:
    """Reads a directory whenever it is asked, and the files of a run only once.

    Args:
        store: the directory.
        allow: flaws that don't keep runs out of the baseline.
        say: takes a sentence when the directory can't be read.
    """

    def __init__(self, store: pathlib.Path, *, allow: Sequence[str] = (), say: Callable[[str], None]) -> None:
        self._store, self._allow, self._say = store, tuple(allow), say
        self._details: dict[tuple[str, float], tuple[MetricReading, ...]] = {}
        self._lock = threading.Lock()

    def readings(self) -> tuple[MetricReading, ...]:
        """The metrics now; if the directory can't be read, only that."""
        with self._lock:  # two scrapes at once read everything once
            try:
                found = history.read(self._store, allow=self._allow)
            except UsageError as error:
                self._say(str(error))
                return (MetricReading(metric="tfperf_history_readable", labels=(), value=0),)
            series = [reading for each in found.series for reading in self._of_series(each)]
            return (*series, *_live(found), *_of_all(found))

    def of_run(self, run_dir: pathlib.Path) -> tuple[str, tuple[MetricReading, ...]]:
        """The name and the metrics of the series of one run.

        Raises:
            TfperfError: the run is in no series of this directory.
        """
        found = history.read(self._store, allow=self._allow)
        for each in found.series:
            if any((self._store / entry.path).resolve() == run_dir.resolve() for entry in each.runs):
                key = each.key
                return f"{key.benchmark}-{key.scenario}-{key.config}", tuple(self._of_series(each))
        raise TfperfError(f"{run_dir} has no metrics: it is in no series of {self._store}. tfperf history says why.")

    def _of_series(self, series: Series) -> Iterator[MetricReading]:
        yield from _summary(series)
        yield from _levels(series)
        newest = series.fit[-1] if series.fit else None
        if newest is None or newest.source != "tfperf":
            return
        known = (newest.path, newest.touched_s)
        if known not in self._details:
            self._details = {key: value for key, value in self._details.items() if key[0] != newest.path}
            self._details[known] = tuple(_of_files(self._store / newest.path, series.key))
        yield from self._details[known]


def _values(key: SeriesKey) -> tuple[str, ...]:
    return (key.benchmark, key.division, key.scenario, key.system, key.config)


def _summary(series: Series) -> Iterator[MetricReading]:
    labels = _values(series.key)
    newest = series.newest
    if newest.started_s is not None:
        yield MetricReading(metric="tfperf_run_start_timestamp_seconds", labels=labels, value=newest.started_s)
    yield MetricReading(metric="tfperf_run_valid", labels=labels, value=float(newest.valid))
    flawed = len(series.runs) - len(series.fit)
    for state, count in (("fit", len(series.fit)), ("flawed", flawed)):
        yield MetricReading(metric="tfperf_runs", labels=(*labels, state), value=count)
    if newest.quality is not None:
        metric, value, target, reached = newest.quality
        if value is not None:
            yield MetricReading(metric="tfperf_quality", labels=(*labels, metric), value=value)
        if target is not None:
            yield MetricReading(metric="tfperf_quality_target", labels=(*labels, metric), value=target)
            yield MetricReading(metric="tfperf_quality_reached", labels=(*labels, metric), value=float(reached))
    if series.fit:
        fit = series.fit[-1]
        commit = (fit.commit.split() or [""])[-1]
        yield MetricReading(metric="tfperf_run_info", labels=(*labels, fit.name, commit), value=1)
        for name, value in fit.figures.items():
            if name in _FIGURES:
                stem, factor, more = _FIGURES[name]
                yield MetricReading(metric=f"tfperf_{stem}", labels=(*labels, *more), value=value * factor)


def _levels(series: Series) -> Iterator[MetricReading]:
    labels = _values(series.key)
    for name, figure in series.figures.items():
        if name in series.decides:
            for state in ("suspected", "confirmed"):
                yield MetricReading(
                    metric="tfperf_regression_alert",
                    labels=(*labels, name, state),
                    value=float(figure.alert == state),
                )
        if figure.band is not None and name in _EXPECTED:
            stem, factor, more = _FIGURES[name]
            for bound, value in (("low", figure.band.low), ("high", figure.band.high)):
                yield MetricReading(
                    metric=f"tfperf_expected_{stem}", labels=(*labels, *more, bound), value=value * factor
                )


def _of_files(run_dir: pathlib.Path, key: SeriesKey) -> Iterator[MetricReading]:
    """What only the run's own files hold; nothing of a file that is missing."""
    labels = _values(key)
    outcome = run.read(run_dir).outcome
    if isinstance(outcome, result.InferResult):
        yield from _requests(run_dir, labels)
    else:
        yield from _steps(run_dir, labels)
    for each in outcome.energy:
        if each.status == "measured" and each.joules is not None:
            yield MetricReading(
                metric="tfperf_energy_joules_total", labels=(*labels, each.domain, each.source), value=each.joules
            )


def _requests(run_dir: pathlib.Path, labels: tuple[str, ...]) -> Iterator[MetricReading]:
    columns = run.recording(run_dir)
    if "latency_ns" in columns and len(columns["latency_ns"]):
        every = int(columns.get("query_every", 1))  # of a long run only an evenly spaced part is kept
        yield histogram("tfperf_request_duration_seconds", labels, columns["latency_ns"] * _NS, every)
    if "samples" in columns:
        every = int(columns.get("execution_every", 1))
        total = float(columns["samples"].sum()) * every
        yield MetricReading(metric="tfperf_samples_total", labels=labels, value=total)


def _steps(run_dir: pathlib.Path, labels: tuple[str, ...]) -> Iterator[MetricReading]:
    durations_s, weights, batch, step = _logged_steps(_events(run_dir))
    if len(durations_s):
        yield histogram("tfperf_step_duration_seconds", labels, durations_s, weights)
    if batch is not None and step:
        yield MetricReading(metric="tfperf_samples_total", labels=labels, value=float(batch * step))


def histogram(
    metric: str, labels: tuple[str, ...], seconds: np.ndarray, weights: np.ndarray | int = 1
) -> MetricReading:
    """A histogram over fixed buckets.

    Args:
        metric: its name.
        labels: the values of its labels.
        seconds: what was observed, [n].
        weights: how often, [n] or the same for all.
    """
    times = np.broadcast_to(np.asarray(weights, float), seconds.shape)
    places = np.searchsorted(np.asarray(BOUNDS_S), seconds, side="left")
    counts = np.cumsum(np.bincount(places, weights=times, minlength=len(BOUNDS_S) + 1))
    return MetricReading(
        metric=metric,
        labels=labels,
        value=float((seconds * times).sum()),
        buckets=tuple(zip((*BOUNDS_S, math.inf), counts.tolist(), strict=True)),
    )


def _live(found: History) -> Iterator[MetricReading]:
    for each in found.running:
        events = _events(found.store / each.path)
        yield MetricReading(metric="tfperf_live_run_info", labels=(each.name, *_identity(found, each, events)), value=1)
        if events:
            elapsed_s = max(0.0, found.now_s - events[0]["time_s"])
            yield MetricReading(metric="tfperf_live_elapsed_seconds", labels=(each.name,), value=elapsed_s)
        yield from _live_numbers(each.name, events)


def _live_numbers(name: str, events: Sequence[dict[str, Any]]) -> Iterator[MetricReading]:
    values: dict[str, float] = {}
    quality = None
    for each in events:
        value = each["value"]
        if each["key"] in ("serving_progress", "tracked_stats") and isinstance(value, dict):
            values |= {key: float(number) for key, number in value.items() if isinstance(number, int | float)}
        if each["key"] == "eval_accuracy" and isinstance(value, int | float):
            quality = float(value)
    _, _, batch, step = _logged_steps(events)
    samples = values.get("samples", float(batch * step) if batch is not None and step else None)
    rate = values.get("rate", values.get("throughput"))
    for metric, number, more in (
        ("tfperf_live_samples_total", samples, ()),
        ("tfperf_live_samples_per_second", rate, ()),
        ("tfperf_live_latency_percentile_seconds", _scaled(values.get("p99_ns")), ("99",)),
        ("tfperf_live_quality", quality, ()),
    ):
        if number is not None:
            yield MetricReading(metric=metric, labels=(name, *more), value=number)


def _scaled(nanoseconds: float | None) -> float | None:
    return None if nanoseconds is None else nanoseconds * _NS


def _identity(found: History, each: Entry, events: Sequence[dict[str, Any]]) -> tuple[str, str, str]:
    """The benchmark, the division and the scenario of a running run, as far as it has written them."""
    if each.key is not None:
        return each.key.benchmark, each.key.division, each.key.scenario
    values = {event["key"]: event["value"] for event in events}
    scenario = "training" if "submission_benchmark" in values else ""
    return str(values.get("submission_benchmark", "")), str(values.get("submission_division", "")), scenario


def _of_all(found: History) -> Iterator[MetricReading]:
    yield MetricReading(metric="tfperf_damaged_runs", labels=(), value=len(found.damaged))
    yield MetricReading(metric="tfperf_history_readable", labels=(), value=1)


def _events(run_dir: pathlib.Path) -> list[dict[str, Any]]:
    """The events that can be read; the last line of a running run may be cut off."""
    found = []
    try:
        lines = (run_dir / "events.jsonl").read_bytes().splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            event = json_text.parse(line)
        except ValueError:
            continue
        if isinstance(event, dict) and {"time_s", "key", "value", "metadata"} <= event.keys():
            found.append(event)
    return found


def _logged_steps(events: Sequence[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray, int | None, int]:
    """Mean step times in seconds with the number of steps that each stands for, the batch size, and all steps."""
    durations, weights, before, batch = [], [], 0, None
    for each in events:
        if each["key"] == "global_batch_size" and isinstance(each["value"], int):
            batch = each["value"]
        if each["key"] != "tracked_stats" or not isinstance(each["value"], dict):
            continue
        step = each["metadata"].get("step")
        if not isinstance(step, int):
            continue
        took_ms = each["value"].get("step_time_ms")
        if isinstance(took_ms, int | float) and step > before:
            durations.append(took_ms / 1e3)
            weights.append(step - before)
        before = max(before, step)
    return np.asarray(durations, float), np.asarray(weights, float), batch, before
