"""The table of metrics: what the exporter exposes, and what rules, dashboard and documentation are made from.

Names follow https://prometheus.io/docs/practices/naming/: base units, the unit last, counters end in `_total`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

MetricKind = Literal["gauge", "counter", "histogram"]

SERIES = ("benchmark", "division", "scenario", "system", "config")
RUN = ("run", "benchmark", "division", "scenario")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExposedMetric:
    """A metric.

    Attributes:
        name: its name, with `_total` if it is a counter.
        kind: gauge, counter or histogram.
        help: one sentence.
        labels: the names of its labels.
        panel: the title of its panel on the dashboard; empty without one.
        unit: the unit of the panel, by Grafana's name.
        legend: the legend of the panel, in Grafana's templates.
    """

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = SERIES
    panel: str = ""
    unit: str = "short"
    legend: str = "{{benchmark}} {{scenario}} {{system}} {{config}}"


_OF_FIGURE = "{{benchmark}} {{scenario}} {{system}} {{config}}"

METRICS = (
    ExposedMetric(
        name="tfperf_regression_alert",
        kind="gauge",
        help="1 if the newest runs of a series are worse than its level: suspected after one, confirmed after three.",
        labels=(*SERIES, "figure", "state"),
        panel="Regressions",
        legend=_OF_FIGURE + " {{figure}} {{state}}",
    ),
    ExposedMetric(
        name="tfperf_run_info",
        kind="gauge",
        help="The newest run of a series that is fit for a baseline, always 1.",
        labels=(*SERIES, "run", "commit"),
    ),
    ExposedMetric(
        name="tfperf_run_start_timestamp_seconds",
        kind="gauge",
        help="When the newest run of a series started, valid or not.",
        panel="Newest run",
        unit="dateTimeAsIso",
    ),
    ExposedMetric(
        name="tfperf_run_valid",
        kind="gauge",
        help="1 if the result of the newest run may be quoted, 0 if it is INVALID or missed its quality target.",
        panel="Validity of the newest run",
        unit="bool_yes_no",
    ),
    ExposedMetric(
        name="tfperf_runs",
        kind="gauge",
        help="Runs of a series: fit for a baseline, or flawed.",
        labels=(*SERIES, "state"),
        panel="Runs",
        legend=_OF_FIGURE + " {{state}}",
    ),
    ExposedMetric(
        name="tfperf_latency_percentile_seconds",
        kind="gauge",
        help="LoadGen's latency percentiles in the newest run.",
        labels=(*SERIES, "percentile"),
        panel="Latency by LoadGen",
        unit="s",
        legend=_OF_FIGURE + " p{{percentile}}",
    ),
    ExposedMetric(
        name="tfperf_request_duration_seconds",
        kind="histogram",
        help="The latency of every recorded request in the newest run.",
        panel="Request duration, 99th percentile of the histogram",
        unit="s",
    ),
    ExposedMetric(
        name="tfperf_step_duration_seconds",
        kind="histogram",
        help="The duration of training steps in the newest run, each counted with the mean of its half second.",
        panel="Step duration, 99th percentile of the histogram",
        unit="s",
    ),
    ExposedMetric(
        name="tfperf_samples_total",
        kind="counter",
        help="Samples answered or trained in the newest run.",
        panel="Samples of the newest run",
    ),
    ExposedMetric(
        name="tfperf_throughput_samples_per_second",
        kind="gauge",
        help="Samples answered per second in the newest run, in all.",
        panel="Throughput",
        unit="ops",
    ),
    ExposedMetric(
        name="tfperf_training_examples_per_second",
        kind="gauge",
        help="Training examples per second in the newest run, without evaluations.",
        panel="Training rate",
        unit="ops",
    ),
    ExposedMetric(
        name="tfperf_time_to_train_seconds",
        kind="gauge",
        help="Seconds on the clock until the target was reached in the newest run.",
        panel="Time to train",
        unit="s",
    ),
    ExposedMetric(
        name="tfperf_memory_bytes",
        kind="gauge",
        help="Peak resident memory of the served form in the newest run.",
        panel="Memory",
        unit="bytes",
    ),
    ExposedMetric(
        name="tfperf_expected_latency_percentile_seconds",
        kind="gauge",
        help="The 95 % prediction band of the next run's latency percentiles.",
        labels=(*SERIES, "percentile", "bound"),
        panel="Band of the next run: latency",
        unit="s",
        legend=_OF_FIGURE + " p{{percentile}} {{bound}}",
    ),
    ExposedMetric(
        name="tfperf_expected_throughput_samples_per_second",
        kind="gauge",
        help="The 95 % prediction band of the next run's throughput.",
        labels=(*SERIES, "bound"),
        panel="Band of the next run: throughput",
        unit="ops",
        legend=_OF_FIGURE + " {{bound}}",
    ),
    ExposedMetric(
        name="tfperf_expected_time_to_train_seconds",
        kind="gauge",
        help="The 95 % prediction band of the next run's time to train.",
        labels=(*SERIES, "bound"),
        panel="Band of the next run: time to train",
        unit="s",
        legend=_OF_FIGURE + " {{bound}}",
    ),
    ExposedMetric(
        name="tfperf_energy_joules_total",
        kind="counter",
        help="Energy measured in the newest run, by domain and source; never estimated. Domains overlap.",
        labels=(*SERIES, "domain", "source"),
        panel="Energy of the newest run",
        unit="joule",
        legend=_OF_FIGURE + " {{domain}} ({{source}})",
    ),
    ExposedMetric(
        name="tfperf_quality",
        kind="gauge",
        help="The quality that the newest run reached, in its own metric.",
        labels=(*SERIES, "metric"),
        panel="Quality",
        legend=_OF_FIGURE + " {{metric}}",
    ),
    ExposedMetric(
        name="tfperf_quality_target",
        kind="gauge",
        help="The quality target of the newest run.",
        labels=(*SERIES, "metric"),
        panel="Quality target",
        legend=_OF_FIGURE + " {{metric}}",
    ),
    ExposedMetric(
        name="tfperf_quality_reached",
        kind="gauge",
        help="1 if the newest run reached its quality target, 0 if it missed it.",
        labels=(*SERIES, "metric"),
    ),
    ExposedMetric(
        name="tfperf_live_run_info",
        kind="gauge",
        help="A run that is being measured, always 1.",
        labels=RUN,
        panel="Running now",
        legend="{{run}}",
    ),
    ExposedMetric(
        name="tfperf_live_elapsed_seconds",
        kind="gauge",
        help="Seconds since a running run wrote its first event.",
        labels=("run",),
    ),
    ExposedMetric(
        name="tfperf_live_samples_total",
        kind="counter",
        help="Samples answered or trained so far by a running run.",
        labels=("run",),
    ),
    ExposedMetric(
        name="tfperf_live_samples_per_second",
        kind="gauge",
        help="The present speed of a running run.",
        labels=("run",),
    ),
    ExposedMetric(
        name="tfperf_live_latency_percentile_seconds",
        kind="gauge",
        help="The 99th percentile of the last latencies of a running run.",
        labels=("run", "percentile"),
    ),
    ExposedMetric(
        name="tfperf_live_quality",
        kind="gauge",
        help="The quality at the last evaluation of a running training.",
        labels=("run",),
    ),
    ExposedMetric(
        name="tfperf_damaged_runs",
        kind="gauge",
        help="Runs whose files can't be read.",
        labels=(),
        panel="Damaged runs",
        legend="damaged",
    ),
    ExposedMetric(
        name="tfperf_history_readable",
        kind="gauge",
        help="1 if the directory of runs could be read, else 0.",
        labels=(),
    ),
)
BY_NAME: Mapping[str, ExposedMetric] = {metric.name: metric for metric in METRICS}


@dataclasses.dataclass(frozen=True, kw_only=True)
class MetricReading:
    """A value of a metric.

    Attributes:
        metric: its name.
        labels: the values of its labels, in the table's order.
        value: the value; of a histogram, the sum of what was observed.
        buckets: of a histogram: (upper bound, observations up to it), ascending, the last bound infinite.
    """

    metric: str
    labels: tuple[str, ...]
    value: float
    buckets: tuple[tuple[float, float], ...] = ()
