"""A serving run in TensorBoard: the distribution of its latencies, their course over time, and its result as text.

As in training, the run's directory itself holds the hyper-parameters, the result and its single numbers. The curves
are in `serving/` below it. The latency bound is in `serving/bound/`, so that it is a line in the latency charts.

- `tfperf/serving/latency_ms/by_permille`: the x-axis is the share of queries in thousandths, the value is the latency
  within which this share was answered; at 990 it is the 99th percentile.
- `tfperf/serving/over_time/...`: the x-axis is the second of the run.
- `tfperf/serving/latency_ms/p99` and the like: LoadGen's percentiles, one point each.
- `tfperf/serving/latency_ms`, a histogram: without the highest thousandth, which would squeeze the
  rest into one column.
- `tfperf/result`, a text: what the terminal shows.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import time
from collections.abc import Sequence

import numpy as np
from tensorboard.compat.proto import summary_pb2
from tensorboard.plugins.histogram import metadata as histogram_metadata
from tensorboard.util import tensor_util

from tfperf import result
from tfperf.reporting import inference_table, tensorboard

DIRECTORY = "serving"
BOUND = "bound"
BY_PERMILLE_TAG = "tfperf/serving/latency_ms/by_permille"
P99_TAG = "tfperf/serving/over_time/p99_latency_ms"
RATE_TAG = "tfperf/serving/over_time/samples_per_s"
HISTOGRAM_TAG = "tfperf/serving/latency_ms"

_MS = 1e6
_BUCKETS = 60
_SHOWN = 0.999


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ServingCurves:
    """What the SUT recorded, as the charts show it.

    Attributes:
        latency_ns: the latency of every query, [queries].
        samples_per_s: the samples answered in each second of the run, [seconds].
        p99_ns: the 99th percentile of the latencies in each second, [seconds]; NaN if nothing was answered.
    """

    latency_ns: np.ndarray
    samples_per_s: np.ndarray
    p99_ns: np.ndarray


def write(run_dir: pathlib.Path, outcome: result.InferResult, *, curves: ServingCurves | None) -> None:
    """Writes the event files of a finished run.

    Args:
        run_dir: the run's directory; `serving/` is created in it.
        outcome: the result.
        curves: the curves of the recording; None if nothing was recorded.
    """
    now_s = time.time()
    bound_ns = outcome.loadgen.get("effective_target_latency_ns") if outcome.scenario == "Server" else None
    with contextlib.closing(tensorboard.EventFile(run_dir)) as file:
        file.write(_session(outcome, now_s=now_s), step=0, time_s=now_s)
    if curves is not None:
        with contextlib.closing(tensorboard.EventFile(run_dir / DIRECTORY)) as file:
            _write_curves(file, curves, time_s=now_s)
    if curves is not None and bound_ns is not None:
        with contextlib.closing(tensorboard.EventFile(run_dir / DIRECTORY / BOUND)) as file:
            _write_bound(file, float(bound_ns) / _MS, seconds=len(curves.p99_ns), time_s=now_s)


def markdown(outcome: result.InferResult) -> str:
    """The final tables for the text dashboard: the verdict first, then its reasons and the numbers."""
    reasons = [f"- {reason}" for reason in outcome.reasons]
    facts = [[label, text] for label, text in inference_table.infer_facts(outcome)]
    tables = [(["measured", ""], facts), *inference_table.tables(outcome)]
    head = [f"**{inference_table.verdict(outcome)}**", "", *reasons]
    return "\n".join([*head, *("\n" + _markdown_table(headers, rows) for headers, rows in tables), ""])


def _session(outcome: result.InferResult, *, now_s: float) -> list[summary_pb2.Summary.Value]:
    """The values that are one point each."""
    return [
        tensorboard.session_start(tensorboard.flat(outcome.config), started_s=now_s),
        tensorboard.text(tensorboard.RESULT_TAG, markdown(outcome)),
        *(tensorboard.scalar(f"{HISTOGRAM_TAG}/{name}", value / _MS) for name, value in outcome.latency_ns.items()),
        *_metric(outcome),
        *_accuracy(outcome),
        tensorboard.session_end(success=outcome.valid, ended_s=now_s),
    ]


def _metric(outcome: result.InferResult) -> list[summary_pb2.Summary.Value]:
    """LoadGen's metric. An invalid run does not quote it."""
    if outcome.metric is None or not outcome.valid:
        return []
    if outcome.metric.unit == "ns":
        return [tensorboard.scalar("tfperf/serving/metric_ms", outcome.metric.value / _MS)]
    unit = outcome.metric.unit.replace("/", "_per_")
    return [tensorboard.scalar(f"tfperf/serving/metric_{unit}", outcome.metric.value)]


def _accuracy(outcome: result.InferResult) -> list[summary_pb2.Summary.Value]:
    found = outcome.accuracy
    if found is None or found.value is None:
        return []
    return [tensorboard.scalar(f"tfperf/serving/{found.metric}", found.value)]


def _write_curves(file: tensorboard.EventFile, curves: ServingCurves, *, time_s: float) -> None:
    if len(curves.latency_ns):
        ordered_ms = np.sort(curves.latency_ns) / _MS
        file.write([_histogram(HISTOGRAM_TAG, ordered_ms)], step=0, time_s=time_s)
        by_permille = ordered_ms[np.arange(1000) * len(ordered_ms) // 1000]
        _write_curve(file, BY_PERMILLE_TAG, by_permille, time_s=time_s)
    _write_curve(file, RATE_TAG, curves.samples_per_s, time_s=time_s)
    _write_curve(file, P99_TAG, curves.p99_ns / _MS, time_s=time_s)


def _write_bound(file: tensorboard.EventFile, bound_ms: float, *, seconds: int, time_s: float) -> None:
    """A line across the latency charts."""
    for tag, last in ((BY_PERMILLE_TAG, 999), (P99_TAG, max(seconds - 1, 0))):
        for step in sorted({0, last}):
            file.write([tensorboard.scalar(tag, bound_ms)], step=step, time_s=time_s)


def _write_curve(file: tensorboard.EventFile, tag: str, values: np.ndarray, *, time_s: float) -> None:
    for step, value in enumerate(values.tolist()):
        if np.isfinite(value):
            file.write([tensorboard.scalar(tag, value)], step=step, time_s=time_s)


def _histogram(tag: str, ordered: np.ndarray) -> summary_pb2.Summary.Value:
    """Left edge, right edge and count of each bucket, [buckets, 3], as the histogram dashboard expects."""
    shown = ordered[: max(1, int(len(ordered) * _SHOWN))]
    counts, edges = np.histogram(shown, bins=_BUCKETS)
    return summary_pb2.Summary.Value(
        tag=tag,
        tensor=tensor_util.make_tensor_proto(np.stack([edges[:-1], edges[1:], counts], axis=1).astype(np.float64)),
        metadata=histogram_metadata.create_summary_metadata(display_name="", description=""),
    )


def _markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headers, ["---"] * len(headers), *([tensorboard.cell(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
