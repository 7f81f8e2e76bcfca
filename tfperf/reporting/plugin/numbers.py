"""The measured numbers of a result, each as in `result.json` and as it may be quoted."""

from __future__ import annotations

import dataclasses

from tfperf import result
from tfperf.reporting import table

_MS = 1e6


@dataclasses.dataclass(frozen=True, kw_only=True)
class Number:
    """One measured number.

    Attributes:
        label: what was measured.
        value: the value in `result.json`.
        text: the value with its unit. For the metric of an invalid result it says that the value can't be quoted.
    """

    label: str
    value: float | None
    text: str


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
        ),
        Number(label=found.metric, value=found.value, text=table.quality(found)),
        Number(label="epochs", value=outcome.epochs, text=str(outcome.epochs)),
        number("examples/s", outcome.examples_per_s, ""),
        *(number(each.name, each.value, each.unit) for each in outcome.measurements),
    ]


def infer(outcome: result.InferResult) -> list[Number]:
    """The numbers of a serving run, LoadGen's metric first."""
    found = outcome.accuracy
    return [
        _metric(outcome),
        *(number(f"latency {percentile(name)}", value, "ns") for name, value in outcome.latency_ns.items()),
        *([] if found is None else [Number(label=found.metric, value=found.value, text=table.quality(found))]),
        *(number(each.name, each.value, each.unit) for each in outcome.measurements),
    ]


def _metric(outcome: result.InferResult) -> Number:
    if outcome.metric is None:
        return Number(label="metric", value=None, text=table.UNKNOWN)
    found = number("metric", outcome.metric.value, outcome.metric.unit)
    return found if outcome.valid else dataclasses.replace(found, text=f"{table.UNKNOWN} ({found.text})")


def number(label: str, value: float | None, unit: str) -> Number:
    """A number that may be quoted. Nanoseconds are shown as milliseconds."""
    if value is None:
        return Number(label=label, value=None, text=table.UNKNOWN)
    shown, shown_unit = (value / _MS, "ms") if unit == "ns" else (value, unit)
    return Number(label=label, value=value, text=f"{table.number(shown)} {shown_unit}".rstrip())


def percentile(name: str) -> str:
    """p99.9 for the key p99_9."""
    return name.replace("_", ".")
