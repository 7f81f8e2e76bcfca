"""Prometheus: the metrics that tfperf exposes, and the rules and the dashboard that are generated from their table."""
