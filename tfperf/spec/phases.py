"""The phases of an evaluation: how requests reach the model, and for how long."""

from __future__ import annotations

import dataclasses
import math

from tfperf.spec.requirement import require

_LONGEST_S = 7 * 24 * 3600.0
_MOST_STREAMS = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class WarmUp:
    """Requests that are answered and not counted.

    Args:
        iterations: requests for each instance.
        until_steady: goes on until the latency no longer changes, for at most `most_s`.
        most_s: the longest that `until_steady` may take.
    """

    KEY = "warm_up"

    iterations: int = 10
    until_steady: bool = False
    most_s: float = 60.0

    def __post_init__(self) -> None:
        require(
            (self.iterations >= 0, "iterations", self.iterations, "0 or more"),
            (_lasts(self.most_s), "most_s", self.most_s, _DURATION),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SingleStreamLoad:
    """LoadGen's SingleStream: one request after the other. The metric is the 90th percentile of the latency.

    Args:
        min_duration_s: shortest time that is measured.
        min_queries: fewest requests.
    """

    KEY = "singlestream"

    min_duration_s: float = 10.0
    min_queries: int = 64

    def __post_init__(self) -> None:
        require(*_measured(self.min_duration_s, self.min_queries))


@dataclasses.dataclass(frozen=True, kw_only=True)
class MultiStreamLoad:
    """LoadGen's MultiStream: several samples in one query. The metric is the 99th percentile of the latency.

    Args:
        samples_per_query: samples that arrive together; 8 in the rules.
        min_duration_s: shortest time that is measured.
        min_queries: fewest queries.
    """

    KEY = "multistream"

    samples_per_query: int = 8
    min_duration_s: float = 10.0
    min_queries: int = 662

    def __post_init__(self) -> None:
        require(
            (self.samples_per_query > 0, "samples_per_query", self.samples_per_query, "1 or more"),
            *_measured(self.min_duration_s, self.min_queries),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServerLoad:
    """LoadGen's Server: requests that arrive at random. 99 % of them must be answered within the bound.

    Args:
        target_qps: requests per second, as a Poisson process.
        latency_bound_ms: the bound for the 99th percentile of the latency.
        min_duration_s: shortest time that is measured.
        min_queries: fewest requests.
    """

    KEY = "server"

    target_qps: float
    latency_bound_ms: float
    min_duration_s: float = 10.0
    min_queries: int = 459

    def __post_init__(self) -> None:
        require(
            (_positive(self.target_qps), "target_qps", self.target_qps, "more than 0"),
            (_positive(self.latency_bound_ms), "latency_bound_ms", self.latency_bound_ms, "more than 0"),
            *_measured(self.min_duration_s, self.min_queries),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class OfflineLoad:
    """LoadGen's Offline: all samples at once. The metric is samples per second.

    Args:
        min_duration_s: about the time that is measured: as many samples as the warm-up expects to fill it.
    """

    KEY = "offline"

    min_duration_s: float = 10.0

    def __post_init__(self) -> None:
        require(*_measured(self.min_duration_s, 1))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Concurrency:
    """Streams that each wait for an answer before they send the next request.

    Args:
        streams: how many at a time; each number is measured on its own.
        duration_s: how long each is measured.
    """

    streams: tuple[int, ...]
    duration_s: float = 10.0

    def __post_init__(self) -> None:
        require(
            (
                bool(self.streams) and all(0 < each <= _MOST_STREAMS for each in self.streams),
                "streams",
                self.streams,
                f"one whole number or more, each from 1 to {_MOST_STREAMS}",
            ),
            (_lasts(self.duration_s), "duration_s", self.duration_s, _DURATION),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConstantRate:
    """Requests at a fixed rate, whether or not earlier ones have been answered.

    Args:
        requests_per_s: the rates; each is measured on its own.
        duration_s: how long each is measured.
        poisson: whether requests arrive at random instead of evenly spaced.
    """

    KEY = "constant_rate"

    requests_per_s: tuple[float, ...]
    duration_s: float = 10.0
    poisson: bool = False

    def __post_init__(self) -> None:
        require(
            (
                bool(self.requests_per_s) and all(map(_positive, self.requests_per_s)),
                "requests_per_s",
                self.requests_per_s,
                "one rate or more, each above 0",
            ),
            (_lasts(self.duration_s), "duration_s", self.duration_s, _DURATION),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RampUp:
    """A load that changes evenly: a rate, or the number of streams.

    Args:
        from_requests_per_s: the rate at the beginning; with `to_requests_per_s`, and without streams.
        to_requests_per_s: the rate at the end.
        from_streams: the streams at the beginning; with `to_streams`, and without rates.
        to_streams: the streams at the end.
        duration_s: from the beginning to the end.
    """

    KEY = "ramp_up"

    from_requests_per_s: float | None = None
    to_requests_per_s: float | None = None
    from_streams: int | None = None
    to_streams: int | None = None
    duration_s: float = 30.0

    def __post_init__(self) -> None:
        rates, streams = (self.from_requests_per_s, self.to_requests_per_s), (self.from_streams, self.to_streams)
        given = [pair for pair in (rates, streams) if pair != (None, None)]
        whole = len(given) == 1 and None not in given[0]
        require(
            (
                whole,
                "ramp_up",
                {field.name: getattr(self, field.name) for field in dataclasses.fields(self)},
                "from_requests_per_s and to_requests_per_s, or from_streams and to_streams",
            ),
            (
                not whole or rates == (None, None) or (rates[0] is not None and rates[0] >= 0 and _positive(rates[1])),
                "ramp_up",
                rates,
                "rates of which the first is 0 or more and the second above 0",
            ),
            (
                not whole or streams == (None, None) or all(0 < (each or 0) <= _MOST_STREAMS for each in streams),
                "ramp_up",
                streams,
                f"streams, each from 1 to {_MOST_STREAMS}",
            ),
            (_lasts(self.duration_s), "duration_s", self.duration_s, _DURATION),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sustained:
    """A long load at a share of the peak that an earlier phase measured: shows throttling and leaks.

    Args:
        share_of_peak: the share of the highest throughput so far, with the same executable and batch size.
        duration_s: how long it lasts.
    """

    share_of_peak: float = 0.8
    duration_s: float = 600.0

    def __post_init__(self) -> None:
        require(
            (0 < self.share_of_peak <= 1, "share_of_peak", self.share_of_peak, "above 0 and at most 1"),
            (_lasts(self.duration_s), "duration_s", self.duration_s, _DURATION),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spike:
    """A fixed rate with a burst in it.

    Args:
        requests_per_s: the rate before and after the burst.
        spike_requests_per_s: the rate in it.
        spike_after_s: when the burst begins.
        spike_s: how long it lasts.
        duration_s: all together.
    """

    requests_per_s: float
    spike_requests_per_s: float
    spike_after_s: float = 10.0
    spike_s: float = 5.0
    duration_s: float = 30.0

    def __post_init__(self) -> None:
        require(
            (_positive(self.requests_per_s), "requests_per_s", self.requests_per_s, "more than 0"),
            (_positive(self.spike_requests_per_s), "spike_requests_per_s", self.spike_requests_per_s, "more than 0"),
            (_lasts(self.spike_after_s), "spike_after_s", self.spike_after_s, _DURATION),
            (_lasts(self.spike_s), "spike_s", self.spike_s, _DURATION),
            (_lasts(self.duration_s), "duration_s", self.duration_s, _DURATION),
            (
                self.spike_after_s + self.spike_s < self.duration_s,
                "duration_s",
                self.duration_s,
                f"longer than spike_after_s + spike_s = {self.spike_after_s + self.spike_s:g}",
            ),
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replay:
    """Requests at recorded times.

    Args:
        file: a text file with the arrival time of one request in each line, in seconds, ascending. A relative path
            starts from the current directory.
        speed: how many times as fast they are sent.
    """

    file: str
    speed: float = 1.0

    def __post_init__(self) -> None:
        require(
            (bool(self.file), "file", self.file, "the path of a file"),
            (_positive(self.speed), "speed", self.speed, "more than 0"),
        )


Phase = (
    WarmUp
    | SingleStreamLoad
    | MultiStreamLoad
    | ServerLoad
    | OfflineLoad
    | Concurrency
    | ConstantRate
    | RampUp
    | Sustained
    | Spike
    | Replay
)


def phase_name(phase: Phase) -> str:
    """The key of a phase in yaml."""
    return str(getattr(type(phase), "KEY", type(phase).__name__.lower()))


_DURATION = f"more than 0 and at most {_LONGEST_S:g} seconds"


def _lasts(seconds: float) -> bool:
    return math.isfinite(seconds) and 0 < seconds <= _LONGEST_S


def _positive(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and value > 0


def _measured(min_duration_s: float, min_queries: int) -> tuple[tuple[bool, str, object, str], ...]:
    return (
        (_lasts(min_duration_s), "min_duration_s", min_duration_s, _DURATION),
        (min_queries > 0, "min_queries", min_queries, "1 or more"),
    )
