"""Readings as Prometheus' client library exposes them: over http, in a file, or to a Pushgateway."""

from __future__ import annotations

import http.server
import math
import pathlib
import re
import urllib.error
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from tfperf.errors import TfperfError, UsageError
from tfperf.reporting.prometheus.metrics import METRICS, ExposedMetric, MetricReading

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily

JOB = "tfperf"
_TIMEOUT_S = 10.0


class ReadingsCollector(Collector):
    """Asks for readings whenever Prometheus does.

    Args:
        readings: returns them; called from several threads.
    """

    def __init__(self, readings: Callable[[], Sequence[MetricReading]]) -> None:
        self._readings = readings

    def describe(self) -> Iterable[Any]:
        """Nothing, so that registering reads nothing."""
        return ()

    def collect(self) -> Iterator[Any]:
        """The families of the table that have readings."""
        yield from families(self._readings())


def families(readings: Sequence[MetricReading]) -> Iterator[Family]:
    """The readings by metric, in the table's order."""
    by_name: dict[str, list[MetricReading]] = {}
    for each in readings:
        by_name.setdefault(each.metric, []).append(each)
    for metric in METRICS:
        if metric.name in by_name:
            yield _family(metric, by_name[metric.name])


def registry(readings: Callable[[], Sequence[MetricReading]]) -> prometheus_client.CollectorRegistry:
    """A registry that holds nothing but the readings."""
    found = prometheus_client.CollectorRegistry(auto_describe=False)
    found.register(ReadingsCollector(readings))
    return found


def text(readings: Sequence[MetricReading]) -> str:
    """The readings in Prometheus' text format."""
    content: bytes = prometheus_client.generate_latest(registry(lambda: readings))
    return content.decode()


def serve(readings: Callable[[], Sequence[MetricReading]], *, host: str, port: int) -> http.server.HTTPServer:
    """Answers scrapes in threads until the server is shut down.

    Args:
        readings: as in `ReadingsCollector`.
        host: the address to listen on; only on a loopback address nobody else can connect.
        port: the port; 0 takes a free one.

    Raises:
        UsageError: the port is taken, or the address is none of this machine.
    """
    try:
        server, _ = prometheus_client.start_http_server(port, addr=host, registry=registry(readings))
    except OverflowError as error:
        raise UsageError(f"--port={port} is no port. Accepted: 0 to 65535.") from error
    except OSError as error:
        raise UsageError(
            f"{host}:{port} can't be listened on: {error.strerror or error}. Choose another --port, or end its user."
        ) from error
    return server


def write(folder: pathlib.Path, readings: Sequence[MetricReading], *, name: str) -> pathlib.Path:
    """Writes `tfperf-NAME.prom` for the node exporter's textfile collector, atomically.

    Raises:
        UsageError: the folder can't be written to.
    """
    path = folder / f"{JOB}-{re.sub(r'[^A-Za-z0-9_.]+', '-', name)}.prom"
    try:
        prometheus_client.write_to_textfile(str(path), registry(lambda: readings))
    except OSError as error:
        raise UsageError(
            f"{path} can't be written: {error.strerror or error}. Pass the folder of the node exporter's "
            "--collector.textfile.directory."
        ) from error
    return path


def push(address: str, readings: Sequence[MetricReading], *, name: str) -> None:
    """Replaces what a Pushgateway has of this series.

    Args:
        address: host:port, or a URL.
        readings: what to push.
        name: identifies the series in the gateway.

    Raises:
        TfperfError: the gateway can't be reached or refuses.
    """
    try:
        prometheus_client.push_to_gateway(
            address, job=JOB, grouping_key={"instance": name}, registry=registry(lambda: readings), timeout=_TIMEOUT_S
        )
    except (OSError, ValueError, urllib.error.HTTPError) as error:
        raise TfperfError(
            f"The Pushgateway {address} was not reached: {error}. The run itself is not affected."
        ) from error


def _family(metric: ExposedMetric, readings: Sequence[MetricReading]) -> Family:
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        for each in readings:
            buckets = [("+Inf" if math.isinf(bound) else repr(bound), count) for bound, count in each.buckets]
            histogram.add_metric(each.labels, buckets=buckets, sum_value=each.value)
        return histogram
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for each in readings:
        family.add_metric(each.labels, each.value)
    return family
