"""The best config of a sweep as a yaml file that tfperf takes, with what the closed division says of it."""

from __future__ import annotations

import dataclasses
import pathlib
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from tfperf import config, result
from tfperf.tuning import objective
from tfperf.tuning.kind import Base, Kind

NAME = "best.yaml"
ALLOWED = "allowed"
NO_RULES = "no rules are known, for the benchmark is none of MLPerf's"
_WIDTH = 118


def rulings(values: Mapping[str, Any], violations: Sequence[str]) -> dict[str, str]:
    """Field -> `allowed`, or what the rules of the closed division say of its value."""
    if any(each.startswith("benchmark:") for each in violations):
        return dict.fromkeys(values, NO_RULES)
    return {field: next((each for each in violations if each.startswith(f"{field}:")), ALLOWED) for field in values}


def write(
    path: pathlib.Path, best: Base, *, outcome: result.SweepResult, kind: Kind, violations: Sequence[str]
) -> None:
    """Writes the config under a head that says where it is from and what may be thought of it."""
    head = _head(kind.command(path, path.parent), outcome, kind, violations)
    path.write_text("".join(f"{line}\n" for line in head) + config.dump(best), "utf-8")


def improvement(outcome: result.SweepResult, kind: Kind) -> str:
    """In a sentence, how much better the best values are, and how much of it is more than noise."""
    compared = outcome.comparison
    if compared is None:
        return "The best trial was not repeated: nobody knows how much of its lead is luck."
    over, what = f"{len(compared.best)} {kind.repeats}", objective.title(outcome.objective)
    if compared.improvement is None or compared.low is None or compared.high is None:
        with_one = [sum(value is not None for value in values) for values in (compared.best, compared.default)]
        return (
            f"Over {over} {with_one[0]} runs with the best values and {with_one[1]} with the default ones have a "
            f"{what}: no difference can be told."
        )
    interval = f"{compared.improvement:+.4g}, 95 % confidence interval {compared.low:+.4g} to {compared.high:+.4g}"
    if compared.beyond_noise:
        sure = f"At least {compared.low:.4g} of it is beyond {kind.noise}."
    else:
        sure = f"It can't be told from {kind.noise}."
    return f"Improvement of {what} over {over}: {interval}. {sure}"


def _head(command: str, outcome: result.SweepResult, kind: Kind, violations: Sequence[str]) -> list[str]:
    of_others = [each for each in violations if each not in outcome.closed_rules.values()]
    paragraphs = [
        f"Found by an internal sweep: trial {outcome.best} of {len(outcome.trials)}. The sweep is no MLPerf result; a "
        "run of this config is one in the open division at most.",
        improvement(outcome, kind),
        "Values that were varied, and what the closed division says of them:",
        *(f"  {field}: {_ruling(field, said, outcome)}" for field, said in outcome.closed_rules.items()),
        *(("Not varied, and not allowed in the closed division either:",) if of_others else ()),
        *(f"  {each}" for each in of_others),
    ]
    lines = [
        line
        for text in paragraphs
        for line in textwrap.wrap(text, _WIDTH, subsequent_indent="    ", break_on_hyphens=False)
    ]
    return [f"# {line}" for line in (command, *lines)]


def _ruling(field: str, said: str, outcome: result.SweepResult) -> str:
    if said == ALLOWED:
        return f"{outcome.best_values[field]} is allowed"
    if said == NO_RULES:
        return said
    return f"not allowed. {said.removeprefix(f'{field}:').strip()}"


def summary(outcome: result.SweepResult) -> list[str]:
    """What the closed division says of the best values, a line each."""
    return [f"{field}: {_ruling(field, said, outcome)}" for field, said in outcome.closed_rules.items()]


def trials_of(trials: Sequence[Any]) -> tuple[result.SweepTrial, ...]:
    """The trials as the result holds them."""
    names = [field.name for field in dataclasses.fields(result.SweepTrial)]
    return tuple(result.SweepTrial(**{name: getattr(trial, name) for name in names}) for trial in trials)
