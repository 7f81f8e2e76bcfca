"""Writes the best config of a sweep as a yaml file that tfperf runs, with what the closed rules say about it."""

from __future__ import annotations

import pathlib
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from tfperf import config, result
from tfperf.tuning import objective
from tfperf.tuning.project import Base
from tfperf.tuning.workload import Workload

NAME = "best.yaml"
ALLOWED = "allowed"
NO_RULES = "no rules are known, since this is not an MLPerf benchmark"
_WIDTH = 118


def rulings(values: Mapping[str, Any], violations: Sequence[str]) -> dict[str, str]:
    """Field -> `allowed`, or what the closed rules say about its value."""
    if any(each.startswith("benchmark:") for each in violations):
        return dict.fromkeys(values, NO_RULES)
    return {field: " ".join(_said_about(field, violations)) or ALLOWED for field in values}


def write(
    path: pathlib.Path, best: Base, *, outcome: result.SweepResult, workload: Workload, violations: Sequence[str]
) -> None:
    """Writes the config under a header that says where it comes from and what it is worth."""
    head = _head(workload.command(path, path.parent), outcome, workload, violations)
    path.write_text("".join(f"{line}\n" for line in head) + config.dump(best), "utf-8")


def best_is_default(outcome: result.SweepResult) -> bool:
    """Whether the best trial had the values of the base."""
    return bool(outcome.best_values) and dict(outcome.best_values) == dict(outcome.default_values)


def improvement(outcome: result.SweepResult, workload: Workload) -> str:
    """A sentence that says how much better the best values are, and how much of that exceeds noise."""
    compared = outcome.comparison
    if best_is_default(outcome):
        return "The best values are the default ones, so there is no improvement to measure."
    if compared is None:
        return "The best trial was not repeated, so it is unknown how much of its lead is luck."
    over, what = f"{len(compared.best)} {workload.REPEATS}", objective.title(outcome.objective)
    if compared.improvement is None or compared.low is None or compared.high is None:
        with_one = [sum(value is not None for value in values) for values in (compared.best, compared.default)]
        return (
            f"Over {over}, {with_one[0]} runs with the best values and {with_one[1]} with the default ones have a "
            f"{what}: the difference is unknown."
        )
    interval = f"{compared.improvement:+.4g}, 95 % confidence interval {compared.low:+.4g} to {compared.high:+.4g}"
    if compared.beyond_noise:
        sure = f"At least {compared.low:.4g} of it exceeds {workload.NOISE}."
    else:
        sure = f"It is not larger than {workload.NOISE}."
    return f"Improvement of {what} over {over}: {interval}. {sure}"


def _head(command: str, outcome: result.SweepResult, workload: Workload, violations: Sequence[str]) -> list[str]:
    others = [each for each in violations if not any(each.startswith(f"{field}:") for field in outcome.closed_rules)]
    paragraphs = [
        f"Found by an internal sweep: trial {outcome.best} of {len(outcome.trials)}. The sweep is not an MLPerf "
        "result; a run of this config can be one in the open division at most.",
        improvement(outcome, workload),
        "Varied values, and what the closed rules say about them:",
        *(f"  {field}: {_ruling(field, ruling, outcome)}" for field, ruling in outcome.closed_rules.items()),
        *(("Not varied, and not allowed in the closed division either:",) if others else ()),
        *(f"  {each}" for each in others),
    ]
    lines = [
        line
        for text in paragraphs
        for line in textwrap.wrap(text, _WIDTH, subsequent_indent="    ", break_on_hyphens=False)
    ]
    return [f"# {line}" for line in (command, *lines)]


def _ruling(field: str, ruling: str, outcome: result.SweepResult) -> str:
    if ruling == ALLOWED:
        return f"{outcome.best_values[field]} is allowed"
    if ruling == NO_RULES:
        return ruling
    return f"not allowed. {ruling}"


def _said_about(field: str, violations: Sequence[str]) -> list[str]:
    """The violations about the field itself, and those about a block that it is in, such as the optimizer."""
    own = [each.removeprefix(f"{field}:").strip() for each in violations if each.startswith(f"{field}:")]
    return own + [each for each in violations if field.startswith(f"{each.partition(':')[0]}.")]


def summary(outcome: result.SweepResult) -> list[str]:
    """What the closed rules say about the best values, one line each."""
    return [f"{field}: {_ruling(field, ruling, outcome)}" for field, ruling in outcome.closed_rules.items()]
