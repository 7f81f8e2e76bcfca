"""A Grafana dashboard, made from the table of metrics."""

from __future__ import annotations

import json
from typing import Any

from tfperf.reporting.prometheus import rules
from tfperf.reporting.prometheus.metrics import METRICS, SERIES, ExposedMetric

UID = "tfperf"
_WIDTH, _HEIGHT, _COLUMNS = 12, 8, 24
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_FILTERED = ("benchmark", "division", "scenario", "system")


def expression(metric: ExposedMetric) -> str:
    """The query of a metric's panel."""
    name = rules.recorded(0.99, metric.name) if metric.kind == "histogram" else metric.name
    labels = set(metric.labels) & set(_FILTERED)
    chosen = ", ".join(f'{label}=~"${label}"' for label in _FILTERED if label in labels)
    return f"{name}{{{chosen}}}" if chosen else name


def as_dict() -> dict[str, Any]:
    """The dashboard as plain values, in the schema of Grafana 10."""
    shown = [metric for metric in METRICS if metric.panel]
    return {
        "uid": UID,
        "title": "tfperf",
        "description": "The newest run of each series, its band, and what is running. Not verified by MLCommons.",
        "tags": ["tfperf", "mlperf"],
        "timezone": "browser",
        "editable": True,
        "graphTooltip": 1,
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-7d", "to": "now"},
        "templating": {"list": [_source_variable(), *(_variable(name) for name in SERIES if name in _FILTERED)]},
        "panels": [_panel(metric, number) for number, metric in enumerate(shown)],
    }


def json_text() -> str:
    """The dashboard as Grafana imports it."""
    return json.dumps(as_dict(), indent=2) + "\n"


def _source_variable() -> dict[str, Any]:
    return {"type": "datasource", "name": "datasource", "label": "Prometheus", "query": "prometheus", "hide": 0}


def _variable(name: str) -> dict[str, Any]:
    return {
        "type": "query",
        "name": name,
        "label": name,
        "datasource": _SOURCE,
        "query": f"label_values(tfperf_run_start_timestamp_seconds, {name})",
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "refresh": 2,
        "sort": 1,
        "hide": 0,
    }


def _panel(metric: ExposedMetric, number: int) -> dict[str, Any]:
    across = _COLUMNS // _WIDTH
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": metric.panel,
        "description": metric.help,
        "datasource": _SOURCE,
        "gridPos": {
            "x": number % across * _WIDTH,
            "y": number // across * _HEIGHT,
            "w": _WIDTH,
            "h": _HEIGHT,
        },
        "targets": [
            {
                "refId": "A",
                "datasource": _SOURCE,
                "expr": expression(metric),
                "legendFormat": metric.legend,
                "range": True,
            }
        ],
        "fieldConfig": {"defaults": {"unit": metric.unit}, "overrides": []},
    }
