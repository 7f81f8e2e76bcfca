"""Recording and alerting rules, made from the table of metrics."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from tfperf.reporting.prometheus.metrics import METRICS, SERIES

_BY_SERIES = ", ".join(SERIES)
_SECONDS_A_DAY = 86_400
QUANTILES = (0.5, 0.95, 0.99)
_WHAT = "{{ $labels.benchmark }} {{ $labels.scenario }} on {{ $labels.system }} (config {{ $labels.config }})"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordingRule:
    """A rule that records a query under a name."""

    record: str
    expr: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class AlertingRule:
    """A rule that fires.

    Attributes:
        alert: its name.
        expr: what fires it.
        severity: `warning`, or `critical` where somebody should look at once.
        summary: one sentence, with Prometheus' templates.
        description: what to do.
    """

    alert: str
    expr: str
    severity: str
    summary: str
    description: str


def recorded(quantile: float, metric: str) -> str:
    """The name of the recorded quantile of a histogram."""
    return f"tfperf:{metric.removeprefix('tfperf_')}:p{100 * quantile:g}"


def recording() -> tuple[RecordingRule, ...]:
    """The quantiles of every histogram, by series."""
    return tuple(
        RecordingRule(
            record=recorded(quantile, metric.name),
            expr=f"histogram_quantile({quantile:g}, sum by (le, {_BY_SERIES}) ({metric.name}_bucket))",
        )
        for metric in METRICS
        if metric.kind == "histogram"
        for quantile in QUANTILES
    )


def alerting(*, no_run_days: float) -> tuple[AlertingRule, ...]:
    """The alerts.

    Args:
        no_run_days: days without a run after which a series is reported.
    """
    figure = "{{ $labels.figure }} of " + _WHAT
    return (
        AlertingRule(
            alert="TfperfRegressionSuspected",
            expr='tfperf_regression_alert{state="suspected"} == 1',
            severity="warning",
            summary=f"{figure} looks worse than its level.",
            description="One or two runs may be noise. Run it again; tfperf compare --history=10 -- RUN tells more.",
        ),
        AlertingRule(
            alert="TfperfRegressionConfirmed",
            expr='tfperf_regression_alert{state="confirmed"} == 1',
            severity="critical",
            summary=f"{figure} is worse than its level in three runs in succession or more.",
            description="tfperf history lists the runs with their commits, and where the level changed.",
        ),
        AlertingRule(
            alert="TfperfNoRecentRun",
            expr=f"time() - max by ({_BY_SERIES}) (tfperf_run_start_timestamp_seconds) "
            f"> {no_run_days * _SECONDS_A_DAY:.0f}",
            severity="warning",
            summary=f"{_WHAT} has not run for {no_run_days:g} days.",
            description="Look at the job that runs it.",
        ),
        AlertingRule(
            alert="TfperfQualityMissed",
            expr="tfperf_quality_reached == 0",
            severity="critical",
            summary=f"The newest run of {_WHAT} missed its quality target.",
            description="However fast it is, it is no result. Look at the model and at the data.",
        ),
        AlertingRule(
            alert="TfperfRunInvalid",
            expr=f"tfperf_run_valid == 0 unless on ({_BY_SERIES}) tfperf_quality_reached == 0",
            severity="warning",
            summary=f"The newest run of {_WHAT} is INVALID.",
            description="tfperf history and the run's result.json say why.",
        ),
        AlertingRule(
            alert="TfperfHistoryUnreadable",
            expr="tfperf_history_readable == 0",
            severity="warning",
            summary="tfperf serve-metrics can't read its directory of runs.",
            description="Its log says why.",
        ),
    )


def yaml_text(*, no_run_days: float) -> str:
    """Both groups as a rule file of Prometheus.

    Args:
        no_run_days: as in `alerting`.
    """
    groups = (
        ("tfperf-recording", [dataclasses.asdict(each) for each in recording()]),
        ("tfperf-alerting", [_plain(each) for each in alerting(no_run_days=no_run_days)]),
    )
    lines = ["# Made by tfperf serve-metrics --write_rules. Make it anew with each version of tfperf.", "groups:"]
    for name, rules in groups:
        lines += [f"  - name: {name}", "    rules:"]
        for rule in rules:
            lines += _mapping(rule, indent=6)
    return "\n".join(lines) + "\n"


def _plain(rule: AlertingRule) -> dict[str, Any]:
    return {
        "alert": rule.alert,
        "expr": rule.expr,
        "labels": {"severity": rule.severity},
        "annotations": {"summary": rule.summary, "description": rule.description},
    }


def _mapping(rule: Mapping[str, Any], *, indent: int) -> list[str]:
    """An item of a list. Each text is a JSON string, which is one in yaml, too."""
    lines = []
    for key, value in rule.items():
        if isinstance(value, Mapping):
            lines.append(f"{key}:")
            lines += [f"  {name}: {json.dumps(text, ensure_ascii=False)}" for name, text in value.items()]
        else:
            lines.append(f"{key}: {json.dumps(value, ensure_ascii=False)}")
    return [f"{' ' * indent}{'- ' if number == 0 else '  '}{line}" for number, line in enumerate(lines)]
