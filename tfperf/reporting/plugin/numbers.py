"""The measured numbers of a result, each as in `result.json` and as it may be quoted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal

from tfperf import result
from tfperf.reporting import table

_MS = 1e6

Better = Literal["low", "high"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Number:
    """One measured number.

    Attributes:
        label: what was measured.
        value: the value in `result.json`.
        text: the value with its unit. For the metric of an invalid result it says that the value can't be quoted.
        short: the value alone, for a column of a table; `--` if it can't be quoted.
        unit: the unit of `value`.
        shown_unit: the unit of `short`.
        better: which values are better; None if neither is.
    """

    label: str
    value: float | None
    text: str
    short: str
    unit: str = ""
    shown_unit: str = ""
    better: Better | None = None


def train(outcome: result.TrainResult) -> list[Number]:
    """The numbers of a training run, the time to train first."""
    taken = f"{outcome.run_s:,.2f} s"
    quotable = outcome.valid and outcome.time_to_train_s is not None
    found = outcome.quality
    return [
        Number(
            label="time to train",
            value=outcome.time_to_train_s,
            text=f"{outcome.time_to_train_s:,.2f} s" if quotable else f"{table.UNKNOWN} ({taken} on the clock)",
            short=f"{outcome.time_to_train_s:,.2f}" if quotable else table.UNKNOWN,
            unit="s",
            shown_unit="s",
            better="low",
        ),
        _quality(found),
        *_untrained(outcome),
        _length(outcome),
        number("examples/s", outcome.examples_per_s, "", better="high"),
        *(number(each.name, each.value, each.unit) for each in outcome.measurements),
    ]


def _length(outcome: result.TrainResult) -> Number:
    label, text = table.length(outcome)
    return Number(
        label=label, value=outcome.epochs if outcome.samples is None else outcome.samples, text=text, short=text
    )


def _untrained(outcome: result.TrainResult) -> Iterator[Number]:
    """The quality before training, if it was evaluated."""
    value = outcome.untrained_quality
    if value is not None:
        text = f"{value:.4f}"
        yield Number(label=f"{outcome.quality.metric} before training", value=value, text=text, short=text)


def infer(outcome: result.InferResult) -> list[Number]:
    """The numbers of a serving run, LoadGen's metric first."""
    found = outcome.accuracy
    return [
        _metric(outcome),
        *(
            number(f"latency {percentile(name)}", value, "ns", better="low")
            for name, value in outcome.latency_ns.items()
        ),
        *([] if found is None else [_quality(found)]),
        *(number(each.name, each.value, each.unit) for each in outcome.measurements),
    ]


def _quality(found: result.Quality) -> Number:
    short = table.UNKNOWN
    if found.value is not None:
        short = f"{found.value:.4f}" if found.target is None else table.decimals(found.value, beside=found.target)
    better: Better = "low" if found.mode == "min" else "high"
    return Number(label=found.metric, value=found.value, text=table.quality(found), short=short, better=better)


def _metric(outcome: result.InferResult) -> Number:
    if outcome.metric is None:
        return Number(label="metric", value=None, text=table.UNKNOWN, short=table.UNKNOWN)
    # LoadGen's metric is a latency or a rate.
    better: Better = "low" if outcome.metric.unit == "ns" else "high"
    found = number("metric", outcome.metric.value, outcome.metric.unit, better=better)
    if outcome.valid:
        return found
    return dataclasses.replace(found, text=f"{table.UNKNOWN} ({found.text})", short=table.UNKNOWN)


def number(label: str, value: float | None, unit: str, *, better: Better | None = None) -> Number:
    """A number that may be quoted. Nanoseconds are shown as milliseconds."""
    if value is None:
        return Number(label=label, value=None, text=table.UNKNOWN, short=table.UNKNOWN, better=better)
    shown, shown_unit = (value / _MS, "ms") if unit == "ns" else (value, unit)
    short = table.number(shown)
    text = f"{short} {shown_unit}".rstrip()
    return Number(label=label, value=value, text=text, short=short, unit=unit, shown_unit=shown_unit, better=better)


def percentile(name: str) -> str:
    """p99.9 for the key p99_9."""
    return name.replace("_", ".")
